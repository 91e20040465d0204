"""What was sent and never answered may be there or not: whatever the CRM says next is made true in either case."""

from collections.abc import Callable, Iterator

import pytest

from contact_sync.simulator.faults import Faults
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import moment
from contact_sync_tests.thorough import thorough

ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org"}
BEA = {"first_name": "Bea", "last_name": "Benz", "email": "bea@example.org"}

Unanswered = Callable[[int], None]
"""Syncs a window whose requests get no answer."""


@pytest.fixture(params=thorough(["done", "not done", "failed but done"]))
def unanswered(request: pytest.FixtureRequest, sync: Sync) -> Iterator[Unanswered]:
    sync.crm.people(1, moment(0))
    sync.sync(0)

    def sync_without_answers(number: int) -> None:
        if request.param == "done":
            sync.twin.faults = Faults(lost=1)
        elif request.param == "not done":
            Answers(sync.session).lose()
        else:
            sync.twin.faults = Faults(item_error_done=1)
        counts = sync.sync(number)
        assert counts["queued"] == sum(counts.values())
        sync.twin.faults = Faults()
        sync.session.adapters.pop("http://")
        sync.session.mount("http://", Answers(sync.session))

    yield sync_without_answers
    sync.twin.faults = Faults()


def contacts(sync: Sync) -> list[tuple[set[str], dict[str, str]]]:
    """Return the contacts that the tests are about."""
    return [(set(one.records), one.fields) for one in sync.contacts() if one.records != {"p0"}]


def named(sync: Sync) -> list[tuple[set[str], str]]:
    """Return the records of the contacts that the tests are about, and their first names."""
    return [(records, fields["firstName"]) for records, fields in contacts(sync)]


def silent(sync: Sync, *numbers: int) -> bool:
    """Whether everything is known now: nothing waits, and another run has nothing to send."""
    return not sync.queue() and not sync.table("in_flight") and sync.writes(lambda: sync.sync(*numbers)) == 0


def test_a_create_is_removed_when_the_record_is_deleted(sync: Sync, unanswered: Unanswered) -> None:
    sync.crm.put("a", moment(1), **ADA)
    unanswered(1)
    sync.crm.delete("a", moment(2))
    assert sync.sync(2) == {"deleted": 1}
    assert contacts(sync) == []
    assert_accounted(sync, 2)
    assert silent(sync, 1, 2)


def test_a_field_that_a_create_carried_is_emptied(sync: Sync, unanswered: Unanswered) -> None:
    sync.crm.put("a", moment(1), **ADA, job_title="Countess")
    unanswered(1)
    sync.crm.put("a", moment(2), job_title=None, city="London")
    sync.sync(2)
    ((_, fields),) = contacts(sync)
    assert ("title" in fields, fields["address.city"]) == (False, "London")
    assert silent(sync, 1, 2)


def test_an_update_that_is_taken_back_is_taken_back(sync: Sync, unanswered: Unanswered) -> None:
    sync.crm.put("a", moment(0), **ADA, job_title="one")
    sync.sync(0)
    sync.crm.put("a", moment(1), job_title="two", city="London")
    unanswered(1)
    sync.crm.put("a", moment(2), job_title="one", city=None)
    assert sync.sync(2) == {"updated": 1}
    ((_, fields),) = contacts(sync)
    assert (fields["title"], "address.city" in fields) == ("one", False)
    assert silent(sync, 1, 2)


def test_a_removed_contact_comes_back_with_its_record(sync: Sync, unanswered: Unanswered) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    sync.crm.delete("a", moment(1))
    unanswered(1)
    sync.crm.put("a", moment(2), is_deleted=0)
    sync.sync(2)
    ((records, fields),) = contacts(sync)
    assert (records, fields["firstName"]) == ({"a"}, "Ada")
    assert silent(sync, 1, 2)


def test_a_record_that_joined_a_contact_leaves_it(sync: Sync, unanswered: Unanswered) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    sync.crm.put("b", moment(1), **ADA, job_title="Countess")
    unanswered(1)
    sync.crm.delete("b", moment(2))
    sync.sync(2)
    ((records, fields),) = contacts(sync)
    assert (records, "title" in fields) == ({"a"}, False)
    assert silent(sync, 1, 2)


def test_another_record_of_the_same_person_joins_the_contact(sync: Sync, unanswered: Unanswered) -> None:
    sync.crm.put("a", moment(1), **ADA, work_phone="+4930123456")
    unanswered(1)
    sync.crm.put("b", moment(2), **ADA, work_phone="+4930654321")  # another business key
    sync.sync(2)
    sync.later(hours=1)
    sync.retry()
    assert [records for records, _ in contacts(sync)] == [{"a", "b"}]
    assert silent(sync, 1, 2)


