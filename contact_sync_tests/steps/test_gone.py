"""Records that vanish from the CRM without a trace: found, buried, deleted by the window of that moment."""

import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest

from contact_sync.crm.source import CrmUnavailableError, DeleteFeedExpiredError, Deletions
from contact_sync.simulator.faults import Faults
from contact_sync.steps import pipeline
from contact_sync.steps.gone import Reconciled, follow_feed, reconcile
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import FREQUENCY, START, moment, window


def erase(sync: Sync, *ids: str) -> None:
    for crm_id in ids:
        sync.crm.execute(f"DELETE FROM contacts WHERE id = '{crm_id}'")  # noqa: S608 -- our names


def number_of_now(sync: Sync) -> int:
    """Return the number of the window that holds the present, and let it close."""
    number = (sync.clock.now - START) // FREQUENCY.length
    sync.clock.now = window(number).end + timedelta(minutes=3)
    return number


@pytest.fixture
def people(sync: Sync) -> Sync:
    """Ten linked people."""
    sync.crm.people(10, moment(0))
    sync.sync(0)
    return sync


class FeedSource:
    """A source with a feed of deletes over another one; tokens count the pages."""

    def __init__(self, source: Any) -> None:  # noqa: ANN401 -- whatever it is asked for
        self._source = source
        self.pages: list[Sequence[str]] = []
        self.expired = False
        self.asked: list[str | None] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._source, name)

    def deletions(self, token: str | None) -> Iterator[Deletions]:
        self.asked.append(token)
        if self.expired and token is not None:
            raise DeleteFeedExpiredError("expired")
        first = int(token) if token else len(self.pages)
        yield Deletions([], str(first))
        for number, ids in islice(enumerate(self.pages), first, None):
            yield Deletions(ids, str(number + 1))


@pytest.fixture
def feed(people: Sync) -> FeedSource:
    source = FeedSource(people.context.source)
    people.context = replace(people.context, source=source)
    assert follow_feed(people.context) == 0
    return source


def test_a_record_that_vanished_is_deleted_by_the_window_of_the_moment_it_was_found(people: Sync) -> None:
    erase(people, "p3", "p4")
    assert reconcile(people.context) == Reconciled(living=8, linked=10, gone=2)
    number = number_of_now(people)
    assert people.sync(number) == {"deleted": 2}
    assert_accounted(people, number)
    assert len(people.contacts()) == 8
    assert reconcile(people.context) == Reconciled(living=8, linked=8, gone=0)


def test_the_window_gives_the_same_when_it_is_run_again(people: Sync) -> None:
    erase(people, "p3")
    reconcile(people.context)
    number = number_of_now(people)
    people.read(number)
    first = people.context.frames.read("crm_delta", window(number)).drop(columns="read_at")
    people.sync(number)
    assert people.writes(lambda: people.sync(number)) == 0
    assert people.context.frames.read("crm_delta", window(number)).drop(columns="read_at").equals(first)


def test_a_record_that_came_back_is_not_deleted(people: Sync) -> None:
    erase(people, "p3")
    reconcile(people.context)
    people.crm.people(1, moment(1), first=3)
    number = number_of_now(people)
    assert people.sync(number) == {}
    assert len(people.contacts()) == 10


def test_one_that_is_found_twice_before_it_is_deleted_is_deleted_once(people: Sync) -> None:
    erase(people, "p3")
    assert [reconcile(people.context).gone for _ in range(2)] == [1, 0]
    assert len(people.table("tombstone")) == 1


def test_one_that_vanishes_came_back_and_vanishes_again_is_deleted_again(people: Sync) -> None:
    for _ in range(2):
        erase(people, "p3")
        reconcile(people.context)
        people.sync(number_of_now(people))
        assert len(people.contacts()) == 9
        people.later(minutes=1)
        people.crm.people(1, people.clock.now, first=3)
        people.sync(number_of_now(people))
        assert len(people.contacts()) == 10


def test_one_that_vanishes_after_a_request_without_an_answer_leaves_nobody_behind(people: Sync) -> None:
    sync = people
    sync.crm.put("late", moment(1), first_name="Late", last_name="Comer", email="late@example.org")
    sync.twin.faults = Faults(item_error_done=1)
    sync.sync(1)
    sync.twin.faults = Faults()
    assert "late" in {one for held in sync.contacts() for one in held.records}
    erase(sync, "late")
    sync.later(hours=1)
    assert sync.retry() == {"dead": 1}
    assert reconcile(sync.context).gone == 1
    sync.sync(number_of_now(sync))
    assert "late" not in {one for held in sync.contacts() for one in held.records}
    assert (sync.queue(), sync.table("in_flight")) == ({}, [])
    assert reconcile(sync.context).gone == 0


def test_the_delete_waits_for_its_grace_period_as_any(sync: Sync) -> None:
    sync.configure(delete_grace_minutes=60)
    sync.crm.people(2, moment(0))
    sync.sync(0)
    erase(sync, "p0")
    reconcile(sync.context)
    assert sync.sync(number_of_now(sync)) == {"queued": 1}


