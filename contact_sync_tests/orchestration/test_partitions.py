from datetime import UTC, datetime, timedelta, timezone

import dagster as dg
import pytest

from contact_sync.contacts.window import Frequency, Window
from contact_sync.orchestration.partitions import (
    key_of,
    span_tags,
    window_of_tags,
    window_partitions,
    windows_of_run,
)
from contact_sync.setting_groups import Sync

START = datetime(2026, 3, 28, tzinfo=UTC)  # the clocks of Europe change in the night to the 29th

every_frequency = pytest.mark.parametrize("frequency", Frequency)


def windows(frequency: Frequency, days: int = 3) -> list[Window]:
    return list(Window(START, START + timedelta(days=days)).split(frequency))


def carried(frequency: Frequency, tags: dict[str, str]) -> list[Window]:
    """Return the windows that an asset sees in a run with these tags."""
    seen: list[Window] = []

    @dg.asset(partitions_def=window_partitions(Sync(start=START, frequency=frequency)))
    def probe(context: dg.AssetExecutionContext) -> None:
        seen.extend(windows_of_run(context, frequency))

    with dg.DagsterInstance.ephemeral() as instance:
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        # A range of windows in one run needs no policy here: the range is in the tags.
        assert dg.materialize([probe], instance=instance, tags=tags, run_config=quiet).success
    return seen


@every_frequency
def test_there_is_one_partition_for_each_closed_window_keyed_by_its_start(frequency: Frequency) -> None:
    partitions = window_partitions(Sync(start=START, frequency=frequency))
    now = START + timedelta(days=3)
    assert partitions.get_partition_keys(current_time=now) == [key_of(window) for window in windows(frequency)]
    assert partitions.get_partition_keys(current_time=now - timedelta(seconds=1)) == [
        key_of(window) for window in windows(frequency)[:-1]
    ]


@every_frequency
def test_a_partition_spans_its_window(frequency: Frequency) -> None:
    partitions = window_partitions(Sync(start=START, frequency=frequency))
    for window in windows(frequency):
        span = partitions.time_window_for_partition_key(key_of(window))
        assert Window(span.start, span.end) == window


def test_a_start_inside_a_window_takes_the_whole_window() -> None:
    partitions = window_partitions(Sync(start=START + timedelta(minutes=50), frequency=Frequency.THIRTY_MINUTES))
    assert partitions.get_first_partition_key() == "2026-03-28T00:30Z"


def test_keys_are_utc_whatever_the_zone_of_the_window() -> None:
    local = timezone(timedelta(hours=2))
    window = Window(datetime(2026, 3, 28, 1, 30, tzinfo=local), datetime(2026, 3, 28, 2, tzinfo=local))
    assert key_of(window) == "2026-03-27T23:30Z"


@every_frequency
def test_tags_of_a_span_name_its_first_and_last_window(frequency: Frequency) -> None:
    span = Window(START, START + frequency.length * 3)
    tags = span_tags(span, frequency)
    assert tags == {
        "dagster/asset_partition_range_start": key_of(windows(frequency)[0]),
        "dagster/asset_partition_range_end": key_of(windows(frequency)[2]),
    }
    assert window_of_tags(tags, frequency) == span


@every_frequency
def test_tags_of_one_partition_name_one_window(frequency: Frequency) -> None:
    window = windows(frequency)[1]
    assert window_of_tags({"dagster/partition": key_of(window)}, frequency) == window
    assert window_of_tags(span_tags(window, frequency), frequency) == window


@pytest.mark.parametrize(
    "tags", [{}, {"demo": "true"}, {"dagster/asset_partition_range_start": "2026-03-28T00:00Z"}]
)
def test_tags_without_windows_name_none(tags: dict[str, str]) -> None:
    assert window_of_tags(tags, Frequency.HOURLY) is None


@every_frequency
def test_a_run_carries_the_windows_of_its_tags(frequency: Frequency) -> None:
    two = windows(frequency)[:2]
    assert carried(frequency, dict(span_tags(Window(two[0].start, two[1].end), frequency))) == two
    assert carried(frequency, {"dagster/partition": key_of(two[1])}) == two[1:]
