"""Running the job as the schedule, the gap sensor or an operator would, and reading what Dagster keeps of it.

What belongs here: Dagster's words for it. What must hold belongs to the tests.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from contact_sync.contacts.window import Window
from contact_sync.orchestration.build import build_definitions
from contact_sync.orchestration.partitions import key_of, span_tags
from contact_sync.orchestration.resources import ALLOW_DELETES
from contact_sync_tests.project import FREQUENCY

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run(
    instance: dg.DagsterInstance, span: Window, *assets: str, quiet: bool = True, allow_deletes: bool = False
) -> dg.ExecuteInProcessResult:
    """Run the job for a span of windows; only the named assets, if any are."""
    job = build_definitions().resolve_job_def("sync_windows")
    return job.execute_in_process(
        instance=instance,
        tags=dict(span_tags(span, FREQUENCY)) | ({ALLOW_DELETES: "true"} if allow_deletes else {}),
        asset_selection=[dg.AssetKey(asset) for asset in assets] or None,
        run_config=_QUIET if quiet else None,
        raise_on_error=False,
    )


def run_retry(
    instance: dg.DagsterInstance, *, quiet: bool = True, allow_deletes: bool = False
) -> dg.ExecuteInProcessResult:
    """Run the job that works off the retry queue."""
    return (
        build_definitions()
        .resolve_job_def("retry_changes")
        .execute_in_process(
            instance=instance,
            tags={ALLOW_DELETES: "true"} if allow_deletes else {},
            run_config=_QUIET if quiet else None,
            raise_on_error=False,
        )
    )


def run_mirror(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """Run the job that scans all contacts of Genesys."""
    job = build_definitions().resolve_job_def("mirror_contacts")
    return job.execute_in_process(instance=instance, run_config=_QUIET, raise_on_error=False)


def failures(result: dg.ExecuteInProcessResult) -> Mapping[str, str]:
    """Return what the UI shows of each failed step: its one description."""
    found = {}
    for event in result.get_step_failure_events():
        failure = event.step_failure_data
        given = failure.user_failure_data.description if failure.user_failure_data else None
        found[str(event.step_key)] = given or (failure.error.message if failure.error else "")
    return found


def materialized(result: dg.ExecuteInProcessResult) -> set[tuple[str, str]]:
    """Return the (asset, partition) pairs that a run materialised."""
    events = result.get_asset_materialization_events()
    return {(event.asset_key.path[-1], str(event.partition)) for event in events if event.asset_key}


def checks(result: dg.ExecuteInProcessResult) -> Mapping[tuple[str, str], dg.AssetCheckEvaluation]:
    """Return the checks that a run evaluated, by asset and name."""
    return {(one.asset_key.path[-1], one.check_name): one for one in result.get_asset_check_evaluations()}


def metadata(instance: dg.DagsterInstance, asset: str, window: Window | None = None) -> Mapping[str, Any]:
    """Return the newest metadata of an asset, or of one partition of it, as the UI shows it."""
    partitions = [key_of(window)] if window else None
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=partitions)
    [record] = instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}
