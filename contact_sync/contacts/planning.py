"""The plan of a window: for every row what to do and why, for every touched contact what to send.

Pure: it reads a normalized frame and a directory, changes only that directory (so that the next window of a run
sees what this one will have done), and returns the plan's rows. What is sent belongs to `requests`, sending it to
`steps.deliver`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pandas as pd

from contact_sync.contacts.decisions import (
    CRM_MERGE,
    DELETE_GRACE,
    DELETE_GUARD,
    SPLIT,
    STALE,
    WAITING,
    Decision,
    plan_row,
)
from contact_sync.contacts.fields import fields_of
from contact_sync.contacts.identity import NEW, Directory, Link, business_key
from contact_sync.contacts.schemas import DEDUP_MATCHES, frame_of, records
from contact_sync.contacts.splitting import has_become_another
from contact_sync.contacts.touched import TouchedContacts

Guard = Callable[[int], str | None]
"""Told how many contacts a plan would remove from Genesys; says why none of them may go, or None."""


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
    kept: Collection[str] = (),
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
        kept: Fields that a record keeps as delivered when the CRM has emptied them.

    Returns:
        A frame with the columns of `schemas.DEDUP_MATCHES`, one row for each row of `normalized`, same order.
    """
    rows = list(records(normalized))
    planner = _Planner(directory, source, earned, kept)
    # Upserts go first: a re-indexed record's new id must find the contact before its old id leaves it.
    order = sorted(range(len(rows)), key=lambda i: (rows[i]["kind"] != "upsert", rows[i]["modified_at"], i))
    removals = [i for i in order if rows[i]["kind"] != "upsert"]
    planner.note_merges([rows[i] for i in removals])
    decisions = {i: planner.decide(rows[i]) for i in order[: len(order) - len(removals)]}
    planner.guard([rows[i] for i in removals], guard)
    decisions |= {i: planner.decide(rows[i]) for i in removals}
    planner.touched.attach_requests([decisions[i] for i in order])
    return frame_of(DEDUP_MATCHES, (plan_row(decisions[i]) for i in range(len(rows))))


