from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_sync.contacts.window import Frequency, Window, uncovered, watermark

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (Hypothesis wants naive bounds)
minutes = st.integers(0, 60)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    start = draw(minutes)
    return Window(START + start * MINUTE, START + (start + draw(st.integers(1, 20))) * MINUTE)


def minutes_of(window: Window) -> set[int]:
    return set(range((window.start - START) // MINUTE, (window.end - START) // MINUTE))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("frequency", "length", "a_day"),
    [("5min", 5, 288), ("15min", 15, 96), ("30min", 30, 48), ("60min", 60, 24), ("daily", 1440, 1)],
)
def test_a_frequency_knows_its_length_and_how_many_make_a_day(frequency: str, length: int, a_day: int) -> None:
    assert Frequency(frequency).length == length * MINUTE
    assert Frequency(frequency).a_day == a_day


@pytest.mark.parametrize(
    ("frequency", "instant", "boundary"),
    [
        ("5min", "2026-01-01T10:04:59.999999+00:00", "2026-01-01T10:00:00+00:00"),
        ("30min", "2026-01-01T10:30:00+00:00", "2026-01-01T10:30:00+00:00"),
        ("60min", "2026-01-01T10:15:00+05:30", "2026-01-01T04:00:00+00:00"),
        ("daily", "2026-01-01T00:30:00+01:00", "2025-12-31T00:00:00+00:00"),
    ],
)
def test_floor_counts_from_midnight_utc(frequency: str, instant: str, boundary: str) -> None:
    assert Frequency(frequency).floor(at(instant)) == at(boundary)


@given(frequency=st.sampled_from(Frequency), instant=instants)
def test_floor_is_the_newest_boundary_that_is_not_later(frequency: Frequency, instant: datetime) -> None:
    boundary = frequency.floor(instant)
    assert boundary <= instant < boundary + frequency.length
    assert frequency.floor(boundary) == boundary


def test_a_window_holds_its_start_and_not_its_end() -> None:
    window = Window(START, START + 30 * MINUTE)
    assert START in window
    assert START + 30 * MINUTE not in window
    assert START - MINUTE not in window


def test_a_window_is_written_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    window = Window(datetime(2026, 1, 1, 1, tzinfo=berlin), datetime(2026, 1, 1, 2, tzinfo=berlin))
    assert str(window) == "2026-01-01T00:00Z/2026-01-01T01:00Z"
    assert window == Window(START, START + 60 * MINUTE)


@pytest.mark.parametrize("end", [START, START - MINUTE])
def test_an_empty_window_is_refused(end: datetime) -> None:
    with pytest.raises(ValueError, match="is empty"):
        Window(START, end)


@pytest.mark.parametrize("naive", ["start", "end"])
def test_a_window_without_timezone_is_refused(naive: str) -> None:
    ends = {"start": START, "end": START + MINUTE}
    with pytest.raises(ValueError, match="timezone-aware"):
        Window(**(ends | {naive: ends[naive].replace(tzinfo=None)}))


@given(frequency=st.sampled_from(Frequency), first=instants, count=st.integers(1, 50))
def test_split_tiles_the_span(frequency: Frequency, first: datetime, count: int) -> None:
    start = frequency.floor(first)
    tiles = list(Window(start, start + count * frequency.length).split(frequency))
    assert len(tiles) == count
    assert tiles[0].start == start
    assert all(tile.end - tile.start == frequency.length for tile in tiles)
    assert all(one.end == following.start for one, following in pairwise(tiles))


@pytest.mark.parametrize(("start", "end"), [(1, 30), (0, 31)])
def test_split_refuses_a_span_off_the_boundaries(start: int, end: int) -> None:
    span = Window(START + start * MINUTE, START + end * MINUTE)
    with pytest.raises(ValueError, match="boundaries of 30min windows"):
        list(span.split(Frequency.THIRTY_MINUTES))


@given(span=windows())
def test_the_parts_of_a_span_make_the_span_and_cross_no_boundary(span: Window) -> None:
    parts = list(span.cut(Frequency.FIVE_MINUTES))
    assert (parts[0].start, parts[-1].end) == (span.start, span.end)
    assert all(one.end == following.start for one, following in pairwise(parts))
    assert all(
        Frequency.FIVE_MINUTES.floor(one.start) == Frequency.FIVE_MINUTES.floor(one.end - timedelta.resolution)
        for one in parts
    )


@given(span=windows(), covered=st.lists(windows(), max_size=8))
def test_what_is_uncovered_and_what_is_covered_make_the_span(span: Window, covered: list[Window]) -> None:
    gaps = uncovered(span, covered)
    open_minutes = [minute for gap in gaps for minute in minutes_of(gap)]
    reached = set().union(*map(minutes_of, covered)) & minutes_of(span)
    assert len(open_minutes) == len(set(open_minutes))
    assert set(open_minutes) == minutes_of(span) - reached
    # As long as possible, oldest first: between two gaps something is covered.
    assert all(one.end < following.start for one, following in pairwise(gaps))


@given(committed=st.lists(windows(), max_size=8))
def test_the_watermark_is_where_the_first_gap_begins(committed: list[Window]) -> None:
    reached = watermark(START, committed)
    horizon = START + 100 * MINUTE
    assert reached == uncovered(Window(START, horizon), committed)[0].start


@given(committed=st.lists(windows(), max_size=8), more=windows())
def test_the_watermark_never_moves_back(committed: list[Window], more: Window) -> None:
    assert watermark(START, [*committed, more]) >= watermark(START, committed)


def test_the_watermark_waits_for_a_gap_to_close() -> None:
    first, second, third = (Window(START + n * MINUTE, START + (n + 1) * MINUTE) for n in range(3))
    assert watermark(START, []) == START
    assert watermark(START, [third, first]) == first.end
    assert watermark(START, [third, first, second]) == third.end
