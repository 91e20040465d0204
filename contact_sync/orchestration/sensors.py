"""The gap sensor: requests the closed windows that the ledger lacks, after downtime of any length.

Dagster replays at most a few missed ticks; the ledger knows them all.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import dagster as dg

from contact_sync.contacts.window import Frequency, Window, uncovered
from contact_sync.orchestration.jobs import sync_windows
from contact_sync.orchestration.partitions import span_tags, window_of_tags
from contact_sync.orchestration.resources import SyncResource
from contact_sync.settings import Settings

RUNS_A_TICK = 4
"""Runs requested at once; the next tick goes on from there."""

UNDER_WAY = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def build_gap_sensor(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor; it starts switched off."""

    @dg.sensor(
        name="missing_windows",
        job=sync_windows,
        minimum_interval_seconds=60,
        description="Requests closed windows that are not committed and that no run carries, oldest first.",
    )
    def missing_windows(
        context: dg.SensorEvaluationContext, sync: SyncResource
    ) -> dg.SensorResult | dg.SkipReason:
        now = datetime.now(UTC)
        with sync.open(settings) as opened:
            committed = opened.store.ledger.committed(opened.source.name)
        under_way = _windows_under_way(context.instance, settings.sync.frequency)
        spans = list(islice(missing(settings, now, [*committed, *under_way]), RUNS_A_TICK))
        if not spans:
            return dg.SkipReason("every closed window is committed or under way")
        requests = [
            # A window that failed is tried again each hour, not at every tick.
            dg.RunRequest(run_key=f"{span} {now:%Y-%m-%dT%H}", tags=span_tags(span, settings.sync.frequency))
            for span in spans
        ]
        return dg.SensorResult(run_requests=requests)

    return missing_windows


def missing(settings: Settings, now: datetime, covered: list[Window]) -> Iterator[Window]:
    """Yield the spans of closed windows that nothing covers, oldest first, each at most a day of windows.

    The newest closed window is left to the schedule.
    """
    sync = settings.sync
    length = sync.frequency.length
    due = sync.frequency.floor(now - sync.settle - length)
    if due <= sync.first_window_start:
        return
    start = sync.first_window_start
    for gap in uncovered(Window(start, due), covered):
        # After a change of frequency gaps may begin and end inside a window; the whole window is read again, once.
        start = max(start, sync.frequency.floor(gap.start))
        while start < gap.end:
            end = min(
                start + length * sync.frequency.a_day, sync.frequency.floor(gap.end + length - gap.end.resolution)
            )
            yield Window(start, end)
            start = end


def _windows_under_way(instance: dg.DagsterInstance, frequency: Frequency) -> Iterator[Window]:
    for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)):
        if window := window_of_tags(run.tags, frequency):
            yield window
