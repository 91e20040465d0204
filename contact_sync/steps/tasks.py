"""The contacts of a plan: which rows are which contact, what is sent for it, and what it loses.

What belongs here: reading a plan. What is sent when belongs to `sending`, what came of it to `outcomes`.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from contact_sync.contacts.requests import ContactRequest
from contact_sync.contacts.schemas import records

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """One contact of a plan: the accepted rows that are it, and what is sent for it, if anything.

    Attributes:
        contact: Its id; empty for rows that were deleted before they were ever delivered.
        lead: The row that carries the request, or the first one; another contact's if a record leaves this one.
        rows: The rows that are the contact.
        request: What is sent for it.
        leaving: The rows of records that are another contact from now on: with the request this one loses them.
    """

    contact: str
    lead: Row
    rows: Sequence[Row] = ()
    request: ContactRequest | None = None
    leaving: Sequence[Row] = ()


def tasks_of(plan: pd.DataFrame) -> list[Task]:
    """Return the contacts that a plan touches, in the plan's order."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in records(plan.loc[plan["accepted"]]):
        rows[row.get("contact", "")].append(row)
    tasks = [task for contact, members in rows.items() for task in _tasks(contact, members)]
    leaving: dict[str, list[Row]] = defaultdict(list)
    for task in tasks:
        for left in task.request.leaves if task.request else ():
            leaving[left] += task.rows
    return [replace(task, leaving=leaving[task.contact]) if task.contact in leaving else task for task in tasks]


def _tasks(contact: str, rows: Sequence[Row]) -> Iterator[Task]:
    """Yield a contact's task, after those of the contacts that its records leave."""
    lead = next((row for row in rows if "request" in row), rows[0])
    request = ContactRequest.from_json(lead["request"]) if "request" in lead else None
    for left, its_request in (request.first if request else {}).items():
        yield Task(left, lead, request=its_request)
    yield Task(contact, lead, rows, request)
