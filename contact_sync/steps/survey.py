"""A run looked over before it is planned: how its rows hang together, and which identifiers many people share.

What belongs here: telling `contacts.matching` of the rows of a run and of what is stored. Joining belongs there.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contact_sync.contacts.matching import (
    Hashed,
    Matching,
    hashed_keys,
    hashed_known,
    hashed_records,
    open_matching,
)
from contact_sync.contacts.recognising import COLUMNS, recognised
from contact_sync.contacts.sharing import Identifier
from contact_sync.state import stock
from contact_sync.state.store import Store
from contact_sync.steps.context import SyncContext
from contact_sync.steps.portions import Read, Rows
from contact_sync.steps.workers import Workers


@dataclass(frozen=True, slots=True)
class Extent:
    """How large a run is.

    Attributes:
        sizes: The rows of each piece, by window.
        removals: Rows that may remove a contact, by window.
    """

    sizes: Mapping[int, Sequence[int]]
    removals: Mapping[int, int]

    @property
    def rows(self) -> int:
        """The rows of all windows."""
        return sum(map(sum, self.sizes.values()))


@dataclass(frozen=True, slots=True)
class Survey:
    """How the rows of a run hang together.

    Attributes:
        first: For each row the first row that it hangs together with.
        barred: The identifiers that many people share; None for a run that is planned at once, where they are
            counted then.
        found: Which stored contacts rows may be (`row`, `contact`); None where that is looked up then.
    """

    first: Rows
    barred: frozenset[Identifier] | None
    found: pa.Table | None


def measure(windows: int, read: Read) -> Extent:
    """Measure a run of so many windows."""
    sizes: dict[int, list[int]] = defaultdict(list)
    removals: dict[int, int] = defaultdict(int)
    for window in range(windows):
        for piece in read(window, ["kind"]):
            sizes[window].append(len(piece))
            removals[window] += len(piece) - pc.sum(pc.equal(piece["kind"], "upsert"), min_count=0).as_py()
    return Extent(sizes, removals)


def survey(context: SyncContext, run: Extent, read: Read, running: Workers) -> Survey:
    """Look over a run that is too large to be planned at once."""
    with open_matching(context.settings.identity.shared_threshold) as matching:
        pieces = (piece for window in run.sizes for piece in read(window, COLUMNS))
        told, first = running.map(partial(_recognised, context.source.name), pieces), 0
        for rows, (keys, names) in zip(chain(*run.sizes.values()), told, strict=True):
            matching.add_rows(_from(first, keys), _from(first, names))
            first += rows
        _learn(context, matching, running)
        barred = matching.bar_shared(context.store.names)
        return Survey(matching.groups(run.rows), frozenset(barred), matching.found())


def _learn(context: SyncContext, matching: Matching, running: Workers) -> None:
    """Tell `matching` what recognises the stored contacts that its rows may be."""
    read = partial(_read, context.store, context.source.name)
    with context.store.reading() as connection:
        matching.add_records(running.map(read, list(stock.wanted(connection, matching, stock.OF_RECORDS))))
        for known in running.map(read, list(stock.wanted(connection, matching, stock.OF_CONTACTS))):
            matching.add_known(known)
        matching.add_known(hashed_known(stock.in_flight(connection)))


def _recognised(source: str, normalized: pa.Table) -> tuple[pa.Table, pa.Table]:
    keys, people = recognised(source, normalized)
    return hashed_keys(keys), people


def _read(store: Store, source: str, batch: stock.Batch) -> Hashed:
    with store.reading() as connection:
        table = stock.read(connection, source, batch)
    return hashed_records(table) if batch.name in stock.OF_RECORDS else hashed_known(table)


def at_once(run: Extent) -> Survey:
    """Return what is known of a run that is planned at once."""
    return Survey(np.zeros(run.rows, dtype=np.int64), barred=None, found=None)


def _from(first: int, table: pa.Table) -> pa.Table:
    return table.set_column(0, "row", pc.add(table["row"], first))
