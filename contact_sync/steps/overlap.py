"""Rows that were committed late: looked for before a window, and told from those known.

Before a window lies its overlap. Reading it again with each window would read most rows twice; so the CRM is asked
which records changed there and when, no more, and only where it names one that was not read there it is read
again. What belongs here: the overlap of one window, and how late rows are. What has been read is `seen`'s.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from contact_sync.contacts.places import hashed
from contact_sync.contacts.window import Window, uncovered
from contact_sync.crm.source import Change
from contact_sync.steps.context import SyncContext
from contact_sync.steps.lag import overlap_of
from contact_sync.steps.seen import STAMPED, Seen, seen_in, window_of


@dataclass
class Late:
    """Rows that had not been there when their time was read: how many, and how late the latest was."""

    rows: int = 0
    by: timedelta = timedelta(0)

    def add(self, piece: pd.DataFrame, seen: Seen) -> None:
        """Count rows that `seen` lacks."""
        self.rows += len(piece)
        for instant in piece["modified_at"].drop_duplicates():
            self.by = max(self.by, seen.last_read(instant) - instant)


class Overlap:
    """The span before a window."""

    def __init__(self, context: SyncContext, window: Window) -> None:
        self._context = context
        length = overlap_of(context)
        self._span = Window(window.start - length, window.start) if length else None
        since = self._span.start if self._span else window.start
        rows = context.store.ledger.rows(context.source.name, since)
        own = [row for row in rows if window_of(row) == window]
        self._before = [row for row in rows if row["window_start"] < window.start and row not in own]
        self._seen = seen_in(context, self._before, since)
        self._known = self._seen.places.keys()
        self._own = Seen()
        if own:  # reopened, or only run again: what is new in it has come late
            self._own.add(context, window, not_after=context.clock(), since=window.start)
        self.late = Late()

    def taken_in(self, piece: pd.DataFrame, read_at: datetime) -> pd.DataFrame:
        """Return rows of the window itself; their records have left the overlap, if they were in it."""
        moved = piece[np.isin(hashed(piece["crm_id"]), self._known)]
        self._seen.places.add(moved["crm_id"], moved["modified_at"], read_at)
        if not self._own.read_at:
            return piece
        new = ~self._own.places.holds(piece["crm_id"], piece["modified_at"])
        self.late.add(piece[new], self._own)
        return self._newest(piece)

    def changes(self) -> Iterator[list[Change]]:
        """Yield the changes of those parts of the overlap in which the CRM has others than were read."""
        for part in self._parts():
            if self._has_others(part):
                yield from map(list, self._context.source.changes(part))

    def unknown(self, piece: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the overlap that no committed window has, and note how late they are."""
        rows = piece[~self._seen.places.holds(piece["crm_id"], piece["modified_at"])]
        self.late.add(rows, self._seen)
        return self._newest(rows)

    def _newest(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return rows of a time that was read before, none older than what was delivered of its record before.

        A CRM whose clock went back, or that imports changes with old stamps, gives a record an older time of
        change than it had. It is what the CRM holds now all the same, and would else be taken for an old version.
        """
        ages = self._context.store.ages(self._context.source.name, list(rows["crm_id"]))
        never = (datetime.min.replace(tzinfo=UTC),) * 2
        reading = zip(rows["crm_id"], rows["modified_at"], rows["read_at"], strict=True)
        older = [(age := ages.get(one, never))[0] > changed and age[1] < read for one, changed, read in reading]
        if not any(older):
            return rows
        rows, back = rows.copy(), pd.Series(older, index=rows.index)
        own = rows.loc[back, "modified_at"].map(datetime.isoformat)
        rows.loc[back, "version"] += STAMPED + own
        rows.loc[back, "modified_at"] = rows.loc[back, "crm_id"].map(lambda one: ages[one][0])
        return rows

    def _has_others(self, part: Window) -> bool:
        """Tell whether the CRM has rows there that are not known, or nobody ever reads them."""
        if part.start < self._context.settings.sync.first_window_start:
            return True
        return any(self._seen.places.lacking(page) for page in self._context.source.stamps(part))

    def _parts(self) -> Iterator[Window]:
        """Yield what lies in one window each, without windows that are open: those are read by their own run."""
        if not self._span:
            return
        sync = self._context.settings.sync
        read = [window_of(row) for row in self._before if not row["reopened_at"]]
        read.append(Window(datetime.min.replace(tzinfo=UTC), sync.first_window_start))
        for covered in uncovered(self._span, uncovered(self._span, read)):
            yield from covered.cut(sync.frequency)
