"""The retry queue in Dagster: what a run shows, what warns, and when the sensor asks for one."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import requests

from contact_sync.orchestration import retries
from contact_sync.orchestration.resources import sync_resource
from contact_sync.orchestration.retries import build_retry_sensor
from contact_sync.settings import load_settings
from contact_sync.state.database import open_database
from contact_sync.state.delivery import Delivery
from contact_sync.state.store import Store
from contact_sync_tests.orchestration.harness import checks, failures, metadata, run, run_retry
from contact_sync_tests.project import Project
from contact_sync_tests.state.stored import NOW
from contact_sync_tests.state.test_retries import failed

LONG_AGO = "2026-01-01 00:00:00"
Row = dict[str, Any]
Evaluate = Callable[..., dg.RunRequest | dg.SkipReason]


def let_fail(project: Project, **faults: float) -> None:
    requests.put(f"{project.twin.base_url}/_twin/faults", json=faults, timeout=5).raise_for_status()


@pytest.fixture
def waiting(project: Project, instance: dg.DagsterInstance) -> Project:
    """A project with changes on the queue that are due, now that Genesys takes them again."""
    let_fail(project, item_error=0.2)
    assert run(instance, project.window(1)).success
    let_fail(project)
    project.state(f"UPDATE retry_queue SET next_attempt_at = '{LONG_AGO}'")  # noqa: S608 -- our own words
    assert queued(project) > 0
    return project


def queued(project: Project, state: str = "waiting") -> int:
    [(count,)] = project.state(f"SELECT count(*) FROM retry_queue WHERE state = '{state}'")  # noqa: S608
    return int(count)


# The asset.


def test_a_run_tries_what_is_due_and_shows_what_came_of_it(waiting: Project, instance: dg.DagsterInstance) -> None:
    count, sent = queued(waiting), waiting.stats()["requests"]
    waiting.state(f"UPDATE retry_queue SET next_attempt_at = '{datetime.now(UTC) + timedelta(days=1):%F %T}'")  # noqa: S608
    assert run_retry(instance).success
    shown = metadata(instance, "retry_queue")
    assert (shown["due"], shown["waiting"], waiting.stats()["requests"]) == (0, count, sent)
    assert 0 < shown["oldest_age_minutes"] < 60

    waiting.state(f"UPDATE retry_queue SET next_attempt_at = '{LONG_AGO}'")  # noqa: S608
    result = run_retry(instance)
    assert result.success
    shown = metadata(instance, "retry_queue")
    assert shown["due"] == count == sum(shown[name] for name in ("created", "updated", "merged", "unchanged"))
    assert shown["requests"] == waiting.stats()["requests"] - sent > 0
    assert shown["seconds"] > 0
    numbers = ("sent_as_queued", "waiting", "deletes_in_grace", "dead_letters", "oldest_age_minutes")
    assert {name: shown[name] for name in numbers} == dict.fromkeys(numbers, 0)
    assert all(found.passed for found in checks(result).values())
    assert set(checks(result)) == {
        ("retry_queue", name) for name in ("queue_moves", "nothing_dead", "no_mass_delete")
    }
    [(contacts,)] = waiting.state("SELECT count(DISTINCT contact) FROM contact_link")
    assert waiting.stats()["held"]["contacts"] == contacts


def test_what_waits_for_long_and_what_is_given_up_warns(
    waiting: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = queued(waiting)
    let_fail(waiting, item_error=1.0)
    waiting.state(f"UPDATE retry_queue SET queued_at = '{LONG_AGO}'")  # noqa: S608
    found = checks(run_retry(instance))
    moves = found["retry_queue", "queue_moves"]
    assert (moves.passed, moves.severity, moves.blocking) == (False, dg.AssetCheckSeverity.WARN, False)
    assert moves.metadata["waiting"].value == queued(waiting) == count
    assert found["retry_queue", "nothing_dead"].passed

    monkeypatch.setenv("CONTACT_SYNC_DELIVERY__MAX_ATTEMPTS", "1")
    waiting.state(f"UPDATE retry_queue SET next_attempt_at = '{LONG_AGO}'")  # noqa: S608
    found = checks(run_retry(instance))
    dead = found["retry_queue", "nothing_dead"]
    assert (dead.passed, dead.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert dead.metadata["dead"].value == queued(waiting, "dead") == count
    assert found["retry_queue", "queue_moves"].passed


def test_deletes_that_piled_up_warn_until_a_run_is_allowed_to_send_them(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTACT_SYNC_DELIVERY__DELETE_GRACE_MINUTES", "20")
    assert run(instance, project.span(0, 3)).success
    project.change(project.window(3), project.people(3), is_deleted=1)
    assert run(instance, project.window(3)).success
    assert metadata(instance, "sync_report", project.window(3))["queued"] == 3
    assert run(instance, project.window(4)).success
    monkeypatch.setenv("CONTACT_SYNC_DELIVERY__MAX_DELETES", "2")
    held = checks(run_retry(instance))["retry_queue", "no_mass_delete"]
    assert (held.passed, held.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert held.metadata["deletes_held"].value == 3
    assert metadata(instance, "retry_queue")["deletes_in_grace"] == 3
    allowed = run_retry(instance, allow_deletes=True)
    assert checks(allowed)["retry_queue", "no_mass_delete"].passed
    assert metadata(instance, "retry_queue")["deleted"] == 3


def test_a_genesys_that_is_away_fails_the_run_in_one_line_and_everything_stays_due(
    waiting: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = waiting.state("SELECT * FROM retry_queue")
    monkeypatch.setenv("GENESYS_CLIENT_SECRET", "wrong")
    result = run_retry(instance)
    [line] = failures(result).values()
    assert line.endswith("check GENESYS_CLIENT_SECRET")
    assert waiting.state("SELECT * FROM retry_queue") == before


# The sensor.


@pytest.fixture
def evaluate(project: Project, instance: dg.DagsterInstance) -> Evaluate:
    """Evaluate the sensor with these changes on the queue."""

    def evaluated(*rows: Row) -> dg.RunRequest | dg.SkipReason:
        engine = open_database(project.environment["CONTACT_SYNC_STATE_URL"])
        Store(engine).record(Delivery(retries=rows), NOW)
        engine.dispose()
        with dg.build_sensor_context(instance=instance, resources={"sync": sync_resource()}) as context:
            answer = build_retry_sensor(load_settings())(context)
        assert isinstance(answer, dg.RunRequest | dg.SkipReason)
        return answer

    return evaluated


def change(due: datetime | None, state: str = "waiting", crm_id: str = "1") -> Row:
    return failed(crm_id, source="sample", state=state, next_attempt_at=due)


def under_way(instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus) -> None:
    instance.add_run(dg.DagsterRun(job_name=job, run_id=str(uuid.uuid4()), status=status))


def test_a_retry_is_asked_for_when_a_change_is_due(evaluate: Evaluate) -> None:
    assert evaluate() == dg.SkipReason("nothing waits")
    assert evaluate(change(None, state="dead", crm_id="2")) == dg.SkipReason("nothing waits")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(hour=13, minute=45)
    assert evaluate(change(tomorrow)) == dg.SkipReason("nothing is due before 13:45Z")
    assert isinstance(evaluate(change(NOW, state="deferred", crm_id="3")), dg.RunRequest)


def test_one_retry_at_a_time_is_asked_for(instance: dg.DagsterInstance, evaluate: Evaluate) -> None:
    under_way(instance, "retry_changes", dg.DagsterRunStatus.FAILURE)
    under_way(instance, "sync_windows", dg.DagsterRunStatus.STARTED)
    assert isinstance(evaluate(change(NOW)), dg.RunRequest)
    under_way(instance, "retry_changes", dg.DagsterRunStatus.STARTED)
    assert evaluate() == dg.SkipReason("a retry is under way")


def test_a_retry_that_fails_is_asked_for_again_after_five_minutes(
    evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []
    for minute in (0, 1, 4, 5, 9, 10):

        class Frozen(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
                assert tz is UTC
                return datetime(2026, 12, 1, 13, minute, tzinfo=UTC)  # noqa: B023 -- called in this round only

        monkeypatch.setattr(retries, "datetime", Frozen)
        answer = evaluate(change(NOW))
        assert isinstance(answer, dg.RunRequest)
        keys.append(answer.run_key)
    assert [keys.index(key) for key in keys] == [0, 0, 0, 3, 3, 5]
