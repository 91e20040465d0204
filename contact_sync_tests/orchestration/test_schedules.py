from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, islice

import dagster as dg
import pytest

from contact_sync.contacts.window import Frequency, Window
from contact_sync.orchestration.partitions import key_of, window_partitions
from contact_sync.orchestration.schedules import build_schedule, cron_with_lag
from contact_sync.setting_groups import Sync

START = datetime(2026, 3, 2, tzinfo=UTC)
SETTLES = (0, 1, 60, 90, 120, 600, 1_799, 1_800, 3_000, 3_600)


def sync(frequency: Frequency, settle: int = 120) -> Sync:
    return Sync(start=START, frequency=frequency, settle_seconds=settle)


def ticks(settings: Sync, since: datetime) -> Iterator[datetime]:
    """Yield when the cron line of the schedule is due, in UTC."""
    minutes, hour, *days = cron_with_lag(settings).split()
    assert days == ["*", "*", "*"]
    for passed in count():
        moment = since + timedelta(minutes=passed)
        if str(moment.minute) in minutes.split(",") and hour in {"*", str(moment.hour)}:
            yield moment


def evaluate(settings: Sync, tick: datetime) -> dg.RunRequest | dg.SkipReason:
    with dg.build_schedule_context(scheduled_execution_time=tick) as context:
        answer = build_schedule(settings)(context)
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


@pytest.mark.parametrize(
    ("frequency", "settle", "cron"),
    [
        (Frequency.FIVE_MINUTES, 0, "0,5,10,15,20,25,30,35,40,45,50,55 * * * *"),
        (Frequency.FIVE_MINUTES, 420, "2,7,12,17,22,27,32,37,42,47,52,57 * * * *"),
        (Frequency.FIFTEEN_MINUTES, 61, "2,17,32,47 * * * *"),
        (Frequency.THIRTY_MINUTES, 120, "2,32 * * * *"),
        (Frequency.THIRTY_MINUTES, 2_400, "10,40 * * * *"),
        (Frequency.HOURLY, 120, "2 * * * *"),
        (Frequency.HOURLY, 3_600, "0 * * * *"),
        (Frequency.DAILY, 120, "2 0 * * *"),
        (Frequency.DAILY, 3_600, "0 1 * * *"),
    ],
)
def test_the_schedule_ticks_when_a_window_has_settled(frequency: Frequency, settle: int, cron: str) -> None:
    assert cron_with_lag(sync(frequency, settle)) == cron


@pytest.mark.parametrize("settle", SETTLES)
@pytest.mark.parametrize("frequency", Frequency)
def test_every_window_is_requested_once_in_order_as_soon_as_it_has_settled(
    frequency: Frequency, settle: int
) -> None:
    settings = sync(frequency, settle)
    since = START + timedelta(days=2)
    requested = []
    for tick in islice(ticks(settings, since), 30):
        request = evaluate(settings, tick)
        assert isinstance(request, dg.RunRequest)
        start = datetime.fromisoformat(request.partition_key or "")
        settled = start + frequency.length + timedelta(seconds=settle)
        assert settled <= tick < settled + timedelta(minutes=1)
        assert request.run_key == request.partition_key
        requested.append(request.partition_key)
    first = Window(start := datetime.fromisoformat(requested[0] or ""), start + frequency.length * 30)
    assert requested == [key_of(window) for window in first.split(frequency)]


@pytest.mark.parametrize("frequency", Frequency)
def test_what_it_requests_is_a_partition_at_that_moment(frequency: Frequency) -> None:
    settings = sync(frequency, 0)
    for tick in islice(ticks(settings, START + timedelta(days=2)), 5):
        request = evaluate(settings, tick)
        assert isinstance(request, dg.RunRequest)
        assert window_partitions(settings).get_partition_keys(current_time=tick)[-1] == request.partition_key


def test_a_tick_that_comes_late_requests_the_window_of_its_own_time() -> None:
    request = evaluate(sync(Frequency.THIRTY_MINUTES), datetime(2026, 3, 4, 10, 2, tzinfo=UTC))
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == "2026-03-04T09:30Z"
    assert request.tags["dagster/priority"] == "10"


def test_nothing_is_requested_before_the_first_window_has_closed() -> None:
    early = evaluate(sync(Frequency.THIRTY_MINUTES), START + timedelta(minutes=2))
    assert isinstance(early, dg.SkipReason)
    assert early.skip_message == "sync.start is 2026-03-02T00:00Z: no window has closed yet"
    in_time = evaluate(sync(Frequency.THIRTY_MINUTES), START + timedelta(minutes=32))
    assert isinstance(in_time, dg.RunRequest)
    assert in_time.partition_key == "2026-03-02T00:00Z"
