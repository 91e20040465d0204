"""What each row of a plan became, and what the state database remembers of it.

What belongs here: turning Genesys' answers into outcomes, links, audit entries and retries. What is sent, and
when, belongs to `deliver`.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

import pandas as pd

from contact_sync.contacts.identity import NEW, Link
from contact_sync.contacts.planning import HIDDEN, ContactRequest
from contact_sync.contacts.schemas import CRM_PREFIX, records
from contact_sync.contacts.window import Window
from contact_sync.genesys.answers import ItemResult
from contact_sync.state.store import Delivery
from contact_sync.steps.context import SyncContext

Row = dict[str, Any]
Version = tuple[str, str]

RETRY_AFTER = timedelta(minutes=5)
"""How long a queued change waits for its next attempt."""

_OUTCOME_OF = {
    "create": "created",
    "update": "updated",
    "unchanged": "unchanged",
    "delete": "deleted",
    "merge": "merged",
    "hold": "held",
}


@dataclass(frozen=True, slots=True)
class Task:
    """One contact of a plan: the accepted rows that are it, and what is sent for it, if anything.

    `contact` is empty for rows that were deleted before they were ever delivered.
    """

    contact: str
    rows: Sequence[Row]
    request: ContactRequest | None = None

    @property
    def lead(self) -> Row:
        """The row that carries the request."""
        return next((row for row in self.rows if "request" in row), self.rows[0])


@dataclass(slots=True)
class _Ending:
    outcome: str
    contact: str | None = None
    reason: str | None = None
    status: int | None = None
    correlation_id: str | None = None


def tasks_of(plan: pd.DataFrame) -> list[Task]:
    """Return the contacts that a plan touches, in the plan's order."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in records(plan.loc[plan["accepted"]]):
        rows[row.get("contact", "")].append(row)
    tasks = (Task(contact, members) for contact, members in rows.items())
    return [
        Task(task.contact, task.rows, ContactRequest.from_json(task.lead["request"]))
        if "request" in task.lead
        else task
        for task in tasks
    ]


@dataclass
class Outcomes:
    """Collects the endings of one window's rows, storing each batch as it comes."""

    context: SyncContext
    window: Window
    run_id: str
    _endings: dict[Version, _Ending] = field(default_factory=dict)

    def record_unsent(self, tasks: Sequence[Task]) -> None:
        """Store the new versions of rows that need no request."""
        links: list[Link] = []
        for task in tasks:
            known = task.contact or None
            for row in task.rows:
                links.append(self._link(row, known))
                self._endings[_version(row)] = _Ending("unchanged", known, row.get("reason"))
        touched = {task.contact for task in tasks if any(row.get("reason") == HIDDEN for row in task.rows)}
        self.context.store.record(Delivery(links=links, touched=touched), self.context.clock())

    def record(self, tasks: Sequence[Task], results: Mapping[str, ItemResult]) -> None:
        """Store what a batch did, in one transaction: links of what succeeded, retries of what failed."""
        links: list[Link] = []
        touched: set[str] = set()
        renamed: list[tuple[str, str]] = []
        audit: list[Row] = []
        retries: list[Row] = []
        for task in tasks:
            result = results[task.contact]
            audit.append(self._audit(task, result))
            if not result.ok:
                retries += self._fail(task, result)
                continue
            contact = result.contact_id or task.contact
            links += [self._link(row, contact) for row in task.rows]
            touched.add(contact)
            if not task.contact.startswith(NEW) and contact != task.contact:
                renamed.append((task.contact, contact))
            self._succeed(task, contact, result)
        delivery = Delivery(links=links, touched=touched, renamed=renamed, audit=audit, retries=retries)
        self.context.store.record(delivery, self.context.clock())

    def rows(self, plan: pd.DataFrame) -> Iterator[Row]:
        """Yield a row of `genesys_upserts` for each row of the plan that has ended."""
        for crm_id, version, action, reason in zip(
            plan["crm_id"], plan["version"], plan["action"], plan["reason"], strict=True
        ):
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
        outcome = _failed(result)
        error = result.code or f"status {result.status}"
        for row in task.rows:
            if row["action"] == "unchanged":
                self._endings[_version(row)] = _Ending("unchanged", reason=row.get("reason"))
                continue
            self._endings[_version(row)] = _Ending(
                outcome, reason=error, status=result.status, correlation_id=result.correlation_id
            )
            yield self._retry(row, outcome, error)

    def _retry(self, row: Row, outcome: str, error: str) -> Row:
        now = self.context.clock()
        waiting = outcome == "queued"
        return {
            "source": self.context.source.name,
            "crm_id": row["crm_id"],
            "state": "waiting" if waiting else "dead",
            "version": row["version"],
            "modified_at": row["modified_at"],
            "change": self._change(row),
            "attempts": 1,
            "next_attempt_at": now + RETRY_AFTER if waiting else None,
            "last_error": error,
            "window_start": self.window.start,
            "window_end": self.window.end,
            "queued_at": now,
        }

    def _change(self, row: Row) -> Mapping[str, Any]:
        """Return the change as the CRM gave it, so that it can be sent while the CRM is away."""
        read = self._delta[_version(row)]
        fields = {
            name.removeprefix(CRM_PREFIX): value for name, value in read.items() if name.startswith(CRM_PREFIX)
        }
        return {"kind": row["kind"], "merged_into": read.get("merged_into"), "fields": fields}

    @cached_property
    def _delta(self) -> Mapping[Version, Row]:
        return {_version(row): row for row in records(self.context.frames.read("crm_delta", self.window))}

    def _link(self, row: Row, contact: str | None) -> Link:
        return Link(
            record=(self.context.source.name, row["crm_id"]),
            contact=contact if row["kind"] == "upsert" else None,
            business_key=row.get("business_key"),
            version=row["version"],
            modified_at=row["modified_at"],
            read_at=row["read_at"],
            account=row.get("account"),
            fields=json.loads(row.get("fields", "{}")),
        )

    def _audit(self, task: Task, result: ItemResult) -> Row:
        lead = task.lead
        return {
            "at": self.context.clock(),
            "run_id": self.run_id,
            "source": self.context.source.name,
            "window_start": self.window.start,
            "window_end": self.window.end,
            "crm_id": lead["crm_id"],
            "contact": result.contact_id if result.ok else None,
            "action": lead["action"],
            "rule": lead.get("rule"),
            "changes": json.loads(lead.get("changes", "[]")),
            "result": "done" if result.ok else _failed(result),
            "status": result.status,
            "correlation_id": result.correlation_id,
        }


def _failed(result: ItemResult) -> str:
    return "queued" if result.retryable else "dead"


def _version(row: Row) -> Version:
    return (row["crm_id"], row["version"])
