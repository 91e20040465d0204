"""A sample CRM in one SQLite file: a company's contacts after some years, and how they go on.

What belongs here: the table, its first filling, and the life of a later window. The same seed makes the same rows.
What one record holds belongs to `sample_records`. It shares nothing with the code that reads it.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from contact_sync.simulator.sample_people import COUNTRIES, Account, accounts
from contact_sync.simulator.sample_records import (
    COLUMNS,
    TEXTS,
    Row,
    altered,
    colleague,
    is_identified,
    moment_between,
    nobody,
    person,
    reindexed,
    stored,
    twin,
)

CROWDED_ACCOUNTS = 6
"""So many companies have dozens of people behind one switchboard."""

_PEOPLE_PER_ACCOUNT = 12
_CREATE = f"""
CREATE TABLE contacts ({", ".join(f"{column} TEXT" for column in TEXTS)}, lead_score INTEGER,
  created_at DATETIME NOT NULL, updated_at DATETIME NOT NULL, is_deleted BOOLEAN NOT NULL, PRIMARY KEY (id));
CREATE INDEX contacts_by_change ON contacts (updated_at, id);
"""
_PUT = f"REPLACE INTO contacts ({', '.join(COLUMNS)}) VALUES ({', '.join(f':{column}' for column in COLUMNS)})"  # noqa: S608 - our names


@dataclass(frozen=True)
class Life:
    """How many records a window changed, by what happened to them.

    Attributes:
        changed: A phone, title or e-mail is another.
        touched: Only `updated_at` moved.
        created: New people.
        deleted: Marked deleted.
        reindexed: Marked deleted, and created again under a new id with the same business data.
        duplicated: People who got a second record.
        merged: Records that lost a merge; as many survivors were touched.
    """

    changed: int = 60
    touched: int = 40
    created: int = 30
    deleted: int = 20
    reindexed: int = 10
    duplicated: int = 5
    merged: int = 3

    def fitted(self, living: int) -> "Life":
        """Return at most a fair share of each for so many living records; all of it from 400 on."""
        return Life(*(min(count, -(-count * living // 400)) for count in astuple(self)))


def create(path: Path, *, contacts: int = 5000, start: datetime, end: datetime, seed: int = 7) -> None:
    """Write a new database of `contacts` records, last changed within `[start, end)`, readable by its owner only.

    About 4 % are second records of one person, 1 % are deleted, and some of the second records lost a merge.

    Raises:
        FileExistsError: There is something at `path`.
    """
    rng = Random(seed)  # noqa: S311 - sample data
    path.touch(mode=0o600, exist_ok=False)
    with _open(path) as connection:
        connection.executescript(_CREATE)
        connection.executemany(_PUT, _history(contacts, start, end, rng))


def change(path: Path, *, start: datetime, end: datetime, seed: int) -> Life:
    """Let the CRM live on through `[start, end)`; return what happened. Small CRMs live less.

    Raises:
        sqlite3.OperationalError: There is no sample CRM at `path`.
    """
    rng = Random(seed)  # noqa: S311 - sample data
    with _open(path) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("SELECT * FROM contacts WHERE NOT is_deleted ORDER BY id")]
        window = _Window(rows, start, end, rng)
        life = window.live()
        connection.executemany(_PUT, window.written)
    return life


def rows_between(path: Path, start: datetime, end: datetime) -> list[Row]:
    """Return the rows last changed within `[start, end)`, oldest first, for another CRM to hold."""
    with _open(path) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute(
            "SELECT * FROM contacts WHERE updated_at >= ? AND updated_at < ? ORDER BY updated_at, id",
            (stored(start), stored(end)),
        )
        return [dict(row) for row in found]


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as connection, connection:
        yield connection


def _history(contacts: int, start: datetime, end: datetime, rng: Random) -> Iterator[Row]:
    companies = accounts(max(len(COUNTRIES), contacts // _PEOPLE_PER_ACCOUNT), rng)
    batch = moment_between(start, end, rng)  # a mass update: many records of one timestamp
    for row in _records(contacts, companies, rng):
        updated = batch if rng.random() < 0.03 else moment_between(start, end, rng)
        created = updated - timedelta(seconds=rng.randrange(3 * 365 * 86_400))
        yield {**row, "created_at": stored(created), "updated_at": stored(updated)}


def _records(contacts: int, companies: list[Account], rng: Random) -> list[Row]:
    doubles = contacts // 25
    rows = _people(contacts - doubles, companies, rng)
    for index in rng.sample(range(len(rows)), contacts // 250):
        rows[index] = nobody(rows[index])
    for original in rng.sample([row for row in rows if is_identified(row)], doubles):
        double = twin(original, rng)
        if rng.random() < 0.1:
            double |= {"is_deleted": 1, "merged_into": original["id"]}
        rows.append(double)
    for row in rng.sample(rows, contacts // 100):
        row["is_deleted"] = 1
    return rows


def _people(count: int, companies: list[Account], rng: Random) -> list[Row]:
    """Return people of different names at each company: those of one name would be duplicates unasked for."""
    weights = [6.0 if index < CROWDED_ACCOUNTS else 1.0 for index in range(len(companies))]
    crowded = {company.id for company in companies[:CROWDED_ACCOUNTS]}
    people: dict[tuple[str, str, str], Row] = {}
    while len(people) < count:
        for company in rng.choices(companies, weights, k=count - len(people)):
            row = person(company, crowded=company.id in crowded, rng=rng)
            people.setdefault(_who(row), row)
    return list(people.values())


def _who(row: Row) -> tuple[str, str, str]:
    return (row["account_id"], row["first_name"], row["last_name"])


class _Window:
    """One window's life over the living records; `written` are the rows as they are afterwards."""

    def __init__(self, living: list[Row], start: datetime, end: datetime, rng: Random) -> None:
        self._pool = rng.sample(living, len(living))
        self._known = {_who(row) for row in living}
        self._start, self._end, self._rng = start, end, rng
        self.written: list[Row] = []

    def live(self) -> Life:
        """Let everything happen that does, each to other records; return how often."""
        share = Life().fitted(len(self._pool))
        merged = self._merge(share.merged)
        return Life(
            changed=self._write(altered(row, self._rng) for row in self._take(share.changed)),
            touched=self._write(self._take(share.touched)),
            created=self._write(self._colleague(row) for row in self._take(share.created)),
            deleted=self._write({**row, "is_deleted": 1} for row in self._take(share.deleted)),
            reindexed=self._reindex(self._take(share.reindexed, is_identified)),
            duplicated=self._write(twin(row, self._rng) for row in self._take(share.duplicated, is_identified)),
            merged=merged,
        )

    def _merge(self, count: int) -> int:
        groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
        for row in self._pool:
            groups[_who(row)].append(row)
        pairs = [group[:2] for who, group in groups.items() if all(who) and len(group) > 1][:count]
        for survivor, loser in pairs:
            self._write([survivor, {**loser, "is_deleted": 1, "merged_into": survivor["id"]}])
        self._leave(row for pair in pairs for row in pair)
        return len(pairs)

    def _reindex(self, rows: list[Row]) -> int:
        for row in rows:
            moment = stored(moment_between(self._start, self._end, self._rng))
            self.written += [
                {**row, "is_deleted": 1, "updated_at": moment},
                {**reindexed(row, self._rng), "created_at": moment, "updated_at": moment},
            ]
        return len(rows)

    def _colleague(self, row: Row) -> Row:
        while _who(new := colleague(row, self._rng)) in self._known:
            pass
        self._known.add(_who(new))
        return new

    def _take(self, count: int, fit: Callable[[Row], bool] = bool) -> list[Row]:
        taken = [row for row in self._pool if fit(row)][:count]
        self._leave(taken)
        return taken

    def _leave(self, rows: Iterable[Row]) -> None:
        gone = {row["id"] for row in rows}
        self._pool = [row for row in self._pool if row["id"] not in gone]

    def _write(self, rows: Iterable[Row]) -> int:
        before = len(self.written)
        for row in rows:
            moment = stored(moment_between(self._start, self._end, self._rng))
            self.written.append({**row, "created_at": row["created_at"] or moment, "updated_at": moment})
        return len(self.written) - before