def test_a_record_that_was_skipped_while_ids_went_by_is_asked_for_again(
    people: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(people.context.source), "living", lambda _: iter([["p0", "p1"]]))
    assert reconcile(people.context) == Reconciled(living=2, linked=10, gone=0)


@pytest.mark.parametrize(
    ("people_there", "limits", "why"),
    [
        (5, {"max_deletes": 3}, "more than 3 records are missing from the CRM, over delivery.max_deletes"),
        (30, {"max_delete_share": 0.5}, "more than 15 records are missing"),
    ],
)
def test_too_many_missing_records_are_not_believed(
    sync: Sync, people_there: int, limits: dict[str, float], why: str
) -> None:
    sync.configure(**limits)
    sync.crm.people(people_there + 1, moment(0))
    sync.sync(0)
    erase(sync, *(f"p{number}" for number in range(people_there)))
    done = reconcile(sync.context)
    assert (done.gone, done.refused is not None and why in done.refused) == (0, True)
    assert sync.table("tombstone") == []
    sync.context = replace(sync.context, allow_deletes=True)
    assert reconcile(sync.context).gone == people_there


def test_a_table_without_anybody_is_not_believed_even_if_few_are_linked(people: Sync) -> None:
    people.crm.execute("DELETE FROM contacts")
    done = reconcile(people.context)
    assert done.refused is not None
    assert done.refused.startswith("the CRM names no living record at all")
    assert people.table("tombstone") == []


def test_a_crm_that_breaks_off_in_the_middle_buries_nobody(people: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> Iterator[Sequence[str]]:
        yield ["p0"]
        raise CrmUnavailableError("gone away")

    monkeypatch.setattr(type(people.context.source), "living", broken)
    with pytest.raises(CrmUnavailableError):
        reconcile(people.context)
    assert people.table("tombstone") == []


def test_records_of_other_crms_and_deleted_ones_are_not_looked_for(people: Sync) -> None:
    people.crm.delete("p0", moment(1))
    people.sync(1)
    erase(people, "p0")
    assert reconcile(people.context) == Reconciled(living=9, linked=9, gone=0)


def test_ids_stream_by(people: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    def many(_: object) -> Iterator[Sequence[str]]:
        yield [f"p{number}" for number in range(10)]
        for page in range(200):
            yield [f"other-{page}-{number}" for number in range(2_000)]

    monkeypatch.setattr(type(people.context.source), "living", many)
    tracemalloc.start()
    assert reconcile(people.context) == Reconciled(living=400_010, linked=10, gone=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000


def test_a_feed_tells_once_and_goes_on_where_it_was(people: Sync, feed: FeedSource) -> None:
    erase(people, "p3", "p4")
    feed.pages += [["p3", "unknown"], ["p4"]]
    assert [follow_feed(people.context) for _ in range(2)] == [2, 0]
    assert feed.asked == [None, "0", "2"]
    assert people.sync(number_of_now(people)) == {"deleted": 2}


def test_what_a_feed_says_of_a_record_that_is_there_is_not_believed(people: Sync, feed: FeedSource) -> None:
    feed.pages.append(["p3"])
    assert follow_feed(people.context) == 0


def test_a_feed_that_breaks_off_goes_on_after_the_last_page(
    people: Sync, feed: FeedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    erase(people, "p3", "p4")
    feed.pages += [["p3"], ["p4"]]
    whole = feed.deletions

    def broken(token: str | None) -> Iterator[Deletions]:
        yield from islice(whole(token), 2)
        raise CrmUnavailableError("gone away")

    monkeypatch.setattr(feed, "deletions", broken)
    with pytest.raises(CrmUnavailableError):
        follow_feed(people.context)
    assert [row["crm_id"] for row in people.table("tombstone")] == ["p3"]
    monkeypatch.setattr(feed, "deletions", whole)
    assert follow_feed(people.context) == 1
    assert feed.asked[-1] == "1"


def test_a_page_without_a_token_keeps_the_place(people: Sync, feed: FeedSource) -> None:
    erase(people, "p3")
    feed.deletions = lambda _: iter([Deletions(["p3"], None)])  # type: ignore[method-assign, assignment]
    assert follow_feed(people.context) == 1
    assert people.context.store.tombstones.token("crm") == "0"


def test_an_expired_feed_begins_anew_and_all_keys_are_compared(people: Sync, feed: FeedSource) -> None:
    erase(people, "p3")
    feed.expired = True
    assert follow_feed(people.context) == 1
    assert feed.asked == [None, "0", None]
    assert people.context.store.tombstones.token("crm") == "0"
    feed.expired = False
    assert follow_feed(people.context) == 0


def test_the_pipeline_follows_the_feed(people: Sync, feed: FeedSource) -> None:
    erase(people, "p3")
    feed.pages.append(["p3"])
    list(pipeline.sync(people.context, [window(1)], "run"))
    assert [row["crm_id"] for row in people.table("tombstone")] == ["p3"]
