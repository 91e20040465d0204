"""The retry queue worked off: the newest version is sent when it is due, an older one never."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from contact_sync.crm.source import CrmConfigurationError
from contact_sync.state.tables import RETRY_QUEUE
from contact_sync.steps import retry
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.waiting import ADA, BUSY, crm_away, queued, requests
from contact_sync_tests.steps.world import moment, window

# Which version is sent.


def test_the_version_of_now_is_sent_and_not_the_queued_one(sync: Sync, answers: Answers) -> None:
    queued(sync, answers, job_title="queued")
    sync.crm.put("a", moment(1), job_title="now")
    assert sync.retry() == {"created": 1}
    assert (sync.contact("a").fields["title"], sync.queue()) == ("now", {})
    assert sync.retried.stored == 0
    assert sync.writes(lambda: sync.sync(0, 1)) == 0


def test_while_the_crm_is_away_the_queued_version_is_sent(
    sync: Sync, answers: Answers, caplog: pytest.LogCaptureFixture
) -> None:
    queued(sync, answers, job_title="queued", work_phone=" 030/1234-56", country="DE")
    with crm_away(sync):
        assert sync.retry() == {"created": 1}
        assert sync.retried.stored == 1
        assert sync.queue() == {}
    fields = sync.contact("a").fields
    assert (fields["title"], fields["workPhone"]) == ("queued", "+4930123456")
    assert "changes are sent as they were queued" in caplog.text
    assert sync.writes(lambda: sync.sync(0)) == 0


def test_a_crm_that_changed_its_columns_is_no_crm_that_is_away(sync: Sync, answers: Answers) -> None:
    before = queued(sync, answers)
    sync.crm.execute("ALTER TABLE contacts RENAME COLUMN email TO mail")
    sync.reopen()
    with pytest.raises(CrmConfigurationError, match="email"):
        sync.retry()
    assert (sync.queue(), sync.contacts()) == ({"a": before}, [])


def test_a_replica_that_lags_behind_does_not_take_a_change_back(sync: Sync, answers: Answers) -> None:
    sync.crm.put("a", moment(0), **ADA, job_title="old")
    sync.sync(0)
    queued(sync, answers, number=1, job_title="queued")
    sync.crm.put("a", moment(0), job_title="old")
    assert sync.retry() == {"updated": 1}
    assert sync.contact("a").fields["title"] == "queued"


def test_a_newer_version_that_was_delivered_takes_the_older_one_off_the_queue(
    sync: Sync, answers: Answers
) -> None:
    queued(sync, answers, job_title="one")
    sync.crm.put("a", moment(1), job_title="two")
    sync.sync(1)
    assert sync.queue() == {}
    before = requests(sync)
    assert sync.retry() == {}
    assert requests(sync) == before


@pytest.mark.parametrize("away", [False, True])
def test_an_older_version_that_is_on_the_queue_all_the_same_is_not_sent(
    sync: Sync, answers: Answers, *, away: bool
) -> None:
    row = queued(sync, answers, job_title="one")
    sync.crm.put("a", moment(1), job_title="two")
    sync.sync(1)
    with sync.engine.begin() as connection:
        connection.execute(sa.insert(RETRY_QUEUE), [row])
    before = requests(sync)
    if away:
        with crm_away(sync):
            assert sync.retry() == {"unchanged": 1}
    else:
        assert sync.retry() == {"unchanged": 1}
    assert requests(sync) == before
    assert (sync.contact("a").fields["title"], sync.queue()) == ("two", {})


def test_a_change_that_was_taken_back_is_taken_back_since_it_may_be_there(sync: Sync, answers: Answers) -> None:
    sync.crm.put("a", moment(0), **ADA, job_title="one")
    sync.sync(0)
    queued(sync, answers, number=1, job_title="two")
    sync.crm.put("a", moment(2), job_title="one")
    assert sync.retry() == {"updated": 1}
    assert (sync.contact("a").fields["title"], sync.queue()) == ("one", {})


def test_two_due_records_that_are_one_person_become_one_contact(sync: Sync, answers: Answers) -> None:
    queued(sync, answers, job_title="Countess")
    queued(sync, answers, "b", number=1, city="London")
    assert sync.retry() == {"created": 1, "merged": 1}
    (contact,) = sync.contacts()
    assert contact.records == {"a", "b"}
    assert (contact.fields["title"], contact.fields["address.city"]) == ("Countess", "London")


def test_a_new_id_on_the_queue_finds_the_contact_before_its_old_id_leaves_it(sync: Sync, answers: Answers) -> None:
    sync.crm.put("old", moment(0), **ADA, account_id="acme")
    sync.sync(0)
    before = sync.contact("old").id
    sync.crm.delete("old", moment(1))
    sync.crm.put("new", moment(1), **ADA, account_id="acme")
    answers.refuse_items("Ada", 503, BUSY, retryable=True)
    assert sync.sync(1) == {"queued": 2}
    answers.pass_on()
    sync.later(hours=1)
    assert sync.retry() == {"updated": 1, "deleted": 1}
    assert sync.records() == {before: ["new"]}


# When it is sent.


def test_nothing_that_is_not_due_is_tried(sync: Sync, answers: Answers) -> None:
    due = queued(sync, answers)["next_attempt_at"]
    sync.clock.now = due - timedelta(seconds=1)
    before = requests(sync)
    assert sync.retry() == {}
    assert (requests(sync), sync.retried.requests) == (before, 0)
    sync.clock.now = due
    assert sync.retry() == {"created": 1}
    assert requests(sync) - before == sync.retried.requests


def test_attempts_are_counted_and_each_waits_longer_until_the_last_is_a_dead_letter(
    sync: Sync, answers: Answers
) -> None:
    sync.configure(concurrency=1, max_attempts=4)
    first = queued(sync, answers)
    answers.refuse_items("ada@example.org", 503, BUSY, retryable=True)
    waits = []
    for attempts in (2, 3):
        before = sync.clock.now
        assert sync.retry() == {"queued": 1}
        row = sync.queue()["a"]
        assert (row["state"], row["attempts"], row["last_error"]) == ("waiting", attempts, BUSY)
        assert row["queued_at"] == first["queued_at"]
        waits.append(row["next_attempt_at"] - before)
        assert sync.retry() == {}
        sync.clock.now = row["next_attempt_at"]
    assert timedelta(minutes=5) < waits[0] <= timedelta(minutes=10, seconds=1) < waits[1]
    assert sync.retry() == {"dead": 1}
    row = sync.queue()["a"]
    assert (row["state"], row["attempts"], row["next_attempt_at"]) == ("dead", 4, None)
    assert row["last_error"] == f"given up after 4 attempts: {BUSY}"


def test_a_newer_version_has_its_attempts_before_it(sync: Sync, answers: Answers) -> None:
    sync.configure(concurrency=1, max_attempts=2)
    first = queued(sync, answers)
    sync.crm.put("a", moment(1), job_title="now")
    answers.refuse_items("ada@example.org", 503, BUSY, retryable=True)
    assert sync.retry() == {"queued": 1}
    row = sync.queue()["a"]
    assert (row["attempts"], row["modified_at"], row["queued_at"]) == (1, moment(1), first["queued_at"])
    assert row["change"]["fields"]["job_title"] == "now"
    assert (row["window_start"], row["window_end"]) == (window(0).start, window(0).end)


def test_what_genesys_refuses_for_good_is_dead_at_once(sync: Sync, answers: Answers) -> None:
    queued(sync, answers)
    answers.refuse_items("ada@example.org", 422, "validation.failed", retryable=False)
    assert sync.retry() == {"dead": 1}
    row = sync.queue()["a"]
    assert (row["state"], row["attempts"], row["last_error"]) == ("dead", 2, "validation.failed")


def test_a_dead_letter_rests_until_it_is_replayed(sync: Sync, answers: Answers) -> None:
    queued(sync, answers)
    answers.refuse_items("ada@example.org", 422, "validation.failed", retryable=False)
    sync.retry()
    answers.pass_on()
    sync.later(days=30)
    before = requests(sync)
    assert sync.retry() == {}
    assert requests(sync) == before
    assert sync.context.store.replay("crm", ["a"], sync.clock()) == ["a"]
    assert sync.retry() == {"created": 1}
    assert sync.queue() == {}


@pytest.mark.parametrize("piece", [1, 2, 100])
def test_a_long_queue_is_worked_off_piece_by_piece(
    sync: Sync, answers: Answers, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    sync.crm.people(7, moment(0))
    answers.refuse_items("First", 503, BUSY, retryable=True)
    sync.sync(0)
    sync.later(hours=1)
    sync.crm.execute("DELETE FROM contacts WHERE id = 'p2'")
    answers.refuse_items("First3", 503, BUSY, retryable=True)
    monkeypatch.setattr(retry, "PIECE", piece)
    assert sync.retry() == {"created": 5, "queued": 1, "dead": 1}
    assert {crm_id: row["state"] for crm_id, row in sync.queue().items()} == {"p2": "dead", "p3": "waiting"}
    assert len(sync.contacts()) == 5


def test_a_retry_on_postgresql(sync: Sync, postgres_url: str, tmp_path: Path) -> None:
    with Sync(tmp_path / "postgres", sync.twin, state_url=postgres_url) as on_postgres:
        queued(on_postgres, Answers(on_postgres.session))
        assert on_postgres.retry() == {"created": 1}
        assert on_postgres.queue() == {}
