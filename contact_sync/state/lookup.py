"""Looking up whom records may be: all that a plan has to know, and no more.

What belongs here: which links and contacts a set of records can touch, on one open transaction. Deciding who is
who belongs to `contacts.identity`.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, func, select, tuple_

from contact_sync.contacts.identity import Directory, Link, identifiers
from contact_sync.contacts.seen import KEY, mark
from contact_sync.state import links as linked
from contact_sync.state import mirror
from contact_sync.state.bulk import chunks
from contact_sync.state.tables import CONTACT_LINK, MIRROR_IDENTIFIER


def fill(connection: Connection, directory: Directory, links: Sequence[Link]) -> None:
    """Tell `directory` all that is known of the records of `links` and of every contact that they may be."""
    unanswered = linked.unanswered(connection)
    known = linked.of_records(connection, [link.record for link in links])
    contacts = {link.contact for link in (*known, *unanswered) if link.contact}
    contacts |= _contacts_by_key(connection, {link.business_key for link in links if link.business_key})
    contacts |= _contacts_by_external_id(connection, links)
    contacts |= _contacts_by_identifier(connection, directory, links)
    for link in (*known, *linked.members_of(connection, contacts)):
        directory.learn(link)
    for link in unanswered:
        directory.learn_unanswered(link)
    for contact in mirror.seen(connection, contacts):
        directory.learn_seen(contact)


def _contacts_by_key(connection: Connection, keys: Collection[str]) -> set[str]:
    table = CONTACT_LINK.c
    found: set[str] = set()
    for chunk in chunks(sorted(keys)):
        query = select(table.contact).where(table.business_key.in_(chunk), table.contact.is_not(None))
        found.update(connection.execute(query).scalars())
    return found


def _contacts_by_identifier(connection: Connection, directory: Directory, links: Sequence[Link]) -> set[str]:
    """Return the contacts that share an identifier with a record; bar those that too many contacts share."""
    table = MIRROR_IDENTIFIER.c
    wanted = {(value, rule) for link in links for rule, value in identifiers(link.account, link.fields)}
    telling: list[tuple[str, str]] = []
    for chunk in chunks(sorted(wanted)):
        pair = tuple_(table.value, table.rule)
        counted = (
            select(table.value, table.rule, func.count()).where(pair.in_(chunk)).group_by(table.value, table.rule)
        )
        for value, rule, count in connection.execute(counted):
            if count >= directory.rules.shared_threshold:
                directory.bar(rule, value)
            else:
                telling.append((value, rule))
    found: set[str] = set()
    for chunk in chunks(telling):
        query = select(table.contact).where(tuple_(table.value, table.rule).in_(chunk))
        found.update(connection.execute(query).scalars())
    return found


def _contacts_by_external_id(connection: Connection, links: Sequence[Link]) -> set[str]:
    """Return the contacts that carry an external id of a record in Genesys, whether or not they are linked."""
    table = MIRROR_IDENTIFIER.c
    keys = {(KEY, link.business_key) for link in links if link.business_key}
    wanted = [(value, rule) for rule, value in map(mark, {link.record for link in links} | keys)]
    found: set[str] = set()
    for chunk in chunks(sorted(wanted)):
        query = select(table.contact).where(tuple_(table.value, table.rule).in_(chunk))
        found.update(connection.execute(query).scalars())
    return found
