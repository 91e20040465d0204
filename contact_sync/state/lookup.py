"""Looking up whom records may be: all that a plan has to know, and no more.

What belongs here: which links and contacts a set of records can touch, by index, on one open transaction. Deciding
who is who belongs to `contacts.identity`, thin columns of very many contacts to `stock`.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, func, select

from contact_sync.contacts.fields import Contact
from contact_sync.contacts.identity import Directory, Link, RecordId, identifiers
from contact_sync.contacts.seen import KEY, mark
from contact_sync.state import links as linked
from contact_sync.state import mirror
from contact_sync.state.bulk import among
from contact_sync.state.tables import CONTACT_LINK, MIRROR_IDENTIFIER


def fill(connection: Connection, directory: Directory, links: Sequence[Link]) -> None:
    """Tell `directory` all that is known of the records of `links` and of every contact that they may be."""
    known = linked.of_records(connection, [link.record for link in links])
    keys = {link.business_key for link in (*known, *links) if link.business_key}
    contacts = _contacts_by_key(connection, keys)
    contacts |= _contacts_by_external_id(connection, {link.record for link in links}, keys)
    contacts |= _contacts_by_identifier(connection, directory, links)
    contacts.update(link.contact for link in known if link.contact)
    _learn(connection, directory, [*known, *linked.members_of(connection, contacts)], found=contacts)


def load(
    connection: Connection, directory: Directory, records: Sequence[RecordId], contacts: Collection[str]
) -> None:
    """Tell `directory` all that is known of records and of contacts that have been found before."""
    members = list(linked.members_of(connection, contacts))
    there = {link.record for link in members}
    others = linked.of_records(connection, [record for record in records if record not in there])
    _learn(connection, directory, [*members, *others], found=set(contacts))


def alone(
    connection: Connection, source: str, found: Mapping[str, str | None]
) -> tuple[set[str], dict[str, Link]]:
    """Return which records stand alone in the state database too, and the links of those that are a contact.

    Args:
        connection: An open transaction.
        source: The source's name.
        found: For each record the one contact that it may be, None if there is none.

    Returns:
        The ids of the records of which neither they nor their contact wait for an answer, and that are the only
        record of that contact, or have never been one; and their links.
    """
    unanswered = linked.unanswered(connection)
    waiting = {link.record[1] for link in unanswered} | {link.contact for link in unanswered}
    members: dict[str, list[Link]] = defaultdict(list)
    for link in linked.members_of(connection, {contact for contact in found.values() if contact}):
        members[str(link.contact)].append(link)
    sole = {record: members[contact] for record, contact in found.items() if contact and contact not in waiting}
    links = {record: its[0] for record, its in sole.items() if [one.record for one in its] == [(source, record)]}
    strangers = [(source, record) for record, contact in found.items() if contact is None]
    known = {link.record[1] for link in linked.of_records(connection, strangers)}
    return (links.keys() | {record for _, record in strangers} - known) - waiting, links


def names(connection: Connection, contacts: Collection[str]) -> Mapping[str, Sequence[Contact]]:
    """Return what is known of contacts: what their records say, also those of unanswered requests, or as seen."""
    said: dict[str, list[Contact]] = defaultdict(list)
    for link in (*linked.members_of(connection, contacts), *linked.unanswered(connection)):
        if link.contact in contacts:
            said[str(link.contact)].append(link.fields)
    for contact in mirror.seen(connection, set(contacts) - said.keys()):
        said[contact.contact].append(contact.fields)
    return said


def _learn(connection: Connection, directory: Directory, known: Sequence[Link], *, found: set[str]) -> None:
    """Tell `directory` what is known, and all of the contacts in it; the records of those of `found` are in it."""
    unanswered = linked.unanswered(connection)
    sent = linked.of_records(connection, [link.record for link in unanswered])
    contacts = {link.contact for link in (*known, *sent, *unanswered) if link.contact}
    for link in (*known, *sent, *linked.members_of(connection, contacts - found)):
        directory.learn(link)
    for link in unanswered:
        directory.learn_unanswered(link)
    for contact in mirror.seen(connection, contacts | found):
        directory.learn_seen(contact)


def _contacts_by_key(connection: Connection, keys: Collection[str]) -> set[str]:
    table = CONTACT_LINK.c
    query = select(table.contact).where(among(connection, table.business_key, keys), table.contact.is_not(None))
    return set(connection.execute(query).scalars())


def _contacts_by_external_id(
    connection: Connection, records: Collection[RecordId], keys: Collection[str]
) -> set[str]:
    """Return the contacts that carry an external id of a record in Genesys, whether or not they are linked."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for rule, value in map(mark, {*records, *((KEY, key) for key in keys)}):
        wanted[rule].add(value)
    return set().union(*(_carriers(connection, rule, values) for rule, values in wanted.items()))


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
        shared = {value for value, count in counts.items() if count >= directory.rules.shared_threshold}
        for value in shared:
            directory.bar(rule, value)
        found |= _carriers(connection, rule, counts.keys() - shared)
    return found


def _carriers(connection: Connection, rule: str, values: Collection[str]) -> set[str]:
    table = MIRROR_IDENTIFIER.c
    query = select(table.contact).where(table.rule == rule, among(connection, table.value, values))
    return set(connection.execute(query).scalars())
