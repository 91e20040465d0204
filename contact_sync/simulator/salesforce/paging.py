"""Results of REST queries, page by page.

What belongs here: page sizes, and locators from their opening to their end.
"""

import random
import threading
from collections import OrderedDict
from dataclasses import dataclass

from contact_sync.simulator.salesforce.errors import ApiError, Json
from contact_sync.simulator.salesforce.settings import OrgSettings
from contact_sync.simulator.salesforce.soql import Found, as_json


@dataclass(slots=True)
class _Cursor:
    found: Found
    batch: int
    path: str
    used_at: float


class Pages:
    """The open results of the user; safe to share between threads."""

    def __init__(self, settings: OrgSettings) -> None:
        self._settings = settings
        self._cursors: OrderedDict[str, _Cursor] = OrderedDict()
        self._opened = 0
        self._lock = threading.Lock()

    def first(self, found: Found, batch: int | None, version: str, resource: str) -> Json:
        """Return the first page of a result.

        Args:
            found: The result.
            batch: The batchSize that was asked for.
            version: The API's.
            resource: `query` or `queryAll`.
        """
        if found.count is not None:
            return {"totalSize": found.count, "done": True, "records": []}
        if found.counts:
            record: Json = {"attributes": {"type": "AggregateResult"}}
            record |= {f"expr{place}": count for place, count in enumerate(found.counts)}
            return {"totalSize": 1, "done": True, "records": [record]}
        size = min(max(batch or self._settings.max_batch, self._settings.min_batch), self._settings.max_batch)
        with self._lock:
            self._opened += 1
            name = f"01g5g{self._opened:013d}"
            self._cursors[name] = _Cursor(
                found, size, f"/services/data/v{version}/{resource}", self._settings.clock()
            )
            while len(self._cursors) > self._settings.max_locators:
                self._cursors.popitem(last=False)
            return self._page(name, 0, version)

    def more(self, locator: str, version: str, *, skip: bool = False) -> Json:
        """Return the page that a locator leads to; `skip` leaves it out and returns the one after it.

        Raises:
            ApiError: 400 INVALID_QUERY_LOCATOR.
        """
        name, _, place = locator.partition("-")
        with self._lock:
            cursor = self._cursors.get(name)
            now = self._settings.clock()
            if cursor is None or not place.isdigit() or cursor.used_at + self._settings.locator_seconds < now:
                self._cursors.pop(name, None)
                raise lost()
            cursor.used_at = now
            start = int(place)
            return self._page(name, start + self._size(name, start) if skip else start, version)

    def forget(self) -> None:
        """Lose every locator."""
        with self._lock:
            self._cursors.clear()

    def _page(self, name: str, start: int, version: str) -> Json:
        cursor = self._cursors[name]
        rows = cursor.found.rows
        end = min(start + self._size(name, start), len(rows))
        page: Json = {"totalSize": len(rows), "done": end >= len(rows)}
        if not page["done"]:
            page["nextRecordsUrl"] = f"{cursor.path}/{name}-{end}"
        page["records"] = [as_json(cursor.found, row, version) for row in rows[start:end]]
        return page

    def _size(self, name: str, start: int) -> int:
        """Return how many rows come from `start`: the same whenever it is asked again."""
        batch = self._cursors[name].batch
        if not self._settings.irregular:
            return batch
        return random.Random(f"{name}/{start}").randint(-(-batch // 2), batch)  # noqa: S311 -- guards no secret


def lost() -> ApiError:
    """Return the error of a locator that is gone."""
    return ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
