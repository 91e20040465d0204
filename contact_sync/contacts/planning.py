"""The plan of a window: for every row what to do and why, for every touched contact what to send.

Pure: it reads a normalized frame and a directory, changes only that directory (so that the next window of a run
sees what this one will have done), and returns the plan's rows. What is sent belongs to `requests`, sending it to
`steps.deliver`.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pandas as pd

from contact_sync.contacts.fields import CONTACT_FIELDS, MAX_EXTERNAL_IDS
from contact_sync.contacts.identity import NEW, Directory, Link, RecordId, business_key
from contact_sync.contacts.requests import Changes, ContactRequest, Known, external_ids, request_for
from contact_sync.contacts.schemas import DEDUP_MATCHES, frame_of, records
from contact_sync.contacts.splitting import has_become_another

HIDDEN = "its change does not show in the contact: an account, or a value that loses to a newer record's"
"""Why a changed record needs no request; what changed still tells who it is."""

NEWEST = "its version is now the contact's newest: its values win"
"""Why a record that did not change needs a request..."""

UNANSWERED = "a request for its contact was sent before and its answer is not known: it is sent whole"
"""...or, more seldom."""

TOGETHER = "its values are as before but newer: that counts where its contact is sent"
"""Why a record that did not change is delivered, or fails, with the other records of its contact."""

RE_INDEXED = "re-indexed: the same person under a new CRM id"
"""Why a new record updates a contact..."""

ADOPTED = "adopted: the contact was in Genesys before its CRM record"
"""...or this..."""

FOUND_AGAIN = "found again by its external ids: the state database did not know it"
"""...or this."""

SPLIT = "split off: nothing but its past connects it with the records that it was one contact with"
"""Why a record leaves a contact."""

NO_ROOM = f"its contact carries {MAX_EXTERNAL_IDS} external ids already: this record's is not among them"
"""What is said of a record whose values count, and by whose CRM id its contact cannot be found in Genesys."""

CRM_MERGE = "CRM merge"
"""The rule by which two contacts become one, since their records did in the CRM."""

DELETE_GUARD = "delete guard"
"""The rule by which a mass delete is held."""

DELETE_GRACE = "delete grace"
"""The rule by which a delete waits, in case the same person comes back under a new CRM id."""

WAITING = "waits for its grace period (delivery.delete_grace_minutes): the person may come back"
"""Why."""


@dataclass(slots=True)
class _Decision:
    row: Mapping[str, Any] = field(repr=False)
    action: str
    contact: str | None = None
    rule: str | None = None
    candidates: tuple[str, ...] = ()
    reason: str | None = None
    link: Link | None = None
    request: ContactRequest | None = None
    changes: Changes = field(default=(), repr=False)
    left: str | None = None

    @property
    def version(self) -> tuple[RecordId, str] | None:
        return (self.link.record, self.link.version) if self.link else None


def _always(_deleted_at: datetime) -> bool:
    return True


def make_plan(
    normalized: pd.DataFrame,
    directory: Directory,
    *,
    source: str,
    max_removals: int | None = None,
    earned: Callable[[datetime], bool] = _always,
) -> pd.DataFrame:
    """Plan a window.

    Args:
        normalized: A frame that keeps `schemas.NORMALIZED_CONTACTS`.
        directory: What is known of its records and of every contact that they may be; changed by the plan.
        source: The CRM source's name.
        max_removals: If the window would remove more contacts than this from Genesys, none is removed: those
            deletes are held by the rule `DELETE_GUARD`. None: any number may go.
        earned: Whether a delete that the CRM recorded at an instant may take the contact out of Genesys now. One
            that may not is planned by the rule `DELETE_GRACE`, without a request, and not accepted.

    Returns:
        A frame with the columns of `schemas.DEDUP_MATCHES`, one row for each row of `normalized`, same order.
    """
    rows = list(records(normalized))
    planner = _Planner(directory, source, earned)
    # Upserts go first: a re-indexed record's new id must find the contact before its old id leaves it.
    order = sorted(range(len(rows)), key=lambda i: (rows[i]["kind"] != "upsert", rows[i]["modified_at"], i))
    removals = [i for i in order if rows[i]["kind"] != "upsert"]
    planner.note_merges([rows[i] for i in removals])
    decisions = {i: planner.decide(rows[i]) for i in order[: len(order) - len(removals)]}
    planner.guard([rows[i] for i in removals], max_removals)
    decisions |= {i: planner.decide(rows[i]) for i in removals}
    planner.attach_requests([decisions[i] for i in order])
    return frame_of(DEDUP_MATCHES, (_plan_row(decisions[i]) for i in range(len(rows))))


class _Planner:
    """Decides row by row; remembers each touched contact as it was before the window."""

    def __init__(self, directory: Directory, source: str, earned: Callable[[datetime], bool]) -> None:
        self._directory = directory
        self._source = source
        self._earned = earned
        self._known: dict[str, Known] = {}
        self._merges: dict[str, str] = {}
        self._deleted: set[str] = set()
        self._absorbed: dict[str, list[str]] = {}
        self._guarded: set[str] = set()
        self._why_guarded = ""

    def note_merges(self, removals: Sequence[Mapping[str, Any]]) -> None:
        """Remember which records of the window were merged into which in the CRM, and which were deleted."""
        self._merges = {row["crm_id"]: row["merged_into"] for row in removals if "merged_into" in row}
        self._deleted = {row["crm_id"] for row in removals if row["kind"] == "delete"}

    def guard(self, removals: Sequence[Mapping[str, Any]], limit: int | None) -> None:
        """Hold the deletes of contacts that nobody else keeps alive, if there are more of them than `limit`."""
        ready = [row for row in removals if row["state"] == "ready" and not self._is_stale(row)]
        live = [row for row in ready if not self._survivor(row)]
        leaving = {(self._source, row["crm_id"]) for row in live}
        contacts = {link.contact for record in leaving if (link := self._directory.link(record)) and link.contact}
        gone = {one for one in contacts if all(link.record in leaving for link in self._directory.members(one))}
        if limit is not None and len(gone) > limit:
            self._guarded = gone
            self._why_guarded = (
                f"{len(gone)} contacts would be removed, over the limit of {limit} (delivery.max_deletes, "
                "delivery.max_delete_share): look at them, then run again with --allow-deletes"
            )

    def decide(self, row: Mapping[str, Any]) -> _Decision:
        """Decide what to do with one row, and let the directory know."""
        if row["state"] == "superseded":
            return _Decision(row, "unchanged", reason=row["reason"])
        if row["state"] == "held":
            return _Decision(row, "hold", reason=row["reason"])
        old = self._directory.link((self._source, row["crm_id"]))
        if old and self._is_stale(row):
            return _Decision(row, "unchanged", contact=old.contact, reason="stale: a newer version was delivered")
        return self._decide_upsert(row, old) if row["kind"] == "upsert" else self._decide_removal(row, old)

    def _is_stale(self, row: Mapping[str, Any]) -> bool:
        old = self._directory.link((self._source, row["crm_id"]))
        return old is not None and old.age > (row["modified_at"], row["read_at"])

    def _decide_upsert(self, row: Mapping[str, Any], old: Link | None) -> _Decision:
        fields = {name: row[name] for name in CONTACT_FIELDS if name in row}
        account = row.get("account")
        live = old if old and old.contact else None
        first = old or self._directory.sent((self._source, row["crm_id"]))
        key = (first.business_key if first else None) or business_key(account, fields)
        link = self._link(row, live.contact if live else None, key, account=account, fields=fields)
        left = live.contact if live and self._leaves(live, link) else None
        if live and not left:
            same = (live.fields, live.account) == (fields, account)
            return self._put(_Decision(row, "unchanged" if same else "update", rule="link", link=link), link)
        if left:  # the old key names somebody else
            key = business_key(account, fields)
            link = replace(link, contact=None, business_key=key)
        match = self._directory.find(link, left=left)
        if match.candidates:
            reason = f"the {match.rule} rule finds {len(match.candidates)} contacts"
            return _Decision(row, "hold", rule=match.rule, candidates=match.candidates, reason=reason)
        own = f"{NEW}{row['crm_id']}"
        contact = match.contact or own
        link = replace(link, contact=contact)
        action = "create" if contact == own else "merge"
        decision = _Decision(row, action, rule=match.rule, link=link, left=left)
        if left:
            decision.reason = SPLIT
            self._remember(left)
        return self._put(decision, link)

    def _leaves(self, old: Link, link: Link) -> bool:
        """Whether a record leaves its contact, which is in Genesys already, to be somebody else from now on."""
        contact = str(old.contact)
        rest = [one for one in self._directory.members(contact) if one.record != old.record]
        return not contact.startswith(NEW) and has_become_another(link, old, rest, self._directory.is_shared)

    def _decide_removal(self, row: Mapping[str, Any], old: Link | None) -> _Decision:
        record = (self._source, row["crm_id"])
        known = old if old and old.contact else self._directory.sent(record) or old
        contact = known.contact if known else None
        if contact in self._guarded:
            return _Decision(row, "hold", contact=contact, rule=DELETE_GUARD, reason=self._why_guarded)
        others = any(link.record != record for link in self._directory.members(contact or ""))
        survivor = self._survivor(row)
        if contact and survivor and survivor.contact != contact and not others:
            return self._absorb(row, contact, survivor, known)
        if contact and not others and not self._earned(row["modified_at"]):
            return _Decision(row, "delete", contact=contact, rule=DELETE_GRACE, reason=WAITING)
        tombstone = self._link(row, None, known.business_key if known else None)
        reason = f"merged into {row['merged_into']} in the CRM" if row["kind"] == "merge" else None
        if contact is None:
            self._directory.put(tombstone)
            reason = "already deleted" if old else "deleted before it was ever delivered"
            return _Decision(row, "unchanged", link=tombstone, reason=reason)
        self._remember(contact)
        self._directory.put(tombstone)
        return _Decision(row, "delete", contact=contact, rule="link", link=tombstone, reason=reason)

    def _survivor(self, row: Mapping[str, Any]) -> Link | None:
        """Return the link of the record that a record was merged into, directly or over others of the window."""
        followed, into = set[str](), row.get("merged_into")
        while into and into not in followed:
            link = self._directory.link((self._source, into))
            if link and link.contact:
                return None if into in self._deleted else link
            followed.add(into)
            into = self._merges.get(into)
        return None

    def _absorb(self, row: Mapping[str, Any], contact: str, survivor: Link, known: Link | None) -> _Decision:
        """Let the survivor's contact take in the contact of a record that was merged away."""
        into = str(survivor.contact)
        tombstone = self._link(row, None, known.business_key if known else None)
        self._remember(contact)
        self._remember(into)
        self._directory.put(tombstone)
        self._absorbed[into] = [*self._absorbed.get(into, ()), contact, *self._absorbed.pop(contact, ())]
        reason = f"merged into {row['merged_into']} in the CRM"
        return _Decision(row, "merge", contact=into, rule=CRM_MERGE, link=tombstone, reason=reason)

    def _link(
        self,
        row: Mapping[str, Any],
        contact: str | None,
        key: str | None,
        *,
        account: str | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Link:
        return Link(
            record=(self._source, row["crm_id"]),
            contact=contact,
            business_key=key,
            version=row["version"],
            modified_at=row["modified_at"],
            read_at=row["read_at"],
            account=account,
            fields=fields or {},
        )

    def _put(self, decision: _Decision, link: Link) -> _Decision:
        decision.contact = link.contact
        self._remember(str(link.contact))
        self._directory.put(link)
        return decision

    def _remember(self, contact: str) -> None:
        known = self._directory
        self._known.setdefault(
            contact, Known(contact, known.members(contact), known.unanswered(contact), known.seen(contact))
        )

    def attach_requests(self, decisions: Sequence[_Decision]) -> None:
        """Give each touched contact's request to one of its rows; where none is needed, updates are unchanged."""
        touched: dict[str, list[_Decision]] = defaultdict(list)
        absorbed = {one: into for into, contacts in self._absorbed.items() for one in contacts}
        for decision in decisions:
            if decision.link is not None and decision.contact is not None:
                decision.contact = absorbed.get(decision.contact, decision.contact)
                touched[decision.contact].append(decision)
        left = dict.fromkeys(one.left for one in decisions if one.left and one.left not in touched)
        first = {contact: self._request(contact)[0] for contact in left if contact}
        for contact, rows in touched.items():
            self._attach_request(contact, rows, {one: sent for one, sent in first.items() if sent})

    def _request(self, contact: str) -> tuple[ContactRequest | None, Changes]:
        absorbed = [self._known[one] for one in self._absorbed.get(contact, ())]
        return request_for(self._known[contact], self._directory.members(contact), absorbed)

    def _attach_request(
        self, contact: str, decisions: Sequence[_Decision], first: Mapping[str, ContactRequest]
    ) -> None:
        request, changes = self._request(contact)
        if request:
            left = tuple(dict.fromkeys(one.left for one in decisions if one.left))
            needed = {one: first[one] for one in left if one in first}
            lead = next((one for one in decisions if one.action != "unchanged"), decisions[0])
            lead.request, lead.changes = replace(request, leaves=left, first=needed), changes
            if lead.action == "unchanged":
                lead.action, lead.reason = "update", NEWEST if changes else UNANSWERED
        self._explain(contact, decisions, sent=request is not None)

    def _explain(self, contact: str, decisions: Sequence[_Decision], *, sent: bool) -> None:
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

    def _explain_join(self, decision: _Decision, known: Known, *, sent: bool) -> None:
        if not sent:
            decision.action, decision.reason = "unchanged", FOUND_AGAIN
        elif len(self._directory.members(known.contact)) == 1:
            found_again = bool(known.seen and decision.link and decision.link.record in known.seen.external_ids)
            there = FOUND_AGAIN if found_again else ADOPTED if not known.before and known.seen else RE_INDEXED
            decision.action, decision.reason = "update", decision.reason or there


def _plan_row(decision: _Decision) -> dict[str, Any]:
    row, link = decision.row, decision.link
    return {
        **{name: row[name] for name in ("crm_id", "version", "modified_at", "read_at")},
        "kind": row["kind"],
        "action": decision.action,
        "accepted": link is not None,
        "contact": decision.contact,
        "rule": decision.rule,
        "candidates": json.dumps(decision.candidates) if decision.candidates else None,
        "reason": decision.reason,
        "account": link.account if link else None,
        "business_key": link.business_key if link else None,
        "fields": json.dumps(dict(link.fields), ensure_ascii=False) if link and link.contact else None,
        "request": decision.request.to_json() if decision.request else None,
        "changes": json.dumps(decision.changes, ensure_ascii=False) if decision.changes else None,
    }
