"""The ladder: which of the numbers that a text can be is believed, and with what confidence.

What belongs here: the choice between readings and the reasons for none. The law is that a wrong number is worse
than none: a number is taken only if no other reading assumes as little.
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from contact_sync.contacts.phone_plans import Plan, country_code, plan_of, plan_of_code, plans_of
from contact_sync.contacts.phone_readings import (
    FOREIGN,
    LONGEST,
    Reading,
    first_group,
    international,
    national,
    readings,
)
from contact_sync.contacts.phone_text import Written, take_apart

Confidence = Literal["certain", "likely", "weak"]

_CONFIDENCE: Sequence[Confidence] = ("certain", "likely", "weak")
_NORTH_AMERICA = "1"
MOST_DIGITS = 15
"""Digits of a number with its country code (ITU-T E.164, 6.1)."""

_UPWARD = "1234567890123456789012345"
_DOWNWARD = ("987654321", "9876543210")
_RUNS = frozenset({"0123456789", "01234567890"})
_LOST_PLUS, _IDD_ABROAD = ("lost_plus",), ("idd_abroad",)
_ENDLESS = re.compile(r"\d?(\d)\1{6,}")


class PhoneReading(NamedTuple):
    """What became of a raw number.

    Attributes:
        e164: The number; None if it is not certain enough.
        extension: The digits of its extension, if any.
        confidence: certain; likely if one thing had to be assumed, such as a lost plus; weak if two.
        steps: What was done to the text, by name and in order.
        refused: Why there is no number, in words that do not repeat it.
        alternatives: The numbers that it could be, if it could be several; they are held, never chosen from.
    """

    e164: str | None = None
    extension: str = ""
    confidence: Confidence | None = None
    steps: tuple[str, ...] = ()
    refused: str | None = None
    alternatives: tuple[str, ...] = ()

    @property
    def number(self) -> str | None:
        """The canonical text: E.164, and `;ext=` and the extension behind it."""
        return f"{self.e164};ext={self.extension}" if self.e164 and self.extension else self.e164

    def without_number(self) -> "PhoneReading":
        """Return how a number was read, without the number."""
        return self._replace(e164=None, extension="")

    def __repr__(self) -> str:
        """Return the reading without any number."""
        return f"PhoneReading({self.refused or self.confidence}, {'+'.join(self.steps) or 'as it is'})"


def read_phone(raw: str, regions: Sequence[str] = ()) -> PhoneReading:
    """Read one raw phone number.

    Args:
        raw: The text as the CRM holds it; any text is allowed.
        regions: ISO 3166 countries it may come from, the likeliest first: of the record, its account, its source.
            National numbers are read as the first's. The others lend their codes and prefixes, and cast doubt.
    """
    written = take_apart(raw)
    known = (regions,) if isinstance(regions, str) else tuple(regions)
    return _several(written, known) if written.parts else _settled(written, known)


def _several(written: Written, regions: tuple[str, ...]) -> PhoneReading:
    """Read a text that seems to hold several numbers: it may repeat one, or be one after all."""
    read = [read_phone(part, regions) for part in written.parts]
    numbers = list(dict.fromkeys(one.number for one in read if one.number))
    if not numbers and written.digits:
        return _settled(written, regions)
    if len(numbers) == 1 and all(one.number for one in read):
        return read[0]._replace(steps=(*written.steps, "repeated", *read[0].steps))
    return _refused(written, "it holds two numbers", numbers)


def _settled(written: Written, regions: tuple[str, ...]) -> PhoneReading:
    """Choose what a text means that holds one number at most."""
    plans = plans_of(regions)
    if written.spelled and (spelled := _spelled(written, plans)):
        return spelled
    if reason := _no_number(written, plans):
        return _refused(written, reason)
    best = _best(readings(written, plans), written, plans)
    if len(best) == 1:
        return _chosen(best[0], written)
    if best:
        return _refused(written, "it can be read as different numbers", [one.number for one in best])
    return _none(written, plans, next((region for region in regions if plan_of(region)), ""))


def _no_number(written: Written, plans: Sequence[Plan]) -> str | None:
    if written.refused:
        return written.refused
    if not written.plus and _is_placeholder(written):
        return "it is a placeholder"
    if written.shorter and readings(written._replace(digits=written.shorter), plans):
        return "its last digits may belong to the words behind it"
    return None


def _refused(written: Written, why: str, alternatives: Sequence[str] = ()) -> PhoneReading:
    """Return that a text is no number, and why."""
    return PhoneReading(steps=written.steps, refused=why, alternatives=tuple(sorted(alternatives)))


def _spelled(written: Written, plans: Sequence[Plan]) -> PhoneReading | None:
    """Read a toll-free number that letters spell; phonenumbers knows of none but the North American keypad."""
    plan = plan_of_code(_NORTH_AMERICA)
    if not written.plus and [one.code for one in plans[:1]] != [plan.code]:
        return None
    number = written.spelled.removeprefix(plan.code)
    if (written.plus and number == written.spelled) or not (plan.special(number) and plan.valid(number)):
        return None
    return PhoneReading(f"+{plan.code}{number}", written.extension, "likely", (*written.steps, "letters"))


def _best(found: list[Reading], written: Written, plans: Sequence[Plan]) -> list[Reading]:
    """Return the readings between which nothing decides."""
    if len(found) < 2:
        return found
    coded = [one for one in found if one.steps[:1] == _LOST_PLUS and one.assumes == 1 and one.doubt != FOREIGN]
    if coded and any(one.bare for one in found):
        if not _coded(found, written, plans[0]):
            return found
        found = [one for one in found if not one.bare]
    if any(one.steps[:1] == _IDD_ABROAD for one in found):
        return found
    least = min(one.assumes for one in found)
    return [one for one in found if one.assumes == least]


def _coded(found: list[Reading], written: Written, plan: Plan) -> bool:
    """Tell whether digits that start with the country's own code are more likely that than an area code.

    They are if the number would have more digits than national numbers have, or if a space or sign stands behind
    the code where the country writes none.
    """
    apart = first_group(written.body) == plan.code
    numbers = [one.number[len(plan.code) + 1 :] for one in found if one.bare]
    return all(
        len(number) > LONGEST or (apart and plan.first_group(number) != len(plan.code)) for number in numbers
    )


def _chosen(reading: Reading, written: Written) -> PhoneReading:
    if reading.doubt:
        return _refused(written, reading.doubt, [reading.number])
    if "lost_trunk" in reading.steps and written.remark:
        return _refused(written, "it lacks its trunk prefix, and words stand beside it", [reading.number])
    if len(reading.number) > MOST_DIGITS + 1:
        return _refused(written, "it has more digits than a number can have")
    if _is_endless(reading.number):
        return _refused(written, "it is a placeholder")
    steps = (*written.steps, *reading.steps)
    return PhoneReading(reading.number, written.extension, _CONFIDENCE[reading.assumes], steps)


def _none(written: Written, plans: Sequence[Plan], region: str) -> PhoneReading:
    """Return why digits are no number, with those that they could be in other countries."""
    if written.plus:
        return _refused(written, "it is not a valid number")
    possible = {one.number for plan in plans[1:] for one in national(plan, written.digits)}
    if abroad := international(written.digits):
        possible.add(abroad[0])
    if not plans:
        return _refused(written, "it is not a valid number, or its country is missing", sorted(possible))
    maybe = "; it may be one of another country" if possible else ""
    return _refused(written, f"it is not a valid number of {region}{maybe}", sorted(possible))


def _is_placeholder(written: Written) -> bool:
    digits = written.digits
    if digits in _RUNS:
        return written.body.strip() == digits
    if digits.count(digits[0]) == len(digits) or _UPWARD.startswith(digits):
        return True
    return len(digits) >= 6 and any(run.endswith(digits) for run in _DOWNWARD)


def _is_endless(number: str) -> bool:
    """Tell whether a number is one digit over and over, behind one other at most."""
    if number[-2] != number[-1]:
        return False
    digits = number[1:]
    return _ENDLESS.fullmatch(digits[len(country_code(digits) or "") :]) is not None
