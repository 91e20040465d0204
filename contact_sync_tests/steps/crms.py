"""One small world in three CRMs: a table of SQLite, an organisation of Salesforce, an environment of Dynamics 365.

What belongs here: the same record written to each, a sync that reads it from there, and who of them is in Genesys.
A record `r3` has an id of the CRM's own kind; the ids sort like the names.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from contact_sync.crm.dynamics import DynamicsSource
from contact_sync.crm.http import Http
from contact_sync.crm.salesforce import SalesforceSource
from contact_sync.crm.source import CrmSource
from contact_sync.settings import Settings
from contact_sync.simulator.dataverse.server import DataverseServer
from contact_sync.simulator.dataverse.settings import DataverseSettings
from contact_sync.simulator.salesforce.records import record_id
from contact_sync.simulator.salesforce.server import SalesforceServer
from contact_sync.simulator.salesforce.settings import OrgSettings
from contact_sync.simulator.server import TwinServer
from contact_sync.steps.audit import audit
from contact_sync_tests.crm import dynamics_harness, salesforce_harness
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import FREQUENCY, START, Clock, moment, settings_of, window

_DYNAMICS = {
    "_parentcustomerid_value": "account",
    "firstname": "firstName",
    "lastname": "lastName",
    "jobtitle": "title",
    "emailaddress1": "workEmail",
    "mobilephone": "cellPhone",
    "address1_city": "address.city",
}
_SALESFORCE = {
    "AccountId": "account",
    "FirstName": "firstName",
    "LastName": "lastName",
    "Title": "title",
    "Email": "workEmail",
    "MobilePhone": "cellPhone",
    "MailingCity": "address.city",
}
_COLUMNS = ("account_id", "first_name", "last_name", "job_title", "email", "mobile_phone", "city")


class Crm(Protocol):
    """A CRM that histories happen in; it outlives them.

    Attributes:
        now: Its clock.
        hard: Whether deleted records are gone for good, and only its feed of deletes tells.
    """

    now: datetime
    hard: bool

    def put(self, crm_id: str, at: datetime, **columns: object) -> None:
        """Create a record or change the named columns of one, as `world.SmallCrm` does."""
        ...

    def id_of(self, name: str) -> str:
        """Return the CRM's id of a record."""
        ...

    def clear(self) -> None:
        """Forget every record, and how time has passed."""
        ...

    def settings(self, **values: Any) -> Settings:  # noqa: ANN401 -- settings of any type
        """Return settings that read from it."""
        ...

    def source(self, settings: Settings) -> CrmSource:
        """Return it as a source."""
        ...


class SalesforceCrm:
    """Records of an organisation; deleted ones are in the recycle bin."""

    def __init__(self, seconds: Callable[[], float] | None = None) -> None:
        self.now = START
        self.hard = False
        self.server = SalesforceServer(OrgSettings(clock=seconds or self._seconds))

    def put(self, crm_id: str, at: datetime, **columns: object) -> None:
        merged_into = columns.get("merged_into")
        if self.hard and columns.get("is_deleted") and not merged_into:
            self.server.org.records.purge("Contact", [self.id_of(crm_id)])
            return
        values = _named(columns, _SALESFORCE, account=record_id("001", 1)) | {
            "Id": self.id_of(crm_id),
            "IsDeleted": bool(columns.get("is_deleted")),
            "MasterRecordId": self.id_of(str(merged_into)) if merged_into else None,
        }
        self.server.org.records.put("Contact", values, at=at)

    def _seconds(self) -> float:
        return self.now.timestamp()

    def id_of(self, name: str) -> str:
        return record_id("003", int(name.removeprefix("r")))

    def clear(self) -> None:
        self.now, self.hard = START, False
        self.server.org.records.clear()

    def settings(self, **values: Any) -> Settings:  # noqa: ANN401 -- settings of any type
        return _settings({"salesforce": {"url": self.server.base_url}}, _SALESFORCE, values)

    def source(self, settings: Settings) -> CrmSource:
        assert settings.crm.salesforce
        return SalesforceSource(
            settings.crm.salesforce,
            salesforce_harness.CREDENTIALS,
            settings.registry.crm_fields,
            name=settings.crm.name,
            settle=settings.sync.settle,
            page_size=settings.crm.page_size,
            http=Http(sleep=lambda _: None),
        )


