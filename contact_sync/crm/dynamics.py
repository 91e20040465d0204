"""Contacts from Dynamics 365, through the Dataverse Web API.

What belongs here: windows and ids page by page, and what a row means. HTTP belongs to `dynamics_api`, the text of
queries to `dynamics_odata`, aggregations to `dynamics_counts`, change tracking to `dynamics_deletes`. Nothing here
writes to the CRM.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from contact_sync.contacts.window import Window
from contact_sync.crm.dynamics_api import MAX_PAGE, DataverseApi, Json, rows_of
from contact_sync.crm.dynamics_counts import DataverseCounts
from contact_sync.crm.dynamics_deletes import DeleteTracking
from contact_sync.crm.dynamics_odata import FORMATTED, among, column_of, is_id, seconds_of, within
from contact_sync.crm.dynamics_settings import Dynamics
from contact_sync.crm.dynamics_tokens import AppCredentials, EntraTokens
from contact_sync.crm.dynamics_unlisted import UnlistedColumns
from contact_sync.crm.http import Http
from contact_sync.crm.source import Change, CrmUnavailableError, Deletions, Stamp

__all__ = ["AppCredentials", "Dynamics", "DynamicsSource"]

MAX_IDS = 100
"""Ids of one query: its address stays below the 8 KB that proxies let pass."""

_OWN = ("contactid", "modifiedon", "statecode", "merged", "_masterid_value")
"""The columns that are read besides the registry's."""

_ANNOTATED = f'odata.include-annotations="{FORMATTED[1:]}"'


def _utc_now() -> datetime:
    return datetime.now(UTC)


