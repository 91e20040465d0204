"""A million changes matched against a million stored contacts: ours against reference SQL in the same DuckDB, a
cascade of pandas merges, and, for fewer rows, the loop over dictionaries whose links ours must be.

The reference takes the newest contact of a key, then the smallest id; it knows no ambiguity, no names and nothing
that is shared. Each runs in a process of its own; seconds are CPU seconds, so that neighbours count little.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from contact_sync.contacts.fields import Contact
from contact_sync.contacts.matching import (
    KNOWN,
    MEMBERS,
    PEOPLE,
    ROWS,
    Matching,
    hashed_keys,
    hashed_known,
    open_matching,
)
from contact_sync_tests.bench_twin import say
from contact_sync_tests.contacts import dictionary_match
from contact_sync_tests.contacts.dictionary_match import Someone

COLUMNS = ("record", "email", "phone", "name")
SLOWER, FASTER, MEGABYTES = 1.5, 7.0, 2500
THRESHOLD = 3

Measured = tuple[float, float, int]
"""CPU seconds, megabytes at the peak, and links."""


def main() -> None:
    """Measure, print, and exit with 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--oracle-rows", type=int, default=50_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _alone(make, folder, asked.rows)
        say(f"{'':24}{'CPU s':>8}{'MB':>8}{'links':>10}")
        took = {contender.__name__: _alone(contender, folder) for contender in (reference, merges, ours)}
        for name, (seconds, megabytes, links) in took.items():
            say(f"{name:24}{seconds:>8.2f}{megabytes:>8,.0f}{links:>10,}")
        _alone(make, folder, asked.oracle_rows)
        same = _alone(agrees, folder)
    slower, faster = took["ours"][0] / took["reference"][0], took["merges"][0] / took["ours"][0]
    say(f"ours takes {slower:.2f} times the reference SQL, and is {faster:.1f} times as fast as pandas")
    say(f"the same links as the dictionary loop ({asked.oracle_rows:,} rows): {same}")
    sys.exit(not (slower <= SLOWER and faster >= FASTER and same and took["ours"][1] < MEGABYTES))


def _alone(work: Callable[..., Any], *given: object) -> Any:  # noqa: ANN401 (whatever it returns)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *given).result()


