"""Columns of phone numbers, read at once: the easy texts by vectorised patterns, the others one by one.

What belongs here: speed. Every answer is the ladder's own; a test holds the two together over a mixed corpus. A
text is easy if its digits are a valid number in one form and cannot be one in another. The patterns of
`phone_plans` run on Arrow arrays in memory; nothing is read or written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contact_sync.contacts.phone_ladder import Confidence, PhoneReading, read_phone
from contact_sync.contacts.phone_plans import Plan, country_code, plan_of_code, plans_of, rules
from contact_sync.contacts.phone_readings import IDD_ABROAD, NO_LOCAL_NUMBER, national
from contact_sync.contacts.phone_shapes import (
    Easy,
    Mask,
    Places,
    easy_texts,
    joined,
    mask_of,
    matches,
    select,
    sizes,
)

Regions = tuple[str, ...]

FEWEST_TEXTS = 300
"""Texts of a country from which on patterns for all are faster than the ladder for each."""


@dataclass(frozen=True, slots=True, repr=False)
class PhoneColumn:
    """What became of a column of phone numbers.

    Attributes:
        numbers: For each text its canonical number, or None.
        how: For each text the place in `readings` of how it was read.
        readings: All ways in which texts were read, each once and without its number.
    """

    numbers: list[str | None]
    how: NDArray[np.int32]
    readings: list[PhoneReading]

    def __iter__(self) -> Iterator[tuple[str | None, PhoneReading]]:
        """Yield each text's number and how it was read."""
        return ((number, self.readings[way]) for number, way in zip(self.numbers, self.how.tolist(), strict=True))


@dataclass(frozen=True, slots=True, repr=False)
class _Found:
    """Numbers of easy texts, and how all of them were read."""

    easy: Easy
    numbers: pa.Array
    confidence: Confidence
    steps: tuple[str, ...]


def read_phones(raws: Sequence[str], regions: Sequence[Regions]) -> PhoneColumn:
    """Read a column of phone numbers.

    Args:
        raws: The texts as the CRM holds them.
        regions: For each text the countries it may come from, as in `read_phone`.

    Returns:
        For each text what `read_phone` says of it.
    """
    column = _Column(raws, regions)
    column.read_easy()
    column.read_others()
    return column.finished()


class _Column:
    """A column while it is read."""

    def __init__(self, raws: Sequence[str], regions: Sequence[Regions]) -> None:
        seen: dict[Regions, int] = {}
        codes = (seen.setdefault(where, len(seen)) for where in regions)
        self._raws = raws
        self._codes = np.fromiter(codes, np.int32, len(raws))
        self._regions = list(seen)
        self._how = np.full(len(raws), -1, dtype=np.int32)
        self._ways: dict[PhoneReading, int] = {}
        self._parts: list[tuple[Places, pa.Array]] = []

    def read_easy(self) -> None:
        """Read the easy texts of the countries that have many."""
        often = np.bincount(self._codes, minlength=1) >= FEWEST_TEXTS
        if not often.any():
            return
        for easy in easy_texts(pa.array(self._raws, pa.string()), np.flatnonzero(often[self._codes])):
            codes = self._codes[easy.places]
            for code in np.flatnonzero(often).tolist():
                for found in _forms(easy.where(codes == code), plans_of(self._regions[code])):
                    self._keep(found)

    def _keep(self, found: _Found) -> None:
        numbers, easy = found.numbers, found.easy
        if easy.extension is not None:
            numbers = joined(numbers, ";ext=", easy.extension)
        self._how[easy.places] = self._way(PhoneReading(None, "", found.confidence, easy.steps + found.steps))
        self._parts.append((easy.places, numbers))

    def _way(self, reading: PhoneReading) -> int:
        return self._ways.setdefault(reading, len(self._ways))

    def read_others(self) -> None:
        """Read what is left one by one, each distinct text of a country once."""
        places = np.flatnonzero(self._how < 0)
        read: dict[tuple[str, int], tuple[str | None, int]] = {}
        codes = self._codes[places].tolist()
        asked = [(self._raws[place], code) for place, code in zip(places.tolist(), codes, strict=True)]
        for text, code in dict.fromkeys(asked):
            reading = read_phone(text, self._regions[code])
            read[text, code] = reading.number, self._way(reading.without_number())
        self._how[places] = [read[one][1] for one in asked]
        self._parts.append((places, pa.array([read[one][0] for one in asked], pa.string())))

    def finished(self) -> PhoneColumn:
        """Return the column in its order."""
        order = np.empty(len(self._raws), dtype=np.int64)
        order[np.concatenate([places for places, _ in self._parts])] = np.arange(len(order))
        numbers = pa.concat_arrays([numbers for _, numbers in self._parts]).take(pa.array(order))
        return PhoneColumn(numbers.to_pylist(), self._how, list(self._ways))


