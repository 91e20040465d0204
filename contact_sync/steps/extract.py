"""crm_delta: what changed in the CRM in a window, as it is there.

What belongs here: reading a window whole, or not at all. Cleaning belongs to `normalize`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from contact_sync.contacts.schemas import CRM_DELTA, CRM_PREFIX, frame_of
from contact_sync.contacts.shapes import shape_of
from contact_sync.contacts.window import Window
from contact_sync.crm.source import Change
from contact_sync.steps.context import SyncContext
from contact_sync.steps.gone import deletes_of
from contact_sync.steps.lag import require_closed
from contact_sync.steps.overlap import Overlap


def extract(context: SyncContext, window: Window) -> None:
    """Read a window, store its `crm_delta`, and remember late rows and CRM fields that the registry does not list.

    Pages of the CRM are stored as they come, so that a window of any size needs the memory of a page.

    Raises:
        WindowNotClosedError: The window has not settled yet.
        CrmError: The CRM could not be read; the older frame stays.
        StateError: The frame could not be written.
    """
    require_closed(context, window)
    overlap = Overlap(context, window)
    with context.frames.writer("crm_delta", window) as file:
        for piece in _pieces(context, window, overlap):
            file.append(piece)
    late, source = overlap.late, context.source
    if late.rows:
        context.store.ledger.note_late(source.name, window, late.rows, late.by, context.clock())
    unlisted = source.unlisted(window)
    ignored = context.settings.registry.ignored
    counts = {name: count for name, count in unlisted.items() if name not in ignored}
    examples = source.examples(window) if counts else {}
    shapes = {name: shape_of(examples[name]) for name in counts if name in examples}
    context.store.note_unmapped(source.name, window, counts, shapes)


def delta_pieces(context: SyncContext, window: Window) -> Iterator[pd.DataFrame]:
    """Read a window without storing anything.

    Yields:
        Its `crm_delta` in pieces, the first of them empty: the columns of `schemas.CRM_DELTA` and one column for
        each CRM field.
    """
    require_closed(context, window)
    yield from _pieces(context, window, Overlap(context, window))


def _pieces(context: SyncContext, window: Window, overlap: Overlap) -> Iterator[pd.DataFrame]:
    """Yield the window's rows, the late ones before it, and the deletes of records that were found gone in it."""
    yield delta_of(context, [])
    read_at = context.clock()
    repeats = _Repeats()
    for page in context.source.changes(window):
        piece = repeats.dropped(delta_of(context, ((change, read_at) for change in page)))
        yield overlap.taken_in(piece, read_at)
    for page in overlap.changes():
        piece = delta_of(context, ((change, read_at) for change in page))
        yield repeats.dropped(overlap.unknown(piece))
    yield delta_of(context, ((change, read_at) for change in deletes_of(context, window)))


class _Repeats:
    """Drops rows that were read before: a page that is read twice brings the same rows.

    Rows that differ under one key stay, and break the contract. What was read is kept as sorted 64-bit hashes:
    eight megabytes for a million rows.
    """

    def __init__(self) -> None:
        self._seen = np.array([], dtype=np.uint64)

    def dropped(self, piece: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a piece that are new."""
        hashes = pd.util.hash_pandas_object(piece, index=False).to_numpy()
        new = ~(np.isin(hashes, self._seen) | pd.Series(hashes).duplicated().to_numpy())
        fresh = np.sort(hashes[new])
        self._seen = np.insert(self._seen, np.searchsorted(self._seen, fresh), fresh)
        return piece[new]


def delta_of(context: SyncContext, changes: Iterable[tuple[Change, datetime]]) -> pd.DataFrame:
    """Return changes, each with the time when it was read, as a frame with the columns of `schemas.CRM_DELTA`."""
    fields = context.settings.registry.crm_fields
    return frame_of(CRM_DELTA, (_row(change, read_at, fields) for change, read_at in changes), _columns(fields))


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