def make(folder: str, rows: int) -> None:
    """Write `stored` and `changed`: people of whom 12 % share a switchboard, most of them in both tables."""
    random = np.random.default_rng(8)
    people = rows * 13 // 10
    frame = pd.DataFrame(
        {
            "record": [f"003{number:015}" for number in range(people)],
            "email": [f"p{number}@company{number % 9999}.example.org" for number in range(people)],
            "phone": [f"+49151{10_000_000 + number}" for number in range(people)],
            "first": [f"first{number}" for number in random.integers(0, 500, people)],
            "last": [f"last{number}" for number in random.integers(0, 50_000, people)],
        }
    )
    frame["name"] = frame["first"] + "|" + frame["last"] + "|" + (frame.index // 20).astype(str)
    shared = random.random(people) < 0.12
    frame.loc[shared, "phone"] = [f"+4930{1_000_000 + n}" for n in random.integers(0, people // 400, shared.sum())]
    stored, changed = (frame.iloc[random.choice(people, rows, replace=False)].copy() for _ in range(2))
    stored["contact"] = [f"{n:08x}-0000-4000-8000-{n:012x}" for n in random.permutation(rows)]
    stored["modified"] = random.integers(0, 1_000_000_000, rows)
    changed["row"] = range(rows)
    for table, column, share in (
        (stored, "email", 0.1),
        (stored, "phone", 0.1),
        (changed, "email", 0.3),
        (changed, "phone", 0.3),
    ):
        table.loc[random.random(rows) < share, column] = None
    changed.loc[random.random(rows) < 0.6, "record"] = None
    for name, table in (("stored", stored), ("changed", changed)):
        parquet.write_table(pa.Table.from_pandas(table, preserve_index=False), Path(folder) / name)


def _tables(folder: str) -> Mapping[str, pa.Table]:
    return {name: parquet.read_table(Path(folder) / name) for name in ("stored", "changed")}


def _measured(started: float, links: int) -> Measured:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return time.process_time() - started, peak, links


def reference(folder: str) -> Measured:
    """Match by one grouped table a rule and four joins, the data in DuckDB before."""
    tables = _tables(folder)
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        for name in tables:
            connection.register("given", tables[name])
            connection.execute(f"CREATE TABLE {name} AS FROM given")
        grouped = ", ".join(
            f"by_{one} AS (SELECT {one} AS key, arg_max(contact, (modified, contact)) AS contact FROM stored"  # noqa: S608 (our own names)
            f" WHERE {one} IS NOT NULL GROUP BY {one})"
            for one in COLUMNS
        )
        joins = " ".join(f"LEFT JOIN by_{one} ON changed.{one} = by_{one}.key" for one in COLUMNS)
        found = ", ".join(f"by_{one}.contact" for one in COLUMNS)
        started = time.process_time()
        query = (
            f"CREATE TABLE linked AS WITH {grouped} SELECT row, coalesce({found}) AS contact FROM changed {joins}"  # noqa: S608 (our own names)
        )
        connection.execute(query)
        [(links,)] = connection.execute("SELECT count(contact) FROM linked").fetchall()
        return _measured(started, int(links))


def merges(folder: str) -> Measured:
    """Match by a cascade of pandas merges."""
    tables = {name: table.to_pandas() for name, table in _tables(folder).items()}
    started = time.process_time()
    newest = tables["stored"].sort_values(["modified", "contact"], ascending=[False, True])
    left, links = tables["changed"], 0
    for column in COLUMNS:
        known = newest.dropna(subset=[column]).drop_duplicates(column)[[column, "contact"]]
        merged = left.merge(known, on=column, how="left")
        links += int(merged["contact"].notna().sum())
        left = merged[merged["contact"].isna()].drop(columns="contact")
    return _measured(started, links)


def ours(folder: str) -> Measured:
    """Match as the product does."""
    tables = _tables(folder)
    with open_matching(THRESHOLD) as matching:
        _tell(matching, tables)

        known = _Names(tables["stored"])
        started = time.process_time()
        matching.bar_shared(known)
        return _measured(started, len(matching.links()))


class _Names:
    """The names of stored contacts, as the state database would be asked for them."""

    def __init__(self, table: pa.Table) -> None:
        self._by_contact = dict(
            zip(
                table["contact"].to_pylist(),
                zip(table["first"].to_pylist(), table["last"].to_pylist(), strict=True),
                strict=True,
            )
        )

    def __call__(self, contacts: Collection[str]) -> Mapping[str, Sequence[Contact]]:
        found = ((contact, self._by_contact[contact]) for contact in contacts)
        return {contact: [{"firstName": first, "lastName": last}] for contact, (first, last) in found}


def _tell(matching: Matching, tables: Mapping[str, pa.Table]) -> None:
    changed, stored = tables["changed"], tables["stored"]
    matching.add_rows(hashed_keys(ROWS.empty_table()), changed.select(["row", "first", "last"]).cast(PEOPLE))
    for column in COLUMNS:
        rule = pa.scalar(column)
        rows = changed.filter(changed[column].is_valid())
        matching.add_rows(
            hashed_keys(pa.table([rows["row"], pa.repeat(rule, len(rows)), rows[column]], schema=ROWS)),
            PEOPLE.empty_table(),
        )
        known = stored.filter(stored[column].is_valid())
        told = pa.table([pa.repeat(rule, len(known)), known[column], known["contact"]], schema=KNOWN)
        matching.add_known(hashed_known(told))
    matching.add_members(stored.select(["contact", "first", "last"]).cast(MEMBERS))


def agrees(folder: str) -> bool:
    """Tell whether our links are those of the loop over dictionaries."""
    tables = _tables(folder)
    with open_matching(THRESHOLD) as matching:
        _tell(matching, tables)
        matching.bar_shared(_Names(tables["stored"]))
        found = {(str(one["row"]), one["rule"], *one["candidates"]) for one in matching.links().to_pylist()}
    rows, stored = (
        [
            Someone(
                str(one[name]), {rule: [one[rule]] for rule in COLUMNS if one[rule]}, one["first"], one["last"]
            )
            for one in tables[table].to_pylist()
        ]
        for table, name in (("changed", "row"), ("stored", "contact"))
    )
    loop = dictionary_match.links(rows, stored, ("email", "phone", "name"), THRESHOLD)
    return found == {(row, rule, *candidates) for row, rule, candidates in loop}


if __name__ == "__main__":
    main()
