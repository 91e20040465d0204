"""The life of a record: what each window brought, who it was taken for and why, what was sent and what came back.

What belongs here: finding the records and contacts that an operator asks for, and putting together what the frames
and the state database know of them. Nothing is sent and no state changes. How it is printed is `rendering`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import Connection

from contact_sync.contacts.fields import EMAILS, PHONES
from contact_sync.contacts.identity import Link, RecordId, identifiers
from contact_sync.contacts.phones import read_phone
from contact_sync.contacts.schemas import records
from contact_sync.contacts.window import Window
from contact_sync.state import links, lives
from contact_sync.steps.context import SyncContext

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What an operator asks for, as it can be meant.

    Attributes:
        crm_id: The text as the id of a record.
        contact: The text as the id of a Genesys contact.
        email: The e-mail address that it is, if it is one.
        number: The E.164 number that it is, if it is one.
    """

    crm_id: str
    contact: str
    email: str | None = field(default=None, repr=False)
    number: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A version of a record in a window: what it was, what was decided, and how it ended.

    Attributes:
        window: The window that read it.
        read: Its row of `normalized_contacts`.
        plan: Its row of `dedup_matches`; empty if the window was not planned.
        outcome: Its row of `genesys_upserts`; empty if the window was not delivered.
    """

    window: Window
    read: Row = field(repr=False)
    plan: Row = field(repr=False)
    outcome: Row = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecordLife:
    """What is known of one CRM record.

    Attributes:
        record: The source and the CRM id.
        link: What was last delivered of it; None if nothing ever was.
        sightings: Its versions by window, oldest first.
        writes: Rows of the audit, oldest first.
        queued: Its row of the retry queue.
        unanswered: Whether a request that carried it has no answer yet.
    """

    record: RecordId
    link: Link | None
    sightings: Sequence[Sighting]
    writes: Sequence[Row] = field(repr=False)
    queued: Row | None = field(repr=False)
    unanswered: bool


@dataclass(frozen=True, slots=True)
class ContactLife:
    """What is known of one Genesys contact.

    Attributes:
        contact: Its id.
        members: The records that it is.
        seen_at: When it was last seen in Genesys; None if it is not there any more.
        shared: The rules under which an identifier of it is shared by too many to link anybody.
    """

    contact: str
    members: Sequence[RecordId]
    seen_at: datetime | None
    shared: Sequence[str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is known of what was asked for."""

    records: Sequence[RecordLife]
    contacts: Sequence[ContactLife]


def explain(context: SyncContext, text: str, windows: Sequence[Window]) -> Explanation:
    """Tell the life of a record, or of all records behind an e-mail, a number or a Genesys contact.

    Args:
        context: The sync.
        text: A CRM id, a Genesys id, an e-mail address, or a number as it is dialled.
        windows: The committed windows to look through, oldest first.

    Raises:
        StateError: The state database or a frame cannot be read.
    """
    asked = understand(text, context.settings.registry.default_region)
    with context.store.reading() as connection:
        found = _records(connection, context.source.name, asked)
        contacts = _contacts(connection, asked)
        found |= lives.records_of(connection, contacts)
    seen = _sightings(
        context, windows, asked, {crm_id for source, crm_id in found if source == context.source.name}
    )
    found |= {(context.source.name, crm_id) for crm_id in seen}
    with context.store.reading() as connection:
        told = [_record_life(connection, record, seen.get(record[1], ())) for record in sorted(found)]
        contacts |= {life.link.contact for life in told if life.link and life.link.contact}
        threshold = context.settings.identity.shared_threshold
        return Explanation(told, [_contact_life(connection, one, threshold) for one in sorted(contacts)])


def understand(text: str, default_region: str | None = None) -> Asked:
    """Return what a text can mean: `+1 800 555 0199`, `18005550199` and `0018005550199` are one number."""
    text = text.strip()
    email = text.lower() if "@" in text else None
    number = None if email else _number(text, default_region)
    return Asked(crm_id=text, contact=text.lower(), email=email, number=number)


def _number(text: str, default_region: str | None) -> str | None:
    """Read a number as it is written, else as if its plus, or the dialled zeros for it, were left out."""
    digits = "".join(one for one in text if one.isdigit())
    regions = (default_region,) if default_region else ()
    for attempt in (text, f"+{digits.removeprefix('00')}"):
        if number := read_phone(attempt, regions).e164:
            return number
    return None


def _records(connection: Connection, source: str, asked: Asked) -> set[RecordId]:
    record = (source, asked.crm_id)
    return {record} if lives.is_known(connection, record) else set()


def _contacts(connection: Connection, asked: Asked) -> set[str]:
    contacts = {asked.contact} if lives.seen(connection, asked.contact) else set()
    if asked.email:
        contacts |= lives.contacts_known_by(connection, "email", asked.email)
    if asked.number:
        contacts |= lives.contacts_known_by(connection, "phone", asked.number)
    return contacts


def _sightings(
    context: SyncContext, windows: Sequence[Window], asked: Asked, crm_ids: set[str]
) -> Mapping[str, Sequence[Sighting]]:
    """Return the versions in the windows of these records, and of others that carry what was asked for."""
    wanted: dict[str, tuple[str, ...]] = {"crm_id": (asked.crm_id, *crm_ids)}
    wanted |= dict.fromkeys(EMAILS, (asked.email,)) if asked.email else {}
    wanted |= dict.fromkeys(PHONES, (asked.number,)) if asked.number else {}
    seen: dict[str, list[Sighting]] = {}
    for window in windows:
        for sighting in _in_window(context, window, wanted):
            seen.setdefault(sighting.read["crm_id"], []).append(sighting)
    return seen


def _in_window(context: SyncContext, window: Window, wanted: Mapping[str, Sequence[str]]) -> Sequence[Sighting]:
    read = _found(context, "normalized_contacts", window, wanted)
    if not len(read):
        return ()
    these = {"crm_id": read["crm_id"].tolist()}
    plan, outcomes = (
        _by_version(_found(context, name, window, these)) for name in ("dedup_matches", "genesys_upserts")
    )
    return [
        Sighting(window, row, plan.get(_version(row), {}), outcomes.get(_version(row), {}))
        for row in records(read)
    ]


def _found(context: SyncContext, asset: str, window: Window, wanted: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return the rows that are wanted; none where the frame was removed to save space."""
    if not context.frames.has(asset, window):
        return pd.DataFrame()
    return context.frames.find(asset, window, wanted)


def _by_version(frame: pd.DataFrame) -> Mapping[tuple[str, str], Row]:
    return {_version(row): row for row in records(frame)}


def _version(row: Row) -> tuple[str, str]:
    return (row["crm_id"], row["version"])


def _record_life(connection: Connection, record: RecordId, sightings: Sequence[Sighting]) -> RecordLife:
    return RecordLife(
        record,
        link=next(iter(links.of_records(connection, [record])), None),
        sightings=sightings,
        writes=lives.writes(connection, record),
        queued=lives.queued(connection, record),
        unanswered=lives.unanswered(connection, record),
    )


def _contact_life(connection: Connection, contact: str, shared_threshold: int) -> ContactLife:
    members = list(links.members_of(connection, [contact]))
    seen = lives.seen(connection, contact)
    known_by = {pair for link in members for pair in identifiers(link.account, link.fields)}
    shared = {rule for rule, value in known_by if lives.carriers(connection, rule, value) >= shared_threshold}
    return ContactLife(
        contact, [link.record for link in members], seen["seen_at"] if seen else None, sorted(shared)
    )
