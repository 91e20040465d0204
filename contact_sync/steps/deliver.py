"""genesys_upserts: the plan carried out, and the window committed once every row of it is accounted for.

What belongs here: the order of a window's rows, and when a window counts as done. How a plan's requests are sent
belongs to `sending`, what the answers mean for each row to `outcomes`.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from contact_sync.contacts.schemas import GENESYS_UPSERTS, OUTCOMES, frame_of
from contact_sync.contacts.sharing import Identifier
from contact_sync.contacts.window import Window
from contact_sync.state.frames import PIECE, FrameWriter
from contact_sync.steps.context import SyncContext
from contact_sync.steps.match import plan_rows, shared_identifiers
from contact_sync.steps.outcomes import Outcomes
from contact_sync.steps.sending import Sender
from contact_sync.steps.tally import Tally

Progress = Callable[[Window, int, int], None]
"""Told how far delivery is: the window, rows that have ended, rows in all."""


class AccountingError(Exception):
    """A window's outcomes do not add up to the rows that were read; it is not committed."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one window.

    Attributes:
        window: The window.
        counts: Rows by outcome.
        held_because: Rows held, by reason.
        requests: API requests that this run sent for it.
        writes: Those of them that change something.
        seconds: How long delivery took.
    """

    window: Window
    counts: Mapping[str, int]
    held_because: Mapping[str, int]
    requests: int
    writes: int
    seconds: float

    @property
    def rows(self) -> int:
        """Rows that were read."""
        return sum(self.counts.values())


def deliver(
    context: SyncContext, windows: Sequence[Window], run_id: str, progress: Progress | None = None
) -> Iterator[Delivered]:
    """Carry out the plans of windows in order, committing each window in the ledger before yielding it.

    One process delivers at a time. A large window streams through in portions: first its upserts, so that a
    re-indexed record's new id finds the contact, then its removals. Each portion is planned again just before it
    is sent, since an earlier portion, an earlier window or another run may have moved the state on. Planning takes
    a few percent of the time that the rate limit leaves.

    Raises:
        StateError: A plan is missing or damaged, or something cannot be stored.
        ContractError: A plan breaks its contract; nothing of its window is sent.
        GenesysFatalError: Genesys refuses every request: credentials, permissions.
        GenesysRetryableError: Genesys does not answer; the window stays open.
        AccountingError: Rows that were read are not in the plan, or have no outcome.
    """
    with Sender(context) as sender:
        for window in windows:
            yield _Delivery(context, window, run_id, sender, progress).run()


@dataclass(frozen=True, slots=True)
class _OfWindow:
    """The origin of a window's rows; see `outcomes.Origin`."""

    context: SyncContext
    its: Window

    def window(self, crm_id: str) -> Window:  # noqa: ARG002 (the same for all)
        return self.its

    def attempts(self, crm_id: str, version: str) -> int:  # noqa: ARG002 (the first try)
        return 0

    def delta(self, crm_ids: Collection[str]) -> pd.DataFrame:
        return self.context.frames.find("crm_delta", self.its, {"crm_id": crm_ids})


