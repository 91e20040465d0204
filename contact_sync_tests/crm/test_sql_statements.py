"""The statements in every dialect, without its driver: how they page, and that no value becomes their text."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy.dialects import mssql, mysql, oracle, postgresql
from sqlalchemy.types import TypeEngine

from contact_sync.crm.database import Database
from contact_sync.crm.source import CrmConfigurationError
from contact_sync.crm.sql import SqlSource
from contact_sync.crm.sql_statements import Statement, Statements
from contact_sync.crm.sql_table import SqlTable, find_table
from contact_sync_tests.crm.contract import NOON, WINDOW, read

TABLE = SqlTable(name="order", schema="crm", id="key", modified_at="changed", deleted="gone", merged_into="into")
NASTY = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("'\"\\`[];-\n\r\t\0%_:李"), min_size=1)

Dialect = Callable[[], sa.Dialect]
STAMPS: Mapping[Dialect, TypeEngine[Any]] = {
    postgresql.dialect: sa.DateTime(timezone=True),
    mysql.dialect: mysql.DATETIME(fsp=6),
    mssql.dialect: mssql.base.ischema_names["datetimeoffset"](7),
    oracle.dialect: oracle.TIMESTAMP(timezone=True),
}
QUOTED: Mapping[Dialect, str] = {
    postgresql.dialect: 'crm."order"',
    mysql.dialect: "crm.`order`",
    mssql.dialect: "crm.[order]",
    oracle.dialect: 'crm."order"',
}
LIMITED: Mapping[Dialect, str] = {
    postgresql.dialect: "LIMIT %(param_1)s",
    mysql.dialect: "LIMIT %s",
    mssql.dialect: "SELECT TOP __[POSTCOMPILE_param_1] ",
    oracle.dialect: "FETCH FIRST __[POSTCOMPILE_param_1] ROWS ONLY",
}
each_dialect = pytest.mark.parametrize("dialect", list(STAMPS), ids=lambda one: one.__module__.split(".")[-2])


class Described:
    """A database that only says what columns it has."""

    def __init__(self, dialect: str, columns: Mapping[str, TypeEngine[Any]]) -> None:
        self.dialect = dialect
        self._columns = columns

    def columns(self, _table: str, _schema: str | None) -> Mapping[str, TypeEngine[Any]]:
        return self._columns


def statements(dialect: Dialect, *, fields: tuple[str, ...] = ("first name",)) -> Statements:
    spoken = dialect()
    text = sa.String(255)
    columns = {"key": text, "changed": STAMPS[dialect], "gone": text, "into": text} | dict.fromkeys(fields, text)
    database = cast("Database", Described(spoken.name, columns | {"more": text}))
    return Statements(find_table(database, TABLE, fields), spoken.name, page_size=10)


def asked(dialect: Dialect, crm_id: str = "x") -> dict[str, Statement]:
    made = statements(dialect)
    return {
        "page": made.page(WINDOW),
        "next page": made.page(WINDOW, (NOON, crm_id)),
        "ids": made.of_ids([crm_id]),
        "keys": made.keys(),
        "next keys": made.keys(crm_id),
        "count": made.count(WINDOW),
        "stamps": made.stamps(WINDOW),
        "filled": made.filled(WINDOW),
        "some": made.some(WINDOW, 5),
        "undated": made.undated(),
    }


def compiled(dialect: Dialect, statement: Statement) -> tuple[str, Mapping[str, Any]]:
    made = statement.compile(dialect=dialect())
    return " ".join(str(made).split()), made.params


@each_dialect
def test_every_statement_is_of_the_one_table_and_only_reads(dialect: Dialect) -> None:
    for statement in asked(dialect).values():
        text, _ = compiled(dialect, statement)
        assert text.startswith("SELECT ")
        assert f"FROM {QUOTED[dialect]}" in text
        assert ";" not in text


@each_dialect
def test_pages_are_limited_and_ordered_in_the_dialects_own_words(dialect: Dialect) -> None:
    statements_of = asked(dialect)
    for name in ("page", "next page", "keys", "next keys"):
        assert LIMITED[dialect] in compiled(dialect, statements_of[name])[0]
    assert "ORDER BY " in compiled(dialect, statements_of["page"])[0]
    for name in ("count", "stamps", "filled", "undated"):
        assert "ORDER BY" not in compiled(dialect, statements_of[name])[0]


@each_dialect
def test_a_following_page_needs_no_comparison_of_rows(dialect: Dialect) -> None:
    """SQL Server and Oracle have none."""
    text, params = compiled(dialect, asked(dialect, "last")["next page"])
    after = text.partition("WHERE")[2]
    assert after.count(">=") == 1
    assert " OR " in after
    assert "last" in params.values()
    assert NOON in params.values()


@each_dialect
def test_a_window_is_asked_by_its_ends_as_the_column_stores_them(dialect: Dialect) -> None:
    _, params = compiled(dialect, asked(dialect)["count"])
    ends = [value for value in params.values() if isinstance(value, datetime)]
    naive = dialect is mysql.dialect  # whose DATETIME keeps no offset
    assert ends == [at.astimezone(UTC).replace(tzinfo=None if naive else UTC) for at in (WINDOW.start, WINDOW.end)]


@each_dialect
@given(crm_id=NASTY)
def test_no_value_becomes_text_of_a_statement(dialect: Dialect, crm_id: str) -> None:
    plain, nasty = asked(dialect), asked(dialect, crm_id)
    for name, statement in nasty.items():
        text, params = compiled(dialect, statement)
        assert text == compiled(dialect, plain[name])[0]
        if name in {"next page", "next keys"}:
            assert crm_id in params.values()
        if name == "ids":
            assert params["ids"] == [crm_id]


@given(name=NASTY.filter(lambda one: not one.isascii() or not one.replace("_", "a").isalnum() or one[0].isdigit()))
def test_a_setting_that_is_no_plain_name_is_refused(name: str) -> None:
    for setting in ("name", "schema", "id", "modified_at", "deleted", "merged_into"):
        with pytest.raises(ValidationError):
            SqlTable.model_validate({"name": "t", "id": "i", "modified_at": "m"} | {setting: name})


@each_dialect
@given(field=NASTY)
def test_a_field_that_is_no_column_of_the_table_is_refused(dialect: Dialect, field: str) -> None:
    spoken = dialect()
    columns = dict.fromkeys(("key", "gone", "into"), sa.String()) | {"changed": STAMPS[dialect]}
    database = cast("Database", Described(spoken.name, columns))
    if field not in columns:
        with pytest.raises(CrmConfigurationError, match="which the field registry lists"):
            find_table(database, TABLE, [field])


@pytest.mark.parametrize("field", ['say "hi"', "it's", "a;b--", "back\\slash", "[x]", "`tick`", "名", "a b"])
def test_a_column_of_any_name_is_quoted(tmp_path: Path, field: str) -> None:
    path = tmp_path / "crm.db"
    quoted = '"' + field.replace('"', '""') + '"'
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE contacts (id TEXT PRIMARY KEY, at TEXT, {quoted} TEXT)")
        connection.execute("INSERT INTO contacts VALUES ('1', ?, 'Ada')", (NOON.isoformat(),))
    table = SqlTable(name="contacts", id="id", modified_at="at")
    with closing(SqlSource(f"sqlite:///{path}", table, [field], settle=timedelta())) as source:
        (change,) = read(source)
    assert change.fields == {field: "Ada"}
