"""Who is who: the rules that tell which Genesys contact a CRM record belongs to.

The directory holds what is known of the records and contacts that a window can touch; it is filled by the state
store and kept current by the planner, so that a person who appears twice in one window, or in two windows of one
run, is still one person. No request is sent to find out.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from contact_sync.contacts.fields import EMAILS, MAX_EXTERNAL_ID_LENGTH, PHONES, Contact
from contact_sync.contacts.rules import IdentityRules, contradict, folded, may_be
from contact_sync.contacts.seen import KEY, Seen, mark

NEW = "new:"
"""Marks a contact that Genesys does not have yet: `new:` and the CRM id that creates it."""

NUMBER = re.compile(r"\+\d{5,15}(;ext=\d{1,15})?")
"""A phone that recognises somebody: E.164, with its extension."""

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
    phone, email = (next((fields[name] for name in names if name in fields), None) for names in (PHONES, EMAILS))
    return key_of(account, fields.get("firstName"), fields.get("lastName"), phone, email)


def key_of(
    account: str | None, first: str | None, last: str | None, phone: str | None, email: str | None
) -> str | None:
    """Return the business key of a record with these values, the first phone and the first e-mail among them."""
    if not (first or last) or not (phone or email or (account and first and last)):
        return None
    person = f"{first or ''}\x1f{last or ''}\x1f{email or ''}".casefold()
    key = f"{account or ''}|{phone or ''}|{_digest(person)[:16]}"
    return key if len(key) <= MAX_EXTERNAL_ID_LENGTH else _digest(key)


def identifiers(account: str | None, fields: Contact) -> Iterator[tuple[str, str]]:
    """Yield the (rule, value) pairs by which a record can be recognised."""
    for name in EMAILS:
        if name in fields:
            yield ("email", fields[name].lower())  # others' contacts keep the case in which they were typed
    for name in PHONES:
        if name in fields and NUMBER.fullmatch(fields[name]):
            yield ("phone", fields[name])
    first, last = folded(fields.get("firstName", "")), folded(fields.get("lastName", ""))
    if name_key := name_of(first, last, account):
        yield ("name", name_key)


def name_of(first: str | None, last: str | None, account: str | None) -> str | None:
    """Return what the name rule looks up: a hash of folded names and the account; None unless all are known."""
    return _digest(f"{first}\x1f{last}\x1f{account.casefold()}") if first and last and account else None


class Directory:
    """The links and contacts that a plan can see, indexed by what recognises them."""

    def __init__(
        self, rules: IdentityRules | None = None, barred: Collection[tuple[str, str]] = frozenset()
    ) -> None:
        """Start empty.

        Args:
            rules: What recognises people.
            barred: Identifiers, by rule and value, that are known to be shared.
        """
        self.rules = rules or IdentityRules()
        self._links: dict[RecordId, Link] = {}
        self._members: dict[str, set[RecordId]] = defaultdict(set)
        self._known_by: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        self._known_shared = barred
        self._barred: set[tuple[str, str]] = set()
        self._sent: dict[RecordId, list[Link]] = defaultdict(list)
        self._unanswered: dict[str, list[Link]] = defaultdict(list)
        self._seen: dict[str, Seen] = {}
        self._marks: dict[str, set[tuple[str, str]]] = {}
        self._once_linked: set[str] = set()

    def link(self, record: RecordId) -> Link | None:
        """Return the record's link; a tombstone has no contact."""
        return self._links.get(record)

    def members(self, contact: str) -> list[Link]:
        """Return the links of the records that are this contact, newest first."""
        return newest_first(self._links[record] for record in self._members.get(contact, ()))

    def company(self, contact: str) -> list[Link]:
        """Return the links of the records that are this contact, and what those say that may have become it."""
        members = self.members(contact)
        there = {link.record for link in members}
        perhaps = (link for link in self.unanswered(contact) if link.record not in there)
        return [*members, *filter(self._is_newest, perhaps)]

    def contact_of(self, record: RecordId) -> str | None:
        """Return a contact that a record is, or may be by a request without an answer; of several the first."""
        return min(self.places(record), default=None)

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
        elif link.contact:
            self._once_linked.add(link.contact)

    def learn_unanswered(self, link: Link) -> None:
        """Add a record as a request without an answer carried it, oldest first; without fields, to take it off."""
        contact = str(link.contact)
        self._unanswered[contact].append(link)
        self._sent[link.record].append(link)
        self._index(link, contact, +1)

    def learn_seen(self, contact: Seen) -> None:
        """Add a contact as it was last seen in Genesys, after its links.

        What it carries beyond its records' values recognises people too; a contact that records of this run have
        left does not, since by then it will be gone.
        """
        if contact.contact in self._seen:
            return
        self._seen[contact.contact] = contact
        members = self.members(contact.contact)
        if contact.contact in self._once_linked and not members:
            return
        said = {name for member in members for name in member.fields}
        others = {name: value for name, value in contact.fields.items() if name not in said}
        marks = {*identifiers(contact.account, others), *map(mark, contact.ours)}
        self._marks[contact.contact] = marks
        self._add(contact.contact, marks, +1)

    def seen(self, contact: str) -> Seen | None:
        """Return a contact as it was last seen in Genesys, if it was."""
        return self._seen.get(contact)

    def unanswered(self, contact: str) -> list[Link]:
        """Return what requests for a contact carried whose answers are not known."""
        return self._unanswered.get(contact, [])

    def sent(self, record: RecordId) -> Link | None:
        """Return a record as the newest request carried it that made it a contact, if its answer is not known."""
        return next((link for link in reversed(self._sent.get(record, ())) if link.fields), None)

    def places(self, record: RecordId) -> list[str]:
        """Return the contacts that a record is part of, or may be: that of its link, then as it was last sent."""
        links = [self.link(record), *reversed(self._sent.get(record, ()))]
        return list(dict.fromkeys(link.contact for link in links if link and link.contact))

    def _is_newest(self, sent: Link) -> bool:
        """Whether nothing newer is known of a record than what a request carried."""
        known = self.link(sent.record)
        return sent is self.sent(sent.record) and (known is None or known.age < sent.age)

    def put(self, link: Link) -> None:
        """Add or replace the link of a record."""
        if old := self._links.get(link.record):
            self._count(old, -1)
        self._links[link.record] = link
        self._count(link, +1)
        if old and old.contact and not self._members[old.contact]:
            self._add(old.contact, self._marks.pop(old.contact, set()), -1)  # it goes with its last record

    def find(self, link: Link, *, left: str | None = None) -> Match:
        """Say which contact the record is, by the first rule that finds exactly one.

        What was sent without an answer counts, for its own record and, by its identifiers, for others. So does
        what was seen in Genesys: a contact that carries the record's external id was its own before the link got
        lost.

        Args:
            link: The record.
            left: The contact that it cannot be any more.
        """
        if (sent := self.sent(link.record)) and sent.contact != left:
            return Match(contact=sent.contact, rule="unanswered")
        found: dict[str, set[str]] = {"external id": set(self._known_by.get(mark(link.record), ()))}
        # Who had the key may have become somebody else since.
        found["business key"] = {
            one
            for one in self._known_by.get((KEY, link.business_key or ""), ())
            if not any(contradict(link.fields, known) for known in self.fields_of(one))
        }
        found |= {rule: set() for rule in self.rules.rules}
        for rule, value in identifiers(link.account, link.fields):
            if rule in found and not self.is_shared(rule, value):
                known = self._known_by.get((rule, value), {})
                found[rule].update(one for one in known if may_be(rule, link.fields, self.fields_of(one)))
        for name, contacts in found.items():
            contacts.discard(str(left))
            if len(contacts) == 1:
                return Match(contact=contacts.pop(), rule=name)
            if contacts:
                return Match(rule=name, candidates=tuple(sorted(contacts)))
        return Match()

    def key_is_free(self, key: str, contact: str) -> bool:
        """Whether no other contact carries a business key: two that do could not be told apart in Genesys."""
        return not self._known_by.get((KEY, key), {}).keys() - {contact}

    def is_shared(self, rule: str, value: str) -> bool:
        """Whether an identifier is one of too many contacts to link anybody."""
        return (
            (rule, value) in self._barred
            or (rule, value) in self._known_shared
            or (len(self._known_by.get((rule, value), ())) >= self.rules.shared_threshold)
        )

    def fields_of(self, contact: str) -> list[Contact]:
        """Return what is known of a contact: what its records say, or as it was seen."""
        records = [member.fields for member in (*self.members(contact), *self.unanswered(contact))]
        return records or ([self._seen[contact].fields] if contact in self._seen else [])

    def _count(self, link: Link, step: int) -> None:
        if link.contact is None:
            return
        members = self._members[link.contact]
        self._once_linked.add(link.contact)
        if step > 0:
            members.add(link.record)
        else:
            members.discard(link.record)
        self._index(link, link.contact, step)

    def _index(self, link: Link, contact: str, step: int) -> None:
        keys = {*identifiers(link.account, link.fields)}
        if link.business_key:
            keys.add((KEY, link.business_key))
        self._add(contact, keys, step)

    def _add(self, contact: str, keys: Iterable[tuple[str, str]], step: int) -> None:
        for key in keys:
            known = self._known_by[key]
            known[contact] = known.get(contact, 0) + step
            if not known[contact]:
                del known[contact]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
