"""The phones of records, column by column: each in its field, how it was read, and where a fifth one is left.

What belongs here: which of a contact's four phones a number becomes, and what is said of it. Reading a number is
`phones`'. Several lines of the registry may fill one phone: the first usable number stays there, others go where
there is room.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contact_sync.contacts.columns import cleaned, joined
from contact_sync.contacts.fields import PHONES
from contact_sync.contacts.mapping import FieldRule
from contact_sync.contacts.phones import PhoneReading, read_phones

_REPAIRED = {
    "lost_plus": "its country code stood there without +",
    "lost_trunk": "its trunk prefix was missing",
    "area_code": "its area code was missing",
    "idd_abroad": "it was written as dialled from another country",
    "letters": "letters spelled it",
}
"""What is said of a number that is likely and not certain, by the step that made it so."""


@dataclass(frozen=True, slots=True)
class PhoneColumns:
    """The phones of a piece: `numbers` by field, `notes` to be joined, and `steps` as JSON by field."""

    numbers: Mapping[str, pa.Array]
    notes: Sequence[pa.Array]
    steps: pa.Array


@dataclass(frozen=True, slots=True)
class _Line:
    """What became of one line's column: numbers, and for each the place in `readings` of how it was read."""

    field: str
    crm: str
    numbers: pa.Array
    how: pa.Array
    readings: Sequence[PhoneReading]

    def told(self, tell: Callable[[PhoneReading], str | None]) -> pa.Array:
        """Return what `tell` says of each row's reading."""
        return pa.array([tell(reading) for reading in self.readings], pa.string()).take(self.how)


def read_phone_columns(
    lines: Sequence[tuple[FieldRule, pa.Array]], regions: Sequence[tuple[str, ...]]
) -> PhoneColumns:
    """Read the columns of the lines of the registry that fill phones.

    Args:
        lines: The lines and their raw texts.
        regions: For each row the countries that its phones may be of, the likeliest first.
    """
    read = sorted(_read(lines, regions), key=lambda line: PHONES.index(line.field))
    first: dict[str, _Line] = {}
    others = [line for line in read if first.setdefault(line.field, line) is not line]
    size = len(regions)
    numbers = {name: line.numbers for name, line in first.items()}
    notes = [line.told(_noted(name)) for name, line in first.items()]
    steps = [line.told(_explained(name)) for name, line in first.items()]
    if others:
        room = _Room(numbers, size)
        for line in others:
            room.place(line)
        numbers = room.columns()
        notes += room.notes
        steps += room.steps
    joined_steps = joined(steps, ",", size)
    return PhoneColumns(numbers, notes, pc.binary_join_element_wise("{", joined_steps, "}", ""))


def _read(lines: Sequence[tuple[FieldRule, pa.Array]], regions: Sequence[tuple[str, ...]]) -> list[_Line]:
    """Read all columns at once: patterns are worth their while for many texts."""
    texts = [cleaned(column) for _, column in lines]
    places = [np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False)) for column in texts]
    asked = pa.chunked_array([column.drop_null() for column in texts], pa.string()).to_pylist()
    where = [regions[place] for some in places for place in some.tolist()]
    column = read_phones(asked, where)
    numbers, readings = pa.array(column.numbers, pa.string()), column.readings
    read, start = [], 0
    for (rule, _), some in zip(lines, places, strict=True):
        back = _back(some, start, len(regions))
        how = pa.array(column.how, pa.int32()).take(back)
        read.append(_Line(rule.genesys, rule.crm, numbers.take(back), how, readings))
        start += len(some)
    return read


def _back(places: NDArray[np.int64], start: int, size: int) -> pa.Array:
    """Return for each row the place of its answer, null where nothing was asked."""
    back = np.full(size, -1, dtype=np.int64)
    back[places] = np.arange(start, start + len(places))
    return pa.array(back, mask=back < 0)


class _Room:
    """The four phones of each row, while numbers beyond the first of their field look for room."""

    def __init__(self, numbers: Mapping[str, pa.Array], size: int) -> None:
        nothing = [None] * size
        self._phones = {name: numbers[name].to_pylist() if name in numbers else list(nothing) for name in PHONES}
        self._size = size
        self.notes: list[pa.Array] = []
        self.steps: list[pa.Array] = []

    def place(self, line: _Line) -> None:
        """Give the numbers of a line a place; what is there already needs none."""
        notes: list[str | None] = [None] * self._size
        steps: list[str | None] = [None] * self._size
        rows = np.flatnonzero(line.how.is_valid().to_numpy(zero_copy_only=False)).tolist()
        numbers, how = line.numbers.to_pylist(), line.how.to_pylist()
        for row in rows:
            number, reading = numbers[row], line.readings[how[row]]
            home = self._home(row, line.field, number) if number else line.field
            notes[row] = self._note(line, reading, home)
            if number and home in self._phones and self._phones[home][row] is None:
                self._phones[home][row] = number
                steps[row] = _explained(home)(reading)
        self.notes.append(pa.array(notes, pa.string()))
        self.steps.append(pa.array(steps, pa.string()))

    def columns(self) -> dict[str, pa.Array]:
        """Return the phones."""
        return {name: pa.array(numbers, pa.string()) for name, numbers in self._phones.items()}

    def _home(self, row: int, field: str, number: str) -> str:
        """Return where a number goes: its own field, one that is free, or nowhere; where it is, if it is there."""
        there = next((name for name in PHONES if self._phones[name][row] == number), None)
        free = (name for name in (field, *PHONES) if self._phones[name][row] is None)
        return there or next(free, "")

    def _note(self, line: _Line, reading: PhoneReading, home: str) -> str | None:
        name = f"{line.field} ({line.crm})"
        return _noted(name)(reading) if home else f"{name} left out: the four phones are taken"


def _noted(name: str) -> Callable[[PhoneReading], str | None]:
    def tell(how: PhoneReading) -> str | None:
        if how.refused:
            return f"{name} dropped: {how.refused}"
        assumed = [_REPAIRED[step] for step in how.steps if step in _REPAIRED]
        return f"{name} repaired: {', '.join(assumed)}" if assumed else None

    return tell


def _explained(name: str) -> Callable[[PhoneReading], str | None]:
    def tell(how: PhoneReading) -> str | None:
        if not (how.steps or how.alternatives):
            return None
        explained: dict[str, object] = {"steps": how.steps}
        if how.confidence:
            explained["confidence"] = how.confidence
        if how.alternatives:
            explained["alternatives"] = how.alternatives
        return f'"{name}":{json.dumps(explained, separators=(",", ":"))}'

    return tell
