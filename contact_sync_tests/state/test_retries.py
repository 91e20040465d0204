from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from contact_sync.state.store import Store
from contact_sync.state.tables import RETRY_QUEUE
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
        "next_attempt_at": NOW if state == "waiting" else None,
        "last_error": "no answer",
        "window_start": WINDOW.start,
        "window_end": WINDOW.end,
        "queued_at": NOW,
        **values,
    }


def test_a_failed_change_waits_as_it_was(store: Store, engine: Engine) -> None:
    deliver(store, retries=[failed("1"), failed("2", state="dead")])
    assert rows_of(engine, RETRY_QUEUE) == [failed("1"), failed("2", state="dead")]
    assert store.queue_depth("crm") == {"waiting": 1, "dead": 1}
    assert store.queue_depth("other") == {"waiting": 0, "dead": 0}


def test_attempts_grow_while_a_version_fails_and_it_keeps_its_place(store: Store, engine: Engine) -> None:
    deliver(store, retries=[failed()])
    later = NOW + timedelta(minutes=5)
    deliver(store, retries=[failed(queued_at=later, next_attempt_at=later, last_error="status 503")])
    deliver(store, retries=[failed(queued_at=later, state="dead", next_attempt_at=None)])
    assert rows_of(engine, RETRY_QUEUE) == [failed(state="dead", next_attempt_at=None, attempts=3)]


def test_a_newer_version_that_fails_takes_the_place_and_starts_to_count(store: Store, engine: Engine) -> None:
    for version in (1, 1, 2):
        deliver(store, retries=[failed(at=version)])
    assert rows_of(engine, RETRY_QUEUE) == [failed(at=2)]


def test_an_older_version_that_fails_does_not_replace_a_newer_one(store: Store, engine: Engine) -> None:
    deliver(store, retries=[failed(at=2)])
    deliver(store, retries=[failed(at=1)])
    assert rows_of(engine, RETRY_QUEUE) == [failed(at=2)]


@pytest.mark.parametrize(("delivered", "waiting"), [(1, ["1"]), (2, []), (3, [])])
def test_a_change_leaves_the_queue_once_it_or_a_newer_one_is_delivered(
    store: Store, engine: Engine, delivered: int, waiting: list[str]
) -> None:
    deliver(store, retries=[failed("1", at=2), failed("2", at=9)])
    deliver(store, link("1", "G1", person(1), at=delivered))
    assert [row["crm_id"] for row in rows_of(engine, RETRY_QUEUE)] == [*waiting, "2"]
