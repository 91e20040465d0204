"""The plan of a window: for every row what to do and why, for every touched contact what to send.

Pure: it reads a normalized frame and a directory, changes only that directory (so that the next window of a run
sees what this one will have done), and returns the plan's rows. Sending belongs to `steps.deliver`.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from contact_sync.contacts.fields import CONTACT_FIELDS, MAX_EXTERNAL_IDS
from contact_sync.contacts.identity import NEW, Directory, Link, business_key
from contact_sync.contacts.schemas import DEDUP_MATCHES, frame_of, records

KEY = "key"
"""Names the external source of the business keys; a CRM record's source is named after the CRM."""

HIDDEN = "its change does not show in the contact: an account, or a value that loses to a newer record's"
"""Why a changed record needs no request; what changed still tells who it is."""

DELETE_GUARD = "delete guard"
"""The rule by which a mass delete is held."""

ExternalId = tuple[str, str]
"""An external id: the source's name and the value."""


@dataclass(frozen=True, slots=True)
class ContactRequest:
    """What delivery sends for one contact.

    Attributes:
        kind: `upsert` or `remove`.
        matching: (source name, value) of the external ids by which Genesys finds the contact, strongest first.
        external_ids: (source name, value) of those that the contact carries from now on.
        contact: The canonical contact to send.
        clear: Fields that we delivered before and that the CRM has emptied.
        release: Whether external ids that are not listed are taken off the contact.
    """

    kind: str
    matching: tuple[ExternalId, ...] = field(default=(), repr=False)  # a business key holds a phone number
    external_ids: tuple[ExternalId, ...] = field(default=(), repr=False)
    contact: Mapping[str, str] = field(default_factory=dict, repr=False)
    clear: tuple[str, ...] = ()
    release: bool = False

    def to_json(self) -> str:
        """Return the request as one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "ContactRequest":
        """Read what `to_json` wrote."""
        raw = json.loads(text)
        for name in ("matching", "external_ids"):
            raw[name] = tuple((source, value) for source, value in raw[name])
        return cls(**raw | {"clear": tuple(raw["clear"])})


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
    changes: Sequence[Mapping[str, str | None]] = field(default=(), repr=False)


def make_plan(
    normalized: pd.DataFrame, directory: Directory, *, source: str, max_removals: int | None = None
) -> pd.DataFrame:
    """Plan a window.

    Args:
        normalized: A frame that keeps `schemas.NORMALIZED_CONTACTS`.
        directory: What is known of its records and of every contact that they may be; changed by the plan.
        source: The CRM source's name.
        max_removals: If the window would remove more contacts than this from Genesys, none is removed: those
            deletes are held by the rule `DELETE_GUARD`. None: any number may go.

    Returns:
        A frame with the columns of `schemas.DEDUP_MATCHES`, one row for each row of `normalized`, same order.
    """
    rows = list(records(normalized))
    planner = _Planner(directory, source)
    # Upserts go first: a re-indexed record's new id must find the contact before its old id leaves it.
    order = sorted(range(len(rows)), key=lambda i: (rows[i]["kind"] != "upsert", rows[i]["modified_at"], i))
    removals = [i for i in order if rows[i]["kind"] != "upsert"]
    decisions = {i: planner.decide(rows[i]) for i in order[: len(order) - len(removals)]}
    planner.guard([rows[i] for i in removals], max_removals)
    decisions |= {i: planner.decide(rows[i]) for i in removals}
    planner.attach_requests([decisions[i] for i in order])
    return frame_of(DEDUP_MATCHES, (_plan_row(decisions[i]) for i in range(len(rows))))


def combine(members: Iterable[Link]) -> dict[str, str]:
    """Return the contact that records make together: field by field the newest non-empty value.

    Args:
        members: The contact's links, newest first.
    """
    links = list(members)
    contact: dict[str, str] = {}
    for name in CONTACT_FIELDS:
        value = next((link.fields[name] for link in links if name in link.fields), None)
        if value is not None:
            contact[name] = value
    return contact


def external_ids(members: Iterable[Link]) -> tuple[tuple[str, str], ...]:
    """Return the external ids of a contact: every CRM id first, then the business keys, as many as fit."""
    links = list(members)
    records = [link.record for link in links]
    keys = [(KEY, link.business_key) for link in links if link.business_key]
    return tuple(dict.fromkeys([*records, *keys]))[:MAX_EXTERNAL_IDS]


class _Planner:
    """Decides row by row; remembers each touched contact as it was before the window."""

    def __init__(self, directory: Directory, source: str) -> None:
        self._directory = directory
        self._source = source
        self._before: dict[str, list[Link]] = {}
        self._guarded: set[str] = set()
        self._why_guarded = ""

    def guard(self, removals: Sequence[Mapping[str, Any]], limit: int | None) -> None:
        """Hold the deletes of contacts that nobody else keeps alive, if there are more of them than `limit`."""
        live = [row for row in removals if row["state"] == "ready" and not self._is_stale(row)]
        leaving = {(self._source, row["crm_id"]) for row in live}
        contacts = {link.contact for record in leaving if (link := self._directory.link(record)) and link.contact}
        gone = {one for one in contacts if all(link.record in leaving for link in self._directory.members(one))}
        if limit is not None and len(gone) > limit:
            self._guarded = gone
            self._why_guarded = (
                f"{len(gone)} contacts would be removed, over the limit of {limit} (delivery.max_deletes, "
                "delivery.max_delete_share): look at them, then run the window again with --allow-deletes"
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
        key = (old.business_key if old else None) or business_key(account, fields)
        link = self._link(row, live.contact if live else None, key, account=account, fields=fields)
        if live:
            same = (live.fields, live.account) == (fields, account)
            return self._put(_Decision(row, "unchanged" if same else "update", rule="link", link=link), link)
        match = self._directory.find(link)
        if match.candidates:
            reason = f"the {match.rule} rule finds {len(match.candidates)} contacts"
            return _Decision(row, "hold", rule=match.rule, candidates=match.candidates, reason=reason)
        contact = match.contact or f"{NEW}{row['crm_id']}"
        link = self._link(row, contact, key, account=account, fields=fields)
        action = "merge" if match.contact else "create"
        return self._put(_Decision(row, action, rule=match.rule, link=link), link)

    def _decide_removal(self, row: Mapping[str, Any], old: Link | None) -> _Decision:
        contact = old.contact if old else None
        if contact in self._guarded:
            return _Decision(row, "hold", contact=contact, rule=DELETE_GUARD, reason=self._why_guarded)
        tombstone = self._link(row, None, old.business_key if old else None)
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
        request, changes = self._request(contact)
        if request:
            lead = next((one for one in decisions if one.action != "unchanged"), decisions[0])
            lead.request, lead.changes = request, changes
            if lead.action == "unchanged":
                lead.action, lead.reason = "update", "its version is now the contact's newest: its values win"
        for decision in decisions:
            if request is None and decision.action == "update":
                decision.action, decision.reason = "unchanged", HIDDEN
            if decision.action == "merge" and len(self._directory.members(contact)) == 1:
                decision.action, decision.reason = "update", "re-indexed: the same person under a new CRM id"

    def _request(self, contact: str) -> tuple[ContactRequest | None, Sequence[Mapping[str, str | None]]]:
        before, after = self._before[contact], self._directory.members(contact)
        old, new = combine(before), combine(after)
        changes = [
            {"field": name, "old": old.get(name), "new": new.get(name)}
            for name in CONTACT_FIELDS
            if old.get(name) != new.get(name)
        ]
        if not after:
            return (ContactRequest("remove"), changes) if before else (None, [])
        ids, had = external_ids(after), external_ids(before)
        if not changes and set(ids) == set(had):
            return None, []
        request = ContactRequest(
            "upsert",
            matching=tuple(dict.fromkeys([*had, *ids])),
            external_ids=ids,
            contact=new,
            clear=tuple(name for name in old if name not in new),
            release=bool(set(had) - set(ids)),
        )
        return request, changes


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
