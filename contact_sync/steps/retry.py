"""The retry queue worked off: what could not be delivered is read again from the CRM and sent as it is now.

What belongs here: which version of a queued change is sent, and what becomes of changes that cannot be. A change
goes the way of every other: normalized, planned against what is known now, sent, recorded; so an older version
never overwrites a newer one, and nothing is sent that is true already.
"""

import logging
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from contact_sync.contacts.decisions import DELETE_GUARD
from contact_sync.contacts.normalizing import normalize as normalize_frame
from contact_sync.contacts.schemas import OUTCOMES, records
from contact_sync.contacts.window import Window
from contact_sync.crm.source import Change, CrmUnavailableError
from contact_sync.state.delivery import Delivery
from contact_sync.state.frames import PIECE
from contact_sync.steps.context import SyncContext
from contact_sync.steps.extract import delta_of
from contact_sync.steps.match import plan_rows
from contact_sync.steps.outcomes import Outcomes
from contact_sync.steps.sending import Sender

GONE = "the record is no longer in the CRM"

Row = dict[str, Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of the changes that were due.

    Attributes:
        counts: Changes by outcome, as of a window's rows.
        stored: How many were sent as they are on the queue, because the CRM was away.
        guarded: Deletes that the guard holds: they stay on the queue until a retry is allowed to send them.
        requests: API requests sent.
        seconds: How long it took.
    """

    counts: Mapping[str, int]
    stored: int
    guarded: int
    requests: int
    seconds: float


def retry(context: SyncContext, run_id: str) -> Retried:
    """Try every change that is due once more.

    Raises:
        CrmConfigurationError: The CRM was reached, but what the settings name is not there.
        GenesysFatalError: Genesys refuses every request: credentials, permissions.
        GenesysRetryableError: Genesys does not answer; what was not tried stays due.
        StateError: Something cannot be read or stored.
    """
    store, client = context.store, context.genesys
    started, requests = time.monotonic(), client.requests_sent
    total, stored, guarded = Counter(dict.fromkeys(OUTCOMES, 0)), 0, 0
    with (
        store.delivery_lock() as confirm,
        Sender(context) as sender,
    ):
        for due in _due(context):
            confirm()
            attempt = _Attempt(context, due, run_id)
            total.update(attempt.run(sender))
            stored += attempt.stored
            guarded += attempt.guarded
    return Retried(total, stored, guarded, client.requests_sent - requests, time.monotonic() - started)


def _due(context: SyncContext) -> Iterator[Sequence[Row]]:
    """Yield the changes that are due, piece by piece; each once, whatever becomes of it."""
    now, tried = context.clock(), set[str]()
    while True:
        found = context.store.due_retries(context.source.name, now, PIECE)
        due = [row for row in found if row["crm_id"] not in tried]
        if not due:
            return
        tried.update(row["crm_id"] for row in due)
        yield due


@dataclass(frozen=True, slots=True)
class _OfQueue:
    """The origin of queued rows; see `outcomes.Origin`."""

    queued: Mapping[str, Row]
    read: pd.DataFrame

    def window(self, crm_id: str) -> Window:
        row = self.queued[crm_id]
        return Window(row["window_start"], row["window_end"])

    def attempts(self, crm_id: str, version: str) -> int:
        row = self.queued[crm_id]
        return int(row["attempts"]) if row["version"] == version else 0

    def delta(self, crm_ids: Collection[str]) -> pd.DataFrame:
        return self.read[self.read["crm_id"].isin(crm_ids)]


class _Attempt:
    """One more attempt at some queued changes; `stored` and `guarded` count as in `Retried`."""

    def __init__(self, context: SyncContext, due: Sequence[Row], run_id: str) -> None:
        self._context = context
        self._queued = {row["crm_id"]: row for row in due}
        self._run_id = run_id
        self.stored = self.guarded = 0

    def run(self, sender: Sender) -> Counter[str]:
        """Send what can be sent and settle the rest, so that none of the changes stays due; count the outcomes."""
        context = self._context
        changes = self._changes()
        delta = delta_of(context, changes.values())
        normalized = normalize_frame(delta, context.settings.registry)
        plan = plan_rows(context, normalized)
        outcomes = Outcomes(context, _OfQueue(self._queued, delta), self._run_id, plan)
        sender.carry_out(outcomes)
        gone = [self._dead(row, GONE) for crm_id, row in self._queued.items() if crm_id not in changes]
        counts = Counter[str](outcomes.frame()["outcome"])
        held = [row for row in records(plan) if row["action"] == "hold"]
        self.guarded = sum(row.get("rule") == DELETE_GUARD for row in held)
        kept = [self._kept(row, outcomes) for row in held]
        stale = [row for row in records(plan) if row["action"] == "unchanged" and not row["accepted"]]
        settled = [((context.source.name, row["crm_id"]), row["modified_at"]) for row in stale]
        context.store.record(Delivery(retries=[*gone, *kept], settled=settled), context.clock())
        counts["held"] -= len(held)
        counts.update(row["state"] if row["state"] == "dead" else "queued" for row in [*gone, *kept])
        return counts

    def _changes(self) -> Mapping[str, tuple[Change, datetime]]:
        """Return each record's newest version at hand and when it was read; nothing for one that is gone."""
        stored = {crm_id: (_stored(row), row["queued_at"]) for crm_id, row in self._queued.items()}
        read_at = self._context.clock()
        try:
            current = {change.crm_id: (change, read_at) for change in self._current()}
        except CrmUnavailableError as error:
            _log.warning("%s; changes are sent as they were queued", error)
            self.stored = len(stored)
            return stored
        # A replica may lag behind what was read once; and what is deleted need not be there any more.
        return {
            crm_id: current[crm_id]
            if crm_id in current and current[crm_id][0].modified_at >= change.modified_at
            else (change, queued_at)
            for crm_id, (change, queued_at) in stored.items()
            if crm_id in current or change.kind != "upsert"
        }

    def _current(self) -> Iterator[Change]:
        for page in self._context.source.current(list(self._queued)):
            yield from page

    def _kept(self, row: Row, outcomes: Outcomes) -> Row:
        """Return the queue's row of a change that is held now: for a person or the delete guard to decide."""
        kept = outcomes.queue_row(row, "dead", row["reason"]) | {"attempts": 1, "next_attempt_at": None}
        if row.get("rule") != DELETE_GUARD:
            return kept
        # Due again in the next retry, which somebody may allow to send it.
        return kept | {"state": "deferred", "attempts": 0, "next_attempt_at": self._context.clock()}

    def _dead(self, row: Row, reason: str) -> Row:
        return row | {"state": "dead", "attempts": 1, "next_attempt_at": None, "last_error": reason}


def _stored(row: Row) -> Change:
    change = row["change"]
    return Change(
        crm_id=row["crm_id"],
        version=row["version"],
        modified_at=row["modified_at"],
        kind=change["kind"],
        fields=change["fields"],
        merged_into=change["merged_into"],
    )
