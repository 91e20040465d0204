import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import ValidationError

from contact_sync.crm.database import Database
from contact_sync.crm.source import CrmConfigurationError
from contact_sync.crm.sql_table import SqlTable, find_table

GOOD = {"name": "contacts", "id": "id", "modified_at": "updated_at", "deleted": "gone", "merged_into": "survivor"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "crm.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE contacts (id, updated_at TEXT, gone, survivor, email, revision INTEGER)")
    return path


@pytest.mark.parametrize("bad", ["", "1st", "a b", 'a"b', "a;b", "a-b", "naïve", "a\n", "a" * 129])
@pytest.mark.parametrize("key", ["name", "schema", "id", "modified_at", "deleted", "merged_into"])
def test_only_plain_identifiers_are_taken(key: str, bad: str) -> None:
    with pytest.raises(ValidationError):
        SqlTable.model_validate(GOOD | {key: bad})


@pytest.mark.parametrize("bad", ["", "Mars/Olympus", "../etc/passwd", "Europe"])
def test_only_known_timezones_are_taken(bad: str) -> None:
    with pytest.raises(ValidationError, match="Europe/Berlin"):
        SqlTable.model_validate(GOOD | {"timezone": bad})


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="modifed_at"):
        SqlTable.model_validate(GOOD | {"modifed_at": "x"})


def test_every_setting_is_described() -> None:
    assert all(field.description for field in SqlTable.model_fields.values())


@pytest.mark.parametrize("key", ["id", "modified_at", "deleted", "merged_into"])
def test_a_missing_key_column_names_its_setting(path: Path, key: str) -> None:
    table = SqlTable.model_validate(GOOD | {key: "absent"})
    with closing(Database(f"sqlite:///{path}")) as database, pytest.raises(CrmConfigurationError) as caught:
        find_table(database, table, [])
    expected = f"the CRM table contacts has no column absent: correct crm.table.{key} in contact_sync.yaml"
    assert str(caught.value) == expected


def test_a_missing_table_names_its_settings(path: Path) -> None:
    table = SqlTable.model_validate(GOOD | {"name": "people", "schema": "main"})
    with (
        closing(Database(f"sqlite:///{path}")) as database,
        pytest.raises(CrmConfigurationError, match=r"no table main\.people: correct crm\.table\.name"),
    ):
        find_table(database, table, [])


def test_a_missing_field_names_the_registry(path: Path) -> None:
    with (
        closing(Database(f"sqlite:///{path}")) as database,
        pytest.raises(CrmConfigurationError, match="no column phone, which the field registry lists"),
    ):
        find_table(database, SqlTable.model_validate(GOOD), ["email", "phone"])


def test_a_modified_at_of_another_type_names_its_setting(path: Path) -> None:
    table = SqlTable.model_validate(GOOD | {"modified_at": "revision"})
    with (
        closing(Database(f"sqlite:///{path}")) as database,
        pytest.raises(CrmConfigurationError, match=r"neither date nor timestamp .* crm\.table\.modified_at"),
    ):
        find_table(database, table, [])


def test_what_nobody_names_is_unlisted(path: Path) -> None:
    with closing(Database(f"sqlite:///{path}")) as database:
        layout = find_table(database, SqlTable.model_validate(GOOD), ["email"])
    assert [column.name for column in layout.unlisted] == ["revision"]
