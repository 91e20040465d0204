"""Links and the mirror: which record is which contact, and what a contact can be recognised by.

What belongs here: set-based look-ups and writes on one open transaction. Transactions belong to `store`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, tuple_, update

from contact_sync.contacts.fields import Contact
from contact_sync.contacts.identity import Directory, Link, RecordId, identifiers, newest_first
from contact_sync.contacts.requests import combine
from contact_sync.state.bulk import among, chunks, upsert
from contact_sync.state.tables import CONTACT_LINK, GENESYS_MIRROR, IN_FLIGHT, MIRROR_IDENTIFIER


def fill(connection: Connection, directory: Directory, links: Sequence[Link]) -> None:
    """Tell `directory` all that is known of the records of `links` and of every contact that they may be."""
    known = of_records(connection, [link.record for link in links])
    keys = {link.business_key for link in (*known, *links) if link.business_key}
    contacts = _contacts_by_key(connection, keys) | _contacts_by_identifier(connection, directory, links)
    contacts.update(link.contact for link in known if link.contact)
    _learn(connection, directory, [*known, *_members(connection, contacts)], found=contacts)


def load(
    connection: Connection, directory: Directory, records: Sequence[RecordId], contacts: Collection[str]
) -> None:
    """Tell `directory` all that is known of records and of contacts that have been found before."""
    members = list(_members(connection, contacts))
    seen = {link.record for link in members}
    others = of_records(connection, [record for record in records if record not in seen])
    _learn(connection, directory, [*members, *others], found=set(contacts))


def _learn(connection: Connection, directory: Directory, known: Sequence[Link], *, found: set[str]) -> None:
    """Tell `directory` what is known, and all records of the contacts in it; those of `found` are in it."""
    unanswered = _unanswered(connection)
    contacts = {link.contact for link in (*known, *unanswered) if link.contact}
    for link in (*known, *_members(connection, contacts - found)):
        directory.learn(link)
    for link in unanswered:
        directory.learn_unanswered(link)


def of_records(connection: Connection, records: Sequence[RecordId]) -> list[Link]:
    """Return the links of the records that have one, tombstones too."""
    table = CONTACT_LINK.c
    ids: dict[str, list[str]] = defaultdict(list)
    for source, crm_id in records:
        ids[source].append(crm_id)
    links: list[Link] = []
    for source, its in ids.items():
        query = select(CONTACT_LINK).where(table.source == source, among(connection, table.crm_id, its))
        links += map(_link, connection.execute(query))
    return links


def names(connection: Connection, contacts: Collection[str]) -> Mapping[str, Sequence[Contact]]:
    """Return what the records of contacts say, by contact; also as requests carried it without an answer."""
    said: dict[str, list[Contact]] = defaultdict(list)
    for link in (*_members(connection, contacts), *_unanswered(connection)):
        if link.contact in contacts:
            said[str(link.contact)].append(link.fields)
    return said


def save(connection: Connection, links: Sequence[Link]) -> None:
    """Store the versions that are now delivered; an older version never replaces a newer one."""
    upsert(connection, CONTACT_LINK, [_columns(link) for link in links], newer_by=("modified_at", "read_at"))


def send(connection: Connection, links: Sequence[Link]) -> None:
    """Remember records as a request is about to carry them, until it is answered."""
    upsert(connection, IN_FLIGHT, [_columns(link) for link in links])


def answered(connection: Connection, contacts: Sequence[str], refused: Sequence[Link]) -> None:
    """Forget what was sent: all for `contacts`, which are as they should be; of `refused` only this, as a whole.

    A refusal tells nothing about what an earlier request has done.
    """
    table = IN_FLIGHT.c
    for chunk in chunks(contacts):
        connection.execute(delete(IN_FLIGHT).where(table.contact.in_(chunk)))
    keys = [(str(link.contact), *link.record, link.version) for link in refused]
    for some in chunks(keys):
        key = tuple_(table.contact, table.source, table.crm_id, table.version)
        connection.execute(delete(IN_FLIGHT).where(key.in_(some)))


def mirror(connection: Connection, contacts: Collection[str], at: datetime) -> None:
    """Bring the mirror of contacts up to date with their links; a contact without links is gone.

    Args:
        connection: An open transaction.
        contacts: The Genesys contacts that a write touched.
        at: When that was.
    """
    members: dict[str, list[Link]] = defaultdict(list)
    for link in newest_first(_members(connection, contacts)):
        members[str(link.contact)].append(link)
    for chunk in chunks(sorted(contacts)):
        connection.execute(delete(MIRROR_IDENTIFIER).where(MIRROR_IDENTIFIER.c.contact.in_(chunk)))
    for chunk in chunks(sorted(set(contacts) - members.keys())):
        connection.execute(delete(GENESYS_MIRROR).where(GENESYS_MIRROR.c.contact.in_(chunk)))
    rows = [{"contact": one, "seen_at": at, "fields": combine(members[one])} for one in sorted(members)]
    upsert(connection, GENESYS_MIRROR, rows)
    recognised = {
        (one, rule, value)
        for one, links in members.items()
        for link in links
        for rule, value in identifiers(link.account, link.fields)
    }
    known = [{"contact": one, "rule": rule, "value": value} for one, rule, value in sorted(recognised)]
    upsert(connection, MIRROR_IDENTIFIER, known)


def rename(connection: Connection, old: str, new: str) -> None:
    """Point the links of a contact at the contact that Genesys put in its place."""
    connection.execute(update(CONTACT_LINK).where(CONTACT_LINK.c.contact == old).values(contact=new))
    connection.execute(delete(GENESYS_MIRROR).where(GENESYS_MIRROR.c.contact == old))
    connection.execute(delete(MIRROR_IDENTIFIER).where(MIRROR_IDENTIFIER.c.contact == old))


def _contacts_by_key(connection: Connection, keys: Collection[str]) -> set[str]:
    table = CONTACT_LINK.c
    query = select(table.contact).where(among(connection, table.business_key, keys), table.contact.is_not(None))
    return set(connection.execute(query).scalars())


def _contacts_by_identifier(connection: Connection, directory: Directory, links: Sequence[Link]) -> set[str]:
    """Return the contacts that share an identifier with a record; bar those that too many contacts share."""
    table = MIRROR_IDENTIFIER.c
    wanted: dict[str, set[str]] = defaultdict(set)
    for link in links:
        for rule, value in identifiers(link.account, link.fields):
            wanted[rule].add(value)
    found: set[str] = set()
    for rule, values in wanted.items():
        ours = (table.rule == rule, among(connection, table.value, values))
        counted = select(table.value, func.count()).where(*ours).group_by(table.value)
        counts = dict(map(tuple, connection.execute(counted)))
        shared = {value for value, count in counts.items() if count >= directory.shared_threshold}
        for value in shared:
            directory.bar(rule, value)
        telling = among(connection, table.value, counts.keys() - shared)
        found.update(connection.execute(select(table.contact).where(table.rule == rule, telling)).scalars())
    return found


def _unanswered(connection: Connection) -> list[Link]:
    return list(map(_link, connection.execute(select(IN_FLIGHT).order_by(IN_FLIGHT.c.modified_at))))


def _members(connection: Connection, contacts: Collection[str]) -> Iterator[Link]:
    query = select(CONTACT_LINK).where(among(connection, CONTACT_LINK.c.contact, contacts))
    yield from map(_link, connection.execute(query))


def _link(row: Row[Any]) -> Link:
    return Link(
        record=(row.source, row.crm_id),
        contact=row.contact,
        business_key=row.business_key,
        version=row.version,
        modified_at=row.modified_at,
        read_at=row.read_at,
        account=row.account,
        fields=row.fields,
    )


def _columns(link: Link) -> dict[str, Any]:
    source, crm_id = link.record
    return {
        "source": source,
        "crm_id": crm_id,
        "contact": link.contact,
        "business_key": link.business_key,
        "version": link.version,
        "modified_at": link.modified_at,
        "read_at": link.read_at,
        "account": link.account,
        "fields": dict(link.fields),
    }
