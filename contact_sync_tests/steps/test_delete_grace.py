"""A delete waits for its grace period, so that a person who comes back under a new CRM id keeps the contact."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from contact_sync.contacts.decisions import DELETE_GRACE, WAITING
from contact_sync.steps import pipeline
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.test_contacts import ADA, removals
from contact_sync_tests.steps.waiting import crm_away
from contact_sync_tests.steps.world import START, moment, window

GRACE = timedelta(minutes=30)
LAST = 2
"""The window in which the grace period of a delete in window 1 ends."""


Removals = Callable[[], int]


@pytest.fixture
def removed(sync: Sync) -> Removals:
    """Return how many requests to remove contacts the twin has seen in this test."""
    before = removals(sync)
    return lambda: removals(sync) - before


@pytest.fixture
def waiting(sync: Sync) -> Sync:
    """A sync in which the delete of a record waits: nothing after its window is synced yet."""
    sync.configure(delete_grace_minutes=30)
    sync.clock.now = window(1).end + timedelta(minutes=5)
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    sync.crm.delete("a", moment(1))
    assert sync.sync(1) == {"queued": 1}
    return sync


def pass_by(sync: Sync) -> None:
    """Let the grace period pass, every window of it synced."""
    sync.clock.now = max(sync.clock.now, window(LAST).end + timedelta(minutes=5))
    for number in range(2, LAST + 1):
        sync.sync(number)


def test_a_delete_waits_and_is_accounted_for(waiting: Sync, removed: Removals) -> None:
    assert_accounted(waiting, 1)
    row = waiting.queue()["a"]
    assert (row["state"], row["attempts"], row["last_error"]) == ("deferred", 0, DELETE_GRACE)
    assert (row["next_attempt_at"], row["change"]["kind"]) == (moment(1) + GRACE, "delete")
    assert (row["window_start"], row["window_end"]) == (window(1).start, window(1).end)
    assert (len(waiting.contacts()), removed()) == (1, 0)
    frame = waiting.context.frames.read("genesys_upserts", window(1))
    assert frame[["outcome", "reason"]].to_numpy().tolist() == [["queued", WAITING]]


def test_once_its_period_is_over_a_retry_sends_it(waiting: Sync) -> None:
    assert waiting.retry() == {}
    pass_by(waiting)
    assert waiting.retry() == {"deleted": 1}
    assert (waiting.contacts(), waiting.queue()) == ([], {})
    assert waiting.writes(lambda: waiting.sync(0, 1, 2)) == 0
    assert waiting.retry() == {}


def test_before_every_window_of_its_period_is_synced_it_is_not_sent(waiting: Sync, removed: Removals) -> None:
    waiting.later(hours=3)
    waiting.sync(3)
    for _ in range(2):
        assert waiting.retry() == {"queued": 1}
        assert waiting.queue()["a"]["attempts"] == 0
    assert (len(waiting.contacts()), removed()) == (1, 0)
    waiting.sync(2)
    assert waiting.retry() == {"deleted": 1}


def test_windows_that_are_all_synced_do_not_shorten_its_period(waiting: Sync) -> None:
    waiting.clock.now = window(1).end - timedelta(seconds=1)  # no window is missing up to here
    waiting.plan(1)
    plan = waiting.context.frames.read("dedup_matches", window(1))
    assert plan["rule"].tolist() == [DELETE_GRACE]


def test_the_window_again_does_not_hurry_it_and_after_its_period_sends_it(waiting: Sync) -> None:
    assert waiting.sync(1) == {"queued": 1}
    assert len(waiting.contacts()) == 1
    pass_by(waiting)
    assert waiting.sync(1) == {"deleted": 1}
    assert (waiting.contacts(), waiting.queue()) == ([], {})


@pytest.mark.parametrize("gone", [False, True])
def test_it_is_sent_without_the_crm_too(waiting: Sync, *, gone: bool) -> None:
    pass_by(waiting)
    if gone:
        waiting.crm.execute("DELETE FROM contacts")
        assert waiting.retry() == {"deleted": 1}
    else:
        with crm_away(waiting):
            assert waiting.retry() == {"deleted": 1}
    assert (waiting.contacts(), waiting.queue()) == ([], {})


def test_one_that_genesys_does_not_take_then_is_an_attempt_that_failed(waiting: Sync) -> None:
    pass_by(waiting)
    answers = Answers(waiting.session)
    answers.refuse_items(waiting.contact("a").id, 503, "service.unavailable", retryable=True)
    assert waiting.retry() == {"queued": 1}
    row = waiting.queue()["a"]
    assert (row["state"], row["attempts"]) == ("waiting", 1)
    answers.pass_on()
    waiting.later(hours=1)
    assert waiting.retry() == {"deleted": 1}


# The same person comes back.


@pytest.mark.parametrize(
    ("deleted", "created", "order"),
    [
        (1, 1, [1, 2]),
        (1, 2, [1, 2]),
        (1, 2, [2, 1]),
        (2, 1, [2, 3, 1]),
    ],
)
def test_a_re_indexed_record_keeps_its_contact_however_late_and_in_whatever_order_that_is_read(
    sync: Sync, removed: Removals, deleted: int, created: int, order: Sequence[int]
) -> None:
    sync.configure(delete_grace_minutes=30)
    sync.later(days=365)
    sync.crm.put("old", moment(0), **ADA)
    sync.sync(0)
    before = sync.contact("old").id
    sync.crm.delete("old", moment(deleted, 12))
    sync.crm.put("new", moment(created, 14), **ADA)
    for number in order:
        sync.sync(number)
        assert_accounted(sync, number)
        assert sync.contacts()[0].id == before
        sync.retry()
    assert sync.records() == {before: ["new"]}
    assert (removed(), sync.queue()) == (0, {})


def test_a_new_id_that_comes_while_the_delete_waits_takes_the_contact_over(
    waiting: Sync, removed: Removals
) -> None:
    before = waiting.contact("a").id
    waiting.crm.put("b", moment(2), **ADA)
    waiting.clock.now = window(2).end + timedelta(minutes=5)
    assert waiting.sync(2) == {"merged": 1}
    assert waiting.retry() == {"deleted": 1}
    assert waiting.records() == {before: ["b"]}
    assert removed() == 0


def test_windows_of_one_run_see_the_new_id_too(sync: Sync, removed: Removals) -> None:
    sync.configure(delete_grace_minutes=30)
    sync.crm.put("old", moment(0), **ADA)
    sync.sync(0)
    before = sync.contact("old").id
    sync.crm.delete("old", moment(1))
    sync.crm.put("new", moment(2), **ADA)
    assert sync.sync(1, 2) == {"queued": 1, "merged": 1}
    assert sync.retry() == {"deleted": 1}
    assert sync.records() == {before: ["new"]}
    assert removed() == 0


def test_a_record_that_is_restored_stays_as_it_is(waiting: Sync, removed: Removals) -> None:
    before = waiting.contact("a")
    waiting.crm.put("a", moment(2), is_deleted=0, job_title="Countess")
    waiting.clock.now = window(2).end + timedelta(minutes=5)
    assert waiting.sync(2) == {"updated": 1}
    assert waiting.queue() == {}
    pass_by(waiting)
    assert waiting.retry() == {}
    assert waiting.contact("a") == replace(before, fields={**before.fields, "title": "Countess"})
    assert removed() == 0


def test_a_record_that_is_restored_before_its_window_is_read_is_seen_by_the_retry(
    waiting: Sync, removed: Removals
) -> None:
    waiting.later(hours=3)
    waiting.crm.put("a", moment(4), is_deleted=0)
    assert waiting.retry() == {"unchanged": 1}
    assert (waiting.queue(), removed(), len(waiting.contacts())) == ({}, 0, 1)


# Where nothing has to wait.


def test_without_a_grace_period_it_is_sent_at_once(sync: Sync, removed: Removals) -> None:
    sync.configure(delete_grace_minutes=0)
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    sync.crm.delete("a", moment(1))
    assert sync.sync(1) == {"deleted": 1}
    assert removed() == 1


def test_a_window_of_the_past_that_holds_the_whole_period_sends_it_at_once(sync: Sync) -> None:
    sync.configure(delete_grace_minutes=10)
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    sync.crm.delete("a", moment(1))
    assert sync.sync(1) == {"deleted": 1}


def test_one_of_two_records_leaves_at_once_and_the_last_one_waits(sync: Sync) -> None:
    sync.configure(delete_grace_minutes=30)
    for crm_id in ("a", "b"):
        sync.crm.put(crm_id, moment(0), **ADA)
    sync.sync(0)
    before = sync.contact("a").id
    sync.crm.delete("a", moment(1))
    assert sync.sync(1) == {"deleted": 1}
    assert sync.records() == {before: ["b"]}
    sync.crm.delete("b", moment(2))
    assert sync.sync(2) == {"queued": 1}
    sync.sync(3)
    assert sync.retry() == {"deleted": 1}
    assert sync.contacts() == []


def test_a_delete_from_before_the_first_window_waits_for_no_window(sync: Sync) -> None:
    sync.configure(delete_grace_minutes=5)
    sync.crm.put("a", START - timedelta(minutes=9), **ADA)
    sync.sync(0)
    sync.crm.delete("a", START - timedelta(minutes=8))  # committed late: only the overlap of window 0 holds it
    assert sync.sync(0) == {"deleted": 1}


def test_a_record_that_was_never_delivered_has_nothing_to_wait_for(sync: Sync) -> None:
    sync.configure(delete_grace_minutes=30)
    sync.crm.put("a", moment(0), **ADA)
    sync.crm.delete("a", moment(0, 16))
    assert sync.sync(0) == {"unchanged": 1}
    assert sync.queue() == {}


# What is told, and the guard.


def test_the_dry_run_tells_that_it_waits_and_costs_nothing(waiting: Sync) -> None:
    ((_, plan),) = pipeline.preview(waiting.context, [window(1)])
    told = plan[["action", "rule", "reason"]].to_numpy().tolist()
    assert told == [["delete", DELETE_GRACE, WAITING]]
    assert (plan["accepted"].tolist(), pipeline.cost(waiting.context, [plan])) == ([False], 0)


def test_a_mass_delete_is_held_before_it_can_wait(sync: Sync) -> None:
    sync.configure(delete_grace_minutes=30, max_deletes=2)
    sync.crm.people(3, moment(0))
    sync.sync(0)
    for number in range(3):
        sync.crm.delete(f"p{number}", moment(1))
    assert sync.sync(1) == {"held": 3}
    assert sync.queue() == {}


def test_deletes_that_pile_up_are_held_together_until_a_retry_is_allowed_to_send_them(sync: Sync) -> None:
    sync.configure(delete_grace_minutes=30, max_deletes=2)
    sync.crm.people(5, moment(0))
    sync.sync(0)
    for number in range(4):
        sync.crm.delete(f"p{number}", moment(1 + number // 2))
    assert sync.sync(1, 2, 3) == {"queued": 4}
    for _ in range(2):
        assert sync.retry() == {"queued": 4}
        assert sync.retried.guarded == 4
        assert len(sync.contacts()) == 5
    for row in sync.queue().values():
        assert (row["state"], row["attempts"]) == ("deferred", 0)
        assert row["last_error"].startswith("4 contacts would be removed, over the limit of 2 ")
    sync.context = replace(sync.context, allow_deletes=True)
    assert sync.retry() == {"deleted": 4}
    assert (sync.retried.guarded, sync.queue(), len(sync.contacts())) == (0, {}, 1)
