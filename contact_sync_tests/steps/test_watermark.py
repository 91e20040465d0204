"""The ledger tells the truth: a window is committed only when every row of it is delivered or durably queued."""

from collections.abc import Callable

import pytest
import requests

from contact_sync.contacts.window import Window
from contact_sync.genesys.errors import GenesysFatalError, GenesysRetryableError
from contact_sync.simulator.server import TwinServer
from contact_sync.steps.deliver import AccountingError
from contact_sync.steps.report import health, report
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import START, moment, window


class CrashError(Exception):
    """The process dies here."""


def after(batches: int, work: Callable[[], object]) -> Callable[[Window, int, int], None]:
    """Return a progress hook that does `work` once, after so many batches."""
    seen = [0]

    def hook(_window: Window, _done: int, _all: int) -> None:
        seen[0] += 1
        if seen[0] == batches:
            work()

    return hook


def crash() -> None:
    raise CrashError


def assert_recovers(sync: Sync, people: int) -> None:
    """Check that the window is open, and that a later run completes it without a second contact of anybody."""
    assert window(0) not in sync.committed()
    assert health(sync.context).watermark == START
    done = len(sync.contacts())
    assert 0 < done < people
    counts = sync.sync(0)
    assert counts == {"unchanged": done, "created": people - done}
    assert [one.records for one in sync.contacts()] == sorted(({f"p{n}"} for n in range(people)), key=sorted)
    assert health(sync.context).watermark == window(0).end
    assert_accounted(sync, 0)


def test_a_crash_between_batches_leaves_the_window_open_and_the_next_run_completes_it(sync: Sync) -> None:
    sync.configure(concurrency=1)
    sync.crm.people(25, moment(0))
    with pytest.raises(CrashError):
        sync.sync(0, progress=after(1, crash))
    assert_recovers(sync, 25)


def test_a_crash_between_batches_leaves_no_half_done_state_on_postgresql(
    twin: TwinServer, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Sync(tmp_path_factory.mktemp("postgres"), twin, state_url=postgres_url) as sync:
        sync.configure(concurrency=1)
        sync.crm.people(25, moment(0))
        with pytest.raises(CrashError):
            sync.sync(0, progress=after(2, crash))
        assert_recovers(sync, 25)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_midway_stops_and_a_later_run_completes(sync: Sync, status: int) -> None:
    sync.configure(concurrency=1)
    sync.crm.people(25, moment(0))
    answers = Answers(sync.session)
    refuse = after(1, lambda: answers.refuse_with(status, "not.authorized"))
    with pytest.raises(GenesysFatalError, match=str(status)):
        sync.sync(0, progress=refuse)
    answers.pass_on()
    assert_recovers(sync, 25)


def test_three_unanswered_batches_stop_the_window(sync: Sync) -> None:
    sync.configure(concurrency=1)
    sync.crm.people(45, moment(0))
    answers = Answers(sync.session)
    with pytest.raises(GenesysRetryableError):
        sync.sync(0, progress=after(1, answers.lose))
    answers.pass_on()
    assert (len(sync.contacts()), len(sync.queue())) == (10, 20)
    assert_recovers(sync, 45)
    assert sync.queue() == {}


def test_two_unanswered_batches_are_queued_and_the_window_goes_on(sync: Sync) -> None:
    sync.configure(concurrency=1)
    sync.crm.people(35, moment(0))
    answers = Answers(sync.session)

    def mend(_window: Window, done: int, _all: int) -> None:
        {10: answers.lose, 30: answers.pass_on}.get(done, lambda: None)()

    assert sync.sync(0, progress=mend) == {"created": 15, "queued": 20}
    assert window(0) in sync.committed()
    assert {row["state"] for row in sync.queue().values()} == {"waiting"}
    assert sync.sync(0) == {"created": 20, "unchanged": 15}
    assert sync.queue() == {}


def test_a_twin_that_is_gone_leaves_everything_for_later(tmp_path_factory: pytest.TempPathFactory) -> None:
    with TwinServer() as twin, Sync(tmp_path_factory.mktemp("gone"), twin) as sync:
        sync.crm.people(3, moment(0))
        sync.read(0)
        sync.plan(0)
        twin.stop()
        with pytest.raises(GenesysRetryableError, match="did not answer"):
            sync.deliver(0)
        assert (sync.committed(), sync.queue(), sync.table("contact_link")) == ([], {}, [])


def test_a_gap_stays_visible_and_holds_the_watermark(sync: Sync) -> None:
    sync.sync(0, 2)
    found = health(sync.context)
    assert found.watermark == window(0).end
    assert found.gaps[0] == window(1)
    sync.sync(1)
    assert health(sync.context).watermark == window(2).end


def test_a_window_that_was_not_committed_has_no_report(sync: Sync) -> None:
    sync.sync(0)
    upserts = sync.context.frames.read("genesys_upserts", window(0))
    sync.context.frames.write("genesys_upserts", window(1), upserts)
    with pytest.raises(Exception, match="not committed"):
        report(sync.context, window(1))


def test_a_row_that_vanishes_between_the_steps_stops_the_window_before_any_request(sync: Sync) -> None:
    sync.crm.people(3, moment(0))
    sync.read(0)
    sync.plan(0)
    normalized = sync.context.frames.read("normalized_contacts", window(0))
    sync.context.frames.write("normalized_contacts", window(0), normalized.iloc[1:])
    before = requests.get(f"{sync.twin.base_url}/_twin/stats", timeout=5).json()["requests"]
    with pytest.raises(AccountingError, match="crm_delta"):
        sync.deliver(0)
    assert sync.stats()["requests"] == before
    assert sync.committed() == []


def test_counts_of_health_follow_the_windows(sync: Sync) -> None:
    sync.crm.people(4, moment(0))
    sync.crm.put("twin-of-p1", moment(0), first_name="First1", last_name="Last1", email="p1@example.org")
    sync.crm.put("p2", moment(0), shoe_size=42)
    sync.sync(0)
    found = health(sync.context)
    assert (found.records, found.contacts, found.waiting, found.dead) == (5, 4, 0, 0)
    assert [(one["field"], one["records"]) for one in found.unmapped] == [("shoe_size", 1)]
