"""The world around a sync: its windows and clock, its settings, and a CRM of one small table.

What belongs here: what there is before anything is synced. Running the steps belongs to `harness`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contact_sync.contacts.window import Frequency, Window
from contact_sync.settings import CONFIG_VARIABLE, Settings

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
FREQUENCY = Frequency.THIRTY_MINUTES
REGISTRY = {
    "account_id": "account",
    "first_name": "firstName",
    "last_name": "lastName",
    "job_title": "title",
    "email": "workEmail",
    "work_phone": "workPhone",
    "mobile_phone": "cellPhone",
    "city": "address.city",
    "country": "region",
}
_COLUMNS = ("id", "updated_at", "is_deleted", "merged_into", *REGISTRY)


def window(number: int) -> Window:
    return Window(START + number * FREQUENCY.length, START + (number + 1) * FREQUENCY.length)


def moment(number: int, minute: float = 15) -> datetime:
    """Return an instant of a window. The first ten minutes before a window belong to its overlap too."""
    return window(number).start + timedelta(minutes=minute)


DELIVERY = {"requests_per_minute": 100_000, "delete_grace_minutes": 0}


def settings_of(**values: Any) -> Settings:  # noqa: ANN401 -- settings of any type
    """Return settings that no file and no environment has a say in."""
    table = {"name": "contacts", "id": "id", "modified_at": "updated_at"}
    defaults: dict[str, Any] = {
        "crm": {"table": table | {"deleted": "is_deleted", "merged_into": "merged_into"}},
        "registry": {"fields": [{"crm": crm, "genesys": genesys} for crm, genesys in REGISTRY.items()]},
        "sync": {"start": START},
        "delivery": DELIVERY,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIG_VARIABLE, "/dev/null")
        return Settings(**(defaults | values))


@dataclass
class Clock:
    """A millisecond passes whenever somebody looks, so that a later read is later."""

    now: datetime = START + timedelta(days=2)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def seconds(self) -> float:
        """Return the present since the epoch, as a twin wants to know it."""
        return self.now.timestamp()


def number_of_now(clock: Clock) -> int:
    """Return the number of the window that holds the present, and let it close."""
    number = (clock.now - window(0).start) // FREQUENCY.length
    clock.now = window(number).end + timedelta(minutes=3)
    return number


class SmallCrm:
    """One SQLite table with a row for each contact, and a column that the registry does not list."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            self.execute(f"CREATE TABLE contacts ({', '.join(_COLUMNS)}, shoe_size, PRIMARY KEY (id))")

    def put(self, crm_id: str, at: datetime, **columns: object) -> None:
        """Create a record or change the named columns of one."""
        with self._open() as connection:
            old = connection.execute("SELECT * FROM contacts WHERE id = ?", (crm_id,)).fetchone()
            row = (dict(old) if old else {"id": crm_id, "is_deleted": 0}) | columns
            row["updated_at"] = at.replace(tzinfo=None).isoformat(" ", "microseconds")
            marks = ", ".join("?" * len(row))
            connection.execute(f"REPLACE INTO contacts ({', '.join(row)}) VALUES ({marks})", list(row.values()))  # noqa: S608 -- our names

    def delete(self, crm_id: str, at: datetime) -> None:
        self.put(crm_id, at, is_deleted=1)

    def people(self, count: int, at: datetime, first: int = 0, **columns: object) -> None:
        """Create unrelated people p0, p1, …"""
        for number in range(first, first + count):
            person = {
                "first_name": f"First{number}",
                "last_name": f"Last{number}",
                "email": f"p{number}@example.org",
            }
            self.put(f"p{number}", at, **(person | columns))

    def execute(self, statement: str) -> None:
        with self._open() as connection:
            connection.execute(statement)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("PRAGMA synchronous=OFF")  # nobody mourns a test's CRM
            connection.row_factory = sqlite3.Row
            yield connection
