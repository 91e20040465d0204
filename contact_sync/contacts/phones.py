"""Phone numbers to E.164: take a number only when it can be read in exactly one way.

A wrong number is worse than none: it shows an agent another person. So every plausible reading of the raw text is
tried, each must be a valid number, and two different valid readings are refused as ambiguous.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat
from phonenumbers.phonenumberutil import normalize_digits_only

_EXTENSION = re.compile(
    r"(?:[,;/\s]*(?:\b(?:ext(?:ension)?|extn|durchwahl|dw|poste|int(?:erno)?|anexo)\b|(?<=[\d\s)])x|#)[\s.:=]*)(\d{1,7})\W*$",
    re.IGNORECASE,
)
_LABEL = re.compile(r"\s*[(\[][^\d)\]]*[)\]]\s*$|^\s*[a-z]+\.?\s*:\s*", re.IGNORECASE)
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_FLOAT = re.compile(r"(\+?\d+)\.0")
_LETTER = re.compile(r"[^\W\d_]")
_FOREIGN = re.compile(r"[^\d\s+()\[\]./\u2010-\u2015-]")
_SECOND_NUMBER = re.compile(r"\d\D*\+|/\s*(?:0|\d{1,3}\W*$)")
_NOT_DIGIT = re.compile(r"\D")


@dataclass(frozen=True, slots=True)
class PhoneReading:
    """What became of a raw number: `number` (E.164, `;ext=` and digits behind it) or the reason why not."""

    number: str | None = field(default=None, repr=False)
    refused: str | None = None


@lru_cache(maxsize=200_000)
def read_phone(raw: str, region: str | None) -> PhoneReading:
    """Read one raw phone number.

    Args:
        raw: The text as the CRM holds it.
        region: The ISO 3166 country whose national format the text may be in; None if unknown.

    Returns:
        The E.164 number, or a reason that does not repeat the text.
    """
    body, extension = _without_extension(_LABEL.sub("", _plain(raw)).strip())
    digits = _NOT_DIGIT.sub("", body)
    if reason := _not_one_number(body, digits):
        return PhoneReading(refused=reason)
    readings = {
        phonenumbers.format_number(number, PhoneNumberFormat.E164)
        for number in _valid_readings(body, digits, region)
    }
    if not readings:
        national = f" of {region}" if region else ", or its country is missing"
        return PhoneReading(refused=f"it is not a valid number{'' if body.startswith('+') else national}")
    if len(readings) > 1:
        return PhoneReading(refused="it can be read as two different numbers")
    return PhoneReading(number=readings.pop() + (f";ext={extension}" if extension else ""))


def is_region(code: str) -> bool:
    """Tell whether `code` is a country that has a numbering plan."""
    return code in phonenumbers.SUPPORTED_REGIONS


def _plain(raw: str) -> str:
    """Return the text with ASCII digits, without the invisible marks of copied numbers or a float's `.0`."""
    text = normalize_digits_only(_INVISIBLE.sub("", raw).replace("\uff0b", "+"), keep_non_digits=True).strip()
    return found.group(1) if (found := _FLOAT.fullmatch(text)) else text


def _without_extension(text: str) -> tuple[str, str]:
    found = _EXTENSION.search(text)
    return (text[: found.start()], found.group(1)) if found else (text, "")


def _not_one_number(body: str, digits: str) -> str | None:
    if _LETTER.search(body):
        return "it holds letters"
    if _FOREIGN.search(body):
        return "it holds signs that no number has"
    if _SECOND_NUMBER.search(body):
        return "it holds two numbers, or two endings of one"
    if len(digits) < 6 or _is_placeholder(digits):
        return "it is a placeholder or too short"
    return None


def _is_placeholder(digits: str) -> bool:
    return len(set(digits)) <= 2 or digits in "012345678901234567890" or digits in "98765432109876543210"


def _valid_readings(body: str, digits: str, region: str | None) -> Iterator[PhoneNumber]:
    if body.startswith("+"):
        yield from _valid(f"+{digits}", None)
        return
    if body.startswith("00"):
        yield from _valid(f"+{digits.removeprefix('00')}", None)
    if region:
        yield from _valid(body, region)
        code = str(phonenumbers.country_code_for_region(region))
        if digits.startswith(code):
            yield from _valid(f"+{digits}", None)


def _valid(text: str, region: str | None) -> Iterator[PhoneNumber]:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return
    if phonenumbers.is_valid_number(number):
        yield number