class _Delivery:
    """One window on its way."""

    def __init__(
        self, context: SyncContext, window: Window, run_id: str, sender: Sender, progress: Progress | None
    ) -> None:
        self._context = context
        self._window = window
        self._run_id = run_id
        self._sender = sender
        self._progress = progress
        self._tally = Tally("genesys_upserts")
        self._ended = 0
        self._newest: datetime | None = None

    def run(self) -> Delivered:
        """Deliver and commit, unless another run committed the same rows while this one waited for its turn."""
        store, window = self._context.store, self._window
        before = self._ledger()
        with store.delivery_lock() as confirm:
            plan = self._checked_plan()  # now, since whom we waited for may have read the window anew
            now = self._ledger()
            if now and now != before and now["digest"] == plan.digest:
                return self._committed_by_another(now)
            client, started = self._context.genesys, time.monotonic()
            requests, writes = client.requests_sent, client.writes_sent
            with self._context.frames.writer("genesys_upserts", window) as file:
                self._carry_out(file, plan.rows, confirm)
                self._account(plan.rows)
                confirm()
            delivered = Delivered(
                window,
                counts={outcome: self._tally.values["outcome"][outcome] for outcome in OUTCOMES},
                held_because=dict(self._tally.held_because.most_common()),
                requests=client.requests_sent - requests,
                writes=client.writes_sent - writes,
                seconds=time.monotonic() - started,
            )
            self._commit(delivered, plan.digest)
        return delivered

    def _checked_plan(self) -> Tally:
        """Return the tally of the stored plan, refused unless it holds the very rows that were read."""
        plan = self._context.tally("dedup_matches", self._window).require()
        tallies = (self._context.tally(asset, self._window) for asset in ("crm_delta", "normalized_contacts"))
        if any(tally.require().digest != plan.digest for tally in tallies):
            raise AccountingError(
                f"{self._window}: the plan does not hold the rows that crm_delta does; nothing was sent: "
                "materialise normalized_contacts and dedup_matches for that window again"
            )
        return plan

    def _carry_out(self, file: FrameWriter, rows: int, confirm: Callable[[], None]) -> None:
        file.append(frame_of(GENESYS_UPSERTS, []))
        barred = shared_identifiers(self._context, [self._window]) if rows > PIECE else None
        for portion in self._portions(rows):
            if len(portion):
                confirm()
                self._deliver(portion.reset_index(drop=True), file, rows, barred)

    def _portions(self, rows: int) -> Iterator[pd.DataFrame]:
        """Yield the window in what is planned at once: whole where it fits, else its upserts before its removals.

        All removals are one portion, because the delete guard weighs them together.
        """
        pieces = self._context.frames.pieces("normalized_contacts", self._window, rows=PIECE)
        if rows <= PIECE:
            yield from pieces
            return
        removals: list[pd.DataFrame] = []
        for piece in pieces:
            is_upsert = piece["kind"] == "upsert"
            removals.append(piece[~is_upsert])
            yield piece[is_upsert]
        yield pd.concat(removals)

    def _deliver(
        self, normalized: pd.DataFrame, file: FrameWriter, rows: int, barred: frozenset[Identifier] | None
    ) -> None:
        context = self._context
        plan = plan_rows(context, normalized, [self._window], barred)
        outcomes = Outcomes(context, _OfWindow(context, self._window), self._run_id, plan)
        self._sender.carry_out(outcomes, lambda ended: self._tell(ended, rows))
        frame = outcomes.frame()
        self._tally.add(frame)
        file.append(frame)
        newest = plan["modified_at"].max().to_pydatetime()
        self._newest = max(self._newest or newest, newest)

    def _tell(self, ended: int, rows: int) -> None:
        self._ended += ended
        if self._progress:
            self._progress(self._window, self._ended, rows)

    def _account(self, rows: int) -> None:
        if self._tally.rows != rows:
            raise AccountingError(
                f"{self._window}: {rows} rows were read but {self._tally.rows} have an outcome; "
                "the window is not committed: please report this"
            )

    def _commit(self, delivered: Delivered, digest: str) -> None:
        """Write the window's row of the ledger: from now on its rows are accounted for."""
        self._context.store.ledger.commit(
            {
                "source": self._context.source.name,
                "window_start": self._window.start,
                "window_end": self._window.end,
                "rows_read": delivered.rows,
                "outcomes": delivered.counts,
                "requests": delivered.requests,
                "writes": delivered.writes,
                "seconds": delivered.seconds,
                "digest": digest,
                "newest_modified_at": self._newest,
                "run_id": self._run_id,
                "committed_at": self._context.clock(),
            }
        )

    def _ledger(self) -> Mapping[str, object] | None:
        return self._context.store.ledger.row(self._context.source.name, self._window)

    def _committed_by_another(self, row: Mapping[str, object]) -> Delivered:
        held = self._context.tally("genesys_upserts", self._window).require().held_because
        counts = row["outcomes"] if isinstance(row["outcomes"], dict) else {}
        return Delivered(self._window, counts, dict(held.most_common()), requests=0, writes=0, seconds=0.0)
