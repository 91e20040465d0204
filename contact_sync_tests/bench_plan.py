"""The whole plan of a window in which every contact changed, against the straightforward version for each row;
and a window of a thousand changes against a large and a small stock.

Each step runs in a process of its own; the row-wise version runs on fewer rows and is scaled. Exits with 1 when a
bar is missed.
"""

import argparse
import hashlib
import json
import multiprocessing
import re
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Row, select

from contact_sync.contacts.fields import Contact
from contact_sync.contacts.identity import Link, business_key
from contact_sync.contacts.schemas import records
from contact_sync.state.delivery import Delivery
from contact_sync.state.tables import CONTACT_LINK, MIRROR_IDENTIFIER
from contact_sync.steps.context import SyncContext, open_sync
from contact_sync.steps.extract import extract
from contact_sync.steps.match import match
from contact_sync.steps.normalize import normalize
from contact_sync_tests.bench_delivery import WINDOW, connections, fill, settings
from contact_sync_tests.bench_phones import naive as naive_phone
from contact_sync_tests.bench_twin import say

FASTER, SECONDS, MEGABYTES = 6.0, 45.0, 2500
STEADY_ROWS, STEADY_STOCK = 1_000, (10_000, 1_000_000)
NAMED = ["firstName", "lastName", "workEmail", "cellPhone"]
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[a-z]{2,}")

Measured = tuple[float, float]
"""Seconds and megabytes."""


