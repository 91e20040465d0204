"""The mirror: every contact of Genesys as last seen, by a scan or by a write of our own.

What belongs here: set-based reads and writes of the mirror on one open transaction. A write of ours wins over a
page that was asked for before it was stored. Links belong to `links`, transactions to `store`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, func, select, update

from contact_sync.contacts.identity import Link, identifiers, newest_first
from contact_sync.contacts.requests import combine, external_ids
from contact_sync.contacts.seen import KEY, RECORD, Seen, mark
from contact_sync.state import links
from contact_sync.state.bulk import chunks, upsert
from contact_sync.state.tables import (
    CONTACT_LINK,
    EXTERNAL_ORGANIZATION,
    GENESYS_MIRROR,
    MIRROR_IDENTIFIER,
    MIRROR_SCAN,
)

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

Links = Mapping[str, Sequence[Link]]
"""The links of contacts, newest first."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan under way.

    Attributes:
        started_at: When its first page was asked for.
        cursor: Where it goes on; None for the first page.
        cursor_at: When Genesys gave that cursor.
        pages: Pages so far.
        contacts: Contacts on them.
        merged: Contacts that were found merged into others.
    """

    started_at: datetime
    cursor: str | None = None
    cursor_at: datetime | None = None
    pages: int = 0
    contacts: int = 0
    merged: int = 0


def seen(connection: Connection, contacts: Collection[str]) -> Iterator[Seen]:
    """Yield what the mirror holds of contacts."""
    for chunk in chunks(sorted(contacts)):
        rows = connection.execute(select(GENESYS_MIRROR).where(GENESYS_MIRROR.c.contact.in_(chunk))).all()
        accounts = _accounts(connection, [row.organization for row in rows])
        for row in rows:
            ids = tuple((source, value) for source, value in row.external_ids)
            account = accounts.get(row.organization)
            yield Seen(row.contact, row.fields, ids, row.organization, row.adopted, account)


def unlinked(connection: Connection) -> Iterator[Seen]:
    """Yield the contacts that no record is linked to."""
    is_linked = select(CONTACT_LINK.c.contact).where(CONTACT_LINK.c.contact == GENESYS_MIRROR.c.contact).exists()
    contacts = connection.execute(select(GENESYS_MIRROR.c.contact).where(~is_linked)).scalars().all()
    yield from seen(connection, contacts)


def linked(connection: Connection, contacts: Collection[str]) -> Links:
    """Return the links of contacts."""
    found: dict[str, list[Link]] = defaultdict(list)
    for link in newest_first(links.members_of(connection, contacts)):
        found[str(link.contact)].append(link)
    return found


def joined(links: Links, old: str, new: str) -> Links:
    """Return the links of contacts once `old` has become `new`."""
    return {**links, new: newest_first([*links.get(new, ()), *links.get(old, ())])}


def write(
    connection: Connection, contacts: Collection[str], at: datetime, before: Links, adopted: Collection[str] = ()
) -> None:
    """Bring the mirror of contacts up to date with their links; one that we made and that has none is gone.

    Args:
        connection: An open transaction.
        contacts: The Genesys contacts that a write touched.
        at: When that was.
        before: The links that they had before the write: what these said and the new ones do not has been cleared.
        adopted: Contacts that were there before us.
    """
    known, after = {one.contact: one for one in seen(connection, contacts)}, linked(connection, contacts)
    left = {one for one in contacts if one in known and known[one].adopted and one not in after}
    _forget(connection, set(contacts) - after.keys() - left)
    now = []
    for contact in sorted(after.keys() | left):
        old, were, are = known.get(contact, Seen(contact)), before.get(contact, ()), after.get(contact, ())
        said = combine(were) if are else {}  # what is left keeps what we wrote
        now.append(
            Seen(
                contact,
                {name: value for name, value in old.fields.items() if name not in said} | combine(are),
                tuple(dict.fromkeys([*external_ids(are), *old.without(external_ids(were))])),
                old.organization,
                contact not in left and (old.adopted or contact in adopted),
            )
        )
    _put(connection, now, at, after)


def write_page(connection: Connection, page: Sequence[Seen], at: datetime) -> None:
    """Store contacts as a page of the scan tells them.

    Args:
        connection: An open transaction.
        page: The contacts.
        at: When the page was asked for; what was written later stays.
    """
    known: dict[str, tuple[datetime, bool]] = {}
    table = GENESYS_MIRROR.c
    for chunk in chunks([one.contact for one in page]):
        query = select(table.contact, table.seen_at, table.adopted).where(table.contact.in_(chunk))
        known |= {row.contact: (row.seen_at, row.adopted) for row in connection.execute(query)}
    now = [
        Seen(one.contact, one.fields, one.external_ids, one.organization, known.get(one.contact, (at, False))[1])
        for one in page
        if one.contact not in known or known[one.contact][0] <= at
    ]
    _put(connection, now, at, linked(connection, [one.contact for one in now]))


def rename(connection: Connection, old: str, new: str) -> bool:
    """Point links and mirror of a contact at the one that Genesys put in its place; tell whether it was known."""
    moved = links.rename(connection, old, new)
    known = {one.contact: one for one in seen(connection, [old, new])}
    if old in known and known[old].adopted and new not in known:
        # What was there before us stays so under its new id; its fields come with the next page or write.
        kept = {"contact": new, "seen_at": _LONG_AGO, "adopted": True}
        upsert(connection, GENESYS_MIRROR, [_columns(known[old]) | kept])
    elif old in known and known[old].adopted:
        connection.execute(update(GENESYS_MIRROR).where(GENESYS_MIRROR.c.contact == new).values(adopted=True))
    _forget(connection, [old])
    return bool(moved) or old in known


def forget(connection: Connection, contacts: Collection[str]) -> None:
    """Forget contacts that turned out to be gone, unless records are linked to them."""
    _forget(connection, set(contacts) - linked(connection, contacts).keys())


def finish(connection: Connection, scan: Scan) -> tuple[int, int]:
    """Drop what a complete scan has not seen, and end it.

    Returns:
        How many contacts were dropped, and how many more are missing in Genesys though records are linked to them:
        those stay, and their records' next change makes them again.
    """
    unseen = GENESYS_MIRROR.c.seen_at < scan.started_at
    is_linked = select(CONTACT_LINK.c.contact).where(CONTACT_LINK.c.contact == GENESYS_MIRROR.c.contact).exists()
    query = select(func.count()).select_from(GENESYS_MIRROR).where(unseen, is_linked)
    missing = int(connection.execute(query).scalar_one())
    gone = select(GENESYS_MIRROR.c.contact).where(unseen, ~is_linked)
    connection.execute(delete(MIRROR_IDENTIFIER).where(MIRROR_IDENTIFIER.c.contact.in_(gone)))
    dropped = connection.execute(delete(GENESYS_MIRROR).where(unseen, ~is_linked)).rowcount
    connection.execute(delete(MIRROR_SCAN))
    return dropped, missing


def scan_under_way(connection: Connection) -> Scan | None:
    """Return the scan that was begun and not finished."""
    row = connection.execute(select(MIRROR_SCAN)).one_or_none()
    return Scan(row.started_at, row.cursor, row.cursor_at, row.pages, row.contacts, row.merged) if row else None


def save_scan(connection: Connection, scan: Scan) -> None:
    """Remember how far the scan is."""
    columns = {name: getattr(scan, name) for name in scan.__slots__}
    upsert(connection, MIRROR_SCAN, [{"name": "contacts"} | columns])


def size(connection: Connection) -> int:
    """Return how many contacts the mirror holds."""
    return int(connection.execute(select(func.count()).select_from(GENESYS_MIRROR)).scalar_one())


def shared(connection: Connection, threshold: int) -> dict[str, int]:
    """Return how many identifiers at least `threshold` contacts share, by rule."""
    table = MIRROR_IDENTIFIER.c
    crowded = (
        select(table.rule)
        .where(table.rule.not_in([RECORD, KEY]))
        .group_by(table.value, table.rule)
        .having(func.count() >= threshold)
        .subquery()
    )
    query = select(crowded.c.rule, func.count()).group_by(crowded.c.rule).order_by(crowded.c.rule)
    return {rule: count for rule, count in connection.execute(query)}  # noqa: C416 (rows are no pairs to mypy)


def _put(connection: Connection, contacts: Sequence[Seen], at: datetime, links: Links) -> None:
    for chunk in chunks([one.contact for one in contacts]):
        connection.execute(delete(MIRROR_IDENTIFIER).where(MIRROR_IDENTIFIER.c.contact.in_(chunk)))
    upsert(connection, GENESYS_MIRROR, [_columns(one) | {"seen_at": at} for one in contacts])
    accounts = _accounts(connection, [one.organization for one in contacts])
    rows = [
        {"contact": one.contact, "rule": rule, "value": value}
        for one in contacts
        for rule, value in sorted(_recognised(one, links.get(one.contact, ()), accounts.get(one.organization)))
    ]
    upsert(connection, MIRROR_IDENTIFIER, rows)


def _accounts(connection: Connection, organizations: Collection[str | None]) -> Mapping[str | None, str]:
    """Return which accounts of a CRM organisations are, by the organisation's Genesys id."""
    table = EXTERNAL_ORGANIZATION.c
    found: dict[str | None, str] = {}
    for chunk in chunks(sorted({one for one in organizations if one})):
        query = select(table.organization, table.account).where(table.organization.in_(chunk))
        found |= {row.organization: row.account for row in connection.execute(query)}
    return found


def _columns(one: Seen) -> dict[str, object]:
    return {
        "contact": one.contact,
        "fields": dict(one.fields),
        "external_ids": [list(pair) for pair in one.external_ids],
        "organization": one.organization,
        "adopted": one.adopted,
    }


def _recognised(contact: Seen, links: Iterable[Link], account: str | None) -> set[tuple[str, str]]:
    """Return what a contact is recognised by: what it carries, and what its records say."""
    found = {*identifiers(account, contact.fields), *map(mark, contact.ours)}
    return found.union(*(identifiers(link.account, link.fields) for link in links))


def _forget(connection: Connection, contacts: Collection[str]) -> None:
    for chunk in chunks(sorted(contacts)):
        for table in (GENESYS_MIRROR, MIRROR_IDENTIFIER):
            connection.execute(delete(table).where(table.c.contact.in_(chunk)))