def test_a_re_indexed_record_takes_the_contact_over(sync: Sync, unanswered: Unanswered) -> None:
    sync.crm.put("a", moment(1), **ADA, work_phone="+4930123456")
    unanswered(1)
    sync.crm.delete("a", moment(2))
    sync.crm.put("b", moment(2), **ADA, work_phone="+4930654321")
    sync.sync(2)
    ((records, fields),) = contacts(sync)
    assert (records, fields["workPhone"]) == ({"b"}, "+4930654321")
    assert silent(sync, 1, 2)


def test_a_refusal_leaves_in_doubt_what_was_sent_before(sync: Sync, unanswered: Unanswered) -> None:
    sync.crm.put("a", moment(1), **ADA, job_title="one")
    unanswered(1)
    answers = Answers(sync.session)
    answers.refuse_items("two", 422, "validation.failed", retryable=False)
    sync.crm.put("a", moment(2), job_title="two")
    assert sync.sync(2) == {"dead": 1}
    answers.pass_on()
    sync.crm.delete("a", moment(3))
    assert sync.sync(3) == {"deleted": 1}
    assert contacts(sync) == []
    assert silent(sync, 1, 2, 3)


def test_a_delete_of_what_may_be_there_waits_for_its_grace_period(sync: Sync, unanswered: Unanswered) -> None:
    sync.configure(delete_grace_minutes=60)
    sync.context.genesys.ensure_external_source("contact_sync crm")
    sync.context.genesys.ensure_external_source("contact_sync key")
    sync.crm.put("a", moment(1), **ADA)
    unanswered(1)
    sync.crm.delete("a", moment(2))
    assert sync.sync(2) == {"queued": 1}
    assert sync.queue()["a"]["state"] == "deferred"


def test_a_record_that_is_merged_away_takes_its_contact_along(sync: Sync, unanswered: Unanswered) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    sync.crm.put("b", moment(1), **BEA)
    unanswered(1)
    sync.crm.put("b", moment(2), is_deleted=1, merged_into="a")
    unanswered(2)
    sync.later(hours=1)
    sync.retry()
    assert [records for records, _ in contacts(sync)] == [{"a"}]
    assert silent(sync, 1, 2)


def test_a_record_that_joined_a_contact_and_is_corrected_gets_its_own(sync: Sync, unanswered: Unanswered) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    sync.crm.put("b", moment(1), **ADA, job_title="Countess")
    unanswered(1)
    sync.crm.put("b", moment(2), **BEA)
    sync.sync(2)
    assert named(sync) == [
        ({"a"}, "Ada"),
        ({"b"}, "Bea"),
    ]
    assert silent(sync, 1, 2)


def test_a_record_is_not_confused_with_one_that_takes_its_place(sync: Sync, unanswered: Unanswered) -> None:
    sync.crm.put("a", moment(1), **ADA)
    unanswered(1)
    sync.crm.put("b", moment(2), **ADA)
    sync.crm.put("a", moment(2, 20), **BEA)
    sync.sync(2)
    assert named(sync) == [
        ({"a"}, "Bea"),
        ({"b"}, "Ada"),
    ]
    assert silent(sync, 1, 2)


@pytest.mark.parametrize("then", ["deleted", "merged", "taken back"])
def test_a_record_that_may_have_split_off_leaves_nothing_behind(
    sync: Sync, unanswered: Unanswered, then: str
) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.crm.put("b", moment(0), **ADA, job_title="Countess")
    sync.sync(0)
    sync.crm.put("b", moment(1), **BEA)
    unanswered(1)
    unanswered(1)  # the contact that it leaves has let it go, now it is made
    changes: dict[str, dict[str, object]] = {
        "deleted": {"is_deleted": 1},
        "merged": {"is_deleted": 1, "merged_into": "a"},
        "taken back": {**ADA, "is_deleted": 0},
    }
    sync.crm.put("b", moment(2), **changes[then])
    sync.sync(2)
    sync.later(hours=1)
    sync.retry()
    assert [records for records, _ in contacts(sync)] == [{"a", "b"} if then == "taken back" else {"a"}]
    assert silent(sync, 1, 2)


def test_a_record_that_may_have_been_merged_away_comes_back(sync: Sync, unanswered: Unanswered) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.crm.put("b", moment(0), **BEA)
    sync.sync(0)
    sync.crm.put("b", moment(1), is_deleted=1, merged_into="a")
    unanswered(1)
    sync.crm.put("b", moment(2), is_deleted=0, merged_into=None)
    sync.sync(2)
    sync.later(hours=1)
    sync.retry()
    assert named(sync) == [
        ({"a"}, "Ada"),
        ({"b"}, "Bea"),
    ]
    assert silent(sync, 1, 2)
