"""The doctor, one thing wrong at a time: settings, CRM, state."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
import sqlalchemy as sa

from contact_sync.crm.sql import SqlSource
from contact_sync.state.database import open_database
from contact_sync_tests.project import SECRET, Project
from contact_sync_tests.steps.examined import found, now, says, the_one_failure, verdicts


def test_all_is_well(project: Project) -> None:
    checks = found()
    assert verdicts(checks, "ok") == [
        "settings",
        "crm",
        "crm clock",
        "state",
        "token",
        "region",
        "organisation",
        "clock",
        "permission",
        "privilege",
        "sources",
        "custom fields",
        "budget",
    ]
    assert {check.verdict for check in checks} == {"ok"}
    assert says(checks, "settings").startswith(f"{project.home}/contact_sync.yaml; the registry reads ")
    assert says(checks, "token") == "good for 86,400 s"
    assert says(checks, "region") == f"{project.twin.base_url.removeprefix('http://')}, from GENESYS_BASE_URL"
    assert says(checks, "organisation") == f"Twin Organization, {project.twin.settings.organization_id}"
    assert says(checks, "permission").splitlines()[0] == "externalContacts:contact:enrich to upsert contacts"
    assert says(checks, "custom fields") == "the first run creates the contact type 'contact_sync' with 2 fields"


def test_an_examination_changes_nothing_and_leaves_nothing_open(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[SqlSource] = []
    really = SqlSource.close

    def close(source: SqlSource) -> None:
        closed.append(source)
        really(source)

    monkeypatch.setattr(SqlSource, "close", close)
    before = sorted(path.name for path in project.home.iterdir())
    checks = found()
    assert says(checks, "state") == "not there yet: the first run creates it"
    assert sorted(path.name for path in project.home.iterdir()) == before
    assert project.stats()["held"]["contacts"] == 0
    assert project.twin.store.sources.dump() == {"sources": {}}
    assert len(closed) == 1


def test_no_person_and_no_secret_is_told(project: Project) -> None:
    [(name, mail)] = project.crm("SELECT last_name, email FROM contacts WHERE email <> '' LIMIT 1")
    text = repr(found())
    for private in (SECRET, name, mail):
        assert private not in text


# Settings, CRM, state: each fails alone, and Genesys is asked all the same where that is possible.


def test_broken_settings_stop_what_builds_on_them(project: Project) -> None:
    (project.home / "contact_sync.yaml").write_text("crm: {}\nsync: {}", encoding="utf-8")
    checks = found()
    failed = the_one_failure(checks)
    assert (failed.name, failed.to_be_set_right) == ("settings", True)
    assert "set exactly one of table, salesforce and dynamics" in failed.says
    assert "\n" not in failed.says
    assert verdicts(checks, "ok") == ["state"]
    assert says(checks, "crm") == "needs settings"


@pytest.mark.parametrize(
    ("variable", "value", "line", "to_be_set_right"),
    [
        ("CONTACT_SYNC_CRM_URL", "", "CONTACT_SYNC_CRM_URL is not set", True),
        ("CONTACT_SYNC_CRM_URL", "postgresql://user:p4ss@host/crm", "CONTACT_SYNC_CRM_URL names no driver", True),
        ("CONTACT_SYNC_CRM_URL", "sqlite:///nowhere/crm.db", "the CRM database could not be read", False),
        (
            "CONTACT_SYNC_CRM__TABLE__NAME",
            "people",
            "the CRM database has no table people: correct crm.table",
            True,
        ),
        ("CONTACT_SYNC_CRM__TABLE__MODIFIED_AT", "at", "the CRM table contacts has no column at: correct", True),
    ],
)
def test_a_crm_that_cannot_be_read_leaves_the_rest_to_be_examined(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    line: str,
    *,
    to_be_set_right: bool,
) -> None:
    monkeypatch.setenv(variable, value)
    checks = found()
    failed = the_one_failure(checks)
    assert (failed.name, failed.to_be_set_right) == ("crm", to_be_set_right)
    assert failed.says.startswith(line)
    assert "p4ss" not in failed.says
    assert verdicts(checks, "skipped") == ["crm clock"]
    assert project.stats()["requests"] > 0


def test_the_clock_of_a_crm_that_tells_its_time_is_compared(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert says(found(), "crm clock") == "this kind of CRM is not asked for its time"
    monkeypatch.setattr(SqlSource, "server_time", lambda _: now() - timedelta(minutes=2))
    checks = found()
    assert verdicts(checks, "warn") == ["crm clock"]
    assert says(checks, "crm clock").startswith("this machine is 120 s ahead of the CRM: ")
    assert project.stats()["requests"] > 0


@contextmanager
def state(project: Project) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(project.home / "state.db")) as connection, connection:
        yield connection


def test_the_state_database_is_looked_at_and_not_migrated(project: Project) -> None:
    open_database(f"sqlite:///{project.home}/state.db").dispose()
    assert says(found(), "state") == "version 0005, writable"
    with state(project) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.execute("DROP TABLE home_region")
    checks = found()
    assert says(checks, "state") == "version 0001, writable: the next run brings it to 0005"
    assert {check.verdict for check in checks} == {"ok"}
    with state(project) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]


def test_a_state_database_of_a_newer_version_fails(project: Project) -> None:
    open_database(f"sqlite:///{project.home}/state.db").dispose()
    with state(project) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    failed = the_one_failure(found())
    assert (failed.name, failed.to_be_set_right) == ("state", False)
    assert failed.says.endswith("upgrade contact_sync")


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (
            "sqlite:///damaged.db",
            "the state database cannot be opened (DatabaseError): check CONTACT_SYNC_STATE_URL",
        ),
        ("mysql://user:p4ss@host/state", "CONTACT_SYNC_STATE_URL names mysql"),
        ("postgresql+psycopg://user:p4ss@127.0.0.1:1/state", "the state database failed (OperationalError"),
    ],
)
def test_a_state_database_that_cannot_be_used_leaves_the_rest_to_be_examined(
    project: Project, monkeypatch: pytest.MonkeyPatch, url: str, line: str
) -> None:
    (project.home / "damaged.db").write_bytes(b"no database" * 100)
    monkeypatch.setenv("CONTACT_SYNC_STATE_URL", url)
    checks = found()
    failed = the_one_failure(checks)
    assert failed.name == "state"
    assert failed.says.startswith(line)
    assert "p4ss" not in failed.says
    assert verdicts(checks, "skipped") == []


def test_a_user_of_postgresql_who_sees_no_writers_is_told_of(
    project: Project, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = [row[1] for row in project.crm("PRAGMA table_info(contacts)")]
    crm = sa.create_engine(postgres_url, poolclass=sa.NullPool)
    with crm.begin() as connection:
        types = {"updated_at": "timestamptz"}
        listed = ", ".join(f"{name} {types.get(name, 'text')}" for name in columns)
        connection.execute(sa.text(f"CREATE TABLE contacts ({listed})"))
        connection.execute(sa.text("CREATE ROLE looker LOGIN; GRANT SELECT ON contacts TO looker"))
    monkeypatch.setenv("CONTACT_SYNC_CRM_URL", postgres_url)
    assert verdicts(found(), "warn") == []
    looker = sa.make_url(postgres_url).set(username="looker").render_as_string(hide_password=False)
    monkeypatch.setenv("CONTACT_SYNC_CRM_URL", looker)
    checks = found()
    assert verdicts(checks, "warn") == ["crm"]
    assert any("grant it pg_read_all_stats" in check.says for check in checks)
    with crm.begin() as connection:
        connection.execute(sa.text("DROP OWNED BY looker; DROP ROLE looker"))
