"""What has been read, as the frames of committed windows tell it: which record, with which time of change, when.

What belongs here: which frames count. A frame that was read again and not delivered since does not: its rows are
not accounted for, and a row that only it holds would be lost with the next reading.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

from contact_sync.contacts.places import Places
from contact_sync.contacts.window import Window
from contact_sync.state.database import StateError
from contact_sync.steps.context import SyncContext

GONE = "gone "
"""Begins the version of a delete that no CRM gave: the record was found missing."""

STAMPED = " stamped "
"""Comes before the CRM's time of change in the version of a record whose time of change went back."""

_COLUMNS = ["crm_id", "version", "modified_at", "read_at"]


@dataclass(frozen=True)
class Seen:
    """What the frames of some windows tell.

    Attributes:
        places: Where each record was last seen.
        read_at: When each window was read; for one without rows its end, which is earlier.
        unknown: The windows whose frame is missing, damaged, or not the one that was delivered.
    """

    places: Places = field(default_factory=Places)
    read_at: dict[Window, datetime] = field(default_factory=dict)
    unknown: list[Window] = field(default_factory=list)

    def add(self, context: SyncContext, window: Window, not_after: datetime, since: datetime) -> None:
        """Add the places from an instant on that the frame of a window tells, unless it was read after another."""
        places = self.places
        try:
            for piece in context.frames.pieces("crm_delta", window, _COLUMNS):
                read_at = piece["read_at"].max() if len(piece) else window.end
                if read_at > not_after:
                    self.unknown.append(window)
                    return
                self.read_at[window] = read_at
                from_crm = piece[~piece["version"].str.startswith(GONE)]
                stamps = _stamps(from_crm)
                places.add(from_crm["crm_id"][stamps >= since], stamps[stamps >= since], read_at)
        except StateError:
            self.unknown.append(window)

    def last_read(self, instant: datetime) -> datetime:
        """Return when an instant's window was last read; the instant itself if none of these holds it."""
        return max((at for window, at in self.read_at.items() if instant in window), default=instant)


def seen_in(context: SyncContext, rows: Iterable[Mapping[str, Any]], since: datetime) -> Seen:
    """Return what the frames of windows tell of the time from an instant on, given their rows of the ledger.

    Reopened ones are left out.
    """
    seen = Seen()
    for row in rows:
        if not row["reopened_at"]:
            seen.add(context, window_of(row), row["committed_at"], since)
    return seen


def window_of(row: Mapping[str, Any]) -> Window:
    """Return the window of a row of the ledger."""
    return Window(row["window_start"], row["window_end"])


def _stamps(piece: pd.DataFrame) -> pd.Series:
    """Return the times of change that the CRM has."""
    stamped = piece["version"].str.contains(STAMPED, regex=False)
    if not stamped.any():
        return piece["modified_at"]
    own = pd.to_datetime(piece.loc[stamped, "version"].str.rpartition(STAMPED)[2], format="ISO8601", utc=True)
    return piece["modified_at"].mask(stamped, own.astype(piece["modified_at"].dtype))
