"""A run cut into portions that can be planned apart: rows that hang together are never in two of them.

A window of a million rows then needs the memory of a few thousand, and portions can be planned side by side. A
portion is a piece of a frame, with the later rows that belong to it and without those that belong to an earlier
one. What belongs here: cutting, and putting together again. What makes rows hang together belongs to
`contacts.matching`, planning to `match`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

Rows = NDArray[np.int64]
"""Numbers of rows: the run's rows are numbered through its windows."""

Part = tuple[Rows, pd.DataFrame]
"""Rows and their numbers, ascending."""

Read = Callable[[int], Iterable[pa.Table]]
"""Reads the frame of a window, by its place in the run, in pieces; always in the same ones."""


@dataclass(frozen=True)
class Portion:
    """Rows of a run that are planned together.

    Attributes:
        number: Its place in the run.
        parts: Its rows by window, in the order of the windows.
        contacts: The stored contacts that its rows may be; None where nobody has looked.
    """

    number: int
    parts: Mapping[int, Part] = field(repr=False)
    contacts: Sequence[str] | None = field(default=None, repr=False)


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

    def portions(self) -> Iterator[Portion]:
        """Yield the portions in order, one for each piece; some may be empty."""
        ahead = self._ahead()
        for number, rows, piece in self._pieces():
            parts = {self._windows[number]: self._chosen(rows, piece, self._home[rows] == number)}
            for window, (homes, later, table) in ahead.items():
                start, end = np.searchsorted(homes, [number, number + 1])
                if start < end:
                    part = (later[start:end], table.slice(start, end - start).to_pandas())
                    parts[window] = _joined([parts[window], part]) if window in parts else part
            yield Portion(number, dict(sorted(parts.items())), self._contacts(number))

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
            yield window, _joined(waiting.pop(number, [parts[window]]))[1]

    def _by_home(self, found: pa.Table) -> tuple[Rows, pa.ChunkedArray]:
        homes = self._home[found["row"].to_numpy()]
        order = np.argsort(homes, kind="stable")
        return homes[order], found["contact"].take(pa.array(order))

    def _contacts(self, number: int) -> list[str] | None:
        if self._found is None:
            return None
        homes, contacts = self._found
        start, end = np.searchsorted(homes, [number, number + 1])
        return sorted(set(contacts.slice(start, end - start).to_pylist()))

    def _pieces(self) -> Iterator[tuple[int, Rows, pa.Table]]:
        tables = (table for window in dict.fromkeys(self._windows) for table in self._read(window))
        for number, table in enumerate(tables):
            yield number, np.arange(self._ends[number] - len(table), self._ends[number]), table

    def _ahead(self) -> Mapping[int, tuple[Rows, Rows, pa.Table]]:
        """Return the rows that an earlier portion needs, by window: its number, theirs, and the rows, sorted."""
        found: dict[int, list[tuple[Rows, pa.Table]]] = defaultdict(list)
        for number, rows, piece in self._pieces():
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


def _joined(parts: Sequence[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    rows = np.concatenate([rows for rows, _ in parts])
    order = np.argsort(rows)
    frame = pd.concat([frame for _, frame in parts], ignore_index=True)
    return rows[order], frame.iloc[order].reset_index(drop=True)