def main() -> None:
    """Measure, print a table, and exit with 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--naive-rows", type=int, default=50_000)
    parser.add_argument("--stock", type=int, nargs=2, default=STEADY_STOCK)
    asked = parser.parse_args()
    passed = _whole(asked.rows, min(asked.naive_rows, asked.rows))
    passed = _steady(*asked.stock) and passed
    sys.exit(not passed)


def _whole(rows: int, naive_rows: int) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        _alone(prepare, folder, rows, rows)
        took = {step.__name__: _alone(step, folder) for step in (normalize_step, match_step)}
        row_wise: dict[str, float] = dict(zip(took, _alone(row_by_row, folder, naive_rows), strict=True))
    say(f"{rows:,} changed contacts of {rows:,}; row by row measured on {naive_rows:,}")
    say(f"{'':18}{'ours s':>10}{'row-wise s':>12}{'ratio':>8}{'MB':>8}")
    for step, (seconds, megabytes) in took.items():
        plain = row_wise[step] * rows / naive_rows
        say(f"{step:18}{seconds:>10.1f}{plain:>12.1f}{plain / seconds:>8.1f}{megabytes:>8,.0f}")
    seconds, plain = sum(one for one, _ in took.values()), sum(row_wise.values()) * rows / naive_rows
    peak = max(megabytes for _, megabytes in took.values())
    say(f"{'the whole plan':18}{seconds:>10.1f}{plain:>12.1f}{plain / seconds:>8.1f}{peak:>8,.0f}")
    return bool(plain / seconds >= FASTER and peak < MEGABYTES)


def _steady(small: int, large: int) -> bool:
    took: dict[int, Measured] = {}
    for stock in (small, large):
        with tempfile.TemporaryDirectory() as folder:
            _alone(prepare, folder, STEADY_ROWS, stock)
            _alone(normalize_step, folder)
            took[stock] = _alone(match_step, folder)
        seconds, megabytes = took[stock]
        say(f"{STEADY_ROWS:,} changes against {stock:,} contacts: {seconds:.2f} s, {megabytes:,.0f} MB")
    return took[large][0] <= 1.5 * took[small][0]


def _alone(work: Callable[..., Any], *given: object) -> Any:  # noqa: ANN401 (whatever it returns)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *given).result()


def _opened(folder: str) -> Any:  # noqa: ANN401 (a context manager)
    return open_sync(settings(folder, reserve=0.1), connections(folder, "http://127.0.0.1:9"))


def prepare(folder: str, rows: int, stock: int) -> None:
    """Fill a CRM, its window, and a state in which `stock` contacts were delivered with another title."""
    fill(Path(folder) / "crm.db", max(rows, stock))
    with _opened(folder) as context:
        extract(context, WINDOW)
        normalize(context, WINDOW)
        for piece in context.frames.pieces("normalized_contacts", WINDOW):
            links = [_link(context, row) for row in records(piece)]
            touched = {str(link.contact) for link in links}
            context.store.record(Delivery(links=links, touched=touched), WINDOW.start)
    with closing(sqlite3.connect(Path(folder) / "crm.db")) as crm, crm:
        crm.execute("DELETE FROM contacts WHERE rowid > ?", [rows])
    with _opened(folder) as context:
        extract(context, WINDOW)


def _link(context: SyncContext, row: dict[str, Any]) -> Link:
    fields = {name: str(row[name]) for name in NAMED if name in row}
    key = business_key(row["account"], fields)
    contact = f"{row['crm_id'][-12:]}-0000-4000-8000-{row['crm_id'][-12:]}"
    age = (row["modified_at"] - pd.Timedelta(days=1), row["read_at"])
    record = (context.source.name, row["crm_id"])
    return Link(record, contact, key, "old", *age, account=row["account"], fields=fields | {"title": "Clerk"})


def normalize_step(folder: str) -> Measured:
    """Normalize and check as the product does."""
    with _opened(folder) as context:
        return _measured(lambda: normalize(context, WINDOW))


def match_step(folder: str) -> Measured:
    """Check, match, compare and plan as the product does."""
    with _opened(folder) as context:
        return _measured(lambda: match(context, [WINDOW]))


def _measured(work: Callable[[], object]) -> Measured:
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    ours, largest_child = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return seconds, ours + 2 * largest_child


def row_by_row(folder: str, rows: int) -> tuple[float, float]:
    """Do the same in the straightforward way; return the seconds of normalizing and of matching.

    Two steps as well, each of which reads the frame of the one before, row by row, and stores its own.
    """
    with _opened(folder) as context:
        pieces = pd.concat(context.frames.pieces("crm_delta", WINDOW), ignore_index=True)
    started = time.perf_counter()
    people = pd.DataFrame([_person(row) for _, row in pieces.head(rows).iterrows()])
    people.to_parquet(Path(folder) / "people")
    normalized = time.perf_counter()
    people = pd.read_parquet(Path(folder) / "people")
    with _opened(folder) as context, context.store.reading() as state:
        decided = [_decided(row, state, context.source.name) for row in people.to_dict("records")]
    pd.DataFrame(decided).to_parquet(Path(folder) / "plan")
    return normalized - started, time.perf_counter() - normalized


def _person(row: pd.Series) -> dict[str, Any]:
    """Clean and check one row."""
    texts = {
        name[4:]: " ".join(str(row[name]).split())
        for name in row.index
        if name[:4] == "crm." and not pd.isna(row[name])
    }
    email = texts.get("email", "").lower()
    person: dict[str, str | None] = {
        "firstName": texts.get("first_name"),
        "lastName": texts.get("last_name"),
        "title": texts.get("job_title"),
        "workEmail": email if EMAIL.fullmatch(email) else None,
        "address.city": texts.get("city"),
    }
    for name, column in (("workPhone", "work_phone"), ("cellPhone", "mobile_phone")):
        person[name] = naive_phone(texts[column], texts.get("country", "DE")) if column in texts else None
    for name, limit in (("firstName", 100), ("lastName", 100), ("workEmail", 256)):
        value = person[name]
        if value is not None and not 0 < len(value) <= limit:
            raise ValueError(name)
    return {"id": row["crm_id"], "account": texts.get("account_id"), **person}


def _decided(row: Mapping[Hashable, Any], state: Connection, source: str) -> dict[str, Any]:
    """Find a person's contact and say what is sent."""
    fields = {str(name): row[name] for name in row if name not in ("id", "account") and not pd.isna(row[name])}
    key = business_key(None if pd.isna(row["account"]) else row["account"], fields)
    found = _found(state, (source, row["id"]), key, fields)
    old = dict(found.fields) if found else {}
    changes = [
        {"field": name, "old": old.get(name), "new": fields.get(name)}
        for name in {*old, *fields}
        if old.get(name) != fields.get(name)
    ]
    sent = not found or _digest(fields) != _digest(old)
    return {
        "id": row["id"],
        "contact": found.contact if found else None,
        "request": json.dumps({"id": row["id"], "key": key, "contact": fields}) if sent else None,
        "fields": json.dumps(fields),
        "changes": json.dumps(changes),
    }


def _found(state: Connection, record: tuple[str, str], key: str | None, fields: Contact) -> Row[Any, Any] | None:
    """Ask for the contact of a record: by its id, its key, its e-mail, its number."""
    of, by = CONTACT_LINK.c, MIRROR_IDENTIFIER.c
    known = [(of.source == record[0]) & (of.crm_id == record[1]), of.business_key == key]
    for rule, name in (("email", "workEmail"), ("phone", "cellPhone")):
        carrier = select(by.contact).where(by.rule == rule, by.value == fields.get(name))
        known.append(of.contact.in_(carrier))
    asked = (state.execute(select(of.contact, of.fields).where(one)).first() for one in known)
    return next((one for one in asked if one), None)


def _digest(fields: Contact) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    main()
