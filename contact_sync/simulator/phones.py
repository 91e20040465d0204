"""How Genesys rewrites a phone number.

What belongs here: from the number that was typed to display, E.164 and country. A number counts as readable when
its length is possible in its country, assigned or not. Which numbers identify somebody is known to `identifiers`.
"""

from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberFormat, ValidationResult

from contact_sync.simulator.errors import Json

DEFAULT_COUNTRY = "US"
_WRITABLE = ("extension", "acceptsSMS", "normalizationCountryCode")


def rewritten(phone: Json) -> Json:
    """Return the stored form of a written PhoneNumber, which carries `display`.

    A number that can be read as E.164 is displayed in the international format, any other stays as typed.
    """
    typed = phone["display"]
    stored: Json = {name: phone[name] for name in _WRITABLE if phone.get(name) is not None}
    read = _read(typed, str(stored.get("normalizationCountryCode", "")))
    if read is None:
        return {"display": typed, "userInput": typed} | stored
    display, e164, country = read
    return {"display": display, "userInput": typed, "e164": e164, "countryCode": country} | stored


def e164(text: str) -> str | None:
    """Return the E.164 form of a number written with `+` and country code, else None."""
    read = _read(text, "") if text.strip().startswith("+") else None
    return read[1] if read else None


@lru_cache(maxsize=65_536)
def _read(typed: str, country: str) -> tuple[str, str, str] | None:
    try:
        number = phonenumbers.parse(typed, _region(country))
    except phonenumbers.NumberParseException:
        return None
    # Not `is_possible_number`: that also takes a number without its area code, which is no E.164 number.
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return None
    region = phonenumbers.region_code_for_number(number)
    return (
        phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL),
        phonenumbers.format_number(number, PhoneNumberFormat.E164),
        region or str(number.country_code),
    )


def _region(country: str) -> str:
    """Return the region of a country code, which may be letters (`GB`) or digits (`44`, `+44`)."""
    digits = country.lstrip("+")
    if digits.isdigit():
        return phonenumbers.region_code_for_country_code(int(digits))
    return country.upper() or DEFAULT_COUNTRY
