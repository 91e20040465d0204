"""Query jobs of the Bulk API 2.0: results too large for pages of JSON.

What belongs here: a job from its creation to its deletion, and its results as rows. A page of results is read
whole and taken apart row by row, so that a result of any size needs the memory of a page.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from contact_sync.crm.salesforce_api import RefusedError, SalesforceApi
from contact_sync.crm.salesforce_rows import Row, rows_of_csv
from contact_sync.crm.salesforce_soql import Soql
from contact_sync.crm.source import CrmError, CrmUnavailableError

RESULT_ROWS = 20_000
"""Rows of a page of results: some 10 MB, and one API request."""

PATIENCE = 4 * 3600.0
"""Seconds that a job may take; Salesforce itself gives up after some hours."""

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # seconds between looks at a job
_ENDED_BADLY = frozenset({"Failed", "Aborted"})

_log = logging.getLogger(__name__)


class BulkQueries:
    """Reads results by query jobs.

    Args:
        api: The organisation.
        page_size: Rows that are yielded at most at once.
        clock: Monotonic seconds.
    """

    def __init__(self, api: SalesforceApi, page_size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._page_size = page_size
        self._clock = clock

    def pages(self, query: Soql, *, deleted: bool) -> Iterator[Sequence[Row]]:
        """Yield every row of `query` in pages, in any order; the job is deleted however this ends.

        Raises:
            CrmError: Salesforce could not be read, or the job failed.
        """
        operation = "queryAll" if deleted else "query"
        job = str(self._api.post("/jobs/query", {"operation": operation, "query": str(query)}).get("id"))
        path = f"/jobs/query/{job}"
        try:
            promised = self._complete(path)
            received = 0
            for rows in self._results(path, query.fields):
                received += len(rows)
                yield rows
            if promised is not None and received != promised:
                raise CrmUnavailableError(
                    f"a query job of Salesforce promised {promised:,} rows and gave {received:,}"
                )
        finally:
            self._delete(path)

    def _complete(self, path: str) -> int | None:
        """Wait until a job is done; return how many rows it found, if it tells."""
        pause, gives_up = _FIRST_PAUSE, self._clock() + PATIENCE
        while True:
            job = self._api.get(path)
            state, rows = job.get("state"), _number(job)
            if state == "JobComplete":
                _log.info("Salesforce's query job is complete: %s rows", rows)
                return rows
            if state in _ENDED_BADLY:
                raise CrmUnavailableError(f"a query job of Salesforce ended as {state}: a later run tries again")
            if self._clock() > gives_up:
                raise CrmUnavailableError(f"a query job of Salesforce was not complete after {PATIENCE:.0f} s")
            _log.info("Salesforce's query job is under way: %s rows so far", rows)
            self._api.http.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _results(self, path: str, columns: Sequence[str]) -> Iterator[Sequence[Row]]:
        locator, read = "", 0
        while locator != "null":  # so the last page is marked
            params = {"maxRecords": str(RESULT_ROWS)} | ({"locator": locator} if locator else {})
            answer = self._api.get_csv(f"{path}/results", params)
            yield from self._in_pages(rows_of_csv(answer.content, columns))
            locator = answer.headers.get("Sforce-Locator", "null")
            read += int(answer.headers.get("Sforce-NumberOfRecords", 0))
            _log.info("%d rows of Salesforce's query job are read", read)

    def _in_pages(self, rows: Iterator[Row]) -> Iterator[Sequence[Row]]:
        page: list[Row] = []
        for row in rows:
            page.append(row)
            if len(page) == self._page_size:
                yield page
                page = []
        if page:
            yield page

    def _delete(self, path: str) -> None:
        try:
            self._api.delete(path)
        except CrmError as error:
            if isinstance(error, RefusedError) and error.code == "NOT_FOUND":
                return  # deleted already: an answer was lost
            _log.warning("a query job stays with Salesforce, which deletes it after 7 days: %s", error)


def _number(job: Mapping[str, Any]) -> int | None:
    rows = job.get("numberRecordsProcessed")
    return rows if isinstance(rows, int) else None
