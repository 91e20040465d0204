"""Where records were last seen: of each record, the time of change that its newest reading gave.

A CRM shows one version of a record, so a record has one place in time; what is read later moves it. The places in
a span are as many as the rows that the CRM would give there if nothing had come or gone unseen. Ids are kept as
64-bit X: the bookkeeping. Which readings count is for the caller to say.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contact_sync.contacts.window import Window

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOWHERE = np.iinfo(np.int64).min

Hashes = NDArray[np.uint64]
Micros = NDArray[np.int64]


class Places:
    """Readings of records."""

    def __init__(self) -> None:
        self._pieces: list[tuple[Hashes, Micros, Micros]] = []
        self._newest: tuple[Hashes, Micros, Micros] | None = None

    def add(self, ids: pd.Series, modified_at: pd.Series, read_at: datetime) -> None:
        """Add records as they were read at an instant."""
        hashes = hashed(ids)
        self._add(hashes, micros_of(modified_at), np.full(len(hashes), _micros(read_at)))

    def gone(self, ids: pd.Series, found_at: pd.Series) -> None:
        """Add records that were found to be nowhere any more."""
        hashes = hashed(ids)
        self._add(hashes, np.full(len(hashes), _NOWHERE), micros_of(found_at))

    def keys(self) -> Hashes:
        """Return the hashes of the records' ids, sorted."""
        return self._collapsed()[0]

    def count(self, span: Window) -> int:
        """Return how many records were last seen within a span."""
        stamps = self._collapsed()[1]
        return int(np.count_nonzero((stamps >= _micros(span.start)) & (stamps < _micros(span.end))))

    def holds(self, ids: pd.Series, modified_at: pd.Series) -> NDArray[np.bool_]:
        """Tell which records were last seen just there."""
        keys, stamps, _ = self._collapsed()
        if not len(keys):
            return np.zeros(len(ids), dtype=np.bool_)
        wanted = hashed(ids)
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        found: NDArray[np.bool_] = (keys[at] == wanted) & (stamps[at] == micros_of(modified_at))
        return found

    def lacking(self, stamps: Sequence[tuple[str, datetime]]) -> int:
        """Count the records, each with its time of change, that were not last seen just there."""
        ids, instants = zip(*stamps, strict=True)
        known = self.holds(pd.Series(ids, dtype=object), pd.Series(instants, dtype="datetime64[us, UTC]"))
        return int(np.count_nonzero(~known))

    def _add(self, hashes: Hashes, stamps: Micros, read: Micros) -> None:
        self._pieces.append((hashes, stamps, read))
        self._newest = None

    def _collapsed(self) -> tuple[Hashes, Micros, Micros]:
        """Return the newest reading of each record, by its hash."""
        if self._newest is None:
            empty = (np.array([], np.uint64), np.array([], np.int64), np.array([], np.int64))
            keys, stamps, read = (np.concatenate(column) for column in zip(empty, *self._pieces, strict=True))
            order = np.lexsort((stamps, read, keys))
            keys, stamps, read = keys[order], stamps[order], read[order]
            last = np.append(keys[1:] != keys[:-1], True)[: len(keys)]
            self._newest = (keys[last], stamps[last], read[last])
            self._pieces = [self._newest]
        return self._newest


def hashed(ids: pd.Series) -> Hashes:
    """Return ids as 64-bit hashes."""
    return pd.util.hash_array(ids.to_numpy(dtype=object), categorize=False)


def micros_of(instants: pd.Series) -> Micros:
    """Return instants as microseconds since 1970."""
    micros: Micros = instants.dt.tz_convert(None).to_numpy(dtype="datetime64[us]").astype(np.int64)
    return micros


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)
