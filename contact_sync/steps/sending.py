"""A plan's requests, several under way at once, each answer stored as it comes.

What belongs here: batches, the pool that sends them, and when to give up. What an answer means for a row belongs
to `outcomes`; how a request travels, and the pace of all of them, belongs to `genesys`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from types import TracebackType
from typing import Self

from contact_sync.contacts.fields import ORGANIZATION
from contact_sync.contacts.identity import NEW
from contact_sync.contacts.requests import ContactRequest
from contact_sync.contacts.seen import FOREIGN
from contact_sync.genesys.answers import ItemResult
from contact_sync.genesys.client import MAX_UPSERTS
from contact_sync.genesys.errors import GenesysError, GenesysRetryableError
from contact_sync.genesys.payloads import ExternalId, Upsert
from contact_sync.state.bulk import chunks
from contact_sync.steps.context import SyncContext
from contact_sync.steps.custom_fields import CustomFields
from contact_sync.steps.organizations import Found, Organizations, account_of, names_of
from contact_sync.steps.outcomes import GONE_FROM_GENESYS, Outcomes
from contact_sync.steps.sources import external_source
from contact_sync.steps.tasks import Task, tasks_of

MAX_FAILED_BATCHES = 3
"""After this many batches in a row that Genesys did not answer, the rest is left for the next run."""

MAX_REMOVALS = 50
"""Contacts removed in one request; Genesys does not document its limit, and the client halves what is too much."""

Batch = Sequence[Task]
Send = Callable[[Batch], list[ItemResult]]
Sent = Callable[[int], None]
"""Told how many rows of a plan have ended since it was last told."""


class Sender:
    """Carries out plans with at most `concurrency` requests under way; memory is bounded by the plan's size.

    Answers are stored by the calling thread alone, one batch a transaction. When it must stop, it sends nothing
    more, but waits for what is under way and stores those answers too.
    """

    def __init__(self, context: SyncContext) -> None:
        self._client = context.genesys
        self._registry = context.settings.registry
        self._concurrency = concurrency = context.settings.delivery.concurrency
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="delivery")
        self._custom_fields = CustomFields(context.genesys.transport, self._registry)
        self._organizations = Organizations(context.genesys, context.store, self._pool, concurrency)
        self._found = Found()
        self._failed_in_a_row = 0
        self._failed: dict[str, ItemResult] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()

    def carry_out(self, outcomes: Outcomes, sent: Sent | None = None) -> None:
        """Send what `outcomes.plan` asks for and record what became of it.

        Raises:
            GenesysFatalError: Genesys refuses every request: credentials, permissions.
            GenesysRetryableError: `MAX_FAILED_BATCHES` batches in a row were not answered.
            StateError: An answer could not be stored.
        """
        tasks = tasks_of(outcomes.plan)
        unsent = [task for task in tasks if task.request is None]
        outcomes.record_unsent(unsent)
        tell = sent or (lambda _rows: None)
        if idle := len(outcomes.plan) - sum(len(task.rows) for task in tasks if task.request):
            tell(idle)
        self._failed.clear()
        for wave in _waves([task for task in tasks if task.request]):
            self._send_wave(self._without_stranded(wave, outcomes, tell), outcomes, tell)

    def _without_stranded(self, wave: Sequence[Task], outcomes: Outcomes, tell: Sent) -> list[Task]:
        """Return the tasks that can be sent; one whose record could not leave its old contact fails with that."""
        stranded = {
            task.contact: replace(self._failed[one], tracker=task.contact)
            for task in wave
            for one in _left(task)
            if one in self._failed
        }
        waiting = [task for task in wave if task.contact in stranded]
        if waiting:
            outcomes.record(waiting, stranded)
            tell(sum(len(task.rows) for task in waiting))
        return [task for task in wave if task.contact not in stranded]

    def _send_wave(self, tasks: Sequence[Task], outcomes: Outcomes, tell: Sent) -> None:
        under_way: dict[Future[list[ItemResult]], Batch] = {}
        ready = self._prepared([task for task in tasks if task.request], outcomes, tell)
        try:
            for batch, send in self._batches(ready):
                outcomes.send(batch)
                under_way[self._pool.submit(send, batch)] = batch
                if len(under_way) >= self._concurrency:
                    self._settle(under_way, outcomes, tell)
            while under_way:
                self._settle(under_way, outcomes, tell)
        except BaseException:
            self._drain(under_way, outcomes)
            raise

    def _prepared(self, tasks: Batch, outcomes: Outcomes, tell: Sent) -> Batch:
        """See to it that what contacts refer to is there; return the tasks that can be sent, fail the others."""
        self._custom_fields.prepare(task.request for task in tasks if task.request)
        oldest_first = sorted(tasks, key=lambda task: task.lead["modified_at"])  # the newest name wins
        self._found = self._organizations.find(names_of(task.request for task in oldest_first))
        refused = {task.contact: result for task in tasks if (result := self._refusal(task))}
        if refused:
            failed = [task for task in tasks if task.contact in refused]
            outcomes.record(failed, refused)
            tell(sum(len(task.rows) for task in failed))
        return [task for task in tasks if task.contact not in refused]

    def _refusal(self, task: Task) -> ItemResult | None:
        """Return how a contact fails whose organisation Genesys has refused."""
        account = account_of(task.request)
        result = self._found.refused.get(account[0]) if account else None
        return replace(result, tracker=task.contact, code=f"{ORGANIZATION}: {result.code}") if result else None

    def _settle(self, under_way: dict[Future[list[ItemResult]], Batch], outcomes: Outcomes, tell: Sent) -> None:
        """Wait for an answer and record all that have come."""
        done, _ = wait(under_way, return_when=FIRST_COMPLETED)
        failure: GenesysError | None = None
        for future in done:
            batch = under_way.pop(future)
            try:
                results = self._results(batch, future)
            except GenesysError as error:
                failure = error
            else:
                outcomes.record(batch, results)
                self._failed |= {contact: result for contact, result in results.items() if not result.ok}
                tell(sum(len(task.rows) for task in batch))
        if failure:
            raise failure

    def _results(self, batch: Batch, future: Future[list[ItemResult]]) -> Mapping[str, ItemResult]:
        try:
            results = {result.tracker: result for result in future.result()}
        except GenesysRetryableError as error:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= MAX_FAILED_BATCHES:
                raise
            return {task.contact: _unanswered(task, error) for task in batch}
        self._failed_in_a_row = 0
        return results

    def _drain(self, under_way: dict[Future[list[ItemResult]], Batch], outcomes: Outcomes) -> None:
        """Store what is still answered: what Genesys has done need not be sent again."""
        for future in under_way:
            future.cancel()
        for future, batch in under_way.items():
            if not future.cancelled() and future.exception() is None:
                outcomes.record(batch, {result.tracker: result for result in future.result()})

    def _batches(self, tasks: Sequence[Task]) -> Iterator[tuple[Batch, Send]]:
        """Yield what goes into one request, and how it is sent: upserts before removals."""
        upserts = [task for task in tasks if task.request and task.request.kind == "upsert"]
        removals = [task for task in tasks if task.request and task.request.kind == "remove"]
        leaving = [task for task in tasks if task.request and task.request.kind == "leave"]
        unknown = [task for task in removals if task.contact.startswith(NEW)]
        known = [task for task in removals if not task.contact.startswith(NEW)]
        source_ids = {
            name: self._client.ensure_external_source(external_source(name))
            for name in dict.fromkeys(name for task in (*upserts, *unknown, *leaving) for name in _sources(task))
        }
        for batch in chunks(upserts, MAX_UPSERTS):
            yield batch, lambda these: self._upsert_all(these, source_ids)
        for batch in chunks(known, MAX_REMOVALS):
            yield batch, lambda these: self._client.remove([task.contact for task in these])
        for batch in chunks(unknown, MAX_UPSERTS):
            yield batch, lambda these: self._remove_unknown(these, source_ids)

        for batch in chunks(leaving, 1):
            yield batch, lambda these: [self._leave(task, source_ids) for task in these]

    def _upsert_all(self, batch: Batch, source_ids: Mapping[str, str]) -> list[ItemResult]:
        """Upsert contacts; those that are adopted are made findable by an external id of ours before."""
        refused = []
        for task in batch:
            if task.request and task.request.adopt:
                claimed = self._client.claim(task.contact, _external_ids(task.request.external_ids, source_ids)[0])
                refused += [] if claimed.ok else [_not_adopted(claimed)]
        trackers = {result.tracker for result in refused}
        ready = [self._upsert(task, source_ids) for task in batch if task.contact not in trackers]
        return [*refused, *self._client.upsert(ready)]

    def _leave(self, task: Task, source_ids: Mapping[str, str]) -> ItemResult:
        """Take our external ids off a contact that was there before us."""
        results = [self._client.release(task.contact, one) for one in _matching(task, source_ids)]
        return next((result for result in results if not result.ok), results[-1])

    def _upsert(self, task: Task, source_ids: Mapping[str, str]) -> Upsert:
        request = task.request or ContactRequest("upsert")
        account = account_of(request)
        organization = {ORGANIZATION: self._found.ids[account[0]]} if account else {}
        return Upsert(
            tracker=task.contact,
            matching=_matching(task, source_ids),
            external_ids=_external_ids(request.external_ids, source_ids),
            contact={**request.contact, **organization},
            clear=tuple(name for name in request.clear if name not in self._registry.kept),
            release=request.release,
            merge=bool(request.absorbed),
            only_filled=self._registry.only_filled,
            schema=self._custom_fields.schema,
        )

    def _remove_unknown(self, batch: Batch, source_ids: Mapping[str, str]) -> list[ItemResult]:
        """Remove contacts that were sent without an answer: if they are there, Genesys knows their ids."""
        found = self._client.find({task.contact: _matching(task, source_ids) for task in batch})
        there = dict.fromkeys(result.contact_id for result in found if result.ok and result.contact_id)
        removed = {result.tracker: result for result in self._client.remove(list(there))}
        return [replace(removed.get(result.contact_id or "", result), tracker=result.tracker) for result in found]


def _sources(task: Task) -> Iterator[str]:
    if task.request:
        for source, _ in (*task.request.matching, *task.request.external_ids):
            if not source.startswith(FOREIGN):
                yield source


def _waves(tasks: Sequence[Task]) -> Iterator[Sequence[Task]]:
    """Yield first what nothing has to precede: a record gets its contact once the old one has let it go.

    Contacts that wait for each other go together, in the plan's order.
    """
    waiting = list(tasks)
    while waiting:
        contacts = {task.contact for task in waiting}
        ready = [task for task in waiting if contacts.isdisjoint(_left(task))] or waiting
        yield ready
        sent = {task.contact for task in ready}
        waiting = [task for task in waiting if task.contact not in sent]


def _left(task: Task) -> Sequence[str]:
    return task.request.leaves if task.request else ()


def _external_ids(ids: Sequence[tuple[str, str]], source_ids: Mapping[str, str]) -> tuple[ExternalId, ...]:
    return tuple(
        ExternalId(source.removeprefix(FOREIGN) if source.startswith(FOREIGN) else source_ids[source], value)
        for source, value in ids
    )


def _matching(task: Task, source_ids: Mapping[str, str]) -> tuple[ExternalId, ...]:
    return _external_ids(task.request.matching if task.request else (), source_ids)


def _not_adopted(result: ItemResult) -> ItemResult:
    """Return the result of a refused claim: a contact that is gone is looked for anew by the next attempt."""
    return replace(result, code=GONE_FROM_GENESYS, retryable=True) if result.status == 404 else result


def _unanswered(task: Task, error: GenesysRetryableError) -> ItemResult:
    return ItemResult(
        tracker=task.contact,
        status=error.status or 0,
        contact_id=None,
        code=error.code or "no answer",
        retryable=True,
        correlation_id=error.correlation_id,
    )
