"""The plan of a window: for every row what to do and why, for every touched contact what to send.

Pure: it reads a normalized frame and a directory, changes only that directory (so that the next window of a run
sees what this one will have done), and returns the plan's rows. What is sent belongs to `requests`, sending it to
`steps.deliver`.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

from contact_sync.contacts.fields import CONTACT_FIELDS
from contact_sync.contacts.identity import NEW, Directory, Link, RecordId, business_key
from contact_sync.contacts.requests import Changes, ContactRequest, request_for
from contact_sync.contacts.schemas import DEDUP_MATCHES, frame_of, records

HIDDEN = "its change does not show in the contact: an account, or a value that loses to a newer record's"
"""Why a changed record needs no request; what changed still tells who it is."""

NEWEST = "its version is now the contact's newest: its values win"
"""Why a record that did not change needs a request..."""

UNANSWERED = "a request for its contact was sent before and its answer is not known: it is sent whole"
"""...or, more seldom."""

TOGETHER = "its values are as before but newer: that counts where its contact is sent"
"""Why a record that did not change is delivered, or fails, with the other records of its contact."""

DELETE_GUARD = "delete guard"
"""The rule by which a mass delete is held."""

DELETE_GRACE = "delete grace"
"""The rule by which a delete waits, in case the same person comes back under a new CRM id."""

_ENCODER = json.JSONEncoder(ensure_ascii=False)

Guard = Callable[[int], str | None]
"""Told how many contacts a plan would remove from Genesys; says why none of them may go, or None."""

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

    @property
    def version(self) -> tuple[RecordId, str] | None:
        return (self.link.record, self.link.version) if self.link else None


def _always(_deleted_at: datetime) -> bool:
    return True


def _unguarded(_removed: int) -> str | None:
    return None


def over(limit: int) -> Guard:
    """Return the guard that lets at most `limit` contacts go."""

    def guard(removed: int) -> str | None:
        why = (
            f"{removed} contacts would be removed, over the limit of {limit} (delivery.max_deletes, "
            "delivery.max_delete_share): look at them, then run again with --allow-deletes"
        )
        return why if removed > limit else None

    return guard


def make_plan(
    normalized: pd.DataFrame,
    directory: Directory,
    *,
    source: str,
    guard: Guard = _unguarded,
    earned: Callable[[datetime], bool] = _always,
) -> pd.DataFrame:
    """Plan a window.

    Args:
        normalized: A frame that keeps `schemas.NORMALIZED_CONTACTS`.
        directory: What is known of its records and of every contact that they may be; changed by the plan.
        source: The CRM source's name.
        guard: Asked once, before removals are planned. If it says why none may go, all deletes of contacts that
            nobody else keeps alive are held by the rule `DELETE_GUARD`.
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
    decisions = {i: planner.decide(rows[i]) for i in order[: len(order) - len(removals)]}
    planner.guard([rows[i] for i in removals], guard)
    decisions |= {i: planner.decide(rows[i]) for i in removals}
    planner.attach_requests([decisions[i] for i in order])
    return frame_of(DEDUP_MATCHES, (_plan_row(decisions[i]) for i in range(len(rows))))


class _Planner:
    """Decides row by row; remembers each touched contact as it was before the window."""

    def __init__(self, directory: Directory, source: str, earned: Callable[[datetime], bool]) -> None:
        self._directory = directory
        self._source = source
        self._earned = earned
        self._before: dict[str, list[Link]] = {}
        self._guarded: set[str] = set()
        self._why_guarded: str | None = None

    def guard(self, removals: Sequence[Mapping[str, Any]], guard: Guard) -> None:
        """Hold the deletes of contacts that nobody else keeps alive, if `guard` says so."""
        live = [row for row in removals if row["state"] == "ready" and not self._is_stale(row)]
        leaving = {(self._source, row["crm_id"]) for row in live}
        contacts = {link.contact for record in leaving if (link := self._directory.link(record)) and link.contact}
        gone = {one for one in contacts if all(link.record in leaving for link in self._directory.members(one))}
        self._why_guarded = guard(len(gone))
        if self._why_guarded:
            self._guarded = gone

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
        if live:
            same = (live.fields, live.account) == (fields, account)
            return self._put(_Decision(row, "unchanged" if same else "update", rule="link", link=link), link)
        match = self._directory.find(link)
        if match.candidates:
            reason = f"the {match.rule} rule finds {len(match.candidates)} contacts"
            return _Decision(row, "hold", rule=match.rule, candidates=match.candidates, reason=reason)
        own = f"{NEW}{row['crm_id']}"
        contact = match.contact or own
        link = self._link(row, contact, key, account=account, fields=fields)
        action = "create" if contact == own else "merge"
        return self._put(_Decision(row, action, rule=match.rule, link=link), link)

    def _decide_removal(self, row: Mapping[str, Any], old: Link | None) -> _Decision:
        record = (self._source, row["crm_id"])
        known = old if old and old.contact else self._directory.sent(record) or old
        contact = known.contact if known else None
        if contact in self._guarded:
            return _Decision(row, "hold", contact=contact, rule=DELETE_GUARD, reason=self._why_guarded)
        others = any(link.record != record for link in self._directory.members(contact or ""))
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
        self._before.setdefault(contact, self._directory.members(contact))

    def attach_requests(self, decisions: Sequence[_Decision]) -> None:
        """Give each touched contact's request to one of its rows; where none is needed, updates are unchanged."""
        touched: dict[str, list[_Decision]] = defaultdict(list)
        for decision in decisions:
            if decision.link is not None and decision.contact is not None:
                touched[decision.contact].append(decision)
        for contact, rows in touched.items():
            self._attach_request(contact, rows)

    def _attach_request(self, contact: str, decisions: Sequence[_Decision]) -> None:
        before, after = self._before[contact], self._directory.members(contact)
        request, changes = request_for(before, after, self._directory.unanswered(contact))
        if request:
            lead = next((one for one in decisions if one.action != "unchanged"), decisions[0])
            lead.request, lead.changes = request, changes
            if lead.action == "unchanged":
                lead.action, lead.reason = "update", NEWEST if changes else UNANSWERED
        delivered = {(link.record, link.version) for link in before}
        for decision in decisions:
            if request is None and decision.action == "update":
                decision.action, decision.reason = "unchanged", HIDDEN
            if request and decision.action == "unchanged" and decision.version not in delivered:
                decision.action, decision.reason = "update", TOGETHER
            if decision.action == "merge" and len(self._directory.members(contact)) == 1:
                decision.action, decision.reason = "update", "re-indexed: the same person under a new CRM id"


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
        "fields": _ENCODER.encode(dict(link.fields)) if link and link.contact else None,
        "request": decision.request.to_json() if decision.request else None,
        "changes": _ENCODER.encode(decision.changes) if decision.changes else None,
    }
