"""Numbering plans: what phonenumbers' metadata says of a country's numbers, compiled for asking it often.

What belongs here: a country's code, which of its national numbers are valid, its trunk and international prefixes,
and how it writes its numbers. `Plan.valid` answers as `phonenumbers.is_valid_number` does, twenty times as fast; a
test holds the two together. Which reading of a text to believe belongs to `phone_ladder`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, SUPPORTED_REGIONS, PhoneMetadata
from phonenumbers.phonemetadata import NumberFormat, PhoneNumberDesc

_CODES = {
    str(number)[:3]: str(code)
    for code in COUNTRY_CODE_TO_REGION_CODE
    for number in range(code * 10 ** (3 - len(str(code))), (code + 1) * 10 ** (3 - len(str(code))))
}
_ALL = (
    *("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "voip", "personal_number"),
    *("pager", "uan", "voicemail"),
)
_SPECIAL = ("toll_free", "premium_rate", "shared_cost", "uan")
_NEVER = "(?!)"

Test = Callable[[str], object]
"""Tells by its truth whether a number is what it asks for."""


class _Lengths(dict[int, Test]):
    """The test for each length of a number, compiled when the first number of that length comes."""

    def __init__(self, compiled: Callable[[int], str]) -> None:
        super().__init__()
        self._compiled = compiled

    def __missing__(self, length: int) -> Test:
        self[length] = test = re.compile(self._compiled(length)).fullmatch
        return test


@dataclass(frozen=True, slots=True)
class Plan:
    """A country's numbering plan.

    Attributes:
        code: The country calling code.
        trunk: The digits before a number dialled inside the country; empty if there are none.
        ordinary: The lengths between which the country's example numbers of fixed lines and mobiles are.
        longest: The most digits that a fixed line has.
        has_trunk: Whether `without_trunk` ever takes anything away.
        plain_trunk: Whether the trunk prefix is all that `without_trunk` ever takes away.
        idd: What dials abroad, if it is not 00, which all countries know.
    """

    code: str
    trunk: str
    ordinary: range
    longest: int
    has_trunk: bool
    plain_trunk: bool
    idd: re.Pattern[str] | None
    _valid: _Lengths
    _special: _Lengths
    _fixed: _Lengths
    _trunk: re.Pattern[str]
    _transform: str | None
    _formats: tuple[tuple[re.Pattern[str], re.Pattern[str], bool], ...]

    def valid(self, number: str) -> bool:
        """Tell whether `number` is a valid national number under the country calling code."""
        return self._valid[len(number)](number) is not None

    def special(self, number: str) -> bool:
        """Tell whether a valid number is free of charge, of a premium rate or otherwise bound to no place."""
        return self._special[len(number)](number) is not None

    def fixed(self, number: str) -> bool:
        """Tell whether a valid number can be a fixed line, which its neighbours dial without the area code."""
        return self._fixed[len(number)](number) is not None

    def without_trunk(self, digits: str) -> str | None:
        """Return `digits` without their trunk prefix and carrier code, or None if they do not start with one.

        A few plans complete a local number by its area code here (Antigua) or move a digit (Argentina's 15).
        """
        if self.plain_trunk:
            return digits[len(self.trunk) :] if digits.startswith(self.trunk) else None
        found = self._trunk.match(digits)
        if not found:
            return None
        if self._transform and found.lastindex and found.group(found.lastindex) is not None:
            return found.expand(self._transform) + digits[found.end() :]
        return digits[found.end() :] if found.end() else None

    def after_idd(self, digits: str) -> str | None:
        """Return what follows `idd`, the prefix that dials abroad from here, or None if there is none."""
        found = self.idd.match(digits) if self.idd else None
        return digits[found.end() :] if found else None

    @property
    def ever_writes_trunk(self) -> bool:
        """Whether the country writes the trunk prefix of any number."""
        return any(written for *_, written in self._formats)

    def writes_trunk(self, number: str) -> bool:
        """Tell whether the country always writes a national number with its trunk prefix."""
        for leading, pattern, written in self._formats:
            if leading.match(number) and pattern.fullmatch(number):
                return written
        return False

    def first_group(self, number: str) -> int:
        """Return how many digits the country writes before the first space or sign of a national number."""
        for leading, pattern, _ in self._formats:
            if leading.match(number) and (found := pattern.fullmatch(number)):
                return found.end(1)
        return len(number)


@cache
def plan_of(region: str) -> Plan | None:
    """Return the plan of an ISO 3166 country, or None if it is none."""
    if region not in SUPPORTED_REGIONS:
        return None
    metadata = PhoneMetadata.metadata_for_region(region)
    return None if metadata is None else _plan(metadata)


@cache
def plans_of(regions: tuple[str, ...]) -> tuple[Plan, ...]:
    """Return the plans of those `regions` that are countries, in their order."""
    return tuple(plan for region in regions if (plan := plan_of(region)))


@cache
def plan_of_code(code: str) -> Plan:
    """Return the plan of the main country of a calling code, which must be one."""
    return _plan(next(_sharing(code)))


def country_code(digits: str) -> str | None:
    """Return the country calling code with which `digits` start; no code is the start of another."""
    return _CODES.get(digits[:3])


def _plan(metadata: PhoneMetadata) -> Plan:
    code = str(metadata.country_code)
    trunk, idd = metadata.national_prefix or "", metadata.international_prefix
    return Plan(
        code=code,
        trunk=trunk,
        ordinary=_ordinary(metadata),
        longest=max(_described(metadata, "fixed_line").possible_length or (0,)),
        _valid=_validity(code),
        _special=_Lengths(lambda length: _either(metadata, _SPECIAL, length) or _NEVER),
        _fixed=_Lengths(lambda length: _either(metadata, ("fixed_line",), length) or _NEVER),
        _trunk=re.compile(metadata.national_prefix_for_parsing or _NEVER),
        _transform=metadata.national_prefix_transform_rule,
        has_trunk=metadata.national_prefix_for_parsing is not None,
        plain_trunk=bool(trunk) and metadata.national_prefix_for_parsing == trunk,
        idd=None if idd in (None, "00") else re.compile(f"(?:{idd})(?=[1-9])"),
        _formats=tuple(_formats(metadata.number_format or (), trunk)),
    )


def _sharing(code: str) -> Iterator[PhoneMetadata]:
    """Yield the metadata of the countries that share a calling code, the main one first."""
    for region in COUNTRY_CODE_TO_REGION_CODE[int(code)]:
        if metadata := PhoneMetadata.metadata_for_region_or_calling_code(int(code), region):
            yield metadata


class Rule(NamedTuple):
    """What makes numbers of one length valid in one of the countries that share a calling code.

    As in phonenumbers, a country with `leading` digits claims every number that starts with them, valid or not;
    the others claim the numbers that they find valid, which match both `general` and `kinds`; the first to claim
    decides. A pattern that matches nothing is empty.
    """

    leading: str
    general: str
    kinds: str


@cache
def rules(code: str, length: int) -> tuple[Rule, ...]:
    """Return the rules for numbers of a length behind a country calling code, in the order in which they claim."""
    found = []
    for metadata in _sharing(code):
        general, kinds = (_either(metadata, names, length) for names in (("general_desc",), _ALL))
        leading = f"(?:{metadata.leading_digits})" if metadata.leading_digits else ""
        found.append(Rule(leading, *((general, kinds) if general and kinds else ("", ""))))
    return tuple(rule for rule in found if rule.leading or rule.kinds)


@cache
def _validity(code: str) -> _Lengths:
    """Return the test for valid numbers behind a country calling code."""

    def compiled(length: int) -> str:
        choices, claimed = [], ""
        for rule in rules(code, length):
            if rule.kinds:
                choices.append(rf"{claimed}(?={rule.leading})(?=(?:{rule.general})\Z)(?:{rule.kinds})\Z")
            claimed += f"(?!{rule.leading})" if rule.leading else ""
        return "|".join(choices) or _NEVER

    return _Lengths(compiled)


def _either(metadata: PhoneMetadata, names: Sequence[str], length: int) -> str:
    """Return a pattern for numbers of a length that are of one of the kinds; a kind without lengths has all."""
    described = (_described(metadata, name) for name in names)
    patterns = (
        one.national_number_pattern
        for one in described
        if not one.possible_length or length in one.possible_length
    )
    return "|".join(f"(?:{pattern})" for pattern in dict.fromkeys(patterns) if pattern)


def _described(metadata: PhoneMetadata, name: str) -> PhoneNumberDesc:
    return getattr(metadata, name) or PhoneNumberDesc()


def _ordinary(metadata: PhoneMetadata) -> range:
    described = (_described(metadata, name).example_number for name in ("fixed_line", "mobile"))
    lengths = [len(example) for example in described if example]
    return range(min(lengths), max(lengths) + 1) if lengths else range(0)


def _formats(
    formats: Sequence[NumberFormat], trunk: str
) -> Iterator[tuple[re.Pattern[str], re.Pattern[str], bool]]:
    for one in formats:
        rule = re.sub(r"\\\d|\D", "", one.national_prefix_formatting_rule or "")
        written = bool(trunk) and rule == trunk and not one.national_prefix_optional_when_formatting
        leading = one.leading_digits_pattern[-1] if one.leading_digits_pattern else ""
        yield re.compile(f"(?:{leading})"), re.compile(f"(?:{one.pattern})"), written
