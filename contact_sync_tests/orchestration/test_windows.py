"""The audit and the comparison of keys in Dagster: what they show, what follows, and how crm_delta tells of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from contact_sync.contacts.window import Window
from contact_sync.orchestration import assets
from contact_sync.orchestration.build import build_definitions
from contact_sync.orchestration.resources import ALLOW_DELETES, sync_resource
from contact_sync.orchestration.sensors import build_gap_sensor
from contact_sync.settings import load_settings
from contact_sync.steps.context import SyncContext
from contact_sync.steps.extract import extract
from contact_sync_tests.orchestration.harness import checks, failures, metadata, run
from contact_sync_tests.project import FREQUENCY, Project, opened_project

MORE = "the CRM has 1 row that was not read"


@pytest.fixture
def recent(tmp_path: Path) -> Iterator[Project]:
    """A project whose five windows end a window ago, so that the audit counts them."""
    newest = FREQUENCY.floor(datetime.now(UTC) - timedelta(minutes=2))
    with opened_project(tmp_path, start=newest - 6 * FREQUENCY.length) as opened:
        yield opened


def execute(instance: dg.DagsterInstance, job: str, **tags: str) -> dg.ExecuteInProcessResult:
    return (
        build_definitions()
        .resolve_job_def(job)
        .execute_in_process(
            instance=instance,
            tags=tags,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
    )


def test_an_audit_reopens_a_window_the_sensor_requests_it_and_its_run_closes_it(
    recent: Project, instance: dg.DagsterInstance
) -> None:
    assert run(instance, recent.span()).success
    assert execute(instance, "audit_windows").success
    shown = metadata(instance, "window_audit")
    assert (shown["windows"], shown["reopened"], shown["why"]) == (5, 0, {})
    [(crm_id,)] = recent.crm("SELECT id FROM contacts ORDER BY updated_at DESC LIMIT 1")
    columns = [row[1] for row in recent.crm("PRAGMA table_info(contacts)")]
    values = ", ".join("'late'" if name == "id" else name for name in columns)
    recent.crm(f"INSERT INTO contacts SELECT {values} FROM contacts WHERE id = ?", crm_id)  # noqa: S608 -- our names
    assert execute(instance, "audit_windows").success
    shown = metadata(instance, "window_audit")
    [(window, why)] = shown["why"].items()
    assert (shown["reopened"], why) == (1, MORE)
    with dg.build_sensor_context(instance=instance, resources={"sync": sync_resource()}) as context:
        found = build_gap_sensor(load_settings())(context)
    assert isinstance(found, dg.SensorResult)
    [request] = [one for one in found.run_requests or [] if str(one.run_key).startswith(window)]
    start = datetime.fromisoformat(request.tags["dagster/asset_partition_range_start"])
    number = (start - recent.start) // FREQUENCY.length
    result = run(instance, recent.window(number))
    assert result.success
    assert checks(result)["crm_delta", "windows_complete"].metadata["reopened"].value == 0
    assert execute(instance, "audit_windows").success
    assert metadata(instance, "window_audit")["reopened"] == 0


def test_crm_delta_warns_of_what_is_missing_before_it_and_not_of_itself(
    recent: Project, instance: dg.DagsterInstance
) -> None:
    first = checks(run(instance, recent.window(0)))["crm_delta", "windows_complete"]
    later = checks(run(instance, recent.span(4, 2)))["crm_delta", "windows_complete"]
    assert (first.metadata["gaps"].value, first.passed) == (1, False)
    assert (later.metadata["gaps"].value, later.passed) == (1, False)
    whole = checks(run(instance, recent.span(1, 3)))["crm_delta", "windows_complete"]
    assert whole.metadata["gaps"].value in {0, 1}  # a window may close while the test runs
    lag = whole.metadata["lag_minutes"].value
    assert isinstance(lag, float)
    assert lag < 40
    assert whole.passed is (whole.metadata["gaps"].value == 0)


def test_a_comparison_of_keys_finds_who_is_gone_and_believes_no_empty_table(
    recent: Project, instance: dg.DagsterInstance
) -> None:
    assert run(instance, recent.span()).success
    [(crm_id,)] = recent.state("SELECT crm_id FROM contact_link WHERE contact IS NOT NULL LIMIT 1")
    recent.crm("DELETE FROM contacts WHERE id = ?", crm_id)
    result = execute(instance, "reconcile_keys")
    assert checks(result)["crm_keys", "no_mass_delete"].passed
    shown = metadata(instance, "crm_keys")
    assert (shown["gone"], shown["linked"] > shown["gone"]) == (1, True)
    recent.crm("DELETE FROM contacts")
    result = execute(instance, "reconcile_keys")
    assert result.success
    assert not checks(result)["crm_keys", "no_mass_delete"].passed
    assert recent.state("SELECT count(*) FROM tombstone") == [(1,)]
    assert execute(instance, "reconcile_keys", **{ALLOW_DELETES: "true"}).success
    assert recent.state("SELECT count(*) FROM tombstone")[0][0] > 1


def test_a_crm_that_is_away_fails_both_in_one_line(
    recent: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(instance, recent.window(0)).success
    monkeypatch.setenv("CONTACT_SYNC_CRM_URL", f"sqlite:///{recent.home}/nowhere.db")
    for job in ("audit_windows", "reconcile_keys"):
        [line] = failures(execute(instance, job)).values()
        assert line.startswith("the CRM database could not be read")


def test_a_run_waits_for_its_newest_window_and_follows_the_feed_once_before_it_reads(
    recent: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    monkeypatch.setattr(assets, "await_closed", lambda _, window: done.append(window))
    monkeypatch.setattr(assets, "follow_feed", lambda _: done.append("feed"))

    def watched(opened: SyncContext, window: Window) -> None:
        done.append("window")
        extract(opened, window)

    monkeypatch.setattr(assets, "extract", watched)
    assert run(instance, recent.span(0, 2), "crm_delta").success
    assert done == [recent.window(1), "feed", "window", "window"]
