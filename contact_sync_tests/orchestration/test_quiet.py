"""Dagster keeps what it is given for ever: nothing of a person and no secret may be in it, whatever fails."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from contact_sync_tests.orchestration.harness import failures, metadata, run, run_retry
from contact_sync_tests.project import NOBODY, SECRET, Project, opened_project

WRONG_SECRET = "wr0ng-s3cret-of-the-tests"
PERSON = {
    "first_name": "Zyxquark",
    "last_name": "Vwobblestone",
    "email": "zyxquark@vwobble.example",
    "mobile_phone": "+4915212345678",
    "home_phone": "ask 0151-KANARI",
    "street": "Kanarienstieg 77",
    "job_title": "Ornithopterist",
    "favourite_colour": "Gallimaufry",
}
CANARIES = (
    *("Zyxquark", "Vwobble", "15212345678", "KANARI", "Kanarienstieg", "Ornithopterist", "Gallimaufry"),
    *("nameless@", SECRET, WRONG_SECRET),
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with opened_project(tmp_path, require_name=True) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "dagster"
    made.mkdir()
    return made


@pytest.fixture
def instance(folder: Path) -> Iterator[dg.DagsterInstance]:
    overrides = {
        "telemetry": {"enabled": False},
        "python_logs": {"managed_python_loggers": ["contact_sync"], "python_log_level": "DEBUG"},
    }
    with dg.DagsterInstance.local_temp(str(folder), overrides=overrides) as opened:
        yield opened


def kept(folder: Path) -> str:
    """Return everything that Dagster has written: event logs, runs, schedules, compute logs."""
    texts: list[str] = []
    for path in folder.rglob("*"):
        if path.suffix == ".db":
            with closing(sqlite3.connect(path)) as connection:
                texts += connection.iterdump()
        elif path.is_file():
            texts.append(path.read_text(encoding="utf-8", errors="replace"))
    return "\n".join(texts)


def assert_quiet(text: str) -> None:
    assert [canary for canary in CANARIES if canary.lower() in text.lower()] == []


def test_runs_that_succeed_and_runs_that_fail_tell_nothing_of_anybody(
    project: Project,
    instance: dg.DagsterInstance,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    window, later = project.window(0), project.window(1)
    person, held, refused = project.people(3)
    project.change(window, [person], **PERSON)
    project.change(window, [held], **dict(NOBODY) | {"job_title": "Ornithopterist"})
    project.change(window, [refused], **dict(NOBODY) | {"email": "nameless@vwobble.example"})
    assert run(instance, window, quiet=False).success
    shown = metadata(instance, "sync_report", window)
    assert (shown["held"], shown["dead"]) == (1, 1)
    assert "Zyxquark" in project.state("SELECT group_concat(fields) FROM contact_link")[0][0]

    project.state("UPDATE retry_queue SET state = 'waiting', next_attempt_at = '2026-01-01 00:00:00'")
    assert run_retry(instance, quiet=False).success
    assert metadata(instance, "retry_queue")["dead"] == 1

    plan = project.frame_path("dedup_matches", window)
    plan.write_bytes(plan.read_bytes()[:-100])
    assert "is damaged" in failures(run(instance, window, "genesys_upserts", quiet=False))["genesys_upserts"]
    project.change(later, [person], **PERSON | {"last_name": "Vwobblestone-Nameless"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENESYS_CLIENT_SECRET", WRONG_SECRET)
        assert "refuses its secret" in failures(run(instance, later, quiet=False))["genesys_upserts"]
    project.crm("ALTER TABLE contacts RENAME COLUMN first_name TO given_name")
    assert "no column first_name" in failures(run(instance, window, quiet=False))["crm_delta"]

    text = kept(folder)
    for expected in ("favourite_colour", "genesys_upserts", "is damaged", "nothing identifies this person"):
        assert expected in text
    assert_quiet(text)
    assert_quiet(caplog.text)
    streams = capfd.readouterr()
    assert "STEP_FAILURE" in streams.err
    assert_quiet(streams.out + streams.err)
