"""dedup_matches: the plan of each window, made against what the state database knows.

What belongs here: planning a run portion by portion, so that a window of any size is never held as a whole. How it
is cut belongs to `portions`, planning one portion to `plan`, sending to `deliver`.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import itemgetter

import numpy as np
import pandas as pd
import pyarrow as pa

from contact_sync.contacts.planning import over
from contact_sync.contacts.sharing import Identifier
from contact_sync.contacts.window import Window
from contact_sync.steps.context import SyncContext
from contact_sync.steps.grace import deletes_earned
from contact_sync.steps.limits import most_removals
from contact_sync.steps.plan import Planned, Terms, plan_portion
from contact_sync.steps.portions import Cut, Portion, Read
from contact_sync.steps.survey import at_once, measure, survey
from contact_sync.steps.workers import Workers, workers

PORTION = 10_000
"""Rows that are planned at once, with those that they hang together with."""


def match(context: SyncContext, windows: Sequence[Window]) -> None:
    """Plan windows in order, each seeing what the ones before it will have done, and store the plans.

    Raises:
        StateError: `normalized_contacts` has no frame for a window, or a frame cannot be read or written.
        ContractError: `normalized_contacts` breaks its contract.
    """
    for window in windows:
        context.tally("normalized_contacts", window).require()
    for number, pieces in groupby(_pieces(context, windows, _stored(context, windows)), key=itemgetter(0)):
        with context.frames.writer("dedup_matches", windows[number]) as file:
            for _, plan in pieces:
                file.append(plan)


def plan_windows(
    context: SyncContext, normalized: Iterable[tuple[Window, pd.DataFrame]]
) -> Iterator[tuple[Window, pd.DataFrame]]:
    """Yield the plan of each window without storing anything."""
    frames = dict(normalized)
    windows = list(frames)
    tables = [pa.Table.from_pandas(frame, preserve_index=False) for frame in frames.values()]

    def read(number: int, columns: Sequence[str] | None) -> Iterable[pa.Table]:
        table = tables[number].select(columns) if columns else tables[number]
        return (table.slice(start, PORTION) for start in range(0, max(len(table), 1), PORTION))

    for number, pieces in groupby(_pieces(context, windows, read), key=itemgetter(0)):
        yield windows[number], pd.concat([plan for _, plan in pieces], ignore_index=True)


def plan_rows(
    context: SyncContext,
    normalized: pd.DataFrame,
    committing: Sequence[Window] = (),
    barred: frozenset[Identifier] | None = None,
) -> pd.DataFrame:
    """Plan rows of `normalized_contacts` against what the state database knows now.

    Args:
        context: The sync.
        normalized: The rows, at most a few thousand.
        committing: Windows whose upserts have gone out, or go out with these rows.
        barred: The identifiers that many people share; counted among the rows and what is stored, unless given.

    Returns:
        The plan, with the columns of `schemas.DEDUP_MATCHES`.
    """
    removals = int((normalized["kind"] != "upsert").sum())
    terms = replace(
        _terms(context, barred),
        earned={0: deletes_earned(context, committing)} if removals else {},
        limits=_limits(context, {0: removals}),
    )
    portion = Portion(0, {0: (np.arange(len(normalized)), normalized)})
    return plan_portion(context.store, terms, portion).parts[0][1]


def shared_identifiers(context: SyncContext, windows: Sequence[Window]) -> frozenset[Identifier]:
    """Return the identifiers that many people share, counted in whole windows and what is stored."""
    read = _stored(context, windows)
    run = measure(len(windows), read)
    with workers(run.rows) as running:
        return survey(context, run, read, running).barred or frozenset()


def _stored(context: SyncContext, windows: Sequence[Window]) -> Read:
    return lambda number, columns: context.frames.tables(
        "normalized_contacts", windows[number], columns, rows=PORTION
    )


def _pieces(context: SyncContext, windows: Sequence[Window], read: Read) -> Iterator[tuple[int, pd.DataFrame]]:
    """Yield the plans of a run in the pieces that `read` reads, each with the number of its window."""
    run = measure(len(windows), read)
    with workers(run.rows) as running:
        seen = survey(context, run, read, running) if run.rows > PORTION else at_once(run)
        cut = Cut(read, run.sizes, seen.first, seen.found)
        committing = {window: windows[: window + 1] for window, rows in run.removals.items() if rows}
        earned = {window: deletes_earned(context, earlier) for window, earlier in committing.items()}
        terms = replace(_terms(context, seen.barred), earned=earned)
        limits = _limits(context, run.removals)
        if seen.barred is None:
            terms = replace(terms, limits=limits)
        else:
            terms = replace(terms, held=_held(context, running, cut, terms, limits))
        yield from cut.together(made.parts for made in _planned(context, running, terms, cut.portions()))


def _planned(
    context: SyncContext, running: Workers, terms: Terms, portions: Iterable[Portion]
) -> Iterator[Planned]:
    return running.map(partial(plan_portion, context.store, terms), portions)


def _terms(context: SyncContext, barred: frozenset[Identifier] | None) -> Terms:
    settings = context.settings
    return Terms(context.source.name, settings.identity, frozenset(settings.registry.kept), barred)


def _held(
    context: SyncContext, running: Workers, cut: Cut, terms: Terms, limits: Mapping[int, int]
) -> Mapping[int, str]:
    """Return why the deletes of a window are held, for each window that removes too many contacts.

    How many go is known when all portions are planned, and what is held changes the windows after it: a run that
    may hold deletes is planned once before, and once more for each window that does.
    """
    held: dict[int, str] = {}
    while len(held) < len(limits):
        removed = Counter[int]()
        removing = (portion for portion in cut.portions() if _removes(portion, limits))
        for planned in _planned(context, running, replace(terms, held=held), removing):
            removed.update(planned.removed)
        reasons = {window: over(limits[window])(removed[window]) for window in limits if window not in held}
        window, why = next(((window, why) for window, why in reasons.items() if why), (None, None))
        if window is None or why is None:
            break
        held[window] = why
    return held


def _removes(portion: Portion, windows: Collection[int]) -> bool:
    frames = (frame for window, (_, frame) in portion.parts.items() if window in windows)
    return any((frame["kind"] != "upsert").any() for frame in frames)


def _limits(context: SyncContext, removals: Mapping[int, int]) -> Mapping[int, int]:
    """Return how many contacts a window may remove, for those that may remove more."""
    if context.allow_deletes:
        return {}
    limits = {window: most_removals(context, count) for window, count in removals.items() if count}
    return {window: limit for window, limit in limits.items() if removals[window] > limit}
