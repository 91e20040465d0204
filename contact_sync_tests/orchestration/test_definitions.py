"""What a code location holds, from the repository's own settings and without a secret in the environment."""

import importlib
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest
import yaml

from contact_sync.connections import Connections
from contact_sync.contacts.schemas import SCHEMAS
from contact_sync.contacts.window import Frequency
from contact_sync.orchestration.assets import ASSETS
from contact_sync.orchestration.build import build_definitions
from contact_sync.orchestration.mirror import GENESYS_CONTACTS
from contact_sync.orchestration.partitions import window_partitions
from contact_sync.orchestration.resources import sync_resource
from contact_sync.orchestration.retries import RETRY_QUEUE
from contact_sync.orchestration.windows import AUDIT, KEYS, build_window_schedules
from contact_sync.setting_groups import Sync
from contact_sync.settings import ConfigurationError, load_settings
from contact_sync_tests.project import SECRET, Project, forget_environment

ROOT = Path(__file__).parents[2]
MODULE = "contact_sync.definitions"
KINDS = {
    "crm_contacts": {"crm"},
    "crm_delta": {"sql", "parquet"},
    "normalized_contacts": {"pandas", "parquet"},
    "dedup_matches": {"pandas", "parquet"},
    "genesys_upserts": {"genesys", "parquet"},
    "sync_report": {"pandas", "parquet"},
    "retry_queue": {"genesys"},
    "window_audit": {"crm"},
    "crm_keys": {"crm"},
    "genesys_contacts": {"genesys"},
    "genesys_external_contacts": {"genesys"},
}
CHECKS = {
    "crm_delta": {"contract", "fields_listed", "records_dated", "windows_complete"},
    "normalized_contacts": {"contract"},
    "dedup_matches": {"contract", "no_mass_delete"},
    "genesys_upserts": {"contract"},
    "sync_report": {"contract", "nothing_dead", "keeps_up"},
}


@pytest.fixture
def defs(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.Definitions]:
    """Load the module that Dagster loads, in a fresh clone: no secret, no state."""
    forget_environment(monkeypatch)
    monkeypatch.chdir(ROOT)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    yield importlib.import_module(MODULE).defs
    sys.modules.pop(MODULE, None)


