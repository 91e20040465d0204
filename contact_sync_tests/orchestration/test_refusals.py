"""Runs that must stop: where they stop, what the operator reads, and that nothing went out."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from contact_sync.contacts.schemas import ContractError
from contact_sync.crm.source import CrmConfigurationError, CrmExhaustedError, CrmUnavailableError
from contact_sync.genesys.errors import GenesysFatalError, GenesysRetryableError
from contact_sync.orchestration.assets import ASSETS
from contact_sync.orchestration.resources import failures_in_one_line
from contact_sync.settings import ConfigurationError
from contact_sync.state.database import StateError
from contact_sync.steps.deliver import AccountingError
from contact_sync.steps.lag import WindowNotClosedError
from contact_sync_tests.orchestration.harness import checks, failures, materialized, metadata, run
from contact_sync_tests.project import FREQUENCY, NOBODY, Project, opened_project

PLANNED = ASSETS[:3]
Tamper = Callable[[pd.DataFrame], pd.DataFrame]


def assets(result: dg.ExecuteInProcessResult) -> list[str]:
    """Return the assets that a run materialised, in the order of the lineage."""
    done = {asset for asset, _ in materialized(result)}
    return [asset for asset in ASSETS if asset in done]


def tamper_with(project: Project, asset: str, tamper: Tamper) -> None:
    path = project.frame_path(asset, project.window(0))
    tamper(pd.read_parquet(path)).to_parquet(path, index=False)


def nothing_was_delivered(project: Project) -> bool:
    committed = project.state("SELECT count(*) FROM window_ledger")
    return project.stats()["requests"] == 0 and committed == [(0,)]


def test_a_field_that_is_not_listed_warns_and_stops_nothing(
    project: Project, instance: dg.DagsterInstance
) -> None:
    result = run(instance, project.window(0))
    warned = checks(result)["crm_delta", "fields_listed"]
    assert (warned.passed, warned.severity, warned.blocking) == (False, dg.AssetCheckSeverity.WARN, False)
    assert set(warned.metadata) == {"fields", "favourite_colour"}
    assert result.success
    assert assets(result) == list(ASSETS)


def test_a_field_that_carries_no_values_does_not_warn(project: Project, instance: dg.DagsterInstance) -> None:
    project.crm("UPDATE contacts SET favourite_colour = NULL")
    assert checks(run(instance, project.window(0), "crm_delta"))["crm_delta", "fields_listed"].passed


def test_too_many_held_rows_stop_the_run_at_once_and_what_follows(
    project: Project, instance: dg.DagsterInstance
) -> None:
    project.change(project.window(1), project.people(10), **NOBODY)
    project.configure(max_held_share=0.1)
    result = run(instance, project.span(0, 4))
    assert not result.success
    assert assets(result) == ["crm_delta", "normalized_contacts"]
    assert result.retry_attempts_for_node("normalized_contacts") == 0
    broken = checks(result)["normalized_contacts", "contract"]
    assert (broken.passed, broken.blocking, broken.severity) == (False, True, dg.AssetCheckSeverity.ERROR)
    assert (broken.metadata["windows"].value, broken.metadata["broken"].value) == (4, 1)
    assert "over sync.max_held_share (10%)" in str(broken.metadata[str(project.window(1))].value)
    assert metadata(instance, "normalized_contacts", project.window(1))["held"] == 10
    assert nothing_was_delivered(project)


@pytest.mark.parametrize(
    ("tamper", "problem"),
    [
        (lambda plan: plan.drop(columns="action"), r"dedup_matches breaks its contract: action: missing \(1\)"),
        (
            lambda plan: pd.concat([plan, plan.head(1)]),
            r"dedup_matches breaks its contract: crm_id: repeated \(2\); version: repeated \(2\)",
        ),
        (
            lambda plan: plan.assign(action="hold"),
            r"dedup_matches holds 100% of \d+ rows, over sync.max_held_share \(50%\): .*",
        ),
    ],
)
def test_delivery_alone_refuses_a_broken_plan_before_any_request(
    project: Project, instance: dg.DagsterInstance, tamper: Tamper, problem: str
) -> None:
    assert run(instance, project.window(0), *PLANNED).success
    tamper_with(project, "dedup_matches", tamper)
    result = run(instance, project.window(0), "genesys_upserts")
    assert assets(result) == []
    assert re.fullmatch(problem, failures(result)["genesys_upserts"])
    assert result.retry_attempts_for_node("genesys_upserts") == 0
    assert nothing_was_delivered(project)


def test_one_broken_plan_of_a_range_keeps_what_was_delivered_before_it(
    project: Project, instance: dg.DagsterInstance
) -> None:
    assert run(instance, project.span(0, 3), *PLANNED).success
    project.frame_path("dedup_matches", project.window(1)).write_bytes(b"no parquet")
    result = run(instance, project.span(0, 3), "genesys_upserts")
    assert re.fullmatch(
        r"the frame \S+ is damaged \(\w+\): materialise dedup_matches for that window again",
        failures(result)["genesys_upserts"],
    )
    assert project.state("SELECT count(*) FROM window_ledger") == [(1,)]
    assert run(instance, project.span(0, 3)).success
    assert project.state("SELECT count(*) FROM window_ledger") == [(3,)]


@pytest.mark.parametrize(
    ("upstream", "asset"), [("crm_delta", "normalized_contacts"), ("normalized_contacts", "dedup_matches")]
)
def test_every_step_refuses_a_broken_frame(
    project: Project, instance: dg.DagsterInstance, upstream: str, asset: str
) -> None:
    assert run(instance, project.window(0), *PLANNED).success
    tamper_with(project, upstream, lambda frame: frame.drop(columns="version"))
    result = run(instance, project.window(0), asset)
    assert assets(result) == []
    assert failures(result)[asset].startswith(f"{upstream} breaks its contract: ")
    assert "version: missing (1)" in failures(result)[asset]


@pytest.mark.parametrize("asset", ASSETS[1:])
def test_a_step_without_its_frame_says_what_to_materialise(
    project: Project, instance: dg.DagsterInstance, asset: str
) -> None:
    before = ASSETS[ASSETS.index(asset) - 1]
    result = run(instance, project.window(0), asset)
    assert failures(result) == {
        asset: f"{before} has no frame for {project.window(0)}: materialise {before} for that window first"
    }


def test_missing_variables_are_named_line_by_line_before_anything_is_read(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = ["CONTACT_SYNC_CRM_URL", "GENESYS_CLIENT_ID", "GENESYS_CLIENT_SECRET"]
    for name in missing:
        monkeypatch.delenv(name)
    result = run(instance, project.window(0))
    lines = failures(result)["crm_delta"].splitlines()
    assert [line.partition(" is not set: ")[0] for line in lines] == missing
    assert assets(result) == []
    assert result.retry_attempts_for_node("crm_delta") == 0
    assert not (project.home / "state.db").exists()
    assert not (project.home / "frames").exists()


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("GENESYS_BASE_URL", "https://genesys.example", "GENESYS_BASE_URL is for a simulator on this machine"),
        ("CONTACT_SYNC_CRM_URL", "somewhere", "CONTACT_SYNC_CRM_URL is not a database URL"),
        ("CONTACT_SYNC_STATE_URL", "mysql://here", "CONTACT_SYNC_STATE_URL names mysql;"),
    ],
)
def test_a_wrong_variable_is_named_in_one_line(
    project: Project,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    line: str,
) -> None:
    monkeypatch.setenv(variable, value)
    shown = failures(run(instance, project.window(0)))
    assert list(shown) == ["crm_delta"]
    assert shown["crm_delta"].startswith(line)
    assert "\n" not in shown["crm_delta"]
    assert not (project.home / "frames").exists()


def test_wrong_credentials_stop_delivery_in_one_line(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENESYS_CLIENT_SECRET", "wrong")
    result = run(instance, project.window(0))
    assert assets(result) == list(PLANNED)
    assert re.fullmatch(
        r"the region \S+ knows this client but refuses its secret: check GENESYS_CLIENT_SECRET",
        failures(result)["genesys_upserts"],
    )
    assert project.stats()["held"]["contacts"] == 0
    assert project.state("SELECT count(*) FROM window_ledger") == [(0,)]


def test_a_table_that_is_not_there_is_named(project: Project, instance: dg.DagsterInstance) -> None:
    project.crm("ALTER TABLE contacts RENAME TO people")
    assert failures(run(instance, project.window(0))) == {
        "crm_delta": "the CRM database has no table contacts: correct crm.table.name or crm.table.schema in "
        "contact_sync.yaml"
    }


def test_a_window_that_has_not_settled_is_not_read(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    just_closed = FREQUENCY.floor(datetime.now(UTC)) - FREQUENCY.length
    with opened_project(tmp_path, start=just_closed) as project:
        project.configure(settle_seconds=3_600)
        [line] = failures(run(instance, project.window(0))).values()
        assert line.startswith(f"the window {project.window(0)} is not closed: the CRM can be read up to ")
        assert nothing_was_delivered(project)


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (ConfigurationError("x"), False),
        (ContractError("x"), False),
        (CrmConfigurationError("x"), False),
        (CrmUnavailableError("x"), True),
        (CrmExhaustedError("x"), False),
        (GenesysFatalError("x"), False),
        (GenesysRetryableError("x"), True),
        (StateError("x"), False),
        (AccountingError("x"), False),
        (WindowNotClosedError("x"), False),
    ],
)
def test_only_what_may_pass_is_retried(error: Exception, retried: bool) -> None:  # noqa: FBT001 -- parametrized
    with pytest.raises(dg.Failure) as failed, failures_in_one_line():
        raise error
    assert (failed.value.description, failed.value.allow_retries) == ("x", retried)
    assert failed.value.__suppress_context__