class DynamicsCrm:
    """Contacts of an environment; deleted ones are inactive."""

    def __init__(self, seconds: Callable[[], float] | None = None) -> None:
        self.now = START
        self.hard = False
        self.server = DataverseServer(DataverseSettings(clock=seconds or self._seconds))

    def put(self, crm_id: str, at: datetime, **columns: object) -> None:
        merged_into = columns.get("merged_into")
        if self.hard and columns.get("is_deleted") and not merged_into:
            if self.id_of(crm_id) in self.server.table.rows:
                self.server.table.delete(self.id_of(crm_id))
            return
        values = _named(columns, _DYNAMICS, account="00000001-0000-4000-8000-000000000000") | {
            "statecode": int(bool(columns.get("is_deleted"))),
            "merged": bool(merged_into),
            "_masterid_value": self.id_of(str(merged_into)) if merged_into else None,
        }
        self.server.table.put(values, contact_id=self.id_of(crm_id), modified_at=at)

    def _seconds(self) -> float:
        return self.now.timestamp()

    def id_of(self, name: str) -> str:
        return f"{int(name.removeprefix('r')):08d}-0000-4000-8000-000000000000"

    def clear(self) -> None:
        self.now, self.hard = START, False
        self.server.table.clear()

    def settings(self, **values: Any) -> Settings:  # noqa: ANN401 -- settings of any type
        url = self.server.base_url
        return _settings({"dynamics": {"url": url, "login_url": url}}, _DYNAMICS, values)

    def source(self, settings: Settings) -> CrmSource:
        assert settings.crm.dynamics
        return DynamicsSource(
            settings.crm.dynamics,
            dynamics_harness.credentials_of(self.server),
            settings.registry.crm_fields,
            name=settings.crm.name,
            settle=settings.sync.settle,
            page_size=settings.crm.page_size,
            http=Http(sleep=lambda _: None),
        )


def _named(columns: Mapping[str, object], fields: Mapping[str, str], account: str) -> dict[str, Any]:
    """Return columns of the small CRM by the names of another."""
    names = dict(zip(_COLUMNS, fields, strict=True))
    values = dict(columns) | ({"account_id": account} if "account_id" in columns else {})
    return {names[column]: value for column, value in values.items() if column in names}


def _settings(crm: Mapping[str, Any], fields: Mapping[str, str], values: Mapping[str, Any]) -> Settings:
    registry = {"fields": [{"crm": name, "genesys": target} for name, target in fields.items()]}
    return settings_of(crm=crm, registry=registry, **values)


@dataclass
class SyncElsewhere(Sync):
    """A sync from another CRM than the small one, which stays empty."""

    elsewhere: Crm | None = None

    def source(self) -> CrmSource:
        assert self.elsewhere
        return self.elsewhere.source(self.settings)


def in_small_pages(home: Path, twin: TwinServer, crm: Crm, clock: Clock) -> SyncElsewhere:
    """Return a sync that reads 200 records at a time."""
    settings = crm.settings()
    settings = settings.model_copy(update={"crm": settings.crm.model_copy(update={"page_size": 200})})
    return SyncElsewhere(home, twin, settings=settings, elsewhere=crm, clock=clock)


def person(crm: Crm, number: int, at_minute: float = 15) -> str:
    """Write an unrelated person; return the CRM's id of the record."""
    names = {"first_name": f"First{number}", "last_name": f"Last{number}"}
    crm.put(f"r{number}", moment(0, at_minute), email=f"p{number}@example.org", **names)
    return crm.id_of(f"r{number}")


def synced(sync: Sync) -> set[str]:
    """Return the CRM ids of every contact in Genesys."""
    return {one for held in sync.contacts() for one in held.records}


def audited_and_synced(sync: Sync) -> None:
    """Let the audit reopen what moved, sync that, and see that nothing is left to reopen."""
    audited = audit(sync.context)
    sync.sync(*[(one.start - window(0).start) // FREQUENCY.length for one in audited.reopened])
    assert not audit(sync.context).reopened