def _forms(easy: Easy, plans: Sequence[Plan]) -> Iterator[_Found]:
    """Yield the numbers that easy texts are in the one form that they can have."""
    plus, zeros = mask_of(pc.starts_with(easy.digits, "+")), mask_of(pc.starts_with(easy.digits, "00"))
    yield from _abroad(easy.where(plus), "+", ())
    ends = "|".join(dict.fromkeys(plan.code for plan in plans)) or "$"
    here = ~mask_of(pc.match_substring_regex(easy.digits, f"^(?:{'|'.join(IDD_ABROAD)})(?:{ends})"))
    dialled = easy.where(zeros & here)
    if plans:
        alone = [not (national(plans[0], one) or plans[0].after_idd(one)) for one in dialled.digits.to_pylist()]
        dialled = dialled.where(np.array(alone, dtype=bool))
        yield from _inland(easy.where(~plus & ~zeros & here), plans)
    yield from _abroad(dialled, "00", ("idd",))


def _abroad(easy: Easy, sign: str, steps: tuple[str, ...]) -> Iterator[_Found]:
    """Read texts that start with a sign and a country code that no separator breaks."""
    starts = pc.dictionary_encode(pc.utf8_slice_codeunits(easy.digits, len(sign), len(sign) + 3))
    code_of = np.array([country_code(start) or "" for start in starts.dictionary.to_pylist()], dtype=object)
    codes = code_of[starts.indices.to_numpy()]
    for code in filter(None, dict.fromkeys(code_of)):
        start = sign + code
        unbroken = pc.or_(pc.starts_with(easy.body, start), pc.starts_with(easy.body, f"{sign} {code}"))
        mine = easy.where((codes == code) & mask_of(unbroken))
        number = pc.utf8_slice_codeunits(mine.digits, len(start))
        valid = _valid(code, number)
        yield _Found(mine.where(valid), joined(f"+{code}", select(number, valid)), "certain", steps)
        plan, rest = plan_of_code(code), mine.where(~valid)
        if plan.trunk == code:
            continue
        inside, begins = _inside(plan, select(number, ~valid))
        valid = _valid(code, inside)
        numbers = joined(f"+{code}", select(inside, valid))
        yield _Found(rest.where(begins).where(valid), numbers, "certain", (*steps, "trunk"))


def _inland(easy: Easy, plans: Sequence[Plan]) -> Iterator[_Found]:
    """Read digits without a sign in front, as the first of the plans does if it has only one way to."""
    plan = plans[0]
    if plan.idd:
        easy = easy.where(np.array([plan.after_idd(one) is None for one in easy.digits.to_pylist()], dtype=bool))
    digits = easy.digits
    bare, size = _valid(plan.code, digits), sizes(digits)
    inside, begins = _inside(plan, digits)
    once = ~bare[begins] & (sizes(inside) < size[begins])
    once[once] = _valid(plan.code, select(inside, once))
    numbers = joined(f"+{plan.code}", select(inside, once))
    yield _Found(easy.where(begins).where(once), numbers, "certain", ("national", "trunk"))
    yield from _without_trunk(easy, plans, bare & ~begins, ~bare & ~begins)


def _without_trunk(easy: Easy, plans: Sequence[Plan], bare: Mask, other: Mask) -> Iterator[_Found]:
    """Read digits that start with no trunk prefix: whole national numbers, and those that lost their plus."""
    plan, size = plans[0], sizes(easy.digits)
    coded = mask_of(pc.starts_with(easy.digits, plan.code))
    whole_ = easy.where(bare & ~coded & (size < plan.ordinary.stop))
    if plan.ever_writes_trunk:
        whole_ = whole_.where(
            np.array([not plan.writes_trunk(one) for one in whole_.digits.to_pylist()], dtype=bool)
        )
    yield _Found(whole_, joined(f"+{plan.code}", whole_.digits), "certain", ("national",))
    if len(plans) == 1:
        long = (size >= plan.ordinary.start + len(plan.code)) | (size >= NO_LOCAL_NUMBER)
        lost = easy.where(coded & other & long)
        lost = lost.where(_valid(plan.code, pc.utf8_slice_codeunits(lost.digits, len(plan.code))))
        yield _Found(lost, joined("+", lost.digits), "likely", ("lost_plus",))


def _inside(plan: Plan, digits: pa.Array) -> tuple[pa.Array, Mask]:
    """Return those of the digits that start with a trunk prefix, without it, and which they are."""
    if plan.plain_trunk:
        begins = mask_of(pc.starts_with(digits, plan.trunk))
        return pc.utf8_slice_codeunits(select(digits, begins), len(plan.trunk)), begins
    if not plan.has_trunk:
        return digits.slice(0, 0), np.zeros(len(digits), dtype=bool)
    inside = pa.array([plan.without_trunk(one) for one in digits.to_pylist()], pa.string())
    return inside.drop_null(), mask_of(inside.is_valid())


def _valid(code: str, numbers: pa.Array) -> Mask:
    """Tell which national numbers are valid: `Plan.valid` for all of them at once."""
    valid, digits = np.zeros(len(numbers), dtype=bool), sizes(numbers)
    for size in np.unique(digits):
        places = np.flatnonzero(digits == size)
        left = numbers.take(pa.array(places))
        for rule in rules(code, int(size)):
            claimed = matches(left, f"^{rule.leading}")
            good = claimed.copy()
            for pattern in (rule.kinds, rule.general):
                good[good] = matches(select(left, good), f"^(?:{pattern})$") if pattern else False
            valid[places[good]] = True
            claimed = claimed if rule.leading else good
            places, left = places[~claimed], select(left, ~claimed)
            if not len(left):
                break
    return valid
