"""The CRM of the demo: the same sample people in a database, or in a twin of another CRM.

What belongs here: how each kind is started, reached and kept up to date. The people live in one SQLite file, which
for every other kind is loaded into its twin.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import yaml

from contact_sync.contacts.window import Window
from contact_sync.simulator import sample_crm
from contact_sync.simulator.sample_records import Row

_FILE = "crm.db"
_EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


class CrmKind(StrEnum):
    """The kinds of CRM that the demo knows."""

    SQL = "sql"
    SALESFORCE = "salesforce"
    DYNAMICS = "dynamics"


class SampleCrm(Protocol):
    """A sample CRM, running while its `with` block lasts.

    Attributes:
        place: Where it is, for people.
        environment: The variables by which it is reached.
    """

    place: str
    environment: Mapping[str, str]

    def live(self, window: Window, seed: int) -> None:
        """Let the CRM live on through a window."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def create(home: Path, kind: CrmKind, contacts: int, history: Window) -> None:
    """Write the sample people into a folder, last changed within `history`, and the settings of their CRM."""
    sample_crm.create(home / _FILE, contacts=contacts, start=history.start, end=history.end)
    name = "sample_crm.yaml" if kind is CrmKind.SQL else f"sample_{kind}.yaml"
    settings = resources.files("contact_sync.simulator").joinpath(name).read_text(encoding="utf-8")
    (home / "contact_sync.yaml").write_text(settings, encoding="utf-8")


def open_sample(home: Path) -> SampleCrm:
    """Return the CRM of the demo in a folder, of the kind that its settings name; its `with` block starts it."""
    settings = yaml.safe_load((home / "contact_sync.yaml").read_text(encoding="utf-8"))
    [opener] = (_OPENERS[key] for key in settings["crm"] if key in _OPENERS)
    return opener(home / _FILE)


class _Twin(NamedTuple):
    """A running twin: where it is, how it is reached, how rows of the database get into it, and how it ends."""

    place: str
    environment: Mapping[str, str]
    load: Callable[[Sequence[Row]], None]
    stop: Callable[[], None]


class _SqlSample:
    """The database itself."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.place = str(path)
        self.environment: Mapping[str, str] = {"CONTACT_SYNC_CRM_URL": f"sqlite:///{path.resolve()}"}

    def live(self, window: Window, seed: int) -> None:
        sample_crm.change(self._path, start=window.start, end=window.end, seed=seed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing was started."""


class _TwinSample:
    """A twin of another CRM that holds what the database does."""

    def __init__(self, path: Path, twin: _Twin) -> None:
        self._path = path
        self._twin = twin
        self.place = twin.place
        self.environment = twin.environment

    def live(self, window: Window, seed: int) -> None:
        sample_crm.change(self._path, start=window.start, end=window.end, seed=seed)
        self._load(window.start, window.end)

    def __enter__(self) -> Self:
        self._load(*_EVER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._twin.stop()

    def _load(self, start: datetime, end: datetime) -> None:
        self._twin.load(sample_crm.rows_between(self._path, start, end))


def _salesforce(path: Path) -> SampleCrm:
    from contact_sync.simulator.salesforce.sample import load  # noqa: PLC0415 -- slow to load
    from contact_sync.simulator.salesforce.server import SalesforceServer  # noqa: PLC0415

    twin = SalesforceServer()
    key, app = next(iter(twin.org.settings.apps.items()))
    environment = {
        "CONTACT_SYNC_CRM__SALESFORCE__URL": twin.base_url,
        "SALESFORCE_CLIENT_ID": key,
        "SALESFORCE_CLIENT_SECRET": app.secret,
    }
    place = f"a twin of Salesforce: {twin.base_url}"
    return _TwinSample(path, _Twin(place, environment, partial(load, twin.org.records), twin.stop))


def _dynamics(path: Path) -> SampleCrm:
    from contact_sync.simulator.dataverse.sample import ADDED, load  # noqa: PLC0415 -- slow to load
    from contact_sync.simulator.dataverse.server import DataverseServer  # noqa: PLC0415
    from contact_sync.simulator.dataverse.settings import DataverseSettings  # noqa: PLC0415

    twin = DataverseServer(DataverseSettings(columns=ADDED))
    client, secret = next(iter(twin.settings.clients.items()))
    environment = {
        "CONTACT_SYNC_CRM__DYNAMICS__URL": twin.base_url,
        "CONTACT_SYNC_CRM__DYNAMICS__LOGIN_URL": twin.base_url,
        "DYNAMICS_TENANT_ID": twin.settings.tenant_id,
        "DYNAMICS_CLIENT_ID": client,
        "DYNAMICS_CLIENT_SECRET": secret,
    }
    place = f"a twin of Dynamics 365: {twin.base_url}"
    return _TwinSample(path, _Twin(place, environment, partial(load, twin.table), twin.stop))


_OPENERS: Mapping[str, Callable[[Path], SampleCrm]] = {
    "table": _SqlSample,
    "salesforce": _salesforce,
    "dynamics": _dynamics,
}
