"""A Dataverse twin that tests may change, and the source over it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from contact_sync.contacts.window import Window
from contact_sync.crm.dynamics import AppCredentials, Dynamics, DynamicsSource
from contact_sync.crm.http import Http
from contact_sync.crm.source import Change, CrmSource, Stamp
from contact_sync.registry_file import with_preset
from contact_sync.simulator.dataverse.server import DataverseServer
from contact_sync.simulator.faults import Faults
from contact_sync_tests.crm.contract import Record

FIELDS = ("firstname", "emailaddress1")
SYSTEM_COLUMNS = frozenset(with_preset({"preset": "dynamics"})["ignored"])
SETTLE = timedelta(seconds=30)


def guid_of(crm_id: str) -> str:
    return str(uuid5(NAMESPACE_OID, crm_id))


def settings_of(server: DataverseServer) -> Dynamics:
    return Dynamics(url=server.base_url, login_url=server.base_url)


def credentials_of(server: DataverseServer) -> AppCredentials:
    [(client, secret)] = server.settings.clients.items()
    return AppCredentials(server.settings.tenant_id, client, secret)


def source_of(
    server: DataverseServer, fields: Sequence[str] = FIELDS, *, page_size: int = 7, http: Http | None = None
) -> DynamicsSource:
    """Return a source over a twin that waits for nothing."""
    return DynamicsSource(
        settings_of(server),
        credentials_of(server),
        fields,
        settle=SETTLE,
        page_size=page_size,
        http=http or Http(sleep=lambda _: None),
    )


class DynamicsHarness:
    """Records have names here and GUIDs in Dataverse; what a test names otherwise is asked for as it is."""

    first_name = "firstname"
    email = "emailaddress1"
    nickname = "nickname"

    def __init__(self, server: DataverseServer) -> None:
        self.server = server
        self._names: dict[str, str] = {}
        self._sources: list[DynamicsSource] = []

    def put(self, records: Iterable[Record]) -> None:
        for record in records:
            self._names[guid_of(record.crm_id)] = record.crm_id
            self.server.table.put(_row(record), contact_id=guid_of(record.crm_id), modified_at=record.modified_at)

    def clear(self) -> None:
        self.server.table.clear()

    def break_down(self) -> None:
        self.server.faults = Faults(server_error=1)

    def source(self, page_size: int = 7) -> CrmSource:
        source = source_of(self.server, page_size=page_size)
        self._sources.append(source)
        return _Named(source, self._names)

    def close(self) -> None:
        for source in self._sources:
            source.close()


class _Named:
    """The source with the names of records for their ids, and without the columns that every contact has."""

    def __init__(self, source: DynamicsSource, names: Mapping[str, str]) -> None:
        self.name = source.name
        self._source = source
        self._names = names

    def horizon(self) -> datetime:
        return self._source.horizon()

    def server_time(self) -> datetime | None:
        return self._source.server_time()

    def changes(self, window: Window) -> Iterator[Sequence[Change]]:
        return map(self._renamed, self._source.changes(window))

    def current(self, ids: Sequence[str]) -> Iterator[Sequence[Change]]:
        guids = {name: guid for guid, name in self._names.items()}
        return map(self._renamed, self._source.current([guids.get(name, name) for name in ids]))

    def count(self, window: Window) -> int:
        return self._source.count(window)

    def stamps(self, window: Window) -> Iterator[Sequence[Stamp]]:
        return ([(self._names[guid], at) for guid, at in page] for page in self._source.stamps(window))

    def living(self) -> Iterator[Sequence[str]]:
        return ([self._names[guid] for guid in page] for page in self._source.living())

    def unlisted(self, window: Window) -> Mapping[str, int]:
        return _own(self._source.unlisted(window))

    def examples(self, window: Window) -> Mapping[str, Any]:
        return _own(self._source.examples(window))

    def undated(self) -> int:
        return self._source.undated()

    def close(self) -> None:
        self._source.close()

    def _renamed(self, page: Sequence[Change]) -> Sequence[Change]:
        return [
            replace(
                change,
                crm_id=self._names[change.crm_id],
                merged_into=change.merged_into and self._names.get(change.merged_into, change.merged_into),
            )
            for change in page
        ]


def _own(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if name not in SYSTEM_COLUMNS}


def _row(record: Record) -> dict[str, Any]:
    return {
        "firstname": record.first_name,
        "emailaddress1": record.email,
        "nickname": record.nickname,
        "statecode": int(record.deleted),
        "merged": record.merged_into is not None,
        "_masterid_value": record.merged_into and guid_of(record.merged_into),
    }
