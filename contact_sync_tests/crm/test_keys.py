import re
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mssql, mysql, oracle, postgresql
from sqlalchemy.types import TypeEngine

from contact_sync.crm.keys import any_of, id_of
from contact_sync.crm.sql import SqlSource, SqlTable
from contact_sync_tests.crm.contract import NOON, ids, read, read_current

TABLE = SqlTable(name="rows", id="id", modified_at="at")
UUIDS = [uuid.UUID(int=number) for number in (1, 0xABCDEF, 2**127)]
STRANGERS = [
    *["", "x", "7", "007", "\u0667", "1_0", " 9", "9.0", "1.50", "1e2", "NaN", "true", "c ", "' OR 1=1 --"],
    *["9" * 30, "-" + "9" * 30, "9" * 5_000, "12e456789", str(2**63), "0x0a", "6 1", str(uuid.UUID(int=7))],
    *[f"{{{UUIDS[0]}}}", f"urn:uuid:{UUIDS[0]}", str(UUIDS[1]).upper(), "ABCD", "ü", "A" * 300],
]
"""Texts that are no id of any table here: as they stand, whatever number, UUID or binary they can be taken for."""


def make(url: str, type_: TypeEngine[Any] | None, keys: Sequence[object]) -> SqlSource:
    engine = sa.create_engine(url)
    rows = sa.Table(
        "rows", sa.MetaData(), sa.Column("id", type_, index=True), sa.Column("at", sa.DateTime(timezone=True))
    )
    rows.create(engine)
    with engine.begin() as connection:
        connection.execute(rows.insert(), [{"id": key, "at": NOON} for key in keys])
    engine.dispose()
    return SqlSource(url, TABLE, [], settle=NOON - NOON)


KEYS: dict[str, tuple[TypeEngine[Any], list[Any]]] = {
    "small integers": (sa.SmallInteger(), [-9, 0, 10]),
    "integers": (sa.Integer(), [-9, 0, 2**31 - 1]),
    "large integers": (sa.BigInteger(), [-(2**63), 9, 2**63 - 1]),
    "numbers": (sa.Numeric(12, 2), [Decimal("-9.25"), Decimal("10.00"), Decimal("1234567890.12")]),
    "texts": (sa.Text(), ["a", "A", "10", "O'Brien", "李 ", "a\\b%"]),
    "padded texts": (sa.CHAR(18), ["a", "A" * 18, "b"]),
    "short texts": (sa.String(3), ["AAA", "b"]),
    "UUIDs": (sa.Uuid(), UUIDS),
    "binaries": (sa.LargeBinary(), [b"\x00", b"\xff" * 16, b"ab"]),
    "words": (sa.Enum("c", "a", "b", name="word"), ["a", "c"]),
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/crm.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.mark.parametrize("kind", KEYS)
def test_ids_of_every_type_are_found_again_and_no_others(url: str, kind: str) -> None:
    type_, keys = KEYS[kind]
    with closing(make(url, type_, keys)) as source:
        changes = {change.crm_id: change for change in read(source)}
        assert len(changes) == len(keys)
        again = read_current(source, [*STRANGERS, *changes])
        assert {change.crm_id: change for change in again} == changes
        assert len(again) == len(keys)
        assert read_current(source, STRANGERS) == []


@pytest.mark.parametrize("declared", ["", "INTEGER", "REAL", "NUMERIC", "TEXT", "VARCHAR(18)", "BLOB", "UUID"])
def test_sqlite_finds_ids_of_any_type_under_any_declaration(tmp_path: Path, declared: str) -> None:
    path = tmp_path / "crm.db"
    keys = [1, 2.5, 3.0, "4", "5.0", "text", "O'Brien", b"\x06", str(UUIDS[0]), 2**63 - 1, "9" * 25]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE rows (id {declared}, at TEXT)")
        connection.executemany("INSERT INTO rows VALUES (?, ?)", [(key, NOON.isoformat()) for key in keys])
    with closing(SqlSource(f"sqlite:///{path}", TABLE, [], settle=NOON - NOON)) as source:
        changes = {change.crm_id: change for change in read(source)}
        assert len(changes) == len(keys)
        assert {change.crm_id: change for change in read_current(source, [*changes])} == changes


def test_an_id_that_only_a_collation_takes_for_another_is_not_found(tmp_path: Path) -> None:
    path = tmp_path / "crm.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE rows (id TEXT COLLATE NOCASE, at TEXT)")
        connection.execute("INSERT INTO rows VALUES ('abc', ?)", (NOON.isoformat(),))
    with closing(SqlSource(f"sqlite:///{path}", TABLE, [], settle=NOON - NOON, page_size=1)) as source:
        assert [change.crm_id for change in read_current(source, ["ABC", "abc", "Abc"])] == ["abc"]


