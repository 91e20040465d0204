"""Records that are gone from the CRM for good: found by its feed of deletes, or by comparing all keys.

A record that we have a link for and that the CRM does not have any more gets a tombstone; the window that holds
the tombstone's time deletes its contact, as any delete: with its grace period, and held if there are too many.
What belongs here: finding them. What a delete does belongs to the planner.
"""

import logging
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contact_sync.contacts.places import Hashes, hashed
from contact_sync.contacts.window import Window
from contact_sync.crm.source import Change, DeleteFeed, DeleteFeedExpiredError
from contact_sync.steps.context import SyncContext
from contact_sync.steps.limits import most_removals
from contact_sync.steps.seen import GONE

ASKED = 500
"""Records that the CRM is asked for at once."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a comparison of all keys found.

    Attributes:
        living: Records that the CRM names.
        linked: Records that are a contact here.
        gone: Records that were found gone and will be deleted by their window.
        refused: Why nothing was stored though records are missing; None if all is well.
    """

    living: int
    linked: int
    gone: int
    refused: str | None = None


def deletes_of(context: SyncContext, window: Window) -> Iterator[Change]:
    """Yield a delete for each record that was found gone within a window and has not come back."""
    found = context.store.tombstones.within(context.source.name, window)
    there = _present(context, list(found))
    for crm_id, found_at in found.items():
        if crm_id not in there:
            yield Change(crm_id, f"{GONE}{found_at.isoformat()}", found_at, "delete")


def follow_feed(context: SyncContext) -> int:
    """Read what the CRM's feed of deletes tells, if it has one; return how many linked records are gone.

    Each page's tombstones and the place to go on from are stored together. A feed that has expired begins anew,
    and all keys are compared for what it could not tell.

    Raises:
        CrmError: The CRM could not be read; what was stored stays, and the next run goes on from there.
        StateError: The tombstones could not be stored.
    """
    feed = context.source
    if not isinstance(feed, DeleteFeed):
        return 0
    try:
        return _follow(context, feed, context.store.tombstones.token(context.source.name))
    except DeleteFeedExpiredError:
        _log.warning("the CRM's feed of deletes has expired: it begins anew, and all keys are compared")
    return _follow(context, feed, None) + reconcile(context).gone


def reconcile(context: SyncContext) -> Reconciled:
    """Compare all keys of the CRM with the records that are a contact, and bury those that are gone.

    Ids stream by: nine bytes are kept for each linked record. A record counts as gone only if the CRM, asked for
    it again, does not know it. More of them than a window may delete are not buried: a wrong table or a lost
    permission would look just like that.

    Raises:
        CrmError: The CRM could not be read; nothing is stored.
        StateError: The tombstones could not be stored.
    """
    source, stones = context.source, context.store.tombstones
    keys = _keys(stones.linked(source.name))
    seen = np.zeros(len(keys), dtype=np.bool_)
    living = 0
    for page in source.living():
        living += len(page)
        if len(keys) and len(page):
            asked = hashed(pd.Series(page, dtype=object))
            at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
            seen[at[keys[at] == asked]] = True
    gone: dict[str, datetime] = {}
    for missing in _missing(context, keys, seen):
        gone |= _confirmed(context, missing)
        if why := _refusal(context, living, len(gone)):
            _log.warning(why)
            return Reconciled(living, len(keys), 0, why)
    stones.save(source.name, gone, None, context.clock())
    return Reconciled(living, len(keys), len(gone))


def _follow(context: SyncContext, feed: DeleteFeed, token: str | None) -> int:
    gone = 0
    for page in feed.deletions(token):
        found: dict[str, datetime] = {}
        for start in range(0, len(page.ids), ASKED):
            found |= _confirmed(context, page.ids[start : start + ASKED])
        context.store.tombstones.save(context.source.name, found, page.token, context.clock())
        gone += len(found)
    return gone


def _confirmed(context: SyncContext, ids: Sequence[str]) -> Mapping[str, datetime]:
    """Return the linked records of `ids` that the CRM does not know, each with the time at which it is deleted.

    That is now by the CRM's clock, which its windows go by, and later than the version that was delivered.
    """
    linked = context.store.tombstones.deletable(context.source.name, ids)
    there = _present(context, list(linked))
    now = context.source.server_time() or context.clock()
    return {one: max(now, at + timedelta.resolution) for one, at in linked.items() if one not in there}


def _present(context: SyncContext, ids: Sequence[str]) -> set[str]:
    if not ids:
        return set()
    return {change.crm_id for page in context.source.current(ids) for change in page}


def _keys(pages: Iterator[Sequence[str]]) -> Hashes:
    keys = array("Q")
    for page in pages:
        keys.frombytes(hashed(pd.Series(page, dtype=object)).tobytes())
    return np.unique(np.frombuffer(keys, dtype=np.uint64))


def _missing(context: SyncContext, keys: Hashes, seen: NDArray[np.bool_]) -> Iterator[Sequence[str]]:
    """Yield the ids of the links whose keys were not seen, as many at once as the CRM is asked for."""
    lost = keys[~seen]

    def ids() -> Iterator[str]:
        for page in context.store.tombstones.linked(context.source.name):
            yield from np.array(page, dtype=object)[np.isin(hashed(pd.Series(page, dtype=object)), lost)]

    if len(lost):
        found = ids()
        while some := list(islice(found, ASKED)):
            yield some


def _refusal(context: SyncContext, living: int, gone: int) -> str | None:
    if context.allow_deletes or not gone:
        return None
    if not living:
        return (
            "the CRM names no living record at all, so nothing is taken for deleted: check the table and the "
            "permissions of its user; if it is empty indeed, run reconcile --allow-deletes"
        )
    limit = most_removals(context, gone)
    if gone <= limit:
        return None
    return (
        f"more than {limit} records are missing from the CRM, over delivery.max_deletes or max_delete_share, so "
        "none is taken for deleted: check the table and the permissions of its user; if they are gone indeed, run "
        "reconcile --allow-deletes"
    )
