"""Windows as Dagster partitions: one definition, shared by the five assets.

What belongs here: the translation between `Window` and partition keys.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg

from contact_sync.contacts.window import Frequency, Window
from contact_sync.setting_groups import Sync

KEY_FORMAT = "%Y-%m-%dT%H:%MZ"

_CRON = {
    Frequency.FIVE_MINUTES: "*/5 * * * *",
    Frequency.FIFTEEN_MINUTES: "*/15 * * * *",
    Frequency.THIRTY_MINUTES: "*/30 * * * *",
    Frequency.HOURLY: "0 * * * *",
    Frequency.DAILY: "0 0 * * *",
}


def window_partitions(sync: Sync) -> dg.TimeWindowPartitionsDefinition:
    """Return the partitions: one for each closed window since the start date, keyed by its start in UTC."""
    return dg.TimeWindowPartitionsDefinition(
        start=sync.first_window_start, fmt=KEY_FORMAT, cron_schedule=_CRON[sync.frequency], timezone="UTC"
    )


def key_of(window: Window) -> str:
    """Return the partition key of a window."""
    return window.start.astimezone(UTC).strftime(KEY_FORMAT)


def windows_of_run(context: dg.AssetExecutionContext, frequency: Frequency) -> Sequence[Window]:
    """Return the windows that a run carries: one, or a range of them."""
    span = context.partition_time_window
    return list(Window(span.start, span.end).split(frequency))


def span_tags(span: Window, frequency: Frequency) -> Mapping[str, str]:
    """Return the tags that make one run carry all windows of `span`."""
    windows = list(span.split(frequency))
    return {
        "dagster/asset_partition_range_start": key_of(windows[0]),
        "dagster/asset_partition_range_end": key_of(windows[-1]),
    }


def window_of_tags(tags: Mapping[str, str], frequency: Frequency) -> Window | None:
    """Return the span of windows that a run with these tags carries, None if it carries none."""
    first = tags.get("dagster/partition") or tags.get("dagster/asset_partition_range_start")
    last = tags.get("dagster/partition") or tags.get("dagster/asset_partition_range_end")
    if not first or not last:
        return None
    start, newest = (datetime.strptime(key, KEY_FORMAT).replace(tzinfo=UTC) for key in (first, last))
    return Window(start, newest + frequency.length)
