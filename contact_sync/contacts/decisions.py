"""What a plan decides of a row, in which words, and how that is written down.

What belongs here: the words, which people and other modules look for, and the plan's row. Deciding belongs to
`planning`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contact_sync.contacts.fields import MAX_EXTERNAL_IDS
from contact_sync.contacts.identity import Link, RecordId
from contact_sync.contacts.requests import Changes, ContactRequest, encoded

STALE = "stale: a newer version was delivered"
"""Why a row comes to nothing."""

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
class Decision:
    """A row of `normalized_contacts`, and what becomes of it; `left` are the contacts that its record leaves."""

    row: Mapping[str, Any] = field(repr=False)
    action: str
    contact: str | None = None
    rule: str | None = None
    candidates: tuple[str, ...] = ()
    reason: str | None = None
    link: Link | None = None
    request: ContactRequest | None = None
    changes: Changes = field(default=(), repr=False)
    left: tuple[str, ...] = ()

    @property
    def version(self) -> tuple[RecordId, str] | None:
        """The record and the version that is accepted, if one is."""
        return (self.link.record, self.link.version) if self.link else None


def plan_row(decision: Decision) -> dict[str, Any]:
    """Return the row of `schemas.DEDUP_MATCHES`."""
    row, link = decision.row, decision.link
    return {
        **{name: row[name] for name in ("crm_id", "version", "modified_at", "read_at")},
        "kind": row["kind"],
        "action": decision.action,
        "accepted": link is not None,
        "contact": decision.contact,
        "rule": decision.rule,
        "candidates": encoded(decision.candidates) if decision.candidates else None,
        "reason": decision.reason,
        "account": link.account if link else None,
        "business_key": link.business_key if link else None,
        "fields": encoded(dict(link.fields)) if link and link.contact else None,
        "request": decision.request.to_json() if decision.request else None,
        "changes": encoded(decision.changes) if decision.changes else None,
    }
