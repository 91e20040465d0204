"""What each row of a plan became, and what the state database remembers of it.

What belongs here: turning Genesys' answers into outcomes, links, audit entries and retries. What is sent, and
when, belongs to `sending`.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import pandas as pd

from contact_sync.contacts.decisions import DELETE_GRACE, HIDDEN
from contact_sync.contacts.identity import NEW, Link, RecordId
from contact_sync.contacts.schemas import CRM_PREFIX, GENESYS_UPSERTS, frame_of, records
from contact_sync.contacts.window import Window
from contact_sync.genesys.answers import ItemResult
from contact_sync.state.database import StateError
from contact_sync.state.delivery import Delivery
from contact_sync.steps.backoff import next_attempt
from contact_sync.steps.context import SyncContext
from contact_sync.steps.tasks import Row, Task

Version = tuple[str, str]

GONE_FROM_GENESYS = "gone.from.genesys"  # was to be adopted: the next attempt looks for another, or makes one

_OUTCOME_OF = {
    "create": "created",
    "update": "updated",
    "unchanged": "unchanged",
    "delete": "deleted",
    "merge": "merged",
    "hold": "held",
}


@dataclass(slots=True)
class _Ending:
    outcome: str
    contact: str | None = None
    reason: str | None = None
    status: int | None = None
    correlation_id: str | None = None


class Origin(Protocol):
    """Where the rows of a plan come from: a window, or the retry queue."""

    def window(self, crm_id: str) -> Window:
        """Return the window that brought the record's change."""
        ...

    def attempts(self, crm_id: str, version: str) -> int:
        """Return how often this version was tried before."""
        ...

    def delta(self, crm_ids: Collection[str]) -> pd.DataFrame:
        """Return the rows of `crm_delta` of these records: the changes as the CRM gave them."""
        ...


