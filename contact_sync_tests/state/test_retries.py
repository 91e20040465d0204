from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy import Engine, text

from contact_sync.state import retries
from contact_sync.state.database import StateError, open_database
from contact_sync.state.retries import QueueDepth
from contact_sync.state.store import Store
from contact_sync.state.tables import AUDIT, RETRY_QUEUE
from contact_sync_tests.contacts.builders import link, moment, person
from contact_sync_tests.state.stored import NOW, WINDOW, deliver, rows_of

Row = dict[str, Any]


def failed(crm_id: str = "1", at: float = 1, state: str = "waiting", **values: object) -> Row:
    return {
        "source": "crm",
        "crm_id": crm_id,
        "state": state,
        "version": f"v{at}",
        "modified_at": moment(at),
        "change": {"kind": "upsert", "fields": {"last_name": "Lopez"}},
        "attempts": 1,
        "next_attempt_at": None if state == "dead" else NOW,
        "last_error": "no answer",
        "window_start": WINDOW.start,
        "window_end": WINDOW.end,
        "queued_at": NOW,
        **values,
    }


def after(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def crm_ids(rows: Iterable[Row]) -> list[str]:
    return [row["crm_id"] for row in rows]


def discarded(crm_id: str) -> Row:
    return {
        "at": after(5),
        "run_id": "run 9",
        "source": "crm",
        "window_start": WINDOW.start,
        "window_end": WINDOW.end,
        "crm_id": crm_id,
        "contact": None,
        "action": "discard",
        "rule": None,
        "changes": None,
        "result": "discarded",
        "status": None,
        "correlation_id": None,
        "reason": "left the company",
    }


def test_a_failed_change_waits_as_it_was(store: Store, engine: Engine) -> None:
    deliver(store, retries=[failed("1"), failed("2", state="dead")])
    assert rows_of(engine, RETRY_QUEUE) == [failed("1"), failed("2", state="dead")]


def test_attempts_grow_while_a_version_fails_and_it_keeps_its_place(store: Store, engine: Engine) -> None:
    deliver(store, retries=[failed()])
    later = NOW + timedelta(minutes=5)
    deliver(store, retries=[failed(queued_at=later, next_attempt_at=later, last_error="status 503")])
    deliver(store, retries=[failed(queued_at=later, state="dead", next_attempt_at=None)])
    assert rows_of(engine, RETRY_QUEUE) == [failed(state="dead", next_attempt_at=None, attempts=3)]


def test_a_newer_version_that_fails_takes_the_place_and_starts_to_count(store: Store, engine: Engine) -> None:
    for minutes, version in enumerate([1, 1, 2]):
        deliver(store, retries=[failed(at=version, queued_at=after(minutes))])
    assert rows_of(engine, RETRY_QUEUE) == [failed(at=2, queued_at=after(0))]


@pytest.mark.parametrize("state", ["waiting", "deferred", "dead"])
def test_an_older_version_does_not_replace_a_newer_one(store: Store, engine: Engine, state: str) -> None:
    deliver(store, retries=[failed(at=2)])
    deliver(store, retries=[failed(at=1, state=state)])
    assert rows_of(engine, RETRY_QUEUE) == [failed(at=2)]


def test_a_deferred_delete_starts_to_count_when_it_fails(store: Store, engine: Engine) -> None:
    deferred = failed(state="deferred", attempts=0)
    for _ in range(2):
        deliver(store, retries=[deferred])
        assert rows_of(engine, RETRY_QUEUE) == [deferred]
    deliver(store, retries=[failed(queued_at=after(60))])
    assert rows_of(engine, RETRY_QUEUE) == [failed()]


def test_a_record_that_comes_back_takes_the_place_of_its_deferred_delete(store: Store, engine: Engine) -> None:
    deliver(store, retries=[failed(at=1, state="deferred", attempts=0)])
    deliver(store, retries=[failed(at=2)])
    assert rows_of(engine, RETRY_QUEUE) == [failed(at=2)]


@pytest.mark.parametrize(("delivered", "waiting"), [(1, ["1"]), (2, []), (3, [])])
def test_a_change_leaves_the_queue_once_it_or_a_newer_one_is_delivered(
    store: Store, engine: Engine, delivered: int, waiting: list[str]
) -> None:
    deliver(store, retries=[failed("1", at=2), failed("2", at=9)])
    deliver(store, link("1", "G1", person(1), at=delivered))
    assert crm_ids(rows_of(engine, RETRY_QUEUE)) == [*waiting, "2"]


@pytest.mark.parametrize(("settled", "waiting"), [(1, ["1"]), (2, []), (3, [])])
def test_a_change_leaves_the_queue_once_a_newer_version_is_known_to_be_delivered(
    store: Store, engine: Engine, settled: int, waiting: list[str]
) -> None:
    deliver(store, retries=[failed("1", at=2), failed("2", at=2), failed("1", at=2, source="other")])
    deliver(store, settled=[(("crm", "1"), moment(settled)), (("crm", "1"), moment(0)), (("crm", "3"), moment(9))])
    assert [(row["source"], row["crm_id"]) for row in rows_of(engine, RETRY_QUEUE)] == [
        *(("crm", crm_id) for crm_id in [*waiting, "2"]),
        ("other", "1"),
    ]


def test_what_is_settled_and_fails_again_in_one_delivery_waits(store: Store, engine: Engine) -> None:
    deliver(store, retries=[failed(at=1)])
    deliver(store, settled=[(("crm", "1"), moment(1))], retries=[failed(at=2)])
    assert rows_of(engine, RETRY_QUEUE) == [failed(at=2)]


# --- what is on the queue


def test_an_empty_queue_has_no_depth(store: Store) -> None:
    deliver(store, retries=[failed(source="other")])
    assert store.queue_depth("crm") == QueueDepth(waiting=0, deferred=0, dead=0, oldest=None, next_due=None)


def test_the_depth_tells_states_apart_and_how_long_changes_have_waited(store: Store) -> None:
    waiting = [failed(str(n), queued_at=after(n), next_attempt_at=after(30 - n)) for n in (1, 2, 3)]
    deferred = failed("4", state="deferred", queued_at=after(0), next_attempt_at=after(20))
    dead = [failed(crm_id, state="dead", queued_at=after(-9)) for crm_id in ("5", "6")]
    deliver(store, retries=[*waiting, deferred, *dead, failed("7", source="other", next_attempt_at=after(-99))])
    expected = QueueDepth(waiting=3, deferred=1, dead=2, oldest=after(1), next_due=after(20))
    assert store.queue_depth("crm") == expected


def test_a_queue_of_dead_changes_is_never_due(store: Store) -> None:
    deliver(store, retries=[failed(state="dead")])
    assert store.queue_depth("crm") == QueueDepth(dead=1)
    assert store.due_retries("crm", after(9_999), 10) == []


def test_what_is_due_comes_longest_due_first(store: Store) -> None:
    rows = [
        failed("late", next_attempt_at=after(1), queued_at=after(-9)),
        failed("early", next_attempt_at=after(-5)),
        failed("middle", state="deferred", next_attempt_at=after(0)),
        failed("now", next_attempt_at=after(1)),
        failed("soon", next_attempt_at=after(1.1)),
        failed("dead", state="dead", next_attempt_at=after(-9)),
        failed("elsewhere", source="other"),
    ]
    deliver(store, retries=rows)
    assert crm_ids(store.due_retries("crm", after(1), 10)) == ["early", "middle", "late", "now"]
    assert store.due_retries("crm", after(1), 1) == [rows[1]]


def test_the_queue_is_listed_longest_queued_first(store: Store) -> None:
    rows = [failed("b"), failed("a", queued_at=after(1)), failed("c", state="dead", queued_at=after(-1))]
    deliver(store, retries=[*rows, failed("b", source="other")])
    assert store.retries("crm") == [rows[2], rows[0], rows[1]]
    assert crm_ids(store.retries("crm", limit=2)) == ["c", "b"]
    assert crm_ids(store.retries("crm", ids=["a", "b", "b", "unknown"])) == ["b", "a"]
    assert crm_ids(store.retries("crm", ids=["a", "b"], limit=1)) == ["b"]
    assert crm_ids(store.retries("crm", states=["dead", "deferred"])) == ["c"]
    assert crm_ids(store.retries("crm", ids=["a", "c"], states=["waiting"])) == ["a"]
    assert store.retries("crm", ids=[]) == store.retries("crm", states=[]) == []


# --- what an operator does


def test_what_is_replayed_is_due_at_once_and_counts_anew(store: Store, engine: Engine) -> None:
    rows = [
        failed("1", attempts=3, next_attempt_at=after(99)),
        failed("2", state="dead", attempts=10, last_error="status 400"),
        failed("3", state="deferred", attempts=0),
        failed("4", attempts=2),
        failed("2", source="other", state="dead", attempts=10),
    ]
    deliver(store, retries=rows)
    replayed = {"state": "waiting", "attempts": 0, "next_attempt_at": after(5)}
    found = store.replay("crm", ["3", "2", "1", "2", "unknown"], after(5))
    assert sorted(found) == ["1", "2"]
    assert rows_of(engine, RETRY_QUEUE) == [rows[0] | replayed, rows[1] | replayed, *rows[2:]]
    assert sorted(crm_ids(store.due_retries("crm", after(5), 10))) == ["1", "2", "3", "4"]
    assert store.replay("crm", [], after(5)) == []


def test_a_replayed_change_that_fails_again_has_one_attempt(store: Store, engine: Engine) -> None:
    deliver(store, retries=[failed(state="dead", attempts=10)])
    store.replay("crm", ["1"], after(5))
    deliver(store, retries=[failed(queued_at=after(6))])
    assert rows_of(engine, RETRY_QUEUE) == [failed()]


def test_what_is_discarded_is_in_the_audit(store: Store, engine: Engine) -> None:
    kept = [failed("4"), failed("2", source="other")]
    deliver(store, retries=[failed("1", state="dead"), failed("2"), failed("3", state="deferred"), *kept])
    found = store.discard("crm", ["3", "1", "2", "2", "unknown"], "left the company", after(5), "run 9")
    assert sorted(found) == ["1", "2", "3"]
    assert rows_of(engine, RETRY_QUEUE) == kept
    entries = [{name: value for name, value in row.items() if name != "id"} for row in rows_of(engine, AUDIT)]
    assert sorted(entries, key=lambda row: str(row["crm_id"])) == [discarded(crm_id) for crm_id in ("1", "2", "3")]
    assert store.discard("crm", ["1", "2", "3"], "again", after(6), "run 9") == []
    assert len(rows_of(engine, AUDIT)) == 3


def test_a_reason_of_any_length_is_taken(store: Store, engine: Engine) -> None:
    deliver(store, retries=[failed()])
    assert store.discard("crm", ["1"], "ü" * 300, NOW, "run 9") == ["1"]
    assert rows_of(engine, AUDIT)[0]["reason"] == "ü" * 255


def test_a_discard_that_cannot_be_audited_removes_nothing(store: Store, engine: Engine) -> None:
    deliver(store, retries=[failed()])
    with pytest.raises(StateError):
        store.discard("crm", ["1"], "no reason", NOW, cast("str", None))
    assert rows_of(engine, RETRY_QUEUE) == [failed()]


def test_many_are_replayed_listed_and_discarded_at_once(store: Store) -> None:
    many = [f"{number:04}" for number in range(1_200)]
    deliver(store, retries=[failed(crm_id, state="dead") for crm_id in many])
    assert store.replay("crm", [*many, *many], after(1)) == many
    assert (
        crm_ids(store.retries("crm", ids=[*many, *many]))
        == crm_ids(store.due_retries("crm", after(1), 5_000))
        == many
    )
    assert store.discard("crm", [*many, *many], "", NOW, "run 9") == many
    assert store.queue_depth("crm") == QueueDepth()


def test_a_change_that_fails_while_an_operator_replays_it_waits_and_counts_anew(postgres_url: str) -> None:
    engine = open_database(postgres_url)
    store = Store(engine)
    deliver(store, retries=[failed(attempts=3)])
    with ThreadPoolExecutor() as pool, engine.connect() as operator:
        retries.replay(operator, "crm", ["1"], after(1))
        failing = pool.submit(deliver, store, retries=[failed()])
        while not blocked(engine):
            assert not failing.done()
        operator.commit()
        failing.result(timeout=30)
    assert [row["attempts"] for row in store.retries("crm")] == [1]
    engine.dispose()


def blocked(engine: Engine) -> bool:
    """Tell whether a transaction waits for a lock of another."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with engine.connect() as watcher:
        return bool(watcher.execute(text(waiting)).scalar_one())
