"""The CRM of the demo: the same sample people in a database, or in a twin of another CRM.

What belongs here: how each kind is started, reached and kept up to date. The people live in one SQLite file, which
for every other kind is loaded into its twin.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import yaml

from contact_sync.contacts.window import Window
from contact_sync.simulator import sample_crm

_FILE = "crm.db"
_EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


class CrmKind(StrEnum):
    """The kinds of CRM that the demo knows."""

    SQL = "sql"
    SALESFORCE = "salesforce"


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
    return _SalesforceSample(home / _FILE) if "salesforce" in settings["crm"] else _SqlSample(home / _FILE)


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


class _SalesforceSample:
    """A twin of Salesforce that holds what the database does."""

    def __init__(self, path: Path) -> None:
        from contact_sync.simulator.salesforce.server import SalesforceServer  # noqa: PLC0415 -- slow to load

        self._path = path
        self._twin = SalesforceServer()
        key, app = next(iter(self._twin.org.settings.apps.items()))
        self.place = f"a twin of Salesforce: {self._twin.base_url}"
        self.environment: Mapping[str, str] = {
            "CONTACT_SYNC_CRM__SALESFORCE__URL": self._twin.base_url,
            "SALESFORCE_CLIENT_ID": key,
            "SALESFORCE_CLIENT_SECRET": app.secret,
        }

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
        from contact_sync.simulator.salesforce.sample import load  # noqa: PLC0415 -- slow to load

        load(self._twin.org.records, sample_crm.rows_between(self._path, start, end))
