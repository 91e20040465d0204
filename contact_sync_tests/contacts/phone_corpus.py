"""Phone numbers whose truth is known, in the shapes in which people and programs write them.

What belongs here: the numbers (phonenumbers' examples of every country and kind, or random ones), the shapes, and
texts that are no number at all. What is demanded of them belongs to the tests.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import NamedTuple

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberFormat, PhoneNumberType

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
KINDS = tuple(kind for kind in range(PhoneNumberType.VOICEMAIL + 1) if kind != PhoneNumberType.UNKNOWN)

Shape = Callable[[PhoneNumber, str], str | None]


class Case(NamedTuple):
    """A text, the country of its record, and the only right answer."""

    raw: str
    region: str
    truth: str
    shape: str


def examples(region: str) -> Iterator[PhoneNumber]:
    """Yield a valid number of each kind that a country has."""
    for kind in KINDS:
        number = phonenumbers.example_number_for_type(region, kind)
        if number and phonenumbers.is_valid_number(number):
            yield number


def e164(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def international(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)


def national(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)


def rest(number: PhoneNumber) -> str:
    """Return the number without its country code."""
    return phonenumbers.national_significant_number(number)


def digits_of(text: str) -> str:
    return re.sub(r"\D", "", text)


def joined(text: str, sign: str) -> str:
    """Return a number whose groups are joined by `sign`."""
    return ("+" if text.startswith("+") else "") + sign.join(re.findall(r"\d+", text))


def idd(region: str) -> str | None:
    """Return the prefix to dial abroad from a country: the preferred one, or the only one, or the shortest."""
    metadata = PhoneMetadata.metadata_for_region(region)
    assert metadata
    if preferred := metadata.preferred_international_prefix:
        return str(preferred).replace("~", "")
    pattern = re.compile(str(metadata.international_prefix))
    candidates = ("00", "011", "010", "810", "119", "001", "009", "000", "0011", "005", "007", "012", "002", "020")
    return next((one for one in candidates if pattern.fullmatch(one)), None)


def bracketed_zero(number: PhoneNumber, region: str, plus: str = "+") -> str | None:
    """Return the number with its trunk zero in brackets behind the country code, where the country has one."""
    if phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True) != "0":
        return None
    _, _, behind = international(number).partition(" ")
    return f"{plus}{number.country_code} (0){behind}"


def dialled_abroad(number: PhoneNumber, region: str) -> str | None:
    prefix = idd(region)
    return f"{prefix} {international(number)[1:]}" if prefix else None


ABROAD: Mapping[str, Shape] = {
    "E.164": lambda number, _: e164(number),
    "international": lambda number, _: international(number),
    "tel: URI": lambda number, _: phonenumbers.format_number(number, PhoneNumberFormat.RFC3966),
    "00": lambda number, _: e164(number).replace("+", "00"),
    "00 spaced": lambda number, _: "00 " + international(number)[1:],
    "plus and dots": lambda number, _: joined(international(number), "."),
    "plus and slashes": lambda number, _: joined(international(number), "/"),
    "plus and dashes": lambda number, _: joined(international(number), "-"),
    "no-break spaces": lambda number, _: joined(international(number), "\xa0"),
    "figure dashes": lambda number, _: joined(international(number), "\u2012"),
    "en dashes": lambda number, _: joined(international(number), " \u2013 "),
    "minus signs": lambda number, _: joined(international(number), "\u2212"),
    "full width": lambda number, _: full_width(international(number)),
    "marks of direction": lambda number, _: f"\u202a{international(number)}\u202c",
    "brackets": lambda number, _: f"(+{number.country_code}) {rest(number)}",
    "area in brackets": lambda number, _: f"+{number.country_code} ({rest(number)[:2]}) {rest(number)[2:]}",
    "bracketed zero": bracketed_zero,
    "bracketed zero behind 00": lambda number, region: bracketed_zero(number, region, "00"),
    "(work)": lambda number, _: f"{e164(number)} (work)",
    "Mobile:": lambda number, _: f"Mobile: {international(number)}",
    "a name behind": lambda number, _: f"{international(number)} Mr Smith",
    "a name before": lambda number, _: f"Anna Lopez, {international(number)}",
    "apostrophe": lambda number, _: f"'{e164(number)}",
    "formula": lambda number, _: f'="{e164(number)}"',
    "decimal": lambda number, _: f"{e164(number)}.0",
    "Arabic digits": lambda number, _: "".join(chr(0x660 + int(c)) if c.isdigit() else c for c in e164(number)),
}
"""Ways to write a number that name its country."""

AT_HOME: Mapping[str, Shape] = {
    "national": lambda number, _: national(number),
    "national digits": lambda number, _: digits_of(national(number)),
    "national dots": lambda number, _: joined(national(number), "."),
    "national slashes": lambda number, _: joined(national(number), "/"),
    "national dashes": lambda number, _: joined(national(number), "-"),
    "national em dashes": lambda number, _: joined(national(number), "\u2014"),
    "national no-break spaces": lambda number, _: joined(national(number), "\xa0"),
    "national full width": lambda number, _: full_width(national(number)),
    "Tel:": lambda number, _: f"Tel: {national(number)}",
    "national (work)": lambda number, _: f"{national(number)} (work)",
    "national and a name": lambda number, _: f"{national(number)} Mr Smith",
    "national, apostrophe": lambda number, _: f"'{digits_of(national(number))}",
    "dialled abroad": dialled_abroad,
    "no plus": lambda number, _: e164(number)[1:],
    "no plus, spaced": lambda number, _: international(number)[1:],
    "no plus, decimal": lambda number, _: f"{e164(number)[1:]}.0",
    "no plus, bracketed zero": lambda number, region: bracketed_zero(number, region, ""),
}
"""Ways to write a number that leave its country, or a part of it, to the record."""

SHAPES = {**ABROAD, **AT_HOME}

EXTENSIONS = (
    *("{} ext. 42", "{} ext 42", "{}ext42", "{} x42", "{}x42", "{} #42", "{} extension 42", "{} Durchwahl 42"),
    *("{} poste 42", "{},,42", "{};ext=42", "{} (ext. 42)", "{} - ext: 42", "{} \u0434\u043e\u0431. 42"),
)


_JUNK = """
- | -- | ? | x | xxx | xxx-xxx-xxxx | n/a | N.N. | none | null | unknown | tbd | test | s. o. | 0 | 00 |
000 | 999 | 110 | 12345 | 0000000 | 0000000000 | +0000000000 | +49 0000000 | 1111111111 | 5555555555 |
555-555-5555 | (555) 555-5555 | 9999999999 | 99999999 | 00000000000000 | 555-1234 | 1234567 | 12345678 |
123456789 | 1234567890 | 123-456-7890 | (123) 456-7890 | 0123456789 | 9876543210 | call reception |
ask for Bob | see notes | same as above | kein Telefon | do not call | left in 2019 | Tel: | fax | home |
Mr Smith | ext 123 | Room 214 | PO Box 1234 | 9-17 Uhr | 24/7 | + | () | # | 2024-05-03 | 03.05.2024 |
12/05/1987 | 2024-05-03 10:00:00 | 3.14159265 | 1e10 | 4.91709E+11 | ana@example.com |
ana1234567@example.com | www.example.com | https://example.com/1234567890 | ID 12345678 | order 20123456 |
DE287654321 | EUR 12345678 | #1234567 | *31# | 1.234.567,00 | AB123456C | 030 85175xx | 212-555-???? |
+49 30 12 | +49 | 0049 | 1-800 | 1234 5678 9012 3456 | 192.168.1.10 | DE89 3704 0044 0532 0130 00 |
123-45-6789 | 10115 | 12 34 | ..........
"""
JUNK = ("", "\u2026", "\u260e", *(" ".join(text.split()) for text in _JUNK.split(" |")))
"""What stands in phone fields and is no number."""

BENCH_REGIONS = ("US", "DE", "GB", "FR", "IT", "ES", "NL", "CH", "AT", "BR", "IN", "JP", "AU", "PL")
_OFTEN = {
    "national": 18,
    "international": 18,
    "E.164": 12,
    "national digits": 8,
    "national dashes": 6,
    "national dots": 4,
    "no plus": 4,
    "00": 3,
    "00 spaced": 3,
    "bracketed zero": 3,
    "no plus, spaced": 2,
    "area in brackets": 2,
}
_WEIGHTS: Mapping[str, float] = dict.fromkeys(SHAPES, 0.5) | _OFTEN
"""How often CRMs hold a shape."""


def seeded(seed: str | int) -> Random:
    """Return numbers that look random and are the same in every run."""
    return Random(seed)  # noqa: S311 (test data)


def random_number(region: str, rng: Random) -> PhoneNumber:
    """Return a valid fixed or mobile number of a country: an example with another end."""
    kind = rng.choice((PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE))
    example = phonenumbers.example_number_for_type(region, kind)
    assert example
    digits = rest(example)
    while True:
        changed = digits[:3] + "".join(rng.choice("0123456789") for _ in digits[3:])
        number = phonenumbers.parse(f"+{example.country_code}{changed}")
        if phonenumbers.is_valid_number(number) and rest(number) == changed:
            return number


def dirty_rows(count: int, rng: Random) -> Iterator[tuple[str, str]]:
    """Yield texts and the countries of their records as a CRM holds them: 4 % with an extension, 5 % junk."""
    names, weights = list(_WEIGHTS), list(_WEIGHTS.values())
    while count:
        region, odd = rng.choice(BENCH_REGIONS), rng.random()
        raw: str | None = rng.choice(JUNK)
        if odd > 0.05:
            number = random_number(region, rng)
            raw = SHAPES[rng.choices(names, weights)[0]](number, region)
            if odd < 0.09:
                raw = rng.choice(EXTENSIONS).format(rng.choice((international, national))(number))
        if raw is not None:
            count -= 1
            yield raw, region


def full_width(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


def cases(region: str) -> Iterator[Case]:
    """Yield every example of a country in every shape."""
    for number in examples(region):
        yield from cases_of(number, region)


def cases_of(number: PhoneNumber, region: str) -> Iterator[Case]:
    """Yield a number in every shape."""
    for name, shape in SHAPES.items():
        if raw := shape(number, region):
            yield Case(raw, region, e164(number), name)
    for pattern in EXTENSIONS:
        for written in (international(number), national(number)):
            yield Case(pattern.format(written), region, f"{e164(number)};ext=42", f"extension {pattern}")
