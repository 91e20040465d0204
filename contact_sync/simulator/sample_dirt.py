"""How people really type numbers and addresses into a CRM.

What belongs here: turning a right value into one of the shapes that it is typed in, and the wrong values that
stand where a right one should. Which record gets which belongs to `sample_crm`.
"""

import re
from collections.abc import Callable
from random import Random

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat

WRONG_NUMBERS = ("n/a", "0000000000", "12", "-", "unknown", "call reception")
WRONG_EMAILS = ("none", "n/a", "@", "ask.her@", "first.last(at)mail.example", "two words@mail.example")
EXTENSIONS = (" ext. {}", " x{}", " Durchwahl {}", "-{}#")
LABELS = ("{} (work)", "Tel: {}", "{} mobile", "{} (after 5pm)")

Shape = Callable[[PhoneNumber], str]


def _international(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)


def _national(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)


def _e164(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def _zero_zero(number: PhoneNumber) -> str:
    return "00" + _international(number).removeprefix("+")


def _without_plus(number: PhoneNumber) -> str:
    return _international(number).removeprefix("+")


def _dots(number: PhoneNumber) -> str:
    return re.sub(r"\D+", ".", _national(number)).strip(".")


def _dashes(number: PhoneNumber) -> str:
    return re.sub(r"\D+", "-", _national(number)).strip("-")


def _parentheses(number: PhoneNumber) -> str:
    first, *rest = re.findall(r"\d+", _national(number))
    return f"({first}) {' '.join(rest)}".strip()


def _bracketed_zero(number: PhoneNumber) -> str:
    code, _, rest = _international(number).partition(" ")
    return f"{code} (0){rest}" if _national(number).startswith("0") else f"{code} {rest}"


SHAPES: dict[str, Shape] = {
    "national": _national,
    "international": _international,
    "e164": _e164,
    "00 prefix": _zero_zero,
    "code without plus": _without_plus,
    "dots": _dots,
    "dashes": _dashes,
    "parentheses": _parentheses,
    "bracketed zero": _bracketed_zero,
}
"""By name, every way to write the number alone."""

_OFTEN = ["national", "national", "international", "international", "e164", *SHAPES]


def typed_number(number: PhoneNumber, rng: Random) -> str:
    """Return `number` as somebody typed it: in any shape, at times with an extension or a label."""
    text = SHAPES[rng.choice(_OFTEN)](number)
    odd = rng.random()
    if odd < 0.04:
        return text + rng.choice(EXTENSIONS).format(rng.randrange(10, 1000))
    return rng.choice(LABELS).format(text) if odd < 0.07 else text


def typed_email(email: str, rng: Random) -> str:
    """Return `email` as somebody typed it: at times in other case or with stray spaces."""
    odd = rng.random()
    if odd < 0.15:
        return other_case(email, rng)
    if odd < 0.2:
        return rng.choice((" {}", "{} ", "\t{}", " {}  ")).format(email)
    return email


def other_case(email: str, rng: Random) -> str:
    """Return `email` with other letters in upper case."""
    local, _, domain = email.strip().lower().partition("@")
    return rng.choice((f"{local.title()}@{domain}", f"{local.upper()}@{domain}", f"{local}@{domain.upper()}"))