class DynamicsSource:
    """Windows of contacts by `modifiedon`; keeps `CrmSource` and `DeleteFeed`.

    An active contact is an upsert. An inactive one is a delete, since deactivating is how Dynamics retires people,
    or a merge if it lost one. What is deleted for good no window shows: `deletions` does.

    Args:
        settings: The environment.
        credentials: The app registration.
        fields: The CRM fields that the registry lists: columns, or formatted values of columns.
        name: The source's name in ledgers and reports.
        settle: How long a change may need to become visible.
        page_size: Rows of one page; Dataverse gives at most 5,000.
        http: Sends the requests.
        clock: Now, aware; for a server that tells no time.

    Raises:
        CrmConfigurationError: A field cannot be a column, or the tenant is none.
    """

    def __init__(
        self,
        settings: Dynamics,
        credentials: AppCredentials,
        fields: Sequence[str],
        *,
        name: str = "dynamics",
        settle: timedelta,
        page_size: int = 2000,
        http: Http | None = None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.name = name
        self._fields = tuple(dict.fromkeys(fields))
        self._columns = tuple(dict.fromkeys((*_OWN, *map(column_of, self._fields))))
        self._settle = settle
        self._page_size = min(page_size, MAX_PAGE)
        self._http = http or Http()
        self._clock = clock
        self._api = DataverseApi(self._http, settings.url, EntraTokens(self._http, settings, credentials))
        self._counts = DataverseCounts(self._api)
        self._unlisted = UnlistedColumns(self._api, self._columns)

    def close(self) -> None:
        """Close the connections to the CRM."""
        self._http.close()

    def horizon(self) -> datetime:
        """Return the newest instant that is safe to read up to: Dataverse's clock less the settle delay.

        Raises:
            CrmConfigurationError: The application may not sign in.
            CrmUnavailableError: Dataverse cannot be reached.
        """
        return (self.server_time() or self._clock().astimezone(UTC)) - self._settle

    def server_time(self) -> datetime | None:
        """Return Dataverse's time, to the second, in UTC; None if an answer does not tell it.

        Raises:
            CrmConfigurationError: The application may not sign in.
            CrmUnavailableError: Dataverse cannot be reached.
        """
        try:
            return parsedate_to_datetime(self._api.date()).astimezone(UTC)
        except ValueError:
            return None

    def changes(self, window: Window) -> Iterator[Sequence[Change]]:
        """Yield the changes with `window.start <= modified_at < window.end`, page by page.

        `version` is the row's version, `modified_at` in whole seconds, which is what Dataverse keeps.

        Raises:
            CrmConfigurationError: A column or privilege is missing.
            CrmUnavailableError: Dataverse cannot be reached.
        """
        start, end = seconds_of(window)
        if start < end:
            yield from self._read(within(start, end), self._page_size)

    def current(self, ids: Sequence[str]) -> Iterator[Sequence[Change]]:
        """Yield each contact with one of `ids` as `changes` would give it now, page by page.

        Raises:
            CrmConfigurationError: A column or privilege is missing.
            CrmUnavailableError: Dataverse cannot be reached.
        """
        asked = list(dict.fromkeys(filter(is_id, ids)))
        size = min(self._page_size, MAX_IDS)
        for start in range(0, len(asked), size):
            yield from self._read(among(asked[start : start + size]), size)

    def count(self, window: Window) -> int:
        """Return how many changes `changes(window)` would yield now.

        Raises:
            CrmConfigurationError: A privilege is missing.
            CrmUnavailableError: Dataverse cannot be reached.
        """
        return self._counts.within(window)["n"]

    def stamps(self, window: Window) -> Iterator[Sequence[Stamp]]:
        """Yield ids and times of change of what `changes(window)` would yield now, page by page.

        Raises:
            CrmConfigurationError: A privilege is missing.
            CrmUnavailableError: Dataverse cannot be reached.
        """
        start, end = seconds_of(window)
        if start == end:
            return
        options = {
            "$select": "contactid,modifiedon",
            "$filter": within(start, end),
            "$orderby": "modifiedon asc,contactid asc",
        }
        for page in self._api.pages(self._api.url("contacts", options), f"odata.maxpagesize={self._page_size}"):
            if stamps := [(_text(row, "contactid"), _instant(row)) for row in rows_of(page)]:
                yield stamps

    def living(self) -> Iterator[Sequence[str]]:
        """Yield the ids of all active contacts, page by page.

        Raises:
            CrmConfigurationError: A privilege is missing.
            CrmUnavailableError: Dataverse cannot be reached.
        """
        url = self._api.url("contacts", {"$select": "contactid", "$filter": "statecode eq 0"})
        for page in self._api.pages(url, f"odata.maxpagesize={self._page_size}"):
            if ids := [_text(row, "contactid") for row in rows_of(page)]:
                yield ids

    def deletions(self, token: str | None) -> Iterator[Deletions]:
        """Yield the contacts that were deleted for good since `token` was given, page by page.

        Raises:
            DeleteFeedExpiredError: The token is too old, or of another environment.
            CrmConfigurationError: A privilege is missing that there was when the token was given.
            CrmUnavailableError: Dataverse cannot be reached.
        """
        return DeleteTracking(self._api).pages(token)

    def unlisted(self, window: Window) -> Mapping[str, int]:
        """Count, per column that the registry does not list, the contacts of the window that carry a value.

        Counted by Dataverse, some columns a query. Columns that it refuses to count are left out, with a warning.

        Raises:
            CrmUnavailableError: Dataverse cannot be reached.
        """
        return self._unlisted.counts(window)

    def examples(self, window: Window) -> Mapping[str, Any]:
        """Return a value for each column that the registry does not list, from some contacts of the window.

        Raises:
            CrmUnavailableError: Dataverse cannot be reached.
        """
        return self._unlisted.examples(window)

    def undated(self) -> int:
        """Count the contacts without a time of change.

        Raises:
            CrmUnavailableError: Dataverse cannot be reached.
        """
        return self._counts.undated()

    def _read(self, condition: str, page_size: int) -> Iterator[Sequence[Change]]:
        options = {
            "$select": ",".join(self._columns),
            "$filter": condition,
            "$orderby": "modifiedon asc,contactid asc",
        }
        prefer = [f"odata.maxpagesize={page_size}"]
        if any(field.endswith(FORMATTED) for field in self._fields):
            prefer.append(_ANNOTATED)
        for page in self._api.pages(self._api.url("contacts", options), ",".join(prefer)):
            if changes := [self._change(row) for row in rows_of(page) if row.get("modifiedon") is not None]:
                yield changes

    def _change(self, row: Json) -> Change:
        active, survivor = _is_active(row), None
        if not active and row.get("merged") and row.get("_masterid_value"):
            survivor = _text(row, "_masterid_value")
        return Change(
            crm_id=_text(row, "contactid"),
            version=_text(row, "@odata.etag").removeprefix('W/"').removesuffix('"'),
            modified_at=_instant(row),
            kind="upsert" if active else "merge" if survivor else "delete",
            fields={field: row.get(field) for field in self._fields},
            merged_into=survivor,
        )


def _text(row: Json, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise _unreadable(name)
    return value


def _is_active(row: Json) -> bool:
    state = row.get("statecode")
    if not isinstance(state, int):  # nobody is deleted for want of an answer
        raise _unreadable("statecode")
    return state == 0


def _instant(row: Json) -> datetime:
    try:
        return datetime.fromisoformat(_text(row, "modifiedon")).astimezone(UTC)
    except ValueError:
        unreadable = _unreadable("modifiedon")
    raise unreadable


def _unreadable(name: str) -> CrmUnavailableError:
    return CrmUnavailableError(f"Dataverse answered a contact without a readable {name}")
