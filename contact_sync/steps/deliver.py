"""genesys_upserts: the plan carried out, and the window committed once every row of it is accounted for.

What belongs here: order, batches, and when a window counts as done. What a batch's answers mean for each row
belongs to `outcomes`; how a request travels belongs to `genesys`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from contact_sync.contacts.planning import ContactRequest
from contact_sync.contacts.schemas import GENESYS_UPSERTS, OUTCOMES, frame_of
from contact_sync.contacts.window import Window
from contact_sync.genesys.answers import ItemResult
from contact_sync.genesys.client import MAX_UPSERTS
from contact_sync.genesys.errors import GenesysRetryableError
from contact_sync.genesys.payloads import ExternalId, Upsert
from contact_sync.state.bulk import chunks
from contact_sync.steps.context import SyncContext, digest
from contact_sync.steps.match import match
from contact_sync.steps.outcomes import Outcomes, Task, tasks_of

MAX_FAILED_BATCHES = 3
"""After this many batches in a row that Genesys did not answer, the window is left for the next run."""

MAX_REMOVALS = 50
"""Contacts removed in one request; Genesys does not document its limit, and the client halves what is too much."""

Send = Callable[[Sequence[Task]], list[ItemResult]]

Progress = Callable[[Window, int, int], None]
"""Told how far delivery is: the window, contacts done, contacts in all."""


class AccountingError(Exception):
    """A window's outcomes do not add up to the rows that were read; it is not committed."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one window."""

    window: Window
    frame: pd.DataFrame
    requests: int
    writes: int
    seconds: float

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows by outcome."""
        return {str(outcome): int(count) for outcome, count in self.frame["outcome"].value_counts().items()}


def deliver(
    context: SyncContext, windows: Sequence[Window], run_id: str, progress: Progress | None = None
) -> list[Delivered]:
    """Carry out the plans of windows in order, committing each window in the ledger.

    Each plan is made again just before it is carried out: an earlier window of this run, or another run, may have
    moved the state on since, with or without a request. Planning takes a few percent of the time that Genesys'
    rate limit leaves between the requests.

    Raises:
        StateError: A plan is missing or damaged, or a frame cannot be written.
        ContractError: A plan breaks its contract; nothing of its window is sent.
        GenesysFatalError: Genesys refuses every request: credentials, permissions.
        GenesysRetryableError: Genesys does not answer; the window stays open.
        AccountingError: Rows that were read are not in the plan, or have no outcome.
    """
    return [_deliver_window(context, window, run_id, progress) for window in windows]


def _current_plan(context: SyncContext, window: Window) -> pd.DataFrame:
    context.checked("dedup_matches", window)
    plan = match(context, [window])[window]
    if digest(plan) != digest(context.frames.read("crm_delta", window)):
        raise AccountingError(
            f"{window}: the plan does not hold the rows that crm_delta does; nothing was sent: materialise "
            "normalized_contacts and dedup_matches for that window again"
        )
    return plan


def _deliver_window(context: SyncContext, window: Window, run_id: str, progress: Progress | None) -> Delivered:
    plan = _current_plan(context, window)
    client, started = context.genesys, time.monotonic()
    requests, writes = client.requests_sent, client.writes_sent
    outcomes = Outcomes(context, window, run_id)
    _send(context, outcomes, plan, progress)
    frame = frame_of(GENESYS_UPSERTS, outcomes.rows(plan))
    result = Delivered(
        window, frame, client.requests_sent - requests, client.writes_sent - writes, time.monotonic() - started
    )
    _commit(context, result, plan, run_id)
    return result


def _send(context: SyncContext, outcomes: Outcomes, plan: pd.DataFrame, progress: Progress | None) -> None:
    tasks = tasks_of(plan)
    outcomes.record_unsent([task for task in tasks if task.request is None])
    asked = [task for task in tasks if task.request]
    done = failed_in_a_row = 0
    for batch, send in _batches(context, asked):
        try:
            results = {result.tracker: result for result in send(batch)}
            failed_in_a_row = 0
        except GenesysRetryableError as error:
            failed_in_a_row += 1
            if failed_in_a_row == MAX_FAILED_BATCHES:
                raise
            results = {task.contact: _unanswered(task, error) for task in batch}
        outcomes.record(batch, results)
        done += len(batch)
        if progress:
            progress(outcomes.window, done, len(asked))


def _batches(context: SyncContext, tasks: Sequence[Task]) -> Iterator[tuple[Sequence[Task], Send]]:
    """Yield what goes into one request, and how it is sent: upserts before removals."""
    upserts = [task for task in tasks if task.request and task.request.kind == "upsert"]
    removals = [task for task in tasks if task.request and task.request.kind == "remove"]
    if upserts:
        source_ids = {
            name: context.genesys.ensure_external_source(external_source(name))
            for name in dict.fromkeys(name for task in upserts for name in _sources(task))
        }
        for batch in chunks(upserts, MAX_UPSERTS):
            yield batch, lambda these: context.genesys.upsert([_upsert(task, source_ids) for task in these])
    for batch in chunks(removals, MAX_REMOVALS):
        yield batch, lambda these: context.genesys.remove([task.contact for task in these])


def external_source(name: str) -> str:
    """Return what the external source of a CRM, or of the business keys, is called in Genesys."""
    return f"contact_sync {name}"


def _sources(task: Task) -> Iterator[str]:
    if task.request:
        for source, _ in (*task.request.matching, *task.request.external_ids):
            yield source


def _upsert(task: Task, source_ids: Mapping[str, str]) -> Upsert:
    request = task.request or ContactRequest("upsert")
    return Upsert(
        tracker=task.contact,
        matching=tuple(ExternalId(source_ids[source], value) for source, value in request.matching),
        external_ids=tuple(ExternalId(source_ids[source], value) for source, value in request.external_ids),
        contact=request.contact,
        clear=request.clear,
        release=request.release,
    )


def _unanswered(task: Task, error: GenesysRetryableError) -> ItemResult:
    return ItemResult(
        tracker=task.contact,
        status=error.status or 0,
        contact_id=None,
        code=error.code or "no answer",
        retryable=True,
        correlation_id=error.correlation_id,
    )


def _commit(context: SyncContext, result: Delivered, plan: pd.DataFrame, run_id: str) -> None:
    """Store the outcomes and write the window's row of the ledger: both, or the window stays open."""
    counts = {outcome: result.counts.get(outcome, 0) for outcome in OUTCOMES}
    if sum(counts.values()) != len(plan):
        raise AccountingError(
            f"{result.window}: {len(plan)} rows were read but {sum(counts.values())} have an outcome; "
            "the window is not committed: please report this"
        )
    context.frames.write("genesys_upserts", result.window, result.frame)
    context.store.commit_window(
        {
            "source": context.source.name,
            "window_start": result.window.start,
            "window_end": result.window.end,
            "rows_read": len(plan),
            "outcomes": counts,
            "requests": result.requests,
            "writes": result.writes,
            "seconds": result.seconds,
            "digest": digest(plan),
            "newest_modified_at": plan["modified_at"].max().to_pydatetime() if len(plan) else None,
            "run_id": run_id,
            "committed_at": context.clock(),
        }
    )
