"""Who is who: the rules that tell which Genesys contact a CRM record belongs to.

The directory holds what is known of the records and contacts that a window can touch; it is filled by the state
store and kept current by the planner, so that a person who appears twice in one window, or in two windows of one
run, is still one person. No request is sent to find out.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from contact_sync.contacts.fields import EMAILS, MAX_EXTERNAL_ID_LENGTH, PHONES, Contact

NEW = "new:"
"""Marks a contact that Genesys does not have yet: `new:` and the CRM id that creates it."""

RecordId = tuple[str, str]
"""A CRM record: the source's name and the record's id there."""


@dataclass(frozen=True, slots=True)
class Link:
    """A CRM record and the contact that it became, as last delivered.

    Attributes:
        record: The source's name and the record's id.
        contact: The Genesys contact's id, or `new:` and the CRM id that creates it; None for a tombstone.
        business_key: Fixed when first assigned.
        version: The version delivered.
        modified_at: When the CRM recorded that version.
        read_at: When it was read; orders versions of one timestamp.
        account: The CRM id of the account.
        fields: The record's canonical fields: the last agreed values.
    """

    record: RecordId
    contact: str | None
    business_key: str | None = field(repr=False)  # it holds a phone number
    version: str
    modified_at: datetime
    read_at: datetime
    account: str | None = None
    fields: Contact = field(default_factory=dict, repr=False)

    @property
    def age(self) -> tuple[datetime, datetime]:
        """What orders the versions of a record."""
        return (self.modified_at, self.read_at)


@dataclass(frozen=True, slots=True)
class Match:
    """What the rules say of a record: the contact, or the candidates between which nobody should guess."""

    contact: str | None = None
    rule: str | None = None
    candidates: tuple[str, ...] = ()


def newest_first(links: Iterable[Link]) -> list[Link]:
    """Return links in the order in which their values win; not by `read_at`, so that a resync ends the same."""
    return sorted(links, key=lambda link: (link.modified_at, link.record), reverse=True)


def business_key(account: str | None, fields: Contact) -> str | None:
    """Return `account|E.164|hash`, or None where it would not tell one person from another.

    The hash is of the names and the first e-mail, so that two people behind one number have two keys. Nobody has
    one without a name (a switchboard, `info@`), nor a last name alone at an account.
    """
    named = [name for name in ("firstName", "lastName") if name in fields]
    phone = next((fields[name] for name in PHONES if name in fields), "")
    email = next((fields[name] for name in EMAILS if name in fields), "")
    if not named or not (phone or email or (account and len(named) == 2)):
        return None
    person = "\x1f".join((fields.get("firstName", ""), fields.get("lastName", ""), email)).casefold()
    key = f"{account or ''}|{phone}|{_digest(person)[:16]}"
    return key if len(key) <= MAX_EXTERNAL_ID_LENGTH else _digest(key)


def identifiers(account: str | None, fields: Contact) -> Iterator[tuple[str, str]]:
    """Yield the (rule, value) pairs by which a record can be recognised, strongest rule first."""
    for name in EMAILS:
        if name in fields:
            yield ("email", fields[name])
    for name in PHONES:
        if name in fields:
            yield ("phone", fields[name])
    if account and "firstName" in fields and "lastName" in fields:
        full_name = "\x1f".join((fields["firstName"], fields["lastName"], account)).casefold()
        yield ("name", _digest(full_name))


class Directory:
    """The links and contacts that a plan can see, indexed by what recognises them."""

    def __init__(self, *, shared_threshold: int, barred: Collection[tuple[str, str]] = frozenset()) -> None:
        """Start empty.

        Args:
            shared_threshold: From this many contacts on, an identifier is shared (a switchboard, `info@`) and
                links nobody.
            barred: Identifiers, by rule and value, that are known to be shared.
        """
        self.shared_threshold = shared_threshold
        self._links: dict[RecordId, Link] = {}
        self._members: dict[str, set[RecordId]] = defaultdict(set)
        self._known_by: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        self._known_shared = barred
        self._barred: set[tuple[str, str]] = set()
        self._sent: dict[RecordId, Link] = {}
        self._unanswered: dict[str, list[Link]] = defaultdict(list)

    def link(self, record: RecordId) -> Link | None:
        """Return the record's link; a tombstone has no contact."""
        return self._links.get(record)

    def members(self, contact: str) -> list[Link]:
        """Return the links of the records that are this contact, newest first."""
        return newest_first(self._links[record] for record in self._members.get(contact, ()))

    def contact_of(self, record: RecordId) -> str | None:
        """Return the contact that a record is, or may have become by a request without an answer."""
        known = [link.contact for link in (self.link(record), self.sent(record)) if link]
        return next((contact for contact in known if contact), None)

    def carriers(self, rule: str, value: str) -> Collection[str]:
        """Return the contacts that carry an identifier."""
        return self._known_by.get((rule, value), {})

    def bar(self, rule: str, value: str) -> None:
        """Let an identifier link nobody: it is known to be shared."""
        self._barred.add((rule, value))

    def learn(self, link: Link) -> None:
        """Add what is stored of a record, unless a plan of this run has already moved on from there."""
        if link.record not in self._links:
            self.put(link)

    def learn_unanswered(self, link: Link) -> None:
        """Add a record as a request carried it whose answer is not known: perhaps its contact has become that."""
        contact = str(link.contact)
        self._unanswered[contact].append(link)
        self._sent[link.record] = link
        self._index(link, contact, +1)

    def unanswered(self, contact: str) -> list[Link]:
        """Return what requests for a contact carried whose answers are not known."""
        return self._unanswered.get(contact, [])

    def sent(self, record: RecordId) -> Link | None:
        """Return a record as a request carried it whose answer is not known."""
        return self._sent.get(record)

    def put(self, link: Link) -> None:
        """Add or replace the link of a record."""
        if old := self._links.get(link.record):
            self._count(old, -1)
        self._links[link.record] = link
        self._count(link, +1)

    def find(self, link: Link) -> Match:
        """Say which contact the record is, by the first rule that finds exactly one.

        What was sent without an answer counts, for its own record and, by its identifiers, for others.
        E-mail and phone find only contacts whose name agrees, and a phone only where both have a last name: one
        mailbox or number may serve a family.
        """
        if sent := self.sent(link.record):
            return Match(contact=sent.contact, rule="unanswered")
        by_rule: dict[str, set[str]] = defaultdict(set)
        if link.business_key:
            by_rule["business key"].update(self._known_by.get(("key", link.business_key), ()))
        for rule, value in identifiers(link.account, link.fields):
            known = self._known_by.get((rule, value), {})
            if len(known) < self.shared_threshold and not self._is_barred((rule, value)):
                by_rule[rule].update(contact for contact in known if self._may_be(rule, link.fields, contact))
        for rule, found in by_rule.items():
            if len(found) == 1:
                return Match(contact=found.pop(), rule=rule)
            if found:
                return Match(rule=rule, candidates=tuple(sorted(found)))
        return Match()

    def _is_barred(self, identifier: tuple[str, str]) -> bool:
        return identifier in self._barred or identifier in self._known_shared

    def _may_be(self, rule: str, fields: Contact, contact: str) -> bool:
        members = [member.fields for member in (*self.members(contact), *self.unanswered(contact))]
        if rule == "phone" and not all("lastName" in known for known in (fields, *members)):
            return False
        return all(names_agree(fields, member) for member in members)

    def _count(self, link: Link, step: int) -> None:
        if link.contact is None:
            return
        members = self._members[link.contact]
        if step > 0:
            members.add(link.record)
        else:
            members.discard(link.record)
        self._index(link, link.contact, step)

    def _index(self, link: Link, contact: str, step: int) -> None:
        keys = {*identifiers(link.account, link.fields)}
        if link.business_key:
            keys.add(("key", link.business_key))
        for key in keys:
            known = self._known_by[key]
            known[contact] = known.get(contact, 0) + step
            if not known[contact]:
                del known[contact]


def names_agree(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Tell whether two records may name one person: no part of the name differs where both have it."""
    for name in ("firstName", "lastName"):
        left, right = one.get(name, "").casefold(), other.get(name, "").casefold()
        if left and right and left != right:
            return False
    return True


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
