"""Readings: every valid number that written digits can be, and what each reading assumes.

What belongs here: one rung of the ladder each, from a number that names its country to one that lost a digit.
Which reading to believe belongs to `phone_ladder`, taking a text apart to `phone_text`, what is valid to
`phone_plans`.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from contact_sync.contacts.phone_plans import Plan, country_code, plan_of_code
from contact_sync.contacts.phone_text import Written

_BRACKETED_ZERO = re.compile(r"[(\[]\s*0\s*[)\]]")
_GROUP = re.compile(r"\d+")
IDD_ABROAD = ("011", "0011", "010", "000", "810", "119")
"""What dials abroad from whole regions of the world, besides 00 (phonenumbers' metadata)."""

NO_LOCAL_NUMBER = 10
"""Digits that no number has which neighbours dial without its area code."""

LONGEST = 11
"""Digits that national numbers have at most, but for direct lines behind a switchboard."""

LOCAL = "it may lack its area code"
FOREIGN = "it may be a number of another country"

Steps = tuple[str, ...]


class Reading(NamedTuple):
    """A valid number that a text can be.

    Attributes:
        number: The number in E.164.
        steps: How the digits became the number.
        assumes: How many unlikely things that takes.
        bare: Whether it is a national number without country code and trunk prefix.
        doubt: Why it must not be chosen; it still casts doubt on others.
    """

    number: str
    steps: Steps = ()
    assumes: int = 0
    bare: bool = False
    doubt: str = ""

    def __repr__(self) -> str:
        """Return the steps, without the number."""
        return f"Reading({'+'.join(self.steps)})"


def readings(written: Written, plans: Sequence[Plan]) -> list[Reading]:
    """Return every number that a text can be, each once, as the reading that assumes least.

    Args:
        written: The text, taken apart.
        plans: The numbering plans that it may be of, the likeliest first.
    """
    found = _rungs(written, plans)
    if not found and "0" in written.body and (zero := _BRACKETED_ZERO.search(written.body)):
        found = _without_bracketed_zero(written, zero, plans)
    if written.digits.startswith(IDD_ABROAD) and not written.plus:
        found += _dialled_abroad(written, plans)
    if any(one.bare for one in found) and all(one.assumes for one in found):
        found += _of_another_country(written.digits)
    if len(found) > 1:
        found.sort(key=lambda one: (-one.assumes, one.doubt == ""))
        found = list({one.number: one for one in found}.values())
    return found


def international(digits: str) -> tuple[str, Steps] | None:
    """Read digits that start with a country calling code: the number, and what was done to it."""
    code = country_code(digits)
    if code is None:
        return None
    plan, national = plan_of_code(code), digits[len(code) :]
    if plan.valid(national):
        return f"+{digits}", ()
    # Nobody dials +1 1; behind 00 it is the end of another prefix, such as Australia's 0011.
    inside = plan.without_trunk(national) if plan.trunk != code else None
    return (f"+{code}{inside}", ("trunk",)) if inside and plan.valid(inside) else None


def national(plan: Plan, digits: str) -> list[Reading]:
    """Read digits as they are dialled inside a country: with its trunk prefix, and without."""
    found = []
    inside = plan.without_trunk(digits)
    if inside and _long_enough(plan, inside, digits) and plan.valid(inside):
        completed = len(inside) > len(digits)
        steps = _AREA_CODE if completed else _TRUNK
        found.append(Reading(f"+{plan.code}{inside}", steps, int(completed)))
    if _long_enough(plan, digits, digits) and plan.valid(digits):
        found.append(_bare(plan, digits))
    return found


_NATIONAL, _TRUNK, _LOST_TRUNK = ("national",), ("national", "trunk"), ("national", "lost_trunk")
_AREA_CODE = ("national", "area_code")


def _bare(plan: Plan, digits: str) -> Reading:
    """Read a national number without trunk prefix; where the country always writes one, it was lost."""
    if not plan.writes_trunk(digits):
        unlikely = len(digits) >= plan.ordinary.stop and not plan.special(digits)
        return Reading(f"+{plan.code}{digits}", _NATIONAL, int(unlikely), bare=True)
    sure = len(digits) <= LONGEST and _no_local_number(plan, digits)
    return Reading(f"+{plan.code}{digits}", _LOST_TRUNK, 1, bare=True, doubt="" if sure else LOCAL)


def first_group(body: str) -> str:
    """Return the first digits of a written number, up to a space or sign."""
    found = _GROUP.search(body)
    return found.group() if found else ""


def _rungs(written: Written, plans: Sequence[Plan]) -> list[Reading]:
    digits, body = written.digits, written.body
    found = _abroad(digits[2:], digits, body, ("idd",)) if digits.startswith("00") else []
    if written.plus:
        return found or _abroad(digits, digits, body)
    for rank, plan in enumerate(plans):
        if (rest := plan.after_idd(digits)) and not (found and body.startswith("00 ")):
            found += _abroad(rest, digits, body, ("idd",), int(rank > 0))
        if rank == 0:
            found += national(plan, digits)
        else:
            found += [one._replace(assumes=1, doubt=FOREIGN) for one in national(plan, digits) if not one.assumes]
        if digits.startswith(plan.code):
            found += _without_plus(plan, digits, 1 + (rank > 0))
    return found


def _abroad(rest: str, digits: str, body: str, steps: Steps = (), assumes: int = 0) -> list[Reading]:
    """Read the `rest` of the digits as country code and number, unless a space or bracket breaks the code.

    So +8 (495) is no number of Vietnam (84): it is a Russian 8 (495) with a plus too many.
    """
    read = international(rest)
    if read is None or (len(body) > len(digits) + 1 and _is_broken(body, len(digits) - len(rest), rest)):
        return []
    return [Reading(read[0], steps + read[1], assumes)]


def _is_broken(body: str, start: int, rest: str) -> bool:
    end, count = start + len(country_code(rest) or ""), 0
    for group in _GROUP.findall(body):
        count += len(group)
        if count > start:
            return bool(count < end)
    return False


def _without_plus(plan: Plan, digits: str, assumes: int) -> list[Reading]:
    read = international(digits)
    if read is None:
        return []
    sure = len(read[0]) - 1 - len(plan.code) >= plan.ordinary.start or len(digits) >= NO_LOCAL_NUMBER
    return [Reading(read[0], ("lost_plus", *read[1]), assumes, doubt="" if sure else LOCAL)]


def _without_bracketed_zero(written: Written, zero: re.Match[str], plans: Sequence[Plan]) -> list[Reading]:
    before, after = written.body[: zero.start()], written.body[zero.end() :]
    rest = "".join(_GROUP.findall(f"{before} {after}"))
    behind_code = _GROUP.search(before)
    return [
        one._replace(steps=(*one.steps, "bracketed_zero"))
        for one in _rungs(written._replace(digits=rest, body=f"{before} {after}"), plans)
        if not (one.bare and behind_code)
    ]


def _dialled_abroad(written: Written, plans: Sequence[Plan]) -> list[Reading]:
    """Read what somebody in another country dials to reach one of the plans."""
    digits, codes = written.digits, {plan.code for plan in plans}
    return [
        one
        for prefix in IDD_ABROAD
        if digits.startswith(prefix) and country_code(rest := digits[len(prefix) :]) in codes
        for one in _abroad(rest, digits, written.body, ("idd_abroad",), 1)
    ]


def _of_another_country(digits: str) -> list[Reading]:
    read = international(digits)
    return [Reading(read[0], ("lost_plus", *read[1]), 1, doubt=FOREIGN)] if read else []


def _long_enough(plan: Plan, number: str, digits: str) -> bool:
    """Tell whether a number is no short code: fewer than five digits are enough where most have so few."""
    return len(digits) >= 5 or len(number) >= plan.ordinary.start


def _no_local_number(plan: Plan, number: str) -> bool:
    """Tell whether digits without trunk prefix cannot be a local number that lost its area code as well."""
    if plan.fixed(number):
        return len(number) == plan.longest or len(number) >= NO_LOCAL_NUMBER
    return len(number) >= min(plan.ordinary.stop - 1, NO_LOCAL_NUMBER)
