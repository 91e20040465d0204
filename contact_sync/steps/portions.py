"""A run cut into portions that can be planned apart: rows that hang together are never in two of them.

A window of a million rows then needs the memory of a few thousand, and portions can be planned side by side. A
portion is a piece of a frame, with the later rows that belong to it and without those that belong to an earlier
one. What belongs here: cutting, and putting together again. What makes rows hang together belongs to
`contacts.matching`, planning to `match`.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

Rows = NDArray[np.int64]
"""Numbers of rows: the run's rows are numbered through its windows."""

Part = tuple[Rows, pd.DataFrame]
"""Rows and their numbers, ascending."""

Read = Callable[[int, Sequence[str] | None], Iterable[pa.Table]]
"""Reads columns, or all, of the frame of a window, by its place in the run, in pieces; always in the same ones."""


@dataclass(frozen=True)
class Portion:
    """Rows of a run that are planned together.

    Attributes:
        number: Its place in the run.
        parts: Its rows by window, in the order of the windows.
        found: The stored contacts that its rows may be; None where nobody has looked.
    """

    number: int
    parts: Mapping[int, Part] = field(repr=False)
    found: "Found | None" = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """The stored contacts that the rows of a portion may be.

    Attributes:
        alone: The one contact, or None, of rows that hang together with no other.
        others: The contacts of the other rows.
    """

    alone: Mapping[int, str | None]
    others: Collection[str]


class Cut:
    """How a run is cut."""

    def __init__(
        self, read: Read, sizes: Mapping[int, Sequence[int]], first: Rows, found: pa.Table | None = None
    ) -> None:
        """Cut a run.

        Args:
            read: Reads its windows.
            sizes: The rows of each piece, by window, in the order of the windows.
            first: For each row the first row that it hangs together with; itself, if it is alone.
            found: Which stored contacts rows may be: `row` and `contact`.
        """
        self._read = read
        self._windows = [window for window, pieces in sizes.items() for _ in pieces]
        ends = np.cumsum([rows for pieces in sizes.values() for rows in pieces])
        self._ends = ends.astype(np.int64)
        self._home = np.searchsorted(self._ends, first, side="right")
        self._found = None if found is None else self._by_home(found)
        self._alone = self._standing_alone(first, found)

    def portions(self) -> Iterator[Portion]:
        """Yield the portions in order, one for each piece; some may be empty."""
        ahead = self._ahead()
        for number, rows, piece in self._pieces():
            parts = {self._windows[number]: self._chosen(rows, piece, self._home[rows] == number)}
            for window, (homes, later, table) in ahead.items():
                start, end = np.searchsorted(homes, [number, number + 1])
                if start < end:
                    part = (later[start:end], table.slice(start, end - start).to_pandas())
                    parts[window] = joined([parts[window], part]) if window in parts else part
            yield Portion(number, dict(sorted(parts.items())), self._found_for(number, parts.values()))

    def together(self, planned: Iterable[Mapping[int, Part]]) -> Iterator[tuple[int, pd.DataFrame]]:
        """Yield the pieces again, each with its window, from what was made of the portions, in their order."""
        waiting: dict[int, list[Part]] = defaultdict(list)
        for number, parts in enumerate(planned):
            for rows, frame in parts.values():
                pieces = np.searchsorted(self._ends, rows, side="right")
                for piece in np.unique(pieces):
                    chosen = pieces == piece
                    waiting[int(piece)].append((rows[chosen], frame if chosen.all() else frame[chosen]))
            window = self._windows[number]
            yield window, joined(waiting.pop(number, [parts[window]]))[1]

    def _by_home(self, found: pa.Table) -> tuple[Rows, Rows, pa.ChunkedArray]:
        rows = found["row"].to_numpy()
        homes = self._home[rows]
        order = np.argsort(homes, kind="stable")
        return homes[order], rows[order], found["contact"].take(pa.array(order))

    def _standing_alone(self, first: Rows, found: pa.Table | None) -> NDArray[np.bool_]:
        """Return which rows hang together with no other and may be one stored contact at most."""
        together = np.bincount(first, minlength=len(first))[first]
        contacts = np.bincount([] if found is None else found["row"].to_numpy(), minlength=len(first))
        alone: NDArray[np.bool_] = (together == 1) & (contacts <= 1)
        return alone

    def _found_for(self, number: int, parts: Iterable[Part]) -> Found | None:
        if self._found is None:
            return None
        homes, rows, contacts = self._found
        start, end = np.searchsorted(homes, [number, number + 1])
        its = contacts.slice(start, end - start).to_pylist()
        alone: dict[int, str | None] = {
            int(row): None for its_rows, _ in parts for row in its_rows[self._alone[its_rows]]
        }
        others = set[str]()
        for row, contact in zip(rows[start:end].tolist(), its, strict=True):
            if row in alone:
                alone[row] = contact
            else:
                others.add(contact)
        return Found(alone, others)

    def _pieces(self) -> Iterator[tuple[int, Rows, pa.Table]]:
        tables = (table for window in dict.fromkeys(self._windows) for table in self._read(window, None))
        for number, table in enumerate(tables):
            yield number, np.arange(self._ends[number] - len(table), self._ends[number]), table

    def _ahead(self) -> Mapping[int, tuple[Rows, Rows, pa.Table]]:
        """Return the rows that an earlier portion needs, by window: its number, theirs, and the rows, sorted."""
        found: dict[int, list[tuple[Rows, pa.Table]]] = defaultdict(list)
        at_home = np.searchsorted(self._ends, np.arange(len(self._home)), side="right") == self._home
        for number, rows, piece in [] if at_home.all() else self._pieces():
            if len(moved := rows[self._home[rows] != number]):
                found[self._windows[number]].append((moved, piece.take(moved - rows[0])))
        ahead = {}
        for window, parts in found.items():
            rows = np.concatenate([some for some, _ in parts])
            order = np.argsort(self._home[rows], kind="stable")
            table = pa.concat_tables([table for _, table in parts]).take(order)
            ahead[window] = (self._home[rows[order]], rows[order], table)
        return ahead

    @staticmethod
    def _chosen(rows: Rows, piece: pa.Table, chosen: NDArray[np.bool_]) -> Part:
        table = piece if chosen.all() else piece.filter(pa.array(chosen))
        return rows[chosen], table.to_pandas()


def joined(parts: Sequence[Part]) -> Part:
    """Return parts as one, its rows ascending."""
    if len(parts) == 1:
        return parts[0]
    rows = np.concatenate([rows for rows, _ in parts])
    order = np.argsort(rows)
    frame = pd.concat([frame for _, frame in parts], ignore_index=True)
    return rows[order], frame.iloc[order].reset_index(drop=True)
