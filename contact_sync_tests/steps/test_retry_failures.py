"""A retry that cannot send: what becomes of the change, what is told, and what is left for the next one."""

import threading

import pytest

from contact_sync.contacts.window import Window
from contact_sync.genesys.errors import GenesysFatalError, GenesysRetryableError
from contact_sync.steps.retry import GONE
from contact_sync_tests.state.test_lock import waiting_is_told
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.waiting import ADA, BUSY, queued, requests
from contact_sync_tests.steps.world import moment, window

# What cannot be sent.


@pytest.mark.parametrize("others", [0, 1])
def test_a_record_that_is_gone_is_a_dead_letter_with_the_reason(sync: Sync, answers: Answers, others: int) -> None:
    queued(sync, answers)
    sync.crm.people(others, moment(0))
    sync.crm.execute("DELETE FROM contacts WHERE id = 'a'")
    before = requests(sync)
    assert sync.retry() == {"dead": 1}
    row = sync.queue()["a"]
    assert (row["state"], row["attempts"], row["last_error"]) == ("dead", 2, GONE)
    assert row["next_attempt_at"] is None
    assert requests(sync) == before
    assert sync.retry() == {}


def test_a_queued_delete_of_a_record_that_is_gone_is_sent(sync: Sync, answers: Answers) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    sync.crm.delete("a", moment(1))
    answers.refuse_items(sync.contact("a").id, 503, BUSY, retryable=True)
    assert sync.sync(1) == {"queued": 1}
    answers.pass_on()
    sync.later(hours=1)
    sync.crm.execute("DELETE FROM contacts WHERE id = 'a'")
    assert sync.retry() == {"deleted": 1}
    assert (sync.contacts(), sync.queue()) == ([], {})


def test_a_record_deleted_since_it_was_queued_is_not_created(sync: Sync, answers: Answers) -> None:
    queued(sync, answers)
    sync.crm.delete("a", moment(1))
    assert sync.retry() == {"deleted": 1}
    assert (sync.queue(), sync.contacts()) == ({}, [])


def test_a_version_that_cannot_be_sent_any_more_is_a_dead_letter_with_its_reason(
    sync: Sync, answers: Answers
) -> None:
    queued(sync, answers)
    sync.crm.put("a", moment(1), email=None, last_name=None)
    assert sync.retry() == {"dead": 1}
    row = sync.queue()["a"]
    assert (row["state"], row["modified_at"], row["attempts"]) == ("dead", moment(1), 1)
    assert row["last_error"].startswith("nothing identifies this person")
    sync.crm.put("a", moment(2), email="ada@example.org")
    assert sync.sync(2) == {"created": 1}
    assert sync.queue() == {}


def test_a_record_that_two_contacts_may_be_is_a_dead_letter_until_one_is_clear(
    sync: Sync, answers: Answers
) -> None:
    sync.crm.put("b", moment(0), first_name="Ada", last_name="Lovelace", email="b@example.org")
    sync.crm.put("c", moment(0), first_name="Ada", last_name="Byron", email="c@example.org")
    sync.sync(0)
    sync.crm.put("a", moment(1), email="ada@example.org", work_phone="+4930123456")
    answers.refuse_items("ada@example.org", 422, "validation.failed", retryable=False)
    assert sync.sync(1) == {"dead": 1}
    answers.pass_on()
    for crm_id in ("b", "c"):
        sync.crm.put(crm_id, moment(2), email="ada@example.org")
    sync.sync(2)
    sync.context.store.replay("crm", ["a"], sync.clock())
    assert sync.retry() == {"dead": 1}
    assert sync.queue()["a"]["last_error"] == "the email rule finds 2 contacts"


