"""A Salesforce organisation that tests may change, and the contract's records in it.

What belongs here: the twin with a source over it, and the translation of the contract's ids and times. Salesforce
gives its own ids and keeps whole seconds: an id of the contract stands for an id of Salesforce, a microsecond of
the contract for a second of Salesforce.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from contact_sync.contacts.window import Window
from contact_sync.crm.http import Http
from contact_sync.crm.salesforce import SalesforceSource
from contact_sync.crm.salesforce_auth import SalesforceCredentials
from contact_sync.crm.salesforce_settings import Salesforce
from contact_sync.crm.source import Change, Stamp
from contact_sync.simulator.salesforce.records import record_id
from contact_sync.simulator.salesforce.schema import CONTACT
from contact_sync.simulator.salesforce.server import SalesforceServer
from contact_sync.simulator.salesforce.settings import OrgSettings
from contact_sync_tests.crm.contract import NOON, Record

CREDENTIALS = SalesforceCredentials("twin-consumer-key", "twin-consumer-secret")
SETTLE = timedelta(seconds=30)

_SEEN = {"Id", "SystemModstamp", "IsDeleted", "MasterRecordId", "AccountId", "FirstName", "Email", "Nickname__c"}
_STRETCHED = timedelta(minutes=90)  # around noon a microsecond is a second; what is further away stays as far
_FACTOR = 1_000_000


class Naps(list[float]):
    """How long a source would have slept, in seconds."""

    @property
    def sleep(self) -> Any:  # noqa: ANN401 -- a function
        return self.append


@contextmanager
def opened(
    server: SalesforceServer,
    fields: Sequence[str] = ("FirstName", "Email"),
    *,
    page_size: int = 2000,
    credentials: SalesforceCredentials = CREDENTIALS,
    http: Http | None = None,
    **settings: Any,  # noqa: ANN401 -- settings of any type
) -> Iterator[SalesforceSource]:
    """Open a source over a twin; it does not sleep."""
    organisation = Salesforce.model_validate({"url": server.base_url} | settings)
    source = SalesforceSource(
        organisation,
        credentials,
        fields,
        settle=SETTLE,
        page_size=page_size,
        http=http or Http(sleep=lambda _: None),
    )
    try:
        yield source
    finally:
        source.close()


class Translated:
    """A source of Salesforce in the contract's ids and times."""

    def __init__(self, source: SalesforceSource, ids: "Ids") -> None:
        self._source = source
        self._ids = ids
        self.name = source.name
        self.horizon = source.horizon
        self.server_time = source.server_time
        self.undated = source.undated
        self.close = source.close

    def changes(self, window: Window) -> Iterator[Sequence[Change]]:
        return map(self._page, self._source.changes(_there(window)))

    def current(self, ids: Sequence[str]) -> Iterator[Sequence[Change]]:
        return map(self._page, self._source.current([self._ids.known.get(one, one) for one in ids]))

    def count(self, window: Window) -> int:
        return self._source.count(_there(window))

    def stamps(self, window: Window) -> Iterator[Sequence[Stamp]]:
        pages = self._source.stamps(_there(window))
        return ([(self._ids.back(one), _here(at)) for one, at in page] for page in pages)

    def living(self) -> Iterator[Sequence[str]]:
        return ([self._ids.back(one) for one in page] for page in self._source.living())

    def unlisted(self, window: Window) -> Mapping[str, int]:
        return self._source.unlisted(_there(window))

    def examples(self, window: Window) -> Mapping[str, Any]:
        return self._source.examples(_there(window))

    def _page(self, page: Sequence[Change]) -> Sequence[Change]:
        return [
            replace(
                change,
                crm_id=self._ids.back(change.crm_id),
                modified_at=_here(change.modified_at),
                merged_into=change.merged_into and self._ids.back(change.merged_into),
            )
            for change in page
        ]


class Ids:
    """Which id of Salesforce stands for which of the contract."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self._back: dict[str, str] = {}

    def there(self, crm_id: str) -> str:
        """Return the id of Salesforce, a new one if need be."""
        if crm_id not in self.known:
            self.known[crm_id] = record_id("003", len(self.known) + 1)
            self._back[self.known[crm_id]] = crm_id
        return self.known[crm_id]

    def back(self, salesforce_id: str) -> str:
        """Return the contract's id."""
        return self._back[salesforce_id]


class SalesforceHarness:
    first_name = "FirstName"
    email = "Email"
    nickname = "Nickname__c"

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 -- settings of any type
        hidden = frozenset(f"Contact.{name}" for name in CONTACT.fields if name not in _SEEN)
        self.server = SalesforceServer(OrgSettings(hidden=hidden, min_batch=1, irregular=False))
        self.records = self.server.org.records
        self._settings = settings
        self._ids = Ids()
        self._sources: list[SalesforceSource] = []

    def put(self, records: Iterable[Record]) -> None:
        for record in records:
            values = {
                "Id": self._ids.there(record.crm_id),
                "FirstName": record.first_name or None,
                "Email": record.email,
                "Nickname__c": record.nickname,
                "IsDeleted": record.deleted,
                "MasterRecordId": self._ids.there(record.merged_into) if record.merged_into else None,
            }
            self.records.put("Contact", values, at=_then(record.modified_at))

    def clear(self) -> None:
        self.records.clear()

    def break_down(self) -> None:
        self.server.trouble.plan("html", times=1_000_000)

    def source(self, page_size: int = 7) -> Translated:
        settings = Salesforce.model_validate({"url": self.server.base_url} | self._settings)
        source = SalesforceSource(
            settings,
            CREDENTIALS,
            ["FirstName", "Email"],
            settle=SETTLE,
            page_size=page_size,
            http=Http(sleep=lambda _: None),
        )
        self._sources.append(source)
        return Translated(source, self._ids)

    def close(self) -> None:
        for source in self._sources:
            source.close()
        self.server.stop()


_MIDDLE = datetime(2200, 1, 1, tzinfo=UTC)


def _then(moment: datetime) -> datetime:
    """Return the time of Salesforce that stands for one of the contract."""
    away = moment - NOON
    near = min(max(away, -_STRETCHED), _STRETCHED)
    return _MIDDLE + near * _FACTOR + (away - near)


def _here(moment: datetime) -> datetime:
    """Return the time of the contract that one of Salesforce stands for."""
    away = moment - _MIDDLE
    near = min(max(away, -_STRETCHED * _FACTOR), _STRETCHED * _FACTOR)
    return NOON + near // _FACTOR + (away - near)


def _there(window: Window) -> Window:
    return Window(_then(window.start), _then(window.end))
