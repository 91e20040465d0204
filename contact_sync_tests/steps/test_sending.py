"""Several requests under way at once: as many as allowed, no answer lost, an orderly end when one must stop."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest
import requests

from contact_sync.contacts.window import Window
from contact_sync.genesys.errors import GenesysFatalError, GenesysRetryableError
from contact_sync.state.database import StateError
from contact_sync.steps import deliver
from contact_sync.steps.extract import extract
from contact_sync.steps.sending import MAX_FAILED_BATCHES, Sender
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.faults import Answers, Gate, PassOn, answer_of
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.test_contacts import ADA
from contact_sync_tests.steps.test_watermark import CrashError
from contact_sync_tests.steps.world import moment, window

PATIENCE = 20.0  # seconds after which a test that waits for what never happens fails

Request = requests.PreparedRequest
Response = requests.Response


def carries(request: Request, number: int) -> bool:
    return f'"First{number}"' in str(request.body)


def people(*numbers: int) -> Mapping[str, str]:
    return {f"p{number}": f"First{number}" for number in numbers}


def names(sync: Sync) -> Mapping[str, str]:
    return {min(one.records): one.fields["firstName"] for one in sync.contacts()}


def linked(sync: Sync) -> set[str]:
    return {row["crm_id"] for row in sync.table("contact_link")}


def prepared(sync: Sync, count: int, concurrency: int = 3) -> None:
    """Bring people into the CRM, the first ten of them in the first request, and plan their window."""
    sync.configure(concurrency=concurrency)
    for batch in range(count // 10):
        sync.crm.people(10, moment(0, 12 + batch), first=10 * batch)
    sync.read(0)
    sync.plan(0)


# Side by side.


@pytest.mark.parametrize("concurrency", [1, 3])
def test_as_many_requests_as_allowed_are_under_way_and_no_more(sync: Sync, concurrency: int) -> None:
    prepared(sync, 60, concurrency)
    together = threading.Barrier(concurrency)

    def answer(_request: Request, pass_on: PassOn) -> Response:
        together.wait(PATIENCE)
        return pass_on()

    gate = Gate(sync.session, answer)
    sync.deliver(0)
    assert (gate.most_under_way, gate.requests) == (concurrency, 6)
    assert names(sync) == people(*range(60))


def test_answers_that_come_in_another_order_reach_their_own_rows(sync: Sync) -> None:
    prepared(sync, 30)
    come = [threading.Event() for _ in range(4)]
    come[3].set()
    told: list[tuple[int, int]] = []

    def answer(request: Request, pass_on: PassOn) -> Response:
        mine = next(number for number in range(3) if carries(request, 10 * number))
        assert come[mine + 1].wait(PATIENCE)  # the last one comes first
        done = pass_on()
        come[mine].set()
        return done

    Gate(sync.session, answer)
    (delivered,) = sync.deliver(0, progress=lambda _window, ended, rows: told.append((ended, rows)))
    assert delivered.counts["created"] == 30
    assert told[-1] == (30, 30)
    assert names(sync) == people(*range(30))
    links = {row["crm_id"]: row["contact"] for row in sync.table("contact_link")}
    assert links == {min(one.records): one.id for one in sync.contacts()}


def test_a_request_that_is_not_answered_takes_no_other_with_it(sync: Sync) -> None:
    prepared(sync, 60)

    def answer(request: Request, pass_on: PassOn) -> Response:
        if carries(request, 15):
            raise requests.ConnectionError
        return pass_on()

    Gate(sync.session, answer)
    (delivered,) = sync.deliver(0)
    assert (delivered.counts["created"], delivered.counts["queued"]) == (50, 10)
    assert set(sync.queue()) == set(people(*range(10, 20)))
    assert linked(sync) == set(people(*range(60))) - set(sync.queue())
    assert_accounted(sync, 0)


# When it must stop.


def stopping(sync: Sync, monkeypatch: pytest.MonkeyPatch, first: Callable[[Request, PassOn], Response]) -> Gate:
    """Let p15's batch be answered first, by `first`; the two beside it only when the sender is stopping."""
    stops, beside, drain = threading.Event(), threading.Semaphore(0), Sender._drain

    def stop(*arguments: Any) -> None:  # noqa: ANN401 -- whatever it takes
        stops.set()
        drain(*arguments)

    def answer(request: Request, pass_on: PassOn) -> Response:
        if carries(request, 15):
            assert all(beside.acquire(timeout=PATIENCE) for _ in range(2))
            return first(request, pass_on)
        beside.release()
        assert stops.wait(PATIENCE)
        return pass_on()

    monkeypatch.setattr(Sender, "_drain", stop)
    return Gate(sync.session, answer)