def test_the_records_of_a_contact_that_fails_wait_together(sync: Sync, answers: Answers) -> None:
    sync.crm.put("a", moment(0), **ADA, job_title="one")
    sync.crm.put("b", moment(0), **ADA)
    sync.sync(0)
    sync.crm.put("a", moment(1), job_title="two")
    sync.crm.put("b", moment(1), city="London")
    answers.refuse_items("London", 503, BUSY, retryable=True)
    assert sync.sync(1) == {"queued": 2}
    sync.crm.put("a", moment(2), job_title="one")
    sync.later(hours=1)
    assert sync.retry() == {"queued": 2}
    assert sync.retry() == {}
    answers.pass_on()
    sync.later(hours=1)
    assert sync.retry() == {"updated": 2}
    assert sync.queue() == {}


@pytest.mark.parametrize(("status", "retryable"), [(503, True), (422, False)])
def test_a_version_that_is_only_newer_is_not_lost_with_the_request_of_its_contact(
    sync: Sync, answers: Answers, status: int, *, retryable: bool
) -> None:
    sync.crm.put("a", moment(0, 12), **ADA, job_title="a's")
    sync.crm.put("b", moment(0, 14), **ADA, job_title="b's")
    sync.sync(0)
    sync.crm.put("b", moment(1, 11), city="London")
    sync.crm.put("a", moment(1, 12))
    answers.refuse_items("London", status, "some.code", retryable=retryable)
    assert sync.sync(1) == {"queued" if retryable else "dead": 2}
    assert sync.contact("a").fields["title"] == "b's"
    answers.pass_on()
    sync.later(hours=1)
    sync.context.store.replay("crm", ["a", "b"], sync.clock())
    sync.retry()
    assert sync.contact("a").fields["title"] == "a's"


# What goes wrong meanwhile.


def test_while_genesys_is_away_three_batches_are_tried_and_the_rest_stays_due(
    sync: Sync, answers: Answers
) -> None:
    sync.crm.people(45, moment(0))
    answers.refuse_items("First", 503, BUSY, retryable=True)
    assert sync.sync(0) == {"queued": 45}
    sync.later(hours=1)
    answers.lose()
    with pytest.raises(GenesysRetryableError):
        sync.retry()
    attempts = sorted(row["attempts"] for row in sync.queue().values())
    assert attempts == [1] * 25 + [2] * 20
    now = sync.clock()
    assert sum(row["next_attempt_at"] <= now for row in sync.queue().values()) == 25
    answers.pass_on()
    assert sync.retry() == {"created": 25}
    sync.later(hours=1)
    assert sync.retry() == {"created": 20}
    assert [one.records for one in sync.contacts()] == sorted(({f"p{n}"} for n in range(45)), key=sorted)


def test_a_refusal_of_everything_leaves_the_queue_as_it_is(sync: Sync, answers: Answers) -> None:
    before = queued(sync, answers)
    answers.refuse_with(403, "missing.permission")
    with pytest.raises(GenesysFatalError, match="403"):
        sync.retry()
    assert sync.queue() == {"a": before}


def test_a_retry_waits_for_a_window_under_way_and_then_finds_nothing_to_do(
    sync: Sync, answers: Answers, caplog: pytest.LogCaptureFixture
) -> None:
    queued(sync, answers, job_title="one")
    sync.crm.put("a", moment(1), job_title="two")
    sync.read(1)
    sync.plan(1)
    waits, found = waiting_is_told(caplog), []

    def work() -> None:
        with Sync(sync.folder, sync.twin, clock=sync.clock) as other:
            found.append((other.retry(), other.retried.requests))

    retry = threading.Thread(target=work)

    def start(_window: Window, _ended: int, _rows: int) -> None:
        retry.start()
        assert waits.wait(10)
        assert found == []

    sync.deliver(1, progress=start)
    retry.join(10)
    assert found == [({}, 0)]
    assert sync.contact("a").fields["title"] == "two"


def test_the_audit_names_the_window_that_brought_the_change(sync: Sync, answers: Answers) -> None:
    queued(sync, answers, number=1)
    sync.crm.put("a", moment(2), job_title="now")
    sync.retry()
    rows = [(row["run_id"], row["result"], row["window_start"]) for row in sync.table("audit")]
    assert rows == [("run 1", "queued", window(1).start), ("run 2", "done", window(1).start)]
