"""Who may be whom among a million: records and contacts joined, in sets, by what recognises them.

DuckDB in memory; no extension is fetched, and nothing is stored but what a large run spills to a private folder.
Values and contacts are compared by 64-bit hashes. Were two ever the same, rows would be planned together for no
reason: the planner compares the values. What belongs here: joining, counting and grouping. What an identifier is
belongs to `identity`; which contact a record becomes is decided row by row in `planning`, since each decision
changes what the next one sees.
"""

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contact_sync.contacts import matching_sql as sql
from contact_sync.contacts.fields import Contact
from contact_sync.contacts.sharing import Identifier, people

RECORD, EXTERNAL, KEY = "record", "external", "key"
"""The rules that find a contact by CRM id, by external id in Genesys, and by business key; nobody shares these."""

RULES = ("email", "phone", "name")
"""The rules that find a contact by an identifier, strongest first."""

ROWS = pa.schema([("row", pa.int64()), ("rule", pa.string()), ("value", pa.string())])
"""What recognises the rows of a run: one line for each row and value."""

PEOPLE = pa.schema([("row", pa.int64()), ("first", pa.string()), ("last", pa.string())])
"""Whom rows name, case-folded; null for a name that is not known."""

MEMBERS = pa.schema([("contact", pa.string()), ("first", pa.string()), ("last", pa.string())])
"""Whom the records of a stored contact name, likewise; one line for each record."""

LINKS = pa.schema([("row", pa.int64()), ("rule", pa.string()), ("candidates", pa.list_(pa.string()))])
"""What the rules say of rows: the first rule that finds a contact, and what it finds, sorted."""

KNOWN = pa.schema([("rule", pa.string()), ("value", pa.string()), ("contact", pa.string())])
"""What recognises the stored contacts."""

BARRED = pa.schema([("rule", pa.string()), ("value", pa.string())])
"""What identifies nobody."""

RECORDS = pa.schema([("crm_id", pa.string()), ("business_key", pa.string()), ("contact", pa.string())])
"""Stored records; without a contact they are deleted."""

_MEMORY = "1GB"
_LOCAL: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