class _Planner:
    """Decides row by row."""

    def __init__(
        self, directory: Directory, source: str, earned: Callable[[datetime], bool], kept: Collection[str]
    ) -> None:
        self.touched = TouchedContacts(directory)
        self._directory = directory
        self._kept = kept
        self._source = source
        self._earned = earned
        self._merges: dict[str, str] = {}
        self._deleted: set[str] = set()
        self._guarded: set[str] = set()
        self._why_guarded: str | None = None

    def note_merges(self, removals: Sequence[Mapping[str, Any]]) -> None:
        """Remember which records of the window were merged into which in the CRM, and which were deleted."""
        self._merges = {row["crm_id"]: row["merged_into"] for row in removals if "merged_into" in row}
        self._deleted = {row["crm_id"] for row in removals if row["kind"] == "delete"}

    def guard(self, removals: Sequence[Mapping[str, Any]], guard: Guard) -> None:
        """Hold the deletes of contacts that nobody else keeps alive, if `guard` says so."""
        ready = [row for row in removals if row["state"] == "ready" and not self._is_stale(row)]
        live = [row for row in ready if not self._survivor(row)]
        leaving = {(self._source, row["crm_id"]) for row in live}
        contacts = {link.contact for record in leaving if (link := self._directory.link(record)) and link.contact}
        gone = {one for one in contacts if all(link.record in leaving for link in self._directory.members(one))}
        self._why_guarded = guard(len(gone))
        if self._why_guarded:
            self._guarded = gone

    def decide(self, row: Mapping[str, Any]) -> Decision:
        """Decide what to do with one row, and let the directory know."""
        if row["state"] == "superseded":
            return Decision(row, "unchanged", reason=row["reason"])
        if row["state"] == "held":
            return Decision(row, "hold", reason=row["reason"])
        old = self._directory.link((self._source, row["crm_id"]))
        if old and self._is_stale(row):
            return Decision(row, "unchanged", contact=old.contact, reason=STALE)
        return self._decide_upsert(row, old) if row["kind"] == "upsert" else self._decide_removal(row, old)

    def _is_stale(self, row: Mapping[str, Any]) -> bool:
        old = self._directory.link((self._source, row["crm_id"]))
        return old is not None and old.age > (row["modified_at"], row["read_at"])

    def _decide_upsert(self, row: Mapping[str, Any], old: Link | None) -> Decision:
        fields = fields_of(row)
        account = row.get("account")
        live = old if old and old.contact else None
        if live:
            fields = {name: live.fields[name] for name in self._kept if name in live.fields} | fields
        same = live is not None and (live.fields, live.account) == (fields, account)
        sent = self._directory.sent((self._source, row["crm_id"]))
        first = old or sent
        key = first.business_key if first else None
        if not same:  # one that had to do without a key, since another contact had it, does until it changes
            key = key or business_key(account, fields)
        link = self._link(row, live.contact if live else None, key, account=account, fields=fields)
        left = self._left(live or sent, link)
        if live and not left:
            decision = Decision(row, "unchanged" if same else "update", rule="link")
            return self._settle(decision, str(live.contact), self._keyed(link))
        if left:  # the old key names somebody else
            key = business_key(account, fields)
            link = replace(link, contact=None, business_key=key)
        match = self._directory.find(link, left=left)
        if match.candidates:
            reason = f"the {match.rule} rule finds {len(match.candidates)} contacts"
            return Decision(row, "hold", rule=match.rule, candidates=match.candidates, reason=reason)
        own = f"{NEW}{row['crm_id']}"
        if own == left:  # which may be there, and others' from now on
            own = f"{NEW}{own}"
        contact = match.contact or own
        link = self._keyed(replace(link, contact=contact))
        action = "create" if contact == own else "merge"
        return self._settle(Decision(row, action, rule=match.rule, reason=SPLIT if left else None), contact, link)

    def _keyed(self, link: Link) -> Link:
        """Return the link without a business key that another contact carries."""
        key, contact = link.business_key, str(link.contact)
        return replace(link, business_key=None) if key and not self._directory.key_is_free(key, contact) else link

    def _left(self, old: Link | None, link: Link) -> str | None:
        """Return the contact that a record leaves to be somebody else, if that is or may be in Genesys."""
        if old is None or old.contact is None:
            return None
        rest = [one for one in self._directory.company(old.contact) if one.record != old.record]
        planned = old.contact.startswith(NEW) and not self._directory.unanswered(old.contact)
        leaves = not planned and has_become_another(link, old, rest, self._directory.is_shared)
        return old.contact if leaves else None

    def _decide_removal(self, row: Mapping[str, Any], old: Link | None) -> Decision:
        record = (self._source, row["crm_id"])
        places = self._directory.places(record)
        if guarded := next((one for one in places if one in self._guarded), None):
            return Decision(row, "hold", contact=guarded, rule=DELETE_GUARD, reason=self._why_guarded)
        known = old if old and old.contact else self._directory.sent(record) or old
        tombstone = self._link(row, None, known.business_key if known else None)
        reason = f"merged into {row['merged_into']} in the CRM" if row["kind"] == "merge" else None
        if not places:
            self._directory.put(tombstone)
            reason = "already deleted" if old else "deleted before it was ever delivered"
            return Decision(row, "unchanged", link=tombstone, reason=reason)
        going = [one for one in places if all(link.record == record for link in self._directory.members(one))]
        survivor = self._survivor(row) if going else None
        if survivor:
            into = str(survivor.contact)
            for contact in going:
                self.touched.absorb(contact, into)
            return self._settle(Decision(row, "merge", rule=CRM_MERGE, reason=reason), into, tombstone)
        if going and not self._earned(row["modified_at"]):
            return Decision(row, "delete", contact=places[0], rule=DELETE_GRACE, reason=WAITING)
        return self._settle(Decision(row, "delete", rule="link", reason=reason), places[0], tombstone)

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

    def _settle(self, decision: Decision, contact: str, link: Link) -> Decision:
        """Note what a record's link is from now on; it leaves all other contacts that it is or may be part of."""
        decision.contact, decision.link = contact, link
        decision.left = tuple(one for one in self._directory.places(link.record) if one != contact)
        for one in (contact, *decision.left):
            self.touched.remember(one)
        self._directory.put(link)
        return decision
