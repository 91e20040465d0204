"""Builds the frames and links that the tests of several rooms start from."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from contact_sync.contacts.identity import Link, business_key
from contact_sync.contacts.schemas import NORMALIZED_CONTACTS, check, frame_of

SOURCE = "crm"
START = datetime(2026, 1, 1, tzinfo=UTC)


def moment(minutes: float) -> datetime:
    """Return the instant that many minutes after the start."""
    return START + timedelta(minutes=minutes)


def record(
    crm_id: str,
    fields: Mapping[str, str] | None = None,
    *,
    at: float = 0,
    read: float = 0,
    kind: str = "upsert",
    **columns: str,
) -> dict[str, Any]:
    """Return a row of `normalized_contacts`, ready unless `state` says otherwise."""
    version = {"crm_id": crm_id, "version": f"v{at}", "modified_at": moment(at), "read_at": moment(read)}
    return {**version, "kind": kind, "state": "ready", **(fields or {}), **columns}


def normalized(*rows: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows as a frame that keeps the contract of `normalized_contacts`."""
    return check(NORMALIZED_CONTACTS, frame_of(NORMALIZED_CONTACTS, rows))


def link(
    crm_id: str, contact: str | None, fields: Mapping[str, str], *, account: str | None = None, at: float = 0
) -> Link:
    """Return the link of a record that was delivered."""
    return Link(
        record=(SOURCE, crm_id),
        contact=contact,
        business_key=business_key(account, fields),
        version=f"v{at}",
        modified_at=moment(at),
        read_at=moment(at),
        account=account,
        fields=fields,
    )


def person(number: int, **fields: str) -> dict[str, str]:
    """Return the canonical fields of a person whom no rule takes for another."""
    return {
        "firstName": f"First{number}",
        "lastName": f"Last{number}",
        "workEmail": f"person{number}@example.com",
        "workPhone": f"+1212570{8000 + number}",
        **fields,
    }


def column(plan: pd.DataFrame, name: str) -> list[Any]:
    """Return a column as a list, None for null."""
    return [None if pd.isna(value) else value for value in plan[name]]


def crm_ids(links: Iterable[Link]) -> list[str]:
    """Return the CRM ids of links, in their order."""
    return [one.record[1] for one in links]
