"""The retry queue worked off: the newest version is sent, an older one never, and what cannot be sent is told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from contact_sync.contacts.window import Window
from contact_sync.crm.source import CrmConfigurationError
from contact_sync.genesys.errors import GenesysFatalError, GenesysRetryableError
from contact_sync.state.tables import RETRY_QUEUE
from contact_sync.steps import retry as retrying
from contact_sync.steps.retry import GONE
from contact_sync_tests.state.test_lock import waiting_is_told
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Row, Sync
from contact_sync_tests.steps.world import moment, window

ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org"}
BUSY = "service.unavailable"


@pytest.fixture
def answers(sync: Sync) -> Answers:
    sync.configure(concurrency=1)
    return Answers(sync.session)


def queued(sync: Sync, answers: Answers, crm_id: str = "a", number: int = 0, **columns: object) -> Row:
    """Bring a record into the CRM that Genesys does not take now; return its row of the queue."""
    sync.crm.put(crm_id, moment(number), **(ADA | columns))
    answers.refuse_items("ada@example.org", 503, BUSY, retryable=True)
    assert sync.sync(number)["queued"] == 1
    answers.pass_on()
    sync.later(hours=1)
    return sync.queue()[crm_id]


@contextmanager
def crm_away(sync: Sync) -> Iterator[None]:
    path, elsewhere = sync.crm.path, sync.crm.path.with_suffix(".away")
    path.rename(elsewhere)
    sync.reopen()
    yield
    elsewhere.rename(path)
    sync.reopen()


def requests(sync: Sync) -> int:
    return int(sync.stats()["requests"])


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
    monkeypatch.setattr(retrying, "PIECE", piece)
    assert sync.retry() == {"created": 5, "queued": 1, "dead": 1}
    assert {crm_id: row["state"] for crm_id, row in sync.queue().items()} == {"p2": "dead", "p3": "waiting"}
    assert len(sync.contacts()) == 5


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
    sync.crm.put("a", moment(1), first_name="Ada", email="ada@example.org", work_phone="+4930123456")
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


def test_a_retry_on_postgresql(twin_and_postgres: Sync) -> None:
    sync = twin_and_postgres
    queued(sync, Answers(sync.session))
    assert sync.retry() == {"created": 1}
    assert sync.queue() == {}


@pytest.fixture
def twin_and_postgres(sync: Sync, postgres_url: str, tmp_path: Path) -> Iterator[Sync]:
    with Sync(tmp_path / "postgres", sync.twin, state_url=postgres_url) as opened:
        yield opened
