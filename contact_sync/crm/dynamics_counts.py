"""Counting contacts in Dataverse: the records of a window, and the values in columns of theirs.

What belongs here: aggregations, and the ways around their limit of 50,000 records. No value is read.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from contact_sync.contacts.window import Window
from contact_sync.crm.dynamics_api import MAX_PAGE, DataverseApi, DataverseRefusedError, rows_of
from contact_sync.crm.dynamics_odata import UNDATED, before, counting, seconds_of, since, within
from contact_sync.crm.source import CrmUnavailableError

_TOO_MANY = "0x8004E023"
_SECOND = timedelta(seconds=1)


class DataverseCounts:
    """Counts what is in the contact table."""

    def __init__(self, api: DataverseApi) -> None:
        self._api = api

    def undated(self) -> int:
        """Return how many contacts have no time of change; see `within` for what is raised."""
        found = self._aggregated([UNDATED], ())
        return self._walked("modifiedon eq null") if found is None else found["n"]

    def within(self, window: Window, columns: Sequence[str] = ()) -> Counter[str]:
        """Return how many contacts changed in a window (`n`), and how many of them have a value in which column.

        A window that holds more than Dataverse aggregates is counted in halves. Columns of a second that alone
        holds more are not counted.

        Raises:
            DataverseRefusedError: A column or privilege is missing.
            CrmUnavailableError: Dataverse cannot be reached.
        """
        counts: Counter[str] = Counter()
        spans = [seconds_of(window)]
        while spans:
            start, end = spans.pop()
            if start == end:
                continue
            found = self._aggregated([since(start), before(end)], columns)
            if found is not None:
                counts.update(found)
            elif end - start > _SECOND:
                middle = _middle(start, end)
                spans += [(start, middle), (middle, end)]
            else:
                counts["n"] += self._walked(within(start, end))
        return counts

    def _aggregated(self, conditions: Sequence[str], columns: Sequence[str]) -> Counter[str] | None:
        """Return the counts by `n` and by column; None if there are too many records to aggregate."""
        url = self._api.url("contacts", {"fetchXml": counting(conditions, columns)})
        try:
            rows = rows_of(self._api.get(url))
        except DataverseRefusedError as refused:
            if refused.code.upper() != _TOO_MANY.upper():
                raise
            return None
        names = {"n": "n"} | {f"c{number}": column for number, column in enumerate(columns)}
        told = rows[0] if len(rows) == 1 else {}
        if not all(isinstance(told.get(alias), int) for alias in names):
            raise CrmUnavailableError("Dataverse answered a count without numbers")
        return Counter({name: told[alias] for alias, name in names.items()})

    def _walked(self, condition: str) -> int:
        """Return how many contacts there are, read page by page: only their ids come."""
        url = self._api.url("contacts", {"$select": "contactid", "$filter": condition})
        return sum(len(rows_of(page)) for page in self._api.pages(url, f"odata.maxpagesize={MAX_PAGE}"))


def _middle(start: datetime, end: datetime) -> datetime:
    return start + (end - start) // 2 // _SECOND * _SECOND
