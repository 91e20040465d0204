"""The contacts that a plan touches: what each was before, and the request that makes it what its records now say.

What belongs here: giving each contact's request to one of its rows, and letting rows say what that means for them.
Which record is which contact is decided in `planning`, what is sent in `requests`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from contact_sync.contacts.decisions import (
    ADOPTED,
    CRM_MERGE,
    FOUND_AGAIN,
    HIDDEN,
    NEWEST,
    NO_ROOM,
    RE_INDEXED,
    TOGETHER,
    UNANSWERED,
    Decision,
)
from contact_sync.contacts.identity import Directory
from contact_sync.contacts.requests import Changes, ContactRequest, Known, external_ids, request_for


class TouchedContacts:
    """Remembers each touched contact as it was before the window, and which are merged into which."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._known: dict[str, Known] = {}
        self._absorbed: dict[str, list[str]] = {}

    def remember(self, contact: str) -> None:
        """Note what a contact is, unless that was done: its records are about to change."""
        known = self._directory
        self._known.setdefault(
            contact, Known(contact, known.members(contact), known.unanswered(contact), known.seen(contact))
        )

    def absorb(self, contact: str, into: str) -> None:
        """Let one contact take in another and those that this one has taken in."""
        self._absorbed[into] = [*self._absorbed.get(into, ()), contact, *self._absorbed.pop(contact, ())]

    def attach_requests(self, decisions: Sequence[Decision]) -> None:
        """Give each touched contact's request to one of its rows; where none is needed, updates are unchanged."""
        touched: dict[str, list[Decision]] = defaultdict(list)
        absorbed = {one: into for into, contacts in self._absorbed.items() for one in contacts}
        for decision in decisions:
            if decision.link is not None and decision.contact is not None:
                decision.contact = absorbed.get(decision.contact, decision.contact)
                touched[decision.contact].append(decision)
                decision.left = tuple(one for one in decision.left if one not in absorbed)
        left = {one for decision in decisions for one in decision.left} - touched.keys()
        requests = ((contact, self._request(contact)[0]) for contact in sorted(left))
        first = {contact: request for contact, request in requests if request}
        for contact, rows in touched.items():
            self._attach_request(contact, rows, first)

    def _request(self, contact: str, *, needed: bool = False) -> tuple[ContactRequest | None, Changes]:
        absorbed = [self._known[one] for one in self._absorbed.get(contact, ())]
        return request_for(self._known[contact], self._directory.members(contact), absorbed, needed=needed)

    def _attach_request(
        self, contact: str, decisions: Sequence[Decision], first: dict[str, ContactRequest]
    ) -> None:
        """Attach a contact's request, and with it those that go first and that no other has taken yet."""
        left = tuple(dict.fromkeys(one for decision in decisions for one in decision.left))
        needed = {one: first.pop(one) for one in left if one in first}
        request, changes = self._request(contact, needed=bool(needed))
        if request:
            lead = next((one for one in decisions if one.action != "unchanged"), decisions[0])
            lead.request, lead.changes = replace(request, leaves=left, first=needed), changes
            if lead.action == "unchanged":
                lead.action, lead.reason = "update", NEWEST if changes else UNANSWERED
        self._explain(contact, decisions, sent=request is not None)

    def _explain(self, contact: str, decisions: Sequence[Decision], *, sent: bool) -> None:
        """Let actions and reasons say what the contact's request, or that it has none, means for its rows."""
        known, members = self._known[contact], self._directory.members(contact)
        delivered = {(link.record, link.version) for link in known.before}
        named = external_ids(members)
        for decision in decisions:
            if not sent and decision.action == "update":
                decision.action, decision.reason = "unchanged", HIDDEN
            if sent and decision.action == "unchanged" and decision.version not in delivered:
                decision.action, decision.reason = "update", TOGETHER
            if decision.action == "merge" and decision.rule != CRM_MERGE:
                self._explain_join(decision, known, sent=sent)
            if decision.link and decision.link.contact and decision.link.record not in named:
                decision.reason = decision.reason or NO_ROOM

    def _explain_join(self, decision: Decision, known: Known, *, sent: bool) -> None:
        if not sent:
            decision.action, decision.reason = "unchanged", FOUND_AGAIN
        elif len(self._directory.members(known.contact)) == 1:
            found_again = bool(known.seen and decision.link and decision.link.record in known.seen.external_ids)
            there = FOUND_AGAIN if found_again else ADOPTED if not known.before and known.seen else RE_INDEXED
            decision.action, decision.reason = "update", decision.reason or there