def test_ids_of_a_type_that_is_no_usual_one_are_found(postgres_url: str) -> None:
    with closing(make(postgres_url, postgresql.OID(), [9, 10, 2**32 - 1])) as source:
        found = read_current(source, [*STRANGERS, "9", "10", str(2**32 - 1)])
        assert ids(found) == ids(read(source)) == ["10", str(2**32 - 1), "9"]


@pytest.mark.parametrize("kind", [kind for kind in KEYS if kind != "words"])
def test_an_index_serves(url: str, kind: str) -> None:
    type_, keys = KEYS[kind]
    with closing(make(url, type_, keys)) as source:
        asked = [*STRANGERS[:5], *(change.crm_id for change in read(source))]
        assert re.search(r"Index Cond: \(+id\W|SEARCH rows USING INDEX ix_rows_id \(id=", plan(source, asked))


def plan(source: SqlSource, asked: Sequence[str]) -> str:
    """Return how the database means to find the ids, asked as the source asks."""
    engine = source._database.engine
    on_postgres = engine.dialect.name == "postgresql"
    condition = any_of(engine.dialect.name, source._layout.id, asked)
    statement: sa.Select[Any] = sa.select(sa.column("at")).select_from(sa.table("rows")).where(condition)
    asking = statement.compile(engine, compile_kwargs={"render_postcompile": True})
    parameters: Any = asking.params if on_postgres else tuple(asking.params.values())
    with engine.connect() as connection:
        if on_postgres:
            connection.execute(sa.text("SET enable_seqscan = off"))
        explain = "EXPLAIN" if on_postgres else "EXPLAIN QUERY PLAN"
        return str(connection.exec_driver_sql(f"{explain} {asking}", parameters).all())


@pytest.mark.parametrize(
    ("dialect", "type_", "key"),
    [
        (mysql.dialect, mysql.BIGINT(unsigned=True), 2**64 - 1),
        (mysql.dialect, mysql.VARCHAR(36, collation="utf8mb4_bin"), "a"),
        (mysql.dialect, mysql.BINARY(16), b"\x01" * 16),
        (mssql.dialect, mssql.UNIQUEIDENTIFIER(), UUIDS[1]),
        (mssql.dialect, mssql.NVARCHAR(18), "李"),
        (mssql.dialect, mssql.BINARY(8), b"\x01"),
        (mssql.dialect, mssql.BIGINT(), 9),
        (oracle.dialect, oracle.base.ischema_names["NUMBER"](10, 0), 9),
        (oracle.dialect, oracle.RAW(16), b"\x01" * 16),
    ],
)
def test_other_databases_are_asked_in_the_columns_own_type(
    dialect: Callable[[], sa.Dialect], type_: TypeEngine[Any], key: object
) -> None:
    spoken = dialect()
    compiled = any_of(spoken.name, sa.column("id", type_), [id_of(key), "junk!"]).compile(dialect=spoken)
    assert "CAST" not in str(compiled)
    assert key in compiled.params["ids"]


@pytest.mark.parametrize("dialect", [mysql.dialect, mssql.dialect, oracle.dialect, postgresql.dialect])
def test_a_type_that_nobody_knows_is_asked_as_text(dialect: Callable[[], sa.Dialect]) -> None:
    spoken = dialect()
    column: sa.ColumnClause[Any] = sa.column("id")
    assert str(any_of(spoken.name, column, ["1"]).compile(dialect=spoken)).startswith("CAST(id AS ")