@dataclass
class Outcomes:
    """Collects the endings of a plan's rows, storing each batch as it comes."""

    context: SyncContext
    origin: Origin
    run_id: str
    plan: pd.DataFrame
    _endings: dict[Version, _Ending] = field(default_factory=dict)

    def record_unsent(self, tasks: Sequence[Task]) -> None:
        """Store the new versions of rows that need no request, and deletes that wait for their grace period."""
        links: list[Link] = []
        for task in tasks:
            known = task.contact or None
            for row in task.rows:
                links.append(self._link(row, known))
                self._endings[_version(row)] = _Ending("unchanged", known, row.get("reason"))
        touched = {task.contact for task in tasks if any(row.get("reason") == HIDDEN for row in task.rows)}
        retries = [self._deferred(row) for row in records(self.plan.loc[self.plan["rule"] == DELETE_GRACE])]
        self.context.store.record(Delivery(links=links, touched=touched, retries=retries), self.context.clock())

    def send(self, tasks: Sequence[Task]) -> None:
        """Remember what a batch is about to carry, in case its answer never comes."""
        self.context.store.send([link for task in tasks for link in self._sent(task)])

    def record(self, tasks: Sequence[Task], results: Mapping[str, ItemResult]) -> None:
        """Store what a batch did, in one transaction: links of what succeeded, retries of what failed."""
        links: list[Link] = []
        touched: set[str] = set()
        renamed: list[tuple[str, str]] = []
        audit: list[Row] = []
        retries: list[Row] = []
        refused: list[Link] = []
        adopted: list[str] = []
        answered: list[str] = []
        released: list[tuple[str, RecordId]] = []
        for task in tasks:
            result = results[task.contact]
            audit.append(self._audit(task, result))
            if not result.ok:
                retries += self._fail(task, result)
                known_undone = not result.retryable or result.code == GONE_FROM_GENESYS
                refused += self._sent(task) if known_undone else []
                continue
            contact = result.contact_id or task.contact
            links += [self._link(row, contact) for row in task.rows]
            touched.update((contact, *(task.request.leaves if task.request else ())))
            absorbed = task.request.absorbed if task.request else ()
            renamed += [
                (one, contact) for one in (task.contact, *absorbed) if not one.startswith(NEW) and one != contact
            ]
            answered += [task.contact, *absorbed]
            adopted += [contact] if task.request and task.request.adopt else []
            released += [(contact, self._record(row)) for row in task.leaving]
            self._succeed(task, contact, result)
        delivery = Delivery(
            links=links,
            touched=touched,
            renamed=renamed,
            audit=audit,
            retries=retries,
            adopted=adopted,
            missing=[task.contact for task in tasks if results[task.contact].code == GONE_FROM_GENESYS],
            answered=answered,
            refused=refused,
            released=released,
        )
        self.context.store.record(delivery, self.context.clock())

    def frame(self) -> pd.DataFrame:
        """Return a row of `genesys_upserts` for each row of the plan that has ended."""
        return frame_of(GENESYS_UPSERTS, self._rows())

    def _rows(self) -> Iterator[Row]:
        columns = (self.plan[name] for name in ("crm_id", "version", "action", "reason"))
        for crm_id, version, action, reason in zip(*columns, strict=True):
            ending = self._endings.get((crm_id, version))
            if ending is None and action in {"hold", "unchanged"}:
                ending = _Ending(_OUTCOME_OF[action], reason=None if pd.isna(reason) else reason)
            if ending is not None:
                yield {
                    "crm_id": crm_id,
                    "version": version,
                    "outcome": ending.outcome,
                    "contact": ending.contact,
                    "reason": ending.reason,
                    "status": ending.status,
                    "correlation_id": ending.correlation_id,
                }

    def _succeed(self, task: Task, contact: str, result: ItemResult) -> None:
        for row in task.rows:
            outcome = _OUTCOME_OF[row["action"]]
            if outcome == "created" and not result.created:
                outcome = "updated"
            self._endings[_version(row)] = _Ending(
                outcome, contact, row.get("reason"), result.status, result.correlation_id
            )

    def _fail(self, task: Task, result: ItemResult) -> Iterator[Row]:
        error = result.code or f"status {result.status}"
        for row in task.rows:
            if row["action"] == "unchanged":
                self._endings[_version(row)] = _Ending("unchanged", reason=row.get("reason"))
                continue
            retry = self._retry(row, error, retryable=result.retryable)
            self._endings[_version(row)] = _Ending(
                "queued" if retry["state"] == "waiting" else "dead",
                reason=retry["last_error"],
                status=result.status,
                correlation_id=result.correlation_id,
            )
            yield retry

    def _retry(self, row: Row, error: str, *, retryable: bool) -> Row:
        attempts = self.origin.attempts(*_version(row)) + 1
        if retryable and attempts >= self.context.settings.delivery.max_attempts:
            retryable, error = False, f"given up after {attempts} attempts: {error}"
        at = next_attempt(self.context.clock(), attempts, row["crm_id"]) if retryable else None
        return self.queue_row(row, "waiting" if retryable else "dead", error) | {
            "attempts": 1,
            "next_attempt_at": at,
        }

    def _deferred(self, row: Row) -> Row:
        self._endings[_version(row)] = _Ending("queued", row["contact"], row["reason"])
        ends = row["modified_at"] + self.context.settings.delivery.delete_grace
        # One whose time has come, but whose windows are not all synced yet, is looked at in every retry.
        due = max(ends, self.context.clock())
        return self.queue_row(row, "deferred", DELETE_GRACE) | {"attempts": 0, "next_attempt_at": due}

    def queue_row(self, row: Row, state: str, error: str) -> Row:
        """Return the retry queue's row of a row of the plan; its attempts and next attempt are to be added."""
        window = self.origin.window(row["crm_id"])
        return {
            "source": self.context.source.name,
            "crm_id": row["crm_id"],
            "state": state,
            "version": row["version"],
            "modified_at": row["modified_at"],
            "change": self._change(row),
            "last_error": error[:255],
            "window_start": window.start,
            "window_end": window.end,
            "queued_at": self.context.clock(),
        }

    def _change(self, row: Row) -> Mapping[str, Any]:
        """Return the change as the CRM gave it, so that it can be sent while the CRM is away."""
        read = self._delta.get(_version(row))
        if read is None:
            raise StateError(
                f"crm_delta of {self.origin.window(row['crm_id'])} was read again by another run meanwhile: "
                "run the window again"
            )
        fields = {
            name.removeprefix(CRM_PREFIX): value for name, value in read.items() if name.startswith(CRM_PREFIX)
        }
        return {"kind": row["kind"], "merged_into": read.get("merged_into"), "fields": fields}

    @cached_property
    def _delta(self) -> Mapping[Version, Row]:
        return {_version(row): row for row in records(self.origin.delta(set(self.plan["crm_id"])))}

    def _link(self, row: Row, contact: str | None) -> Link:
        return Link(
            record=self._record(row),
            contact=contact if row["kind"] == "upsert" else None,
            business_key=row.get("business_key"),
            version=row["version"],
            modified_at=row["modified_at"],
            read_at=row["read_at"],
            account=row.get("account"),
            fields=json.loads(row.get("fields", "{}")),
        )

    def _record(self, row: Row) -> RecordId:
        return (self.context.source.name, row["crm_id"])

    def _sent(self, task: Task) -> list[Link]:
        """Return the records of a contact as its request carries them: without fields if it is to lose them."""
        links = [self._link(row, task.contact) for row in task.rows]
        links += [replace(self._link(row, None), fields={}) for row in task.leaving]
        return [replace(link, contact=task.contact) for link in links]

    def _audit(self, task: Task, result: ItemResult) -> Row:
        lead = task.lead
        window = self.origin.window(lead["crm_id"])
        return {
            "at": self.context.clock(),
            "run_id": self.run_id,
            "source": self.context.source.name,
            "window_start": window.start,
            "window_end": window.end,
            "crm_id": lead["crm_id"],
            "contact": (result.contact_id or None) if result.ok else None,
            "action": lead["action"],
            "rule": lead.get("rule"),
            "changes": json.loads(lead.get("changes", "[]")),
            "result": "done" if result.ok else "queued" if result.retryable else "dead",
            "status": result.status,
            "correlation_id": result.correlation_id,
        }


def _version(row: Row) -> Version:
    return (row["crm_id"], row["version"])
