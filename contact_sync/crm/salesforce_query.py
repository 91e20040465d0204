"""Queries over the REST API: every row of a result, page by page, whatever happens to its pages.

What belongs here: following a result to its end, and beginning again where that is needed. A page is as large as
Salesforce likes, a locator lives as long as Salesforce likes, and only the number of rows tells whether all came.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

from contact_sync.crm.salesforce_api import LocatorLostError, SalesforceApi
from contact_sync.crm.salesforce_rows import ID, STAMP, Row, rows_of_json, stamp_of
from contact_sync.crm.salesforce_soql import Soql, any_of, instant, text
from contact_sync.crm.source import CrmUnavailableError

MAX_FRUITLESS = 3
"""So often in a row a result is asked for again without a new row before it is given up."""

_BATCHES = (200, 2000)  # what batchSize may be


class TooManyRowsError(Exception):
    """A result has more rows than one wants to read this way."""

    def __init__(self, rows: int) -> None:
        super().__init__(rows)
        self.rows = rows


class Queries:
    """Reads results.

    Args:
        api: The organisation.
        page_size: Rows that are yielded at most at once, and asked for.
    """

    def __init__(self, api: SalesforceApi, page_size: int) -> None:
        self._api = api
        self._page_size = page_size
        batch = min(max(page_size, _BATCHES[0]), _BATCHES[1]) if page_size >= _BATCHES[0] else page_size
        self._headers = {"Sforce-Query-Options": f"batchSize={batch}"}

    def first(self, query: Soql, *, deleted: bool) -> Mapping[str, Any]:
        """Return the first page of a result; `deleted` looks into the recycle bin, too."""
        resource = "/queryAll/" if deleted else "/query/"
        return self._api.get(resource, {"q": str(query)}, self._headers)

    def more(self, link: str) -> Mapping[str, Any]:
        """Return a further page."""
        return self._api.get(link, headers=self._headers)

    def count(self, query: Soql) -> int:
        """Return how many rows a query finds, deleted ones included."""
        return total_of(self.first(query.counting(), deleted=True))

    def pages(self, query: Soql, *, deleted: bool, at_most: int | None = None) -> Iterator[Sequence[Row]]:
        """Yield each row of `query` once, in pages; the query selects the fields that it is ordered by.

        Raises:
            TooManyRowsError: There are more than `at_most`; nothing was yielded.
            CrmError: Salesforce could not be read.
        """
        for page in _Reading(self, query, deleted=deleted).pages(at_most):
            for start in range(0, len(page), self._page_size):
                yield page[start : start + self._page_size]


class _Reading:
    """One query on its way: which rows were yielded, and the last of them."""

    def __init__(self, queries: Queries, query: Soql, *, deleted: bool) -> None:
        self._queries = queries
        self._query = query
        self._deleted = deleted
        self._seen: set[str] = set()
        self._reached: Row | None = None

    def pages(self, at_most: int | None) -> Iterator[list[Row]]:
        fruitless = 0
        while fruitless < MAX_FRUITLESS:
            known = len(self._seen)
            if (yield from self._result(at_most)):
                return
            at_most = None
            fruitless = fruitless + 1 if len(self._seen) == known else 0
        raise CrmUnavailableError(
            f"Salesforce gave fewer rows of a query than it counts, {MAX_FRUITLESS} times: a later run tries again"
        )

    def _result(self, at_most: int | None) -> Generator[list[Row], None, bool]:
        """Yield the rows of one result that are new; return whether all of it came.

        A result whose locator is lost is asked for again from the last row on; one that ends early may lack a row
        anywhere, and is asked for again from where it began.
        """
        began = self._reached
        page = self._queries.first(self._after(began), deleted=self._deleted)
        promised, received = total_of(page), 0
        if at_most is not None and promised > at_most:
            raise TooManyRowsError(promised)
        while True:
            rows = rows_of_json(page.get("records"), self._query.fields)
            received += len(rows)
            if fresh := [row for row in rows if row[ID] not in self._seen]:
                self._seen.update(str(row[ID]) for row in fresh)
                yield fresh
            self._reached = rows[-1] if rows else self._reached
            link = page.get("nextRecordsUrl")
            if not isinstance(link, str) or page.get("done") is True:
                break
            try:
                page = self._queries.more(link)
            except LocatorLostError:
                return False
        if received < promised:
            self._reached = began
        return received >= promised

    def _after(self, reached: Row | None) -> Soql:
        """Return the query of the rows behind one of its own."""
        if reached is None:
            return self._query
        behind = f"{ID} > {text(str(reached[ID]))}"
        if STAMP not in self._query.order:
            return self._query.narrowed(behind)
        stamp = instant(stamp_of(reached[STAMP]))
        return self._query.narrowed(any_of([f"{STAMP} > {stamp}", f"({STAMP} = {stamp} AND {behind})"]))


def total_of(page: Mapping[str, Any]) -> int:
    """Return how many rows a result has.

    Raises:
        CrmUnavailableError: It does not tell.
    """
    total = page.get("totalSize")
    if not isinstance(total, int):
        raise CrmUnavailableError("Salesforce answered a query without the number of its rows")
    return total
