"""A run looked over before it is planned: how its rows hang together, and which identifiers many people share.

What belongs here: telling `contacts.matching` of the rows of a run and of what is stored. Joining belongs there.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from contact_sync.contacts.fields import EMAILS, NAMES, PHONES
from contact_sync.contacts.identity import business_key, identifiers
from contact_sync.contacts.matching import KEY, PEOPLE, RECORD, ROWS, Matching, open_matching
from contact_sync.contacts.schemas import records
from contact_sync.contacts.sharing import Identifier
from contact_sync.steps.context import SyncContext
from contact_sync.steps.portions import Read, Rows

COLUMNS = ("crm_id", "kind", "state", "merged_into", "account", *NAMES, *PHONES, *EMAILS)
"""The columns of `normalized_contacts` that tell who a row is."""

Key = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Survey:
    """What a run is like.

    Attributes:
        sizes: The rows of each piece, by window.
        removals: Rows that may remove a contact, by window.
        first: For each row the first row that it hangs together with.
        barred: The identifiers that many people share; None for a run that is planned at once, where they are
            counted then.
        found: Which stored contacts rows may be (`row`, `contact`); None where that is looked up then.
    """

    sizes: Mapping[int, Sequence[int]]
    removals: Mapping[int, int]
    first: Rows
    barred: frozenset[Identifier] | None
    found: pa.Table | None


def survey(context: SyncContext, windows: int, read: Read, *, at_once: int) -> Survey:
    """Look a run over.

    Args:
        context: The sync.
        windows: How many windows it has.
        read: Reads them.
        at_once: As many rows are planned at once, without a look at how they hang together.
    """
    sizes: dict[int, list[int]] = defaultdict(list)
    removals: dict[int, int] = defaultdict(int)
    for window in range(windows):
        for piece in read(window):
            sizes[window].append(len(piece))
            removals[window] += int((piece["kind"].to_pandas() != "upsert").sum())
    rows = sum(map(sum, sizes.values()))
    if rows <= at_once:
        return Survey(sizes, removals, np.zeros(rows, dtype=np.int64), barred=None, found=None)
    with open_matching(context.settings.identity.shared_threshold) as matching:
        _tell(matching, windows, read)
        context.store.learn(matching, context.source.name)
        barred = matching.bar_shared(context.store.names)
        return Survey(sizes, removals, matching.groups(rows), frozenset(barred), matching.found())


def _tell(matching: Matching, windows: int, read: Read) -> None:
    first = 0
    for window in range(windows):
        for piece in read(window):
            matching.add_rows(*recognised(piece.select(COLUMNS).to_pandas(), first))
            first += len(piece)


def recognised(normalized: pd.DataFrame, first: int) -> tuple[pa.Table, pa.Table]:
    """Return what recognises rows of `normalized_contacts`, and whom they name.

    Args:
        normalized: The rows.
        first: The number of the first in its run.
    """
    keys: list[Key] = []
    names: list[tuple[int, str | None, str | None]] = []
    for row, its in enumerate(records(normalized), start=first):
        if its["state"] == "ready":
            keys += _keys(row, its)
            names.append((row, _folded(its, "firstName"), _folded(its, "lastName")))
    return _table(keys, ROWS), _table(names, PEOPLE)


def _folded(its: Mapping[str, Any], name: str) -> str | None:
    return its[name].casefold() if name in its else None


def _keys(row: int, its: Mapping[str, Any]) -> Iterator[Key]:
    yield (row, RECORD, its["crm_id"])
    if its["kind"] != "upsert":
        if "merged_into" in its:
            yield (row, RECORD, its["merged_into"])
        return
    account = its.get("account")
    if key := business_key(account, its):
        yield (row, KEY, key)
    for rule, value in set(identifiers(account, its)):
        yield (row, rule, value)


def _table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else [() for _ in schema]
    return pa.table(
        [pa.array(column, one.type) for column, one in zip(columns, schema, strict=True)], schema=schema
    )
