"""One portion of a run planned against what the state database knows now.

What belongs here: loading what the planner needs, and what holds for a whole run. Nothing here needs more than a
store, so that it can be done in another process. Deciding belongs to `contacts.planning`, the run to `match`.
"""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from contact_sync.contacts.alone import plan_alone
from contact_sync.contacts.fields import fields_of
from contact_sync.contacts.identity import Directory, Link, business_key
from contact_sync.contacts.planning import make_plan, over
from contact_sync.contacts.rules import IdentityRules
from contact_sync.contacts.schemas import records as rows_of
from contact_sync.contacts.sharing import Identifier, bar_shared
from contact_sync.state.store import Store
from contact_sync.steps.grace import ALWAYS, Earned
from contact_sync.steps.portions import Found, Part, Portion, joined


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for every portion of a run.

    Attributes:
        source: The CRM source's name.
        rules: What recognises people.
        kept: Fields that a record keeps as delivered when the CRM has emptied them.
        barred: The identifiers that so many share; None to count them in the portion.
        earned: What tells whether a delete may be sent now, by window.
        limits: How many contacts a portion may remove, by window.
        held: Why the deletes of a window are held, by window.
    """

    source: str
    rules: IdentityRules
    kept: frozenset[str] = frozenset()
    barred: frozenset[Identifier] | None = field(default=None, repr=False)
    earned: Mapping[int, Earned] = field(default_factory=dict)
    limits: Mapping[int, int] = field(default_factory=dict)
    held: Mapping[int, str] = field(default_factory=dict)

    def guard(self, window: int, removed: int) -> str | None:
        """Say why a portion's deletes of a window are held, if they are."""
        if window in self.limits:
            return over(self.limits[window])(removed)
        return self.held.get(window)


@dataclass(frozen=True, slots=True)
class Planned:
    """What was made of a portion.

    Attributes:
        parts: The plan's rows, by window.
        removed: The contacts that go if no guard holds them, by window.
    """

    parts: Mapping[int, Part] = field(repr=False)
    removed: Mapping[int, int]


def plan_portion(store: Store, terms: Terms, portion: Portion) -> Planned:
    """Plan the windows of a portion in order, each seeing what the ones before it will have done.

    Raises:
        StateError: The state database cannot be read.
    """
    with _no_garbage():
        return _plan(store, terms, portion)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Keep the collector from looking for cycles among a million small objects, none of which are in one."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _plan(store: Store, terms: Terms, portion: Portion) -> Planned:
    alone, rest = _apart(store, terms, portion)
    directory = _known(store, terms, rest)
    parts: dict[int, Part] = {}
    removed: dict[int, int] = {}
    for window, (rows, frame) in rest.parts.items():

        def guard(would_go: int, window: int = window) -> str | None:
            removed[window] = would_go
            return terms.guard(window, would_go)

        earned = terms.earned.get(window, ALWAYS)
        plan = make_plan(frame, directory, source=terms.source, guard=guard, earned=earned, kept=terms.kept)
        parts[window] = joined(
            [one for one in (alone.get(window), (rows, plan)) if one and len(one[0])] or [(rows, plan)]
        )
    return Planned(parts, removed)


def _apart(store: Store, terms: Terms, portion: Portion) -> tuple[Mapping[int, Part], Portion]:
    """Return the plans of the rows that stand alone, and the portion without these rows."""
    if portion.found is None or not portion.found.alone:
        return {}, portion
    candidates = {window: _candidates(part, portion.found) for window, part in portion.parts.items()}
    found = {crm_id: contact for some in candidates.values() for crm_id, contact in some.values()}
    records, links = store.alone(terms.source, found)
    alone: dict[int, Part] = {}
    rest: dict[int, Part] = {}
    planned = set[int]()
    for window, (rows, frame) in portion.parts.items():
        chosen = np.array(
            [row in candidates[window] and candidates[window][row][0] in records for row in rows.tolist()],
            dtype=np.bool_,
        )
        plan = plan_alone(frame[chosen], links, source=terms.source, kept=terms.kept)
        alone[window], rest[window] = (rows[chosen], plan), (rows[~chosen], frame[~chosen])
        planned.update(rows[chosen].tolist())
    others = {contact for row, contact in portion.found.alone.items() if contact and row not in planned}
    return alone, replace(portion, parts=rest, found=Found({}, {*portion.found.others, *others}))


def _candidates(part: Part, found: Found) -> Mapping[int, tuple[str, str | None]]:
    """Return the CRM ids and contacts of the upserts that hang together with no other row."""
    rows, frame = part
    upserts = ((frame["state"] == "ready") & (frame["kind"] == "upsert")).to_numpy()
    its = zip(rows[upserts].tolist(), frame["crm_id"][upserts], strict=True)
    return {row: (crm_id, found.alone[row]) for row, crm_id in its if row in found.alone}


def _known(store: Store, terms: Terms, portion: Portion) -> Directory:
    """Return what is stored of a portion's rows and of all contacts that they may be."""
    directory = Directory(terms.rules, terms.barred or frozenset())
    frames = [frame for _, frame in portion.parts.values()]
    if portion.found is None:
        links = [link for frame in frames for link in _wanted(frame, terms.source)]
        store.fill(directory, links)
        if terms.barred is None:
            bar_shared(links, directory)
    else:
        records = {(terms.source, crm_id) for frame in frames for crm_id in _records(frame)}
        store.load(directory, sorted(records), portion.found.others)
    return directory


def _records(normalized: pd.DataFrame) -> Iterator[str]:
    """Yield the records of rows, and those that they were merged into."""
    yield from normalized["crm_id"]
    yield from normalized["merged_into"].dropna()


def _wanted(normalized: pd.DataFrame, source: str) -> Iterator[Link]:
    """Yield what is asked of the state database: each record, what recognises it, and whom it was merged into."""
    for row in rows_of(normalized.loc[normalized["state"] == "ready"]):
        fields = fields_of(row)
        account = row.get("account")
        link = Link(
            record=(source, row["crm_id"]),
            contact=None,
            business_key=business_key(account, fields),
            version=row["version"],
            modified_at=row["modified_at"],
            read_at=row["read_at"],
            account=account,
            fields=fields,
        )
        yield link
        if "merged_into" in row:
            yield replace(link, record=(source, row["merged_into"]))
