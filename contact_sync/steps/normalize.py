"""normalized_contacts: the rows of a window, clean and canonical, or held with a reason.

What belongs here: finding a record's newest version among all pieces of a window. What a value means belongs to
`contacts.normalizing`.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contact_sync.contacts.normalizing import VERSION_COLUMNS, Version, superseded
from contact_sync.contacts.normalizing import normalize as normalize_frame
from contact_sync.contacts.window import Window
from contact_sync.steps.context import SyncContext
from contact_sync.steps.workers import workers

NORMALIZED_AT_ONCE = 50_000
"""Rows that are normalized at once: phones are read a column at a time, the faster the longer it is."""


def normalize(context: SyncContext, window: Window) -> None:
    """Normalize a window's `crm_delta` piece by piece and store the frame: a row for each row of `crm_delta`.

    Raises:
        StateError: `crm_delta` has no frame for the window, or a frame cannot be read or written.
        ContractError: `crm_delta` breaks its contract.
    """
    rows = context.tally("crm_delta", window).require().rows
    normalized = partial(normalize_frame, registry=context.settings.registry, older=_superseded(context, window))
    pieces = context.frames.pieces("crm_delta", window, rows=NORMALIZED_AT_ONCE)
    with workers(rows) as running, context.frames.writer("normalized_contacts", window) as file:
        for piece in running.map(normalized, pieces):
            file.append(piece)


def _superseded(context: SyncContext, window: Window) -> set[Version]:
    """Return the versions of a window that are not the newest; only records with several are held in memory."""

    def versions() -> Iterator[tuple[pd.DataFrame, NDArray[np.uint64]]]:
        for piece in context.frames.pieces("crm_delta", window, columns=VERSION_COLUMNS):
            yield piece, pd.util.hash_array(piece["crm_id"].to_numpy(dtype=object))

    hashes = pd.Series(np.concatenate([hashed for _, hashed in versions()]))
    repeated = hashes[hashes.duplicated()].unique()
    if not len(repeated):
        return set()
    return superseded(pd.concat([piece[np.isin(hashed, repeated)] for piece, hashed in versions()]))
