"""A project as an operator has one: settings file, sample CRM, environment, and a twin of Genesys to sync into.

What belongs here: what the tests of the command line and of orchestration share. Nothing here imports Dagster.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests
import yaml

from contact_sync.connections import Connections
from contact_sync.contacts.window import Frequency, Window
from contact_sync.settings import CONFIG_VARIABLE, Settings, load_settings
from contact_sync.simulator import sample_crm
from contact_sync.simulator.server import TwinServer
from contact_sync.simulator.settings import TwinSettings
from contact_sync.state.frames import FrameStore

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
FREQUENCY = Frequency.THIRTY_MINUTES
FILLED = 3
"""So many windows from the start hold the changes of the sample CRM; later ones are empty."""
CLIENT, SECRET = "client-of-the-tests", "s3cret-of-the-tests"
NOBODY: Mapping[str, None] = dict.fromkeys(
    ("first_name", "last_name", "email", "work_phone", "mobile_phone", "home_phone", "other_phone")
)
"""A record's columns when nothing tells who it is."""

_PREFIXES = ("CONTACT_SYNC_", "GENESYS_", "SALESFORCE_", "DYNAMICS_")
_READ_FROM_ENV_FILES = (CONFIG_VARIABLE, *(str(one.validation_alias) for one in Connections.model_fields.values()))


@dataclass(frozen=True)
class Project:
    """One CRM, one Genesys organisation, and the folder from which they are synced."""

    home: Path
    twin: TwinServer
    start: datetime = START

    def window(self, number: int) -> Window:
        """Return a window, counted from the start."""
        return self.span(number, 1)

    def span(self, number: int = 0, count: int = 5) -> Window:
        """Return a span of windows."""
        start = self.start + number * FREQUENCY.length
        return Window(start, start + count * FREQUENCY.length)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that an operator sets."""
        return {
            CONFIG_VARIABLE: f"{self.home}/contact_sync.yaml",
            "CONTACT_SYNC_CRM_URL": f"sqlite:///{self.home}/crm.db",
            "CONTACT_SYNC_STATE_URL": f"sqlite:///{self.home}/state.db",
            "GENESYS_CLIENT_ID": CLIENT,
            "GENESYS_CLIENT_SECRET": SECRET,
            "GENESYS_BASE_URL": self.twin.base_url,
        }

    def configure(self, **sync: object) -> Settings:
        """Write the settings file, the given values in its group `sync`; return what it says."""
        settings = yaml.safe_load(
            resources.files("contact_sync.simulator").joinpath("sample_crm.yaml").read_text(encoding="utf-8")
        )
        settings |= {"frames": f"{self.home}/frames", "sync": {"start": self.start.isoformat()} | sync}
        (self.home / "contact_sync.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        return load_settings()

    def crm(self, statement: str, *values: object) -> list[Any]:
        """Carry out one statement in the CRM."""
        return self._execute("crm.db", statement, *values)

    def state(self, query: str) -> list[Any]:
        """Ask the state database."""
        return self._execute("state.db", query)

    def people(self, count: int) -> list[str]:
        """Return the CRM ids of so many living records, always the same ones."""
        rows = self.crm("SELECT id FROM contacts WHERE NOT is_deleted ORDER BY id LIMIT ?", count)
        return [crm_id for (crm_id,) in rows]

    def change(self, window: Window, ids: Iterable[str], **columns: object) -> None:
        """Set columns of records of the CRM, in the middle of a window."""
        moment = window.start + (window.end - window.start) / 2
        columns["updated_at"] = moment.replace(tzinfo=None).isoformat(" ", "microseconds")
        assignments = ", ".join(f"{name} = ?" for name in columns)
        for crm_id in ids:
            self.crm(f"UPDATE contacts SET {assignments} WHERE id = ?", *columns.values(), crm_id)  # noqa: S608 -- our names

    def frame_path(self, asset: str, window: Window) -> Path:
        """Return where the frame of an asset and window is."""
        return Path(FrameStore(f"{self.home}/frames", "sample").path(asset, window))

    def frame(self, asset: str, window: Window) -> pd.DataFrame:
        """Return the frame of an asset and window."""
        return pd.read_parquet(self.frame_path(asset, window))

    def _execute(self, database: str, statement: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(self.home / database)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def stats(self) -> dict[str, Any]:
        """Return what the twin has counted."""
        return dict(requests.get(f"{self.twin.base_url}/_twin/stats", timeout=5).json())


@contextmanager
def opened_project(
    home: Path,
    *,
    contacts: int = 150,
    start: datetime = START,
    **twin_settings: Any,  # noqa: ANN401 -- settings of any type
) -> Iterator[Project]:
    """Make a project, be in its folder with its environment, and leave everything as it was."""
    chosen: dict[str, Any] = {"clients": {CLIENT: SECRET}, "requests_per_minute": 1_000_000} | twin_settings
    settings = TwinSettings(**chosen)
    end = start + FILLED * FREQUENCY.length - timedelta(minutes=10)  # before the overlap of the first empty window
    sample_crm.create(home / "crm.db", contacts=contacts, start=start, end=end)
    with TwinServer(settings) as twin, pytest.MonkeyPatch.context() as patch:
        project = Project(home, twin, start)
        forget_environment(patch)
        patch.chdir(home)
        for name, value in project.environment.items():
            patch.setenv(name, value)
        project.configure()
        yield project


def forget_environment(patch: pytest.MonkeyPatch) -> None:
    """Take every variable of the product out of the environment, also those that a test will bring in."""
    known = {name for name in os.environ if name.startswith(_PREFIXES)}
    for name in known.union(_READ_FROM_ENV_FILES):
        patch.setenv(name, "")  # known to the patch, so that it is taken back whoever sets it
        patch.delenv(name)
