"""What a valid field is: lengths, formats and types, as Genesys publishes them.

What belongs here: reading one written value and naming its faults. Which fields a contact or an organization has
is `kinds`' knowledge.
"""

import re
from collections.abc import Callable, Mapping
from typing import cast
from urllib.parse import urlsplit

from contact_sync.simulator import phones
from contact_sync.simulator.errors import Fault, Json

_EMAIL = re.compile(r"[^@\s,;<>\"()]+@[^@\s,;<>\"().]+(\.[^@\s,;<>\"().]+)+")
_SCREEN_NAME = re.compile(r"@?[A-Za-z0-9_]+")


class RefusedError(Exception):
    """A value breaks the rule of its field."""


Rule = Callable[[object], object]
"""Turns a written value into the stored one, None when nothing is left of it; raises RefusedError."""


def text(limit: int) -> Rule:
    """Return the rule of a string of at most `limit` characters, stripped."""

    def rule(value: object) -> object:
        if not isinstance(value, str):
            raise RefusedError("must be a string")
        stripped = value.strip()
        if len(stripped) > limit:
            raise RefusedError(f"must not be longer than {limit} characters")
        return stripped or None

    return rule


def email(value: object) -> object:
    """Apply the rule of an e-mail address."""
    stripped = text(256)(value)
    if stripped is not None and not _EMAIL.fullmatch(str(stripped)):
        raise RefusedError("must be a valid email address")
    return stripped


def url(limit: int) -> Rule:
    """Return the rule of an http or https URL."""

    def rule(value: object) -> object:
        stripped = text(limit)(value)
        if stripped is None:
            return None
        if not is_url(str(stripped)):
            raise RefusedError("must be a valid URL with http or https")
        return stripped

    return rule


def is_url(value: str) -> bool:
    """Tell whether `value` is an http or https URL with a host."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", value)


def boolean(value: object) -> object:
    """Apply the rule of a boolean."""
    if not isinstance(value, bool):
        raise RefusedError("must be a boolean")
    return value


def integer(value: object) -> object:
    """Apply the rule of a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise RefusedError("must be an integer")
    return value


def screen_name(value: object) -> object:
    """Apply the rule of a Twitter screen name."""
    stripped = text(255)(value)
    if stripped is not None and not _SCREEN_NAME.fullmatch(str(stripped)):
        raise RefusedError("must match ^@?[A-Za-z0-9_]+$")
    return stripped


def record(rules: Mapping[str, Rule], *required: str) -> Rule:
    """Return the rule of an object with named members; members that Genesys sets itself are dropped."""

    def rule(value: object) -> object:
        stored = read_members(as_object(value), rules)
        missing = [name for name in required if name not in stored]
        if stored and missing:
            raise RefusedError(f"must have {', '.join(missing)}")
        return stored or None

    return rule


def read_members(written: Json, rules: Mapping[str, Rule]) -> Json:
    """Return the members of `written` that have a rule, each as its rule stores it.

    Raises:
        RefusedError: A member breaks its rule.
    """
    stored = {}
    for name, rule in rules.items():
        value = None if written.get(name) is None else rule(written[name])
        if value is not None:
            stored[name] = value
    return stored


def as_object(value: object) -> Json:
    """Return `value` as an object.

    Raises:
        RefusedError: It is none.
    """
    if not isinstance(value, dict):
        raise RefusedError("must be an object")
    return cast("Json", value)


def array(item: Rule, limit: int) -> Rule:
    """Return the rule of an array of at most `limit` different items."""

    def rule(value: object) -> object:
        if not isinstance(value, list):
            raise RefusedError("must be an array")
        stored: list[object] = []
        for one in map(item, value):
            if one is not None and one not in stored:
                stored.append(one)
        if len(stored) > limit:
            raise RefusedError(f"must not have more than {limit} items")
        return stored or None

    return rule


_PHONE_MEMBERS: Mapping[str, Rule] = {
    "display": text(512),
    "extension": integer,
    "acceptsSMS": boolean,
    "normalizationCountryCode": text(4),
}


def phone(value: object) -> object:
    """Apply the rule of a PhoneNumber, which also rewrites it."""
    written = read_members(as_object(value), _PHONE_MEMBERS)
    return phones.rewritten(written) if "display" in written else None


def whats_app_phone(value: object) -> object:
    """Apply the rule of a WhatsApp number: E.164, with or without the plus."""
    written = read_members(as_object(value), _PHONE_MEMBERS)
    if "display" not in written:
        return None
    digits = written["display"].lstrip("+")
    stored = phones.rewritten(written | {"display": f"+{digits}"})
    if "e164" not in stored:
        raise RefusedError("must be an E.164 number")
    return stored


def reference(value: object) -> object:
    """Apply the rule of a reference to another entity: only its id is kept."""
    return read_members(as_object(value), {"id": text(255)}) or None


ADDRESS = record(
    {
        "address1": text(200),
        "address2": text(200),
        "city": text(100),
        "state": text(50),
        "postalCode": text(25),
        "countryCode": text(25),
    }
)
EXTERNAL_ID = record({"externalSource": record({"id": text(255)}), "value": text(255)}, "externalSource", "value")
TWITTER = record({"id": text(255), "name": text(255), "screenName": screen_name})


def read(written: Json, rules: Mapping[str, Rule]) -> tuple[Json, list[Fault]]:
    """Return the stored form of the fields of `written` that have a rule, and the faults of the others."""
    stored: Json = {}
    faults = []
    for name, rule in rules.items():
        value = written.get(name)
        if value is None:
            continue
        try:
            kept = rule(value)
        except RefusedError as refusal:
            faults.append(Fault(name, str(refusal), value if isinstance(value, str) else ""))
        else:
            if kept is not None:
                stored[name] = kept
    return stored, faults
