"""crm_delta: what changed in the CRM in a window, as it is there.

What belongs here: reading a window whole, or not at all. Cleaning belongs to `normalize`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from contact_sync.contacts.schemas import CRM_DELTA, CRM_PREFIX, frame_of
from contact_sync.contacts.window import Window
from contact_sync.crm.source import Change
from contact_sync.steps.context import SyncContext


class WindowNotClosedError(Exception):
    """A window ends later than the CRM can safely be read; nothing was read."""


def extract(context: SyncContext, window: Window) -> pd.DataFrame:
    """Read a window, store its frame, and remember CRM fields that the registry does not list.

    Returns:
        The frame, with the columns of `schemas.CRM_DELTA` and one column for each CRM field.

    Raises:
        WindowNotClosedError: The window has not settled yet.
        CrmError: The CRM could not be read; the older frame stays.
        StateError: The frame could not be written.
    """
    frame = read_delta(context, window)
    context.frames.write("crm_delta", window, frame)
    unlisted = context.source.unlisted(window)
    ignored = context.settings.registry.ignored
    counts = {name: count for name, count in unlisted.items() if name not in ignored}
    context.store.note_unmapped(context.source.name, window, counts)
    return frame


def read_delta(context: SyncContext, window: Window) -> pd.DataFrame:
    """Read a window, and the overlap before it, without storing anything."""
    require_closed(context, window)
    fields = context.settings.registry.crm_fields
    changes = _changes(context, window.widened(context.settings.sync.overlap))
    read_at = context.clock()
    frame = frame_of(CRM_DELTA, (_row(change, read_at, fields) for change in changes), _columns(fields))
    # A page that is read twice brings the same rows; rows that differ under one key break the contract instead.
    return frame.drop_duplicates(ignore_index=True)


def require_closed(context: SyncContext, window: Window) -> None:
    """Refuse a window that ends later than the CRM can safely be read.

    Raises:
        WindowNotClosedError: It does.
    """
    horizon = context.source.horizon()
    if window.end > horizon:
        raise WindowNotClosedError(
            f"the window {window} is not closed: the CRM can be read up to {horizon:%Y-%m-%dT%H:%M:%SZ}; "
            "choose an earlier window or wait"
        )


def _changes(context: SyncContext, window: Window) -> Iterator[Change]:
    for page in context.source.changes(window):
        yield from page


def _row(change: Change, read_at: datetime, fields: Sequence[str]) -> Mapping[str, Any]:
    return {
        "crm_id": change.crm_id,
        "version": change.version,
        "modified_at": change.modified_at,
        "read_at": read_at,
        "kind": change.kind,
        "merged_into": change.merged_into,
        **{CRM_PREFIX + name: _text(change.fields.get(name)) for name in fields},
    }


def _text(value: object) -> str | None:
    """Return `value` as text that a file can hold: half a surrogate pair becomes a question mark."""
    return None if value is None else str(value).encode(errors="replace").decode()


def _columns(fields: Sequence[str]) -> list[str]:
    return [CRM_PREFIX + name for name in fields]
