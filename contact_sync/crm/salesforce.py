"""Contacts from a Salesforce organisation.

What belongs here: what a window, an id and a deletion are in Salesforce. How results are read belongs to
`salesforce_query` and `salesforce_bulk`, what a row means to `salesforce_rows`. Nothing here writes to Salesforce.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from contact_sync.contacts.window import Window
from contact_sync.crm import salesforce_soql as soql
from contact_sync.crm.http import Answer, CrmRetryableError, Http
from contact_sync.crm.salesforce_api import RefusedError, SalesforceApi
from contact_sync.crm.salesforce_auth import SalesforceCredentials, Tokens
from contact_sync.crm.salesforce_bulk import BulkQueries
from contact_sync.crm.salesforce_deleted import deletions
from contact_sync.crm.salesforce_describe import Description, Unlisted
from contact_sync.crm.salesforce_query import Queries, TooManyRowsError
from contact_sync.crm.salesforce_rows import ID, PARENT_STAMP, STAMP, Layout, Row
from contact_sync.crm.salesforce_settings import Salesforce
from contact_sync.crm.salesforce_soql import Soql
from contact_sync.crm.source import Change, CrmConfigurationError, CrmUnavailableError, Deletions, Stamp

MAX_IDS = 200
"""Ids of one query: its address must not grow too long."""

_log = logging.getLogger(__name__)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SalesforceSource:
    """Windows of changes of one object, by SystemModstamp; keeps `CrmSource` and `DeleteFeed`.

    Records in the recycle bin are read as deletes, those that lost a merge as merges. Formula fields do not move
    SystemModstamp; a record that was deleted for good is told by `deletions` only. Salesforce keeps no empty text:
    it is no value. A yes or no is `true` or `false`.

    Args:
        settings: The organisation and the object.
        credentials: Who logs in.
        fields: The fields that the registry lists, such as `LastName` or `Account.Name`.
        name: The source's name in ledgers and reports.
        settle: How long a change may need to become visible.
        page_size: Changes of one page.
        http: The wire.
        clock: Now, aware; dates a JWT.

    Raises:
        CrmConfigurationError: A field is no name.
    """

    def __init__(
        self,
        settings: Salesforce,
        credentials: SalesforceCredentials,
        fields: Sequence[str],
        *,
        name: str = "salesforce",
        settle: timedelta,
        page_size: int = 2000,
        http: Http | None = None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.name = name
        self._settings = settings
        self._settle = settle
        self._http = http or Http()
        self._api = SalesforceApi(
            settings, Tokens(settings, credentials, self._http, lambda: clock().timestamp()), self._http
        )
        registered = tuple(dict.fromkeys(map(soql.name, fields)))
        self._layout = Layout(settings.object, registered, settings.account_changes)
        self._queries = Queries(self._api, page_size)
        self._bulk = BulkQueries(self._api, page_size)
        self._description = Description(self._api, settings.object)
        self._unlisted = Unlisted(self._description, self._queries, self._layout.columns)

    def close(self) -> None:
        """Close the connections to Salesforce."""
        self._http.close()

    def server_time(self) -> datetime:
        """Return the time of Salesforce's own clock, in whole seconds; a request that counts for nothing.

        Raises:
            CrmUnavailableError: Salesforce cannot be reached.
        """
        return _date_of(self._http.repeated(self._versions))

    def horizon(self) -> datetime:
        """Return the newest instant that is safe to read up to: Salesforce's clock less the settle delay.

        Raises:
            CrmUnavailableError: Salesforce cannot be reached.
        """
        return self.server_time() - self._settle

    def changes(self, window: Window) -> Iterator[Sequence[Change]]:
        """Yield the changes with `window.start <= modified_at < window.end`, page by page.

        Raises:
            CrmConfigurationError: A field, object or permission that the settings name is missing.
            CrmUnavailableError: Salesforce cannot be reached, or the day's requests are used up.
        """
        for part in self._parts(window):
            yield from self._changes(self._read(part))

    def current(self, ids: Sequence[str]) -> Iterator[Sequence[Change]]:
        """Yield each record with one of `ids` as `changes` would give it now, page by page.

        A record that was deleted for good yields nothing.

        Raises:
            CrmConfigurationError: A field, object or permission that the settings name is missing.
            CrmUnavailableError: Salesforce cannot be reached, or the day's requests are used up.
        """
        asked = [one for one in dict.fromkeys(ids) if soql.is_id(one)]
        for start in range(0, len(asked), MAX_IDS):
            portion = asked[start : start + MAX_IDS]
            query = self._all.narrowed(soql.one_of(ID, portion))
            yield from self._changes(self._explained(self._queries.pages(query, deleted=True)))

    def count(self, window: Window) -> int:
        """Return how many changes `changes(window)` would yield now: one COUNT() each for records and accounts.

        Raises:
            CrmConfigurationError: A field, object or permission that the settings name is missing.
            CrmUnavailableError: Salesforce cannot be reached, or the day's requests are used up.
        """
        return sum(map(self._queries.count, self._parts(window)))

    def stamps(self, window: Window) -> Iterator[Sequence[Stamp]]:
        """Yield ids and times of change of what `changes(window)` would yield now, page by page.

        Raises:
            CrmConfigurationError: A field, object or permission that the settings name is missing.
            CrmUnavailableError: Salesforce cannot be reached, or the day's requests are used up.
        """
        layout = self._layout
        for part in self._parts(window):
            for page in self._read(part.selecting(layout.stamps)):
                yield [(str(row[ID]), layout.modified_at(row)) for row in page]

    def living(self) -> Iterator[Sequence[str]]:
        """Yield the ids of all records outside of the recycle bin, page by page.

        Raises:
            CrmConfigurationError: The object or a permission is missing.
            CrmUnavailableError: Salesforce cannot be reached, or the day's requests are used up.
        """
        query = Soql((ID,), self._settings.object, order=(ID,))
        for page in self._read(query, deleted=False):
            yield [str(row[ID]) for row in page]

    def deletions(self, token: str | None) -> Iterator[Deletions]:
        """Yield what was deleted since `token`, in the recycle bin or for good; see `DeleteFeed`.

        Raises:
            DeleteFeedExpiredError: The token is older than 30 days, or too much was deleted.
            CrmUnavailableError: Salesforce cannot be reached, or the day's requests are used up.
        """
        return deletions(self._api, self._settings.object, token, self.server_time)

    def unlisted(self, window: Window) -> Mapping[str, int]:
        """Count, per field that the registry does not list, the changes of the window that carry a value.

        One aggregate query for 50 fields; none of their values is read. Of a yes or no those with a yes count;
        fields that no query may ask for, such as long texts, are left out.

        Raises:
            CrmUnavailableError: Salesforce cannot be reached, or the day's requests are used up.
        """
        counts: Counter[str] = Counter()
        for part in self._parts(window):
            counts.update(self._unlisted.counts(part))
        return dict(counts)

    def examples(self, window: Window) -> Mapping[str, Any]:
        """Return a value for each field that the registry does not list, from some rows of the window.

        Raises:
            CrmUnavailableError: Salesforce cannot be reached, or the day's requests are used up.
        """
        examples: dict[str, Any] = {}
        for part in self._parts(window):
            examples = {**self._unlisted.examples(part), **examples}
        return examples

    def undated(self) -> int:
        """Return 0: every record of Salesforce has an id and a SystemModstamp."""
        return 0

    @property
    def _all(self) -> Soql:
        return Soql(self._layout.columns, self._settings.object, order=(STAMP, ID))

    def _parts(self, window: Window) -> Iterator[Soql]:
        """Yield the queries that make up a window, no record in two of them.

        A record is as new as itself or, where that is asked for, as its account if that is newer.
        """
        own = soql.within(STAMP, window)
        if not self._layout.with_parent:
            yield self._all.narrowed(*own)
            return
        start, end = soql.instant(window.start), soql.instant(window.end)
        yield self._all.narrowed(*own, soql.any_of([f"{PARENT_STAMP} < {end}", "AccountId = NULL"]))
        yield self._all.narrowed(f"{STAMP} < {start}", *soql.within(PARENT_STAMP, window))

    def _read(self, query: Soql, *, deleted: bool = True) -> Iterator[Sequence[Row]]:
        """Yield the rows of a query, by a job if they are many: the first page tells how many."""
        try:
            yield from self._explained(
                self._queries.pages(query, deleted=deleted, at_most=self._settings.bulk_above)
            )
        except TooManyRowsError as many:
            rows = many.rows
        else:
            return
        _log.info("%d rows are more than crm.salesforce.bulk_above: a query job reads them", rows)
        yield from self._bulk.pages(query.unordered(), deleted=deleted)

    def _changes(self, pages: Iterator[Sequence[Row]]) -> Iterator[Sequence[Change]]:
        for page in pages:
            yield [self._layout.change(row) for row in page]

    def _explained(self, pages: Iterator[Sequence[Row]]) -> Iterator[Sequence[Row]]:
        """Yield pages; of a refused query, name the field that is missing."""
        try:
            yield from pages
        except RefusedError as error:
            refused = error
        else:
            return
        if refused.code == "INVALID_FIELD":
            missing = self._description.missing(self._layout.columns)
            raise CrmConfigurationError(
                f"{self._settings.object} of Salesforce has no field {' or '.join(missing)}, or the integration "
                "user may not see it: correct the registry, or give its permission set read access to the field"
            )
        raise refused

    def _versions(self) -> Answer:
        """Ask for the versions of the API, which needs no token and is not counted."""
        answer = self._http.exchange(requests.Request("GET", f"{self._settings.url}/services/data/"))
        if not answer.ok or not isinstance(answer.json(), list):
            raise CrmRetryableError(
                f"Salesforce answered {answer.place} with {answer.status} and a page that is no data: is it under "
                "maintenance, or is a proxy in between?",
                answer.retry_after,
            )
        return answer


def _date_of(answer: Answer) -> datetime:
    try:
        return parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC)
    except ValueError:
        pass
    raise CrmUnavailableError(f"Salesforce answered {answer.place} without its time: is a proxy in between?")