def test_after_a_refusal_nothing_more_is_sent_and_what_was_under_way_is_stored(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(sync, 60)
    gate = stopping(
        sync,
        monkeypatch,
        lambda request, _: answer_of(request, 403, {"status": 403, "code": "missing.permission"}),
    )
    with pytest.raises(GenesysFatalError, match="403"):
        sync.deliver(0)
    assert gate.requests == 3
    assert linked(sync) == set(people(*range(10), *range(20, 30)))
    assert (sync.queue(), sync.committed()) == ({}, [])
    sync.session = requests.Session()
    sync.reopen()
    assert sync.sync(0) == {"unchanged": 20, "created": 40}


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, CrashError])
def test_an_interruption_stores_what_was_under_way(
    sync: Sync, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    prepared(sync, 60)
    gate = stopping(sync, monkeypatch, lambda _, pass_on: pass_on())

    def interrupt(_window: Window, _ended: int, _rows: int) -> None:
        raise interruption

    with pytest.raises(interruption):
        sync.deliver(0, progress=interrupt)
    assert gate.requests == 3
    assert linked(sync) == set(people(*range(30))) == set(names(sync))
    assert sync.committed() == []


def test_requests_in_a_row_that_nobody_answers_stop_the_window(sync: Sync) -> None:
    prepared(sync, 90)
    together = threading.Barrier(3)

    def answer(_request: Request, _pass_on: PassOn) -> Response:
        with suppress(threading.BrokenBarrierError):  # the last ones may be fewer
            together.wait(1)
        raise requests.ConnectionError

    gate = Gate(sync.session, answer)
    with pytest.raises(GenesysRetryableError):
        sync.deliver(0)
    attempts_of_a_call = 2
    assert (
        MAX_FAILED_BATCHES * attempts_of_a_call <= gate.requests <= (MAX_FAILED_BATCHES + 2) * attempts_of_a_call
    )
    assert len(sync.queue()) == 10 * (MAX_FAILED_BATCHES - 1)
    assert (linked(sync), sync.committed()) == (set(), [])


def test_an_answer_between_them_lets_the_window_go_on(sync: Sync) -> None:
    prepared(sync, 70, concurrency=1)

    def answer(request: Request, pass_on: PassOn) -> Response:
        if any(carries(request, 10 * number) for number in (0, 1, 3, 4, 6)):
            raise requests.ConnectionError
        return pass_on()

    Gate(sync.session, answer)
    (delivered,) = sync.deliver(0)
    assert (delivered.counts["queued"], delivered.counts["created"]) == (50, 20)


def test_a_state_database_that_fails_stops_it(sync: Sync) -> None:
    prepared(sync, 60)

    def answer(_request: Request, pass_on: PassOn) -> Response:
        done = pass_on()
        with sync.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS audit")
        return done

    gate = Gate(sync.session, answer)
    with pytest.raises(StateError, match="nothing of this step was stored"):
        sync.deliver(0)
    assert gate.requests == 3
    assert linked(sync) == set()


def test_a_window_that_is_read_again_meanwhile_says_so(sync: Sync) -> None:
    prepared(sync, 20, concurrency=1)
    answers = Answers(sync.session)

    def read_again(_window: Window, _ended: int, _rows: int) -> None:
        sync.crm.put("p15", moment(1))
        extract(sync.context, window(0))
        answers.refuse_items("First15", 422, "validation.failed", retryable=False)

    with pytest.raises(StateError, match="was read again by another run meanwhile: run the window again"):
        sync.deliver(0, progress=read_again)
    answers.pass_on()
    assert sync.sync(0) == {"unchanged": 10, "updated": 9}  # these were sent, and the answer not stored


# Windows larger than what is planned at once.


@pytest.fixture(params=[2, 7])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(deliver, "PIECE", request.param)
    return int(request.param)


@pytest.mark.usefixtures("piece")
def test_a_large_window_finds_the_new_ids_before_the_old_ones_leave(sync: Sync) -> None:
    old = [f"a{number}" for number in range(4)]
    for number, crm_id in enumerate(old):
        sync.crm.put(crm_id, moment(0), **(ADA | {"last_name": f"L{number}", "email": f"{number}@example.org"}))
    sync.sync(0)
    before = {one.id for one in sync.contacts()}
    for number, crm_id in enumerate(old):
        sync.crm.delete(crm_id, moment(1, 12))
        new = ADA | {"last_name": f"L{number}", "email": f"{number}@example.org"}
        sync.crm.put(f"b{number}", moment(1, 14), **new)
    sync.crm.people(3, moment(1, 13))
    told: list[tuple[int, int]] = []
    counts = sync.sync(1, progress=lambda _window, ended, rows: told.append((ended, rows)))
    assert sum(counts.values()) == 11
    assert (counts["created"], counts["deleted"]) == (3, 4)
    assert {one.id for one in sync.contacts() if min(one.records) > "a"} >= before
    assert {min(one.records) for one in sync.contacts()} == {"b0", "b1", "b2", "b3", "p0", "p1", "p2"}
    assert told[-1] == (11, 11)
    assert [ended for ended, _ in told] == sorted(ended for ended, _ in told)
    assert_accounted(sync, 1)
    assert sync.writes(lambda: sync.sync(1)) == 0


@pytest.mark.usefixtures("piece")
def test_the_deletes_of_a_large_window_are_weighed_together(sync: Sync) -> None:
    sync.configure(max_deletes=7)
    sync.crm.people(10, moment(0))
    sync.sync(0)
    for number in range(8):
        sync.crm.delete(f"p{number}", moment(1))
    assert sync.sync(1) == {"held": 8}
    assert len(sync.contacts()) == 10
    assert_accounted(sync, 1)


def test_a_large_window_that_is_interrupted_goes_on_where_it_was(sync: Sync, piece: int) -> None:
    prepared(sync, 20, concurrency=1)

    def crash(_window: Window, ended: int, _rows: int) -> None:
        if ended > piece:
            raise CrashError

    with pytest.raises(CrashError):
        sync.deliver(0, progress=crash)
    assert 0 < len(linked(sync)) < 20
    assert (sync.committed(), list(sync.folder.rglob("*.part"))) == ([], [])
    done = len(names(sync))
    assert sync.sync(0) == {"unchanged": done, "created": 20 - done}
    assert names(sync) == people(*range(20))
    assert_accounted(sync, 0)