def specs(defs: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def five(defs: dg.Definitions) -> dict[str, dg.AssetsDefinition]:
    found = {one.key.path[-1]: one for one in defs.resolve_asset_graph().assets_defs if one.is_executable}
    assert found.keys() == {*ASSETS, RETRY_QUEUE, GENESYS_CONTACTS, AUDIT, KEYS}
    return {name: found[name] for name in ASSETS}


def retry_queue(defs: dg.Definitions) -> dg.AssetsDefinition:
    return defs.resolve_asset_graph().assets_def_for_key(dg.AssetKey(RETRY_QUEUE))


def test_they_load_without_any_secret(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)


def test_the_lineage_runs_from_the_crm_to_genesys(defs: dg.Definitions) -> None:
    parents = {name: {dep.asset_key.to_user_string() for dep in spec.deps} for name, spec in specs(defs).items()}
    lineage = ["crm_contacts", "crm_delta", "normalized_contacts", "dedup_matches", "genesys_upserts"]
    assert parents == {
        "crm_contacts": set(),
        **{child: {parent} for parent, child in pairwise(lineage)},
        "sync_report": {"genesys_upserts"},
        "retry_queue": {"genesys_upserts"},
        "window_audit": {"crm_contacts", "crm_delta"},
        "crm_keys": {"crm_contacts"},
        "genesys_contacts": {"genesys_external_contacts"},
        "genesys_external_contacts": {"genesys_upserts", "retry_queue"},
    }
    assert list(ASSETS) == [*lineage[1:], "sync_report"]


def test_every_asset_says_what_it_is(defs: dg.Definitions) -> None:
    for name, spec in specs(defs).items():
        assert spec.kinds == KINDS[name]
        assert spec.owners == ["team:contact-sync"]
        assert spec.tags["crm"] == "crm"
        assert spec.group_name == "contact_sync"
        assert spec.description


def test_the_five_share_their_partitions_and_backfill_policy(defs: dg.Definitions) -> None:
    partitions = window_partitions(load_settings().sync)
    for one in five(defs).values():
        assert one.partitions_def == partitions
        assert one.backfill_policy == dg.BackfillPolicy.multi_run(48)
    assert partitions.get_first_partition_key() == "2026-11-01T00:00Z"
    assert partitions.cron_schedule == "*/30 * * * *"


def test_only_delivery_holds_the_pool(defs: dg.Definitions) -> None:
    assert {name: one.op.pool for name, one in five(defs).items()} == dict.fromkeys(ASSETS) | {
        "genesys_upserts": "genesys"
    }
    assert retry_queue(defs).op.pool == "genesys"


def test_the_contract_of_each_asset_blocks_and_nothing_else_does(defs: dg.Definitions) -> None:
    for name, one in five(defs).items():
        found = {spec.name: spec.blocking for spec in one.check_specs}
        assert found.keys() == CHECKS[name]
        assert [check for check, blocks in found.items() if blocks] == ["contract"]
        assert all(spec.description for spec in one.check_specs)


def test_the_checks_of_the_retry_queue_warn(defs: dg.Definitions) -> None:
    found = {spec.name: spec.blocking for spec in retry_queue(defs).check_specs}
    assert found == {"queue_moves": False, "nothing_dead": False, "no_mass_delete": False}
    assert all(spec.description for spec in retry_queue(defs).check_specs)
    assert retry_queue(defs).partitions_def is None


PATTERNS = {r"^crm\..+$": "crm.*", r"^customFields\..+$": "customFields.*"}


def test_the_catalog_shows_the_columns_that_the_contract_has(defs: dg.Definitions) -> None:
    for name in ASSETS:
        shown = specs(defs)[name].metadata["dagster/column_schema"].columns
        expected = SCHEMAS[name].columns.values()
        assert [one.name for one in shown] == [PATTERNS.get(str(one.name), one.name) for one in expected]
        assert [one.constraints.nullable for one in shown] == [one.nullable for one in expected]
        assert all(one.description for one in shown)
        assert {one.type for one in shown} <= {
            *("text", "int64", "Int64", "float64", "bool"),
            "datetime64[us, UTC]",
        }


def test_the_job_runs_the_five_in_one_process(defs: dg.Definitions) -> None:
    job = defs.resolve_job_def("sync_windows")
    assert {key.path[-1] for key in job.asset_layer.selected_asset_keys} == set(ASSETS)
    assert job.executor_def is dg.in_process_executor
    assert job.partitions_def == window_partitions(load_settings().sync)


def test_the_job_of_the_retry_queue_runs_nothing_else(defs: dg.Definitions) -> None:
    job = defs.resolve_job_def("retry_changes")
    assert {key.path[-1] for key in job.asset_layer.selected_asset_keys} == {RETRY_QUEUE}
    assert job.executor_def is dg.in_process_executor
    assert job.description


def test_the_mirror_has_a_job_a_schedule_and_a_pool_of_its_own(defs: dg.Definitions) -> None:
    job = defs.resolve_job_def("mirror_contacts")
    assert {key.path[-1] for key in job.asset_layer.selected_asset_keys} == {GENESYS_CONTACTS}
    asset = defs.resolve_asset_graph().assets_def_for_key(dg.AssetKey(GENESYS_CONTACTS))
    assert (asset.op.pool, asset.partitions_def) == ("genesys_mirror", None)
    schedule = defs.resolve_schedule_def("every_night")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert (schedule.cron_schedule, schedule.job_name) == ("30 1 * * *", "mirror_contacts")
    assert schedule.description


@pytest.mark.parametrize(
    ("job_name", "asset", "schedule_name", "cron"),
    [
        ("audit_windows", AUDIT, "window_audits", "7 0,12 * * *"),
        ("reconcile_keys", KEYS, "key_comparisons", "40 2 * * *"),
    ],
)
def test_what_looks_for_missed_rows_has_a_job_and_a_schedule_each(
    defs: dg.Definitions, job_name: str, asset: str, schedule_name: str, cron: str
) -> None:
    job = defs.resolve_job_def(job_name)
    assert {key.path[-1] for key in job.asset_layer.selected_asset_keys} == {asset}
    schedule = defs.resolve_schedule_def(schedule_name)
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert (schedule.cron_schedule, schedule.job_name) == (cron, job_name)
    assert schedule.description


def test_the_settings_say_how_often_and_whether() -> None:
    def schedules(**values: object) -> dict[str, dg.ScheduleDefinition]:
        sync = Sync.model_validate({"start": "2026-03-01"} | values)
        return {one.name: one for one in build_window_schedules(sync)}

    assert schedules(audit_hours=0, reconcile_days=0) == {}
    assert schedules(frequency="daily", settle_seconds=3600)["window_audits"].cron_schedule == "5 1 * * *"
    days = [datetime(2026, 3, day, 2, 40, tzinfo=UTC) for day in range(1, 15)]
    asked = []
    for day in days:
        with dg.build_schedule_context(scheduled_execution_time=day) as context:
            asked.append(isinstance(schedules(reconcile_days=7)["key_comparisons"](context), dg.RunRequest))
    assert asked.count(True) == 2


def test_schedule_and_sensors_start_switched_off(defs: dg.Definitions) -> None:
    schedule = defs.resolve_schedule_def("newest_window")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert (schedule.cron_schedule, schedule.job_name) == ("2,32 * * * *", "sync_windows")
    assert schedule.description
    for name, job in (("missing_windows", "sync_windows"), ("due_retries", "retry_changes")):
        sensor = defs.resolve_sensor_def(name)
        assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
        assert (sensor.minimum_interval_seconds, sensor.job_name) == (60, job)
        assert sensor.description


def test_a_setting_changes_the_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_environment(monkeypatch)
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("CONTACT_SYNC_SYNC__FREQUENCY", "daily")
    monkeypatch.setenv("CONTACT_SYNC_CRM__NAME", "second_crm")
    changed = build_definitions()
    assert specs(changed)["crm_delta"].tags["crm"] == "second_crm"
    for one in five(changed).values():
        assert one.backfill_policy == dg.BackfillPolicy.multi_run(Frequency.DAILY.a_day)
    assert changed.resolve_schedule_def("newest_window").cron_schedule == "2 0 * * *"


def test_a_missing_settings_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_environment(monkeypatch)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"^there is no settings file contact_sync.yaml: "):
        build_definitions()


def test_what_is_set_is_a_reference_to_the_environment_and_the_rest_is_empty(project: Project) -> None:
    resource = sync_resource()
    assert project.environment["GENESYS_CLIENT_SECRET"] == SECRET
    assert resource.genesys_client_secret == dg.EnvVar("GENESYS_CLIENT_SECRET")
    assert resource.genesys_region == ""
    assert SECRET not in repr(resource)


@pytest.mark.parametrize("name", Connections.model_fields)
def test_every_variable_reaches_the_resource(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    forget_environment(monkeypatch)
    variable = str(Connections.model_fields[name].validation_alias)
    monkeypatch.setenv(variable, SECRET)
    assert getattr(sync_resource(), name) == dg.EnvVar(variable)


def test_the_workspace_names_this_module() -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))
    assert [one["python_module"]["module_name"] for one in workspace["load_from"]] == [MODULE]


def test_the_instance_keeps_its_state_beside_it_and_tells_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_monitoring_enabled
        assert instance.global_op_concurrency_default_limit == 1
        assert instance.managed_python_loggers == ["contact_sync"]
        instance.get_runs_count()
    assert {path.name for path in tmp_path.iterdir()} == {"dagster.yaml", ".dagster"}
