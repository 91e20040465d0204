"""The command, as an operator types it: text, JSON, exit codes."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from contact_sync import cli, console
from contact_sync.contacts.schemas import OUTCOMES
from contact_sync_tests.project import (
    FILLED,
    FREQUENCY,
    NOBODY,
    START,
    Project,
    forget_environment,
    opened_project,
)

COMMANDS = (
    *("run", "plan", "status", "fields", "windows", "audit", "reconcile"),
    *("doctor", "demo", "ui", "simulator"),
)
FIRST = ("--from", "2026-03-02T08:00Z", "--to", "2026-03-02T08:30Z")
ALL = ("--from", "2026-03-02T08:00Z", "--to", "2026-03-02T10:00Z")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with opened_project(tmp_path) as opened:
        yield opened


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.out, "width", 200)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments, catch_exceptions=False)


def done(*arguments: str) -> str:
    """Return what a command that succeeds prints."""
    result = call(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def data(*arguments: str) -> dict[str, Any]:
    """Return the one JSON object that a command prints."""
    return dict(json.loads(done(*arguments, "--json")))


def refused(*arguments: str, code: int = 2) -> list[str]:
    """Return the lines in which a command says why it does not do it."""
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    return result.stderr.splitlines()


def words(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_help_lists_the_commands() -> None:
    text = done("--help")
    assert all(f"\n  {command} " in text for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_explains_itself(command: str) -> None:
    text = done(command, "--help")
    assert text.startswith(f"Usage: root {command} [OPTIONS]\n\n  ")
    options = [line for line in text.partition("Options:")[2].splitlines() if line.startswith("  --")]
    assert len(options) > 1
    assert "--help" in text


def test_an_unknown_command_is_refused() -> None:
    assert call("sink").exit_code == 2


# run


def test_run_syncs_windows_and_says_what_became_of_every_row(project: Project) -> None:
    project.change(project.window(1), project.people(1), **NOBODY)
    first = data("run", *ALL)
    assert first["windows"] == 4
    assert first["read"] == sum(first[outcome] for outcome in OUTCOMES)
    assert first["created"] == project.stats()["held"]["contacts"]
    assert first["held"] == 1
    assert list(first["held_because"].values()) == [1]
    assert first["requests"] >= first["writes"] > 0
    assert first["writes"] == project.stats()["writes"]

    again = words(done("run", *ALL))
    assert again[0] == "4 windows"
    assert f"{first['read'] - 1} unchanged already true, nothing sent" in again
    assert "1 held not sent, for a reason" in again
    assert "1 nothing identifies this person: no usable phone, no e-mail, no full name" in again
    assert again[-1] == "0 API requests"
    assert project.stats()["writes"] == first["writes"]


def test_strict_tells_held_records_by_the_exit_code(project: Project) -> None:
    assert call("run", *FIRST, "--strict").exit_code == 0
    project.change(project.window(0), project.people(1), **NOBODY)
    assert call("plan", *FIRST, "--strict").exit_code == 1
    assert call("run", *FIRST).exit_code == 0
    strict = call("run", *FIRST, "--strict", "--json")
    assert strict.exit_code == 1
    assert json.loads(strict.stdout)["held"] == 1


def test_a_mass_delete_waits_for_the_flag(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTACT_SYNC_DELIVERY__MAX_DELETES", "0")
    monkeypatch.setenv("CONTACT_SYNC_DELIVERY__DELETE_GRACE_MINUTES", "0")
    call("run", *ALL)
    contacts = project.stats()["held"]["contacts"]
    project.crm("UPDATE contacts SET is_deleted = 1")
    planned = data("plan", *ALL)["actions"]["hold"]
    assert planned >= contacts
    assert data("run", *ALL)["held"] == planned
    assert project.stats()["held"]["contacts"] == contacts
    assert data("plan", *ALL, "--allow-deletes")["actions"]["delete"] >= contacts
    assert data("run", *ALL, "--allow-deletes")["held"] == 0
    assert project.stats()["held"]["contacts"] == 0


def test_without_dates_a_run_goes_from_the_watermark_to_the_newest_closed_window(tmp_path: Path) -> None:
    newest = FREQUENCY.floor(datetime.now(UTC) - timedelta(minutes=2))
    with opened_project(tmp_path, start=newest - 4 * FREQUENCY.length) as project:
        assert data("run", "--to", f"{project.window(0).end:%Y-%m-%dT%H:%MZ}")["windows"] == 1
        assert data("run")["windows"] in {3, 4}  # a window may close while the test runs
        status = data("status")
        assert (status["lag"], status["gaps"]) in [(0.0, []), (1_800.0, status["gaps"])]
        assert data("run")["windows"] in {0, 1}


def test_dates_without_a_zone_are_utc(project: Project) -> None:
    assert project.start == START
    assert data("plan", "--from", "2026-03-02T08:00", "--to", "2026-03-02T09:00")["actions"]["create"] > 0


# plan


def test_plan_writes_nothing(project: Project) -> None:
    before = sorted(path.name for path in project.home.iterdir())
    planned = data("plan", *ALL)
    assert sorted(path.name for path in project.home.iterdir()) == before
    assert (project.stats()["requests"], project.stats()["held"]["contacts"]) == (0, 0)
    run = data("run", *ALL)
    assert planned["actions"]["create"] == run["created"]
    assert (
        planned["requests"] == run["writes"] - 4
    )  # a run first names its three external sources, and makes its contact type
    assert len(planned["plan"]) == sum(
        count for action, count in planned["actions"].items() if action != "unchanged"
    )


def test_plan_leaves_a_state_that_is_there_as_it_is(project: Project) -> None:
    data("run", *ALL)
    project.change(project.window(FILLED), project.people(3), job_title="Chief Tester")
    tables = ("window_ledger", "contact_link", "audit", "retry_queue", "unmapped_field")
    before = [project.state(f"SELECT * FROM {table}") for table in tables]  # noqa: S608 -- our names
    writes = project.stats()["writes"]
    assert data("plan", *ALL)["actions"]["update"] == 3
    assert [project.state(f"SELECT * FROM {table}") for table in tables] == before  # noqa: S608 -- our names
    assert project.stats()["writes"] == writes


def test_plan_shows_each_field_old_and_new(project: Project) -> None:
    data("run", *ALL)
    [crm_id] = project.people(1)
    [(old,)] = project.crm("SELECT job_title FROM contacts WHERE id = ?", crm_id)
    project.change(project.window(FILLED), [crm_id], job_title="Chief [/] Tester")
    [row] = data("plan", *ALL)["plan"]
    assert (row["crm_id"], row["action"]) == (crm_id, "update")
    assert row["changes"] == [{"field": "title", "old": old, "new": "Chief [/] Tester"}]
    text = done("plan", *ALL)
    assert crm_id in text
    assert f"title: {old or '∅'} → Chief [/] Tester" in text
    assert "1 update" in text
    assert "cost: 1 requests, 0.0 minutes of the budget" in text
    assert "and 1 more; --limit shows them" in done("plan", *ALL, "--limit", "0")


def test_plan_shows_which_deletes_wait_and_that_they_cost_nothing(project: Project) -> None:
    data("run", *ALL)
    [crm_id] = project.people(1)
    project.change(project.window(FILLED), [crm_id], is_deleted=1)
    [row] = data("plan", *ALL)["plan"]
    assert (row["crm_id"], row["action"], row["rule"]) == (crm_id, "delete", "delete grace")
    text = done("plan", *ALL)
    assert "delete grace; waits for its grace period (delivery.delete_grace_minutes)" in " ".join(words(text))
    assert "cost: 0 requests, 0.0 minutes of the budget" in text


def test_a_plan_of_nothing_says_so(project: Project) -> None:
    assert project.window(FILLED).end < project.span().end
    empty = ("--from", "2026-03-02T10:30Z", "--to", "2026-03-02T11:00Z")
    assert words(done("plan", *empty))[-2:] == [
        "nothing to do",
        "cost: 0 requests, 0.0 minutes of the budget",
    ]
    assert data("plan", *empty) == {"actions": {}, "requests": 0, "minutes": 0.0, "plan": []}


# status


def test_status_shows_where_the_sync_stands(project: Project) -> None:
    data("run", *ALL)
    status = data("status")
    assert datetime.fromisoformat(status["watermark"]) == project.window(FILLED).end
    [gap] = status["gaps"]
    assert gap.startswith("2026-03-02T10:00Z/")
    assert status["lag"] > 0
    assert (status["waiting"], status["dead"]) == (0, 0)
    assert status["contacts"] == project.stats()["held"]["contacts"]
    assert (status["budget"]["allowed"], status["budget"]["wait"]) == (1_000_000, 0.0)
    [field] = status["unmapped"]
    assert field["field"] == "favourite_colour"
    lines = words(done("status"))
    assert lines[:2] == ["status", "watermark 2026-03-02 10:00Z: every window before it is committed"]
    assert lines[-1] == f"not in the registry favourite_colour ({field['records']})"


# fields


def test_fields_shows_what_is_sent_and_what_nobody_listed(project: Project) -> None:
    fields = data("fields")
    assert fields["unmapped"] == []
    assert {"crm": "tags", "genesys": "customFields.tags", "type": "tag", "rules": ""} in fields["mapped"]
    assert not (project.home / "state.db").exists()
    data("run", *ALL)
    [field] = data("fields")["unmapped"]
    assert (field["field"], field["shape"].startswith("text: ")) == ("favourite_colour", True)
    text = done("fields")
    assert "ignored: created_at" in text
    assert field["shape"] in " ".join(text.split())
    assert CliRunner().invoke(cli.app, ["fields", "--strict"]).exit_code == 1
    colours = {colour for (colour,) in project.crm("SELECT DISTINCT favourite_colour FROM contacts") if colour}
    assert not [colour for colour in colours if colour.title() in text or f" {colour} " in text]


# Refusals: 2, before anything is read; failures: 3.


@pytest.mark.parametrize("command", ["run", "plan", "status"])
def test_each_missing_variable_is_named_in_a_line_of_its_own(
    project: Project, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    for name in ("CONTACT_SYNC_CRM_URL", "GENESYS_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    assert refused(command) == [
        (
            "CONTACT_SYNC_CRM_URL is not set: SQLAlchemy URL of the CRM, its driver named, such as "
            "postgresql+psycopg://user@host/crm"
        ),
        "GENESYS_CLIENT_SECRET is not set: Secret of that client",
    ]
    assert not (project.home / "state.db").exists()


def test_wrong_settings_are_named_with_their_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTACT_SYNC_SYNC__SETTLE_SECONDS", "-1")
    monkeypatch.setenv("CONTACT_SYNC_SYNC__FREQUENCY", "7min")
    lines = refused("run")
    assert [line.partition(": ")[0] for line in lines] == [
        f"sync.frequency in {project.home}/contact_sync.yaml",
        f"sync.settle_seconds in {project.home}/contact_sync.yaml",
    ]


def test_a_folder_without_settings_says_where_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_environment(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert refused("status") == [
        "there is no settings file contact_sync.yaml: run from the project's folder or set CONTACT_SYNC_CONFIG"
    ]


@pytest.mark.parametrize(
    ("variable", "value", "start"),
    [
        ("GENESYS_BASE_URL", "https://api.genesys.example", "GENESYS_BASE_URL is for a simulator on this machine"),
        ("CONTACT_SYNC_CRM_URL", "postgresql://u:p4ss@h/crm", "CONTACT_SYNC_CRM_URL names no driver"),
    ],
)
def test_a_wrong_address_is_refused_without_repeating_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, start: str
) -> None:
    monkeypatch.setenv(variable, value)
    [line] = refused("run", *ALL)
    assert line.startswith(start)
    assert "p4ss" not in line
    assert not (project.home / "frames").exists()


def test_a_wrong_region_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENESYS_BASE_URL")
    monkeypatch.setenv("GENESYS_REGION", "atlantis-1")
    [line] = refused("run", *ALL)
    assert line.startswith("GENESYS_REGION is 'atlantis-1', which is no region: use one of ")
    assert not (project.home / "frames").exists()


@pytest.mark.parametrize(
    ("since", "until", "problem"),
    [
        ("2026-03-02T08:00Z", "2026-03-02T08:10Z", "does not start and end on boundaries of 30min windows"),
        ("2026-03-02T09:00Z", "2026-03-02T08:00Z", "is empty"),
        ("2026-03-01", "2026-03-02", "lies before sync.start (2026-03-02T08:00Z)"),
    ],
)
def test_windows_that_cannot_be_are_refused(project: Project, since: str, until: str, problem: str) -> None:
    assert project.start == START
    [line] = refused("run", "--from", since, "--to", until)
    assert problem in line


def test_a_window_in_the_future_is_refused(project: Project) -> None:
    start = FREQUENCY.floor(datetime.now(UTC)) + timedelta(days=1)
    dates = [f"{instant:%Y-%m-%dT%H:%MZ}" for instant in (start, start + FREQUENCY.length)]
    [line] = refused("run", "--from", dates[0], "--to", dates[1])
    assert line.startswith(f"the window {dates[0]}/{dates[1]} is not closed: the CRM can be read up to ")
    assert not (project.home / "frames").exists()


def test_a_span_that_reaches_into_the_future_is_refused_before_any_of_it_is_read(project: Project) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    [line] = refused("run", "--from", f"{project.start:%Y-%m-%dT%H:%MZ}", "--to", f"{tomorrow:%Y-%m-%d}")
    assert "is not closed" in line
    assert not (project.home / "frames").exists()


def test_a_date_that_is_none_is_refused(project: Project) -> None:
    assert project.start == START
    result = call("run", "--from", "yesterday")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--from" in result.stderr


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            "ALTER TABLE contacts RENAME COLUMN updated_at TO changed_at",
            "the CRM table contacts has no column updated_at: correct crm.table.modified_at in contact_sync.yaml",
        ),
        (
            "ALTER TABLE contacts RENAME TO people",
            (
                "the CRM database has no table contacts: correct crm.table.name or crm.table.schema in "
                "contact_sync.yaml"
            ),
        ),
    ],
)
def test_a_crm_that_is_not_as_the_settings_say_is_refused(project: Project, change: str, line: str) -> None:
    project.crm(change)
    assert refused("run", *ALL) == [line]
    assert project.stats()["requests"] == 0


def test_wrong_credentials_fail(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENESYS_CLIENT_SECRET", "wr0ng")
    [line] = refused("run", *ALL, code=3)
    assert line.endswith("knows this client but refuses its secret: check GENESYS_CLIENT_SECRET")
    assert project.stats()["held"]["contacts"] == 0


def test_a_crm_that_cannot_be_reached_fails(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTACT_SYNC_CRM_URL", f"sqlite:///{project.home}/nowhere/crm.db")
    [line] = refused("run", *ALL, code=3)
    assert line.startswith("the CRM database could not be read (OperationalError")
    assert "CONTACT_SYNC_CRM_URL" in line


def test_a_damaged_state_database_fails(project: Project) -> None:
    (project.home / "state.db").write_bytes(b"no database" * 100)
    [line] = refused("status", code=3)
    assert line.startswith("the state database cannot be opened (")


# Where settings come from.


def test_an_env_file_of_the_folder_is_read(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{name}={value}" for name, value in project.environment.items() if name != "CONTACT_SYNC_CONFIG"]
    (project.home / ".env").write_text("\n".join(lines), encoding="utf-8")
    forget_environment(monkeypatch)
    assert data("status")["contacts"] == 0


def test_the_environment_wins_over_the_env_file(project: Project) -> None:
    (project.home / ".env").write_text("GENESYS_CLIENT_SECRET=wr0ng", encoding="utf-8")
    assert data("run", *FIRST)["windows"] == 1
