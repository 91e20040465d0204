"""Putting the code location together: one function, so that tests and other projects can override parts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from contact_sync.orchestration.assets import build_assets
from contact_sync.orchestration.jobs import sync_windows
from contact_sync.orchestration.mirror import build_mirror, every_night, mirror_contacts
from contact_sync.orchestration.resources import sync_resource
from contact_sync.orchestration.retries import build_retry_queue, build_retry_sensor, retry_changes
from contact_sync.orchestration.schedules import build_schedule
from contact_sync.orchestration.sensors import build_gap_sensor
from contact_sync.orchestration.windows import (
    audit_windows,
    build_window_assets,
    build_window_schedules,
    reconcile_keys,
)
from contact_sync.settings import Settings, load_settings


def build_definitions(
    settings: Settings | None = None, resource_overrides: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """Return what Dagster loads.

    Args:
        settings: Read from the settings file unless given.
        resource_overrides: Resources to put in place of the built ones, by name (`sync`).

    Raises:
        ConfigurationError: The settings are missing or wrong.
    """
    settings = settings or load_settings()
    _keep_private(Path(".dagster"))
    return dg.Definitions(
        assets=[
            *build_assets(settings),
            build_retry_queue(settings),
            build_mirror(settings),
            *build_window_assets(settings),
        ],
        jobs=[sync_windows, retry_changes, mirror_contacts, audit_windows, reconcile_keys],
        schedules=[build_schedule(settings.sync), every_night, *build_window_schedules(settings.sync)],
        sensors=[build_gap_sensor(settings), build_retry_sensor(settings)],
        executor=dg.in_process_executor,  # one process a run, so that one client and its connections serve it
        resources={"sync": sync_resource()} | dict(resource_overrides or {}),
    )


def _keep_private(folder: Path) -> None:
    """Close the folder of this project's dagster.yaml to others: Dagster makes it with the process's umask."""
    if folder.is_dir():
        folder.chmod(0o700)
