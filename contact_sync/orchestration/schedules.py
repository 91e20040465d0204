"""The schedule: each window once it has closed and settled.

What belongs here: when a window is due. Windows that were missed belong to the gap sensor.
"""

import math

import dagster as dg

from contact_sync.contacts.window import Frequency, Window
from contact_sync.orchestration.jobs import sync_windows
from contact_sync.orchestration.partitions import key_of
from contact_sync.setting_groups import Sync


def cron_with_lag(sync: Sync) -> str:
    """Return the cron line that ticks whenever a window has been closed for the settle delay."""
    lag = math.ceil(sync.settle_seconds / 60)
    if sync.frequency is Frequency.DAILY:
        return f"{lag % 60} {lag // 60} * * *"
    length = int(sync.frequency.length.total_seconds()) // 60
    minutes = sorted((lag + start) % 60 for start in range(0, 60, length))
    return f"{','.join(map(str, minutes))} * * * *"


def build_schedule(sync: Sync) -> dg.ScheduleDefinition:
    """Return the schedule; it starts switched off."""

    @dg.schedule(
        name="newest_window",
        job=sync_windows,
        cron_schedule=cron_with_lag(sync),
        description=f"Syncs each {sync.frequency.value} window, {sync.settle_seconds} s or more after its end.",
    )
    def newest_window(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        end = sync.frequency.floor(context.scheduled_execution_time - sync.settle)
        window = Window(end - sync.frequency.length, end)
        if window.start < sync.first_window_start:
            return dg.SkipReason(
                f"sync.start is {sync.first_window_start:%Y-%m-%dT%H:%MZ}: no window has closed yet"
            )
        key = key_of(window)
        return dg.RunRequest(run_key=key, partition_key=key, tags={"dagster/priority": "10"})

    return newest_window
