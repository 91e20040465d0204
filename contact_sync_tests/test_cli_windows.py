"""The commands `contact-sync windows`, `audit` and `reconcile`."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from contact_sync import cli, console
from contact_sync_tests.project import FREQUENCY, Project, opened_project

MORE = "the CRM has 1 row that was not read"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Six windows up to now, synced."""
    monkeypatch.setattr(console.out, "width", 250)
    newest = FREQUENCY.floor(datetime.now(UTC) - timedelta(minutes=2))
    with opened_project(tmp_path, contacts=100, start=newest - 6 * FREQUENCY.length) as project:
        told("run")
        yield project


def told(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert result.exit_code == code
    return " ".join(result.stdout.split())


def data(*arguments: str, code: int = 0) -> dict[str, Any]:
    return dict(json.loads(told(*arguments, "--json", code=code)))


def test_windows_show_what_is_committed_and_that_nothing_is_missing(project: Project) -> None:
    shown = data("windows", "--strict")
    assert len(shown["windows"]) in {6, 7}  # a window may close while the test runs
    assert (shown["reopened"], shown["keeps_up"], shown["late_rows"]) == ({}, True, 0)
    assert (shown["settle_seconds"], shown["overlap_seconds"]) == (120, 600)
    first = shown["windows"][0]
    assert first["state"] == "committed"
    assert first["rows_read"] == len(project.frame("crm_delta", project.window(0))) > 0
    assert len(first["digest"]) == 64
    assert first["newest_modified_at"] is not None
    text = told("windows", "--limit", "2")
    assert "gaps none" in text
    assert "the schedule keeps up" in text
    assert "more; --limit shows them" in text
    assert str(project.window(0)) not in text


def test_a_late_row_is_found_by_the_audit_shown_and_read_by_the_next_run(project: Project) -> None:
    assert data("audit")["reopened"] == {}
    (crm_id,) = project.people(1)
    columns = [row[1] for row in project.crm("PRAGMA table_info(contacts)")]
    stamp = (project.window(2).start + timedelta(minutes=9)).replace(tzinfo=None).isoformat(" ", "microseconds")
    values = ", ".join({"id": "'late'", "updated_at": f"'{stamp}'"}.get(name, name) for name in columns)
    project.crm(f"INSERT INTO contacts SELECT {values} FROM contacts WHERE id = ?", crm_id)  # noqa: S608 -- our names
    assert MORE in told("audit", "--strict", code=1)
    shown = data("windows", "--strict", code=1)
    assert shown["reopened"] == {str(project.window(2)): MORE}
    assert shown["windows"][2]["state"] == "reopened"
    assert f"{project.window(2)}: {MORE}" in told("windows")
    assert data("run")["windows"] in {1, 2}
    after = data("windows")
    assert after["reopened"] == {}
    assert (after["windows"][2]["late_rows"], after["late_rows"]) == (1, 1)


def test_a_record_that_is_gone_is_found_by_its_key(project: Project) -> None:
    linked = project.state("SELECT count(*) FROM contact_link WHERE contact IS NOT NULL")[0][0]
    (crm_id,) = [
        one for (one,) in project.state("SELECT crm_id FROM contact_link WHERE contact IS NOT NULL LIMIT 1")
    ]
    project.crm("DELETE FROM contacts WHERE id = ?", crm_id)
    found = data("reconcile")
    assert (found["linked"], found["gone"], found["refused"]) == (linked, 1, None)
    assert "0 of them are gone" in told("reconcile")


def test_a_table_that_lost_its_rows_deletes_nobody_and_says_so(project: Project) -> None:
    project.crm("DELETE FROM contacts")
    assert "the CRM names no living record at all" in told("reconcile", "--strict", code=1)
    assert project.state("SELECT count(*) FROM tombstone") == [(0,)]
    assert data("reconcile", "--allow-deletes")["gone"] > 0
