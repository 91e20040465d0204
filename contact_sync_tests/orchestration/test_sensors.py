import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contact_sync.contacts.window import Frequency, Window, uncovered
from contact_sync.orchestration import sensors
from contact_sync.orchestration.partitions import span_tags, window_of_tags
from contact_sync.orchestration.resources import sync_resource
from contact_sync.orchestration.sensors import RUNS_A_TICK, build_gap_sensor, missing
from contact_sync.setting_groups import Sync
from contact_sync.settings import Settings, load_settings
from contact_sync.state.database import open_database
from contact_sync.state.store import Store
from contact_sync_tests.orchestration.harness import run
from contact_sync_tests.project import FREQUENCY, START, Project

DAY = timedelta(days=1)
SETTLED = timedelta(minutes=2, seconds=1)

Requests = Callable[[datetime], list[dg.RunRequest]]


@pytest.fixture
def requests(project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Requests:
    """Evaluate the sensor at a moment; the project's window 0 starts at START."""
    assert project.start == START

    def evaluate(now: datetime) -> list[dg.RunRequest]:
        class Frozen(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
                assert tz is UTC
                return now

        monkeypatch.setattr(sensors, "datetime", Frozen)
        with dg.build_sensor_context(instance=instance, resources={"sync": sync_resource()}) as context:
            answer = build_gap_sensor(load_settings())(context)
        if isinstance(answer, dg.SkipReason):
            assert answer.skip_message == "every closed window is committed or under way"
            return []
        assert isinstance(answer, dg.SensorResult)
        return list(answer.run_requests or [])

    return evaluate


def spans(requests: Iterable[dg.RunRequest], frequency: Frequency = FREQUENCY) -> list[Window | None]:
    return [window_of_tags(request.tags, frequency) for request in requests]


def commit(project: Project, windows: Iterable[Window]) -> None:
    engine = open_database(f"sqlite:///{project.home}/state.db")
    for window in windows:
        Store(engine).ledger.commit(
            {
                "source": "sample",
                "window_start": window.start,
                "window_end": window.end,
                "rows_read": 0,
                "outcomes": {},
                "requests": 0,
                "writes": 0,
                "seconds": 0.0,
                "digest": "",
                "newest_modified_at": None,
                "run_id": "run",
                "committed_at": window.end,
            }
        )
    engine.dispose()


def under_way(instance: dg.DagsterInstance, span: Window, status: dg.DagsterRunStatus) -> None:
    instance.add_run(
        dg.DagsterRun(
            job_name="sync_windows", run_id=str(uuid.uuid4()), status=status, tags=dict(span_tags(span, FREQUENCY))
        )
    )


def test_after_downtime_the_missing_spans_are_requested_oldest_first(project: Project, requests: Requests) -> None:
    commit(project, [project.span(0, 2), project.span(5, 1)])
    now = project.window(9).end + SETTLED
    assert spans(requests(now)) == [project.span(2, 3), project.span(6, 3)]


def test_the_newest_closed_window_is_left_to_the_schedule(project: Project, requests: Requests) -> None:
    commit(project, [project.span(0, 3)])
    settled = project.window(3).end + timedelta(minutes=2)
    assert requests(settled) == []
    assert requests(settled + FREQUENCY.length - timedelta(seconds=1)) == []
    assert spans(requests(settled + FREQUENCY.length)) == [project.window(3)]


def test_nothing_is_requested_before_anything_was_due(project: Project, requests: Requests) -> None:
    assert requests(project.start - timedelta(days=1)) == []
    assert requests(project.window(0).end + SETTLED) == []


def test_a_run_carries_a_day_at_most_and_a_tick_a_few_runs(project: Project, requests: Requests) -> None:
    found = requests(project.start + timedelta(days=30))
    assert spans(found) == [
        Window(project.start + number * DAY, project.start + (number + 1) * DAY) for number in range(RUNS_A_TICK)
    ]
    assert all(request.partition_key is None for request in found)


@pytest.mark.parametrize(
    ("status", "requested"),
    [
        (dg.DagsterRunStatus.NOT_STARTED, False),
        (dg.DagsterRunStatus.STARTED, False),
        (dg.DagsterRunStatus.FAILURE, True),
        (dg.DagsterRunStatus.CANCELED, True),
    ],
)
def test_what_a_run_under_way_carries_is_not_requested(
    project: Project,
    instance: dg.DagsterInstance,
    requests: Requests,
    status: dg.DagsterRunStatus,
    requested: bool,  # noqa: FBT001 -- parametrized
) -> None:
    under_way(instance, project.span(1, 2), status)
    whole, around = [project.span(0, 5)], [project.window(0), project.span(3, 2)]
    assert spans(requests(project.window(5).end + SETTLED)) == (whole if requested else around)


def test_a_window_that_fails_is_tried_again_each_hour_not_at_every_tick(
    project: Project, requests: Requests
) -> None:
    commit(project, [project.span(1, 20)])
    now = project.window(8).start + SETTLED
    keys = [requests(now + timedelta(minutes=minutes))[0].run_key for minutes in (0, 1, 20, 57, 58, 80)]
    assert len(set(keys[:4])) == 1
    assert len(set(keys[4:])) == 1
    assert keys[0] != keys[4]


def test_what_it_requested_closes_the_gap(
    project: Project, instance: dg.DagsterInstance, requests: Requests
) -> None:
    now = project.window(2).end + SETTLED
    [span] = spans(requests(now))
    assert span == project.span(0, 2)
    assert run(instance, span).success
    assert requests(now) == []


def test_a_missing_secret_fails_the_tick_in_one_line(requests: Requests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENESYS_CLIENT_SECRET")
    with pytest.raises(dg.Failure) as failed:
        requests(START + DAY)
    assert failed.value.description == "GENESYS_CLIENT_SECRET is not set: Secret of that client"


@st.composite
def ledgers(draw: st.DrawFn) -> tuple[Frequency, list[Window]]:
    """Draw a frequency, and what was committed in the first days under it and, before a change, under others."""
    covered = []
    for past in draw(st.lists(st.sampled_from(Frequency), max_size=6)):
        start = START.replace(hour=0) + draw(st.integers(0, 30)) * past.length
        covered.append(Window(start, start + draw(st.integers(1, 10)) * past.length))
    return draw(st.sampled_from(Frequency)), covered


FIVE_MINUTES = Window(START + timedelta(minutes=5), START + timedelta(minutes=10))


@example((Frequency.HOURLY, [FIVE_MINUTES]), 240, 0)  # two gaps in one window
@given(ledgers(), st.integers(0, 4 * 24 * 60), st.integers(0, 3_600))
def test_the_spans_hold_each_window_that_is_not_covered_once_and_in_order(
    ledger: tuple[Frequency, list[Window]], minutes: int, settle: int
) -> None:
    frequency, covered = ledger
    sync = Sync(start=START, frequency=frequency, settle_seconds=settle)
    now = sync.first_window_start + timedelta(minutes=minutes)
    found = list(missing(Settings.model_construct(sync=sync), now, covered))
    newest_closed = frequency.floor(now - sync.settle)
    due = newest_closed - frequency.length
    closed = Window(sync.first_window_start, due).split(frequency) if due > sync.first_window_start else ()
    assert [window for span in found for window in span.split(frequency)] == [
        window for window in closed if uncovered(window, covered)
    ]
    assert all(span.end - span.start <= DAY for span in found)