class Matching:
    """The rows of a run and the stored contacts, by what recognises them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, shared_threshold: int) -> None:
        """Use `open_matching`."""
        self._connection = connection
        self._threshold = shared_threshold
        connection.execute(sql.RULES)
        connection.execute(sql.TABLES)

    def add_rows(self, keys: pa.Table, people: pa.Table) -> None:
        """Add rows: what recognises them, as `hashed_keys` gives it, and whom they name (`PEOPLE`)."""
        self._insert(keys, "INSERT INTO keyed BY NAME FROM added")
        self._insert(people, "INSERT INTO person BY NAME FROM added")

    def add_known(self, known: "Hashed") -> None:
        """Add what recognises stored contacts, as `hashed_known` gives it."""
        self._insert(known.lines, "INSERT INTO known BY NAME FROM added")
        self._insert(known.names, "INSERT INTO contact BY NAME FROM added")

    def add_records(self, records: Iterable["Hashed"]) -> None:
        """Add stored records, as `hashed_records` gives them, each with the key that it was once assigned."""
        for some in records:
            self._insert(some.lines, "INSERT INTO stored BY NAME FROM added")
            self._insert(some.names, "INSERT INTO contact BY NAME FROM added")
        for query in sql.RECALLED:
            self._connection.execute(query)

    def add_members(self, members: pa.Table) -> None:
        """Add whom the records of stored contacts name (`MEMBERS`); only `links` needs it."""
        self._insert(members, sql.MEMBERS)

    def size(self, *rules: str) -> int:
        """Return how many lines tell by which values these rules recognise the rows."""
        [(size,)] = self._fetch("SELECT count(*) FROM keyed WHERE list_contains($1, rule)", list(rules))
        return int(size)

    def values(self, *rules: str) -> list[str]:
        """Return the values, each once, by which these rules recognise the rows."""
        query = "SELECT DISTINCT value FROM keyed WHERE list_contains($1, rule)"
        return [value for (value,) in self._fetch(query, list(rules))]

    def bar_shared(
        self, names_of: Callable[[Collection[str]], Mapping[str, Sequence[Contact]]]
    ) -> set[Identifier]:
        """Bar the identifiers that too many people carry, and return them.

        Args:
            names_of: Returns the names of the records of stored contacts, by contact.
        """
        self._connection.execute(sql.SUSPECTS, {"threshold": self._threshold})
        found = set(self._fetch("SELECT rule, value FROM suspect WHERE contacts >= $1", self._threshold))
        carriers = self._fetch(sql.CARRIERS, self._threshold)
        known = self._fetch(sql.CARRYING, self._threshold)
        names = names_of({contact for *_, contact in known})
        contacts = {key: {contact for *_, contact in group} for key, group in groupby(known, key=_identifier)}
        for key, group in groupby(carriers, key=_identifier):
            if self._people(list(group), contacts.get(key, set()), names) >= self._threshold:
                found.add(key)
        rows = [{"rule": rule, "value": value} for rule, value in found]
        barred = pa.Table.from_pylist(rows, schema=BARRED)
        self._insert(barred, "INSERT INTO barred SELECT hash(rule, value) FROM added")
        return found

    def groups(self, rows: int) -> NDArray[np.int64]:
        """Return for each of the run's `rows` the first row that it hangs together with; itself, if it is alone.

        Rows hang together when a record, a business key, an identifier that nobody barred or a contact is theirs
        together, or when both hang together with a third.
        """
        pairs = self._connection.sql(sql.PAIRS).to_arrow_table()
        return _components(rows, *(pairs[name].to_numpy() for name in ("row", "first")))

    def links(self, rules: Sequence[str] = RULES) -> pa.Table:
        """Return which stored contact each row is, or the several that it may be; nothing for rows that are new.

        Here a name only stands in the way where it contradicts, and a number needs a last name on both sides; the
        planner, which decides, asks for more (`rules.may_be`).

        Args:
            rules: The identity rules in their order; a record's own link and its business key come first.

        Returns:
            A table of `LINKS`; one candidate is the contact.
        """
        self._connection.execute(sql.NAMED)
        self._connection.execute(sql.UNDECIDED)
        self._connection.execute(sql.NAME_OF)
        found = []
        for rule in (RECORD, EXTERNAL, KEY, *rules):
            self._connection.execute(sql.EXACT if rule in (RECORD, EXTERNAL, KEY) else sql.ALIKE, {"rule": rule})
            self._connection.execute(sql.DECIDED)
            found.append(self._connection.sql(sql.CANDIDATES).to_arrow_table())
        return pa.concat_tables(found).cast(LINKS)

    def found(self) -> pa.Table:
        """Return which stored contacts rows may be: `row` and `contact`, each pair once."""
        return self._connection.sql(sql.FOUND).to_arrow_table()

    @staticmethod
    def _people(
        carriers: Sequence[tuple[Any, ...]], contacts: Collection[str], names: Mapping[str, Sequence[Contact]]
    ) -> int:
        known = set(contacts)
        its_names, others = [one for contact in contacts for one in names.get(contact, ())], list[Contact]()
        for *_, first, last, contact in carriers:
            name = {part: text for part, text in (("firstName", first), ("lastName", last)) if text}
            known |= {contact} if contact else set()
            (its_names if contact else others).append(name)
        return people(known, its_names, others)

    def _insert(self, table: pa.Table, *queries: str) -> None:
        self._connection.register("added", table)
        for query in queries:
            self._connection.execute(query)
        self._connection.unregister("added")

    def _fetch(self, query: str, *values: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 (of any type)
        return self._connection.execute(query, list(values)).fetchall()


class Hashed(NamedTuple):
    """What recognises stored contacts, hashed: a fifth of what has to be handed on; and the contacts' names."""

    lines: pa.Table
    names: pa.Table


def hashed_keys(keys: pa.Table) -> pa.Table:
    """Hash what recognises rows (`ROWS`; a value once a row)."""
    return _hashed(keys, sql.HASHED_KEYS)


def hashed_known(known: pa.Table) -> Hashed:
    """Hash what recognises stored contacts (`KNOWN`)."""
    return Hashed(_hashed(known, sql.HASHED_KNOWN), _hashed(known, sql.NAMES))


def hashed_records(records: pa.Table) -> Hashed:
    """Hash stored records (`RECORDS`)."""
    return Hashed(_hashed(records, sql.HASHED_RECORDS), _hashed(records, sql.NAMES))


def _hashed(given: pa.Table, query: str) -> pa.Table:
    connection = _hasher()
    connection.register("given", given)
    table = connection.sql(query).to_arrow_table()
    connection.unregister("given")
    return table


@cache
def _hasher() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config=_LOCAL | {"threads": "1"})
    connection.execute(sql.RULES)
    return connection


@contextmanager
def open_matching(shared_threshold: int) -> Iterator[Matching]:
    """Open an empty set; at the end it is gone, with all that it spilled.

    Args:
        shared_threshold: From this many people on, an identifier is shared and links nobody.
    """
    with tempfile.TemporaryDirectory() as folder:
        own = {"memory_limit": _MEMORY, "temp_directory": folder, "preserve_insertion_order": "false"}
        with duckdb.connect(":memory:", config=_LOCAL | own) as connection:
            connection.execute("SET enable_progress_bar = false")
            yield Matching(connection, shared_threshold)


def _identifier(row: tuple[Any, ...]) -> Identifier:
    return (str(row[0]), str(row[1]))


def _components(rows: int, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the smallest row of each row's connected component, given pairs that hang together."""
    first = np.arange(rows)
    while True:
        a, b = first[left], first[right]
        if (a == b).all():
            return first
        np.minimum.at(first, np.maximum(a, b), np.minimum(a, b))
        while (first[first] != first).any():
            first = first[first]
