"""Records that were taken for one person and are corrected: each gets its own contact then, and only then."""

import json

import pytest

from contact_sync.contacts.decisions import NO_ROOM, SPLIT
from contact_sync.simulator.faults import Faults
from contact_sync.simulator.merging import merge
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.test_contacts import ADA
from contact_sync_tests.steps.test_merges import contacts, silent
from contact_sync_tests.steps.world import moment, window

GRACE = {"first_name": "Grace", "last_name": "Hopper", "email": "grace@example.org", "account_id": "navy"}


@pytest.fixture
def one(sync: Sync) -> Sync:
    """Two records, typed alike by mistake, that became one contact."""
    sync.crm.put("a", moment(0), **ADA, work_phone="+4930123456")
    sync.crm.put("b", moment(0, 16), **ADA, work_phone="+4930123456", job_title="Admiral")
    sync.sync(0)
    assert contacts(sync) == [{"a", "b"}]
    return sync


def named(sync: Sync) -> list[tuple[set[str], str]]:
    """Return the records of each contact, and its first name."""
    return [(set(one.records), one.fields["firstName"]) for one in sync.contacts()]


def correct(sync: Sync, number: int, **columns: object) -> None:
    sync.crm.put("b", moment(number), **GRACE | {"work_phone": "+4930999999"} | columns)


def test_a_corrected_record_gets_its_own_contact_and_the_old_one_forgets_it(one: Sync) -> None:
    before = one.contact("a").id
    correct(one, 1)
    assert one.sync(1) == {"created": 1}
    assert contacts(one) == [{"a"}, {"b"}]
    assert one.contact("a").id == before
    assert "title" not in one.contact("a").fields
    assert one.contact("b").fields == {
        "firstName": "Grace",
        "lastName": "Hopper",
        "workEmail": "grace@example.org",
        "workPhone": "+4930999999",
        "title": "Admiral",
    }
    assert list(one.context.frames.read("dedup_matches", window(1))["reason"]) == [SPLIT]
    assert one.context.tally("dedup_matches", window(1)).split == 1
    assert_accounted(one, 1)
    assert silent(one, 0, 1)


def test_the_first_record_can_leave_too(one: Sync) -> None:
    before = one.contact("a").id
    one.crm.put("a", moment(1), **GRACE | {"work_phone": "+4930999999"})
    one.sync(1)
    assert contacts(one) == [{"a"}, {"b"}]
    assert one.contact("b").id == before
    assert one.contact("b").fields["firstName"] == "Ada"
    assert silent(one, 0, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"email": "new@example.org"},
        {"work_phone": "+4930999999"},
        {"last_name": "King"},
        {"last_name": "King", "email": "new@example.org"},
        {"first_name": "Augusta", "account_id": "other"},
        {"email": "new@example.org", "work_phone": "+4930999999", "account_id": None},
        {"first_name": None, "email": "new@example.org", "work_phone": "+4930999999"},
    ],
)
def test_what_changes_in_a_life_splits_nobody(one: Sync, change: dict[str, str | None]) -> None:
    one.crm.put("b", moment(1), **change)
    one.sync(1)
    assert contacts(one) == [{"a", "b"}]


def test_a_correction_in_two_steps_splits_with_the_second(one: Sync) -> None:
    one.crm.put("b", moment(1), first_name="Grace", last_name="Hopper", account_id="navy")
    one.sync(1)
    assert contacts(one) == [{"a", "b"}]
    correct(one, 2)
    one.sync(2)
    assert contacts(one) == [{"a"}, {"b"}]
    assert silent(one, 0, 1, 2)


def test_a_contact_of_one_record_never_splits(sync: Sync) -> None:
    sync.crm.put("b", moment(0), **ADA)
    sync.sync(0)
    before = sync.contact("b").id
    correct(sync, 1)
    sync.sync(1)
    assert sync.contact("b").id == before


def test_a_corrected_record_joins_the_contact_that_it_really_is(one: Sync) -> None:
    one.crm.put("c", moment(0), **GRACE)
    one.sync(0)
    correct(one, 1)
    one.sync(1)
    assert contacts(one) == [{"a"}, {"b", "c"}]
    assert silent(one, 0, 1)


def test_two_records_that_leave_together_are_one_again(one: Sync) -> None:
    one.crm.put("c", moment(0, 17), **ADA, work_phone="+4930123456")
    one.sync(0)
    correct(one, 1)
    one.crm.put("c", moment(1, 16), **GRACE | {"work_phone": "+4930999999"})
    one.sync(1)
    assert contacts(one) == [{"a"}, {"b", "c"}]
    assert silent(one, 0, 1)


def test_a_record_whose_old_contact_does_not_let_go_waits(one: Sync) -> None:
    answers = Answers(one.session)
    answers.refuse_items('"firstName": "Ada"', 503, "service.unavailable", retryable=True)
    correct(one, 1)
    assert one.sync(1) == {"queued": 1}
    assert contacts(one) == [{"a", "b"}]
    answers.pass_on()
    one.later(hours=1)
    assert one.retry() == {"created": 1}
    assert contacts(one) == [{"a"}, {"b"}]
    assert silent(one, 0, 1)


@pytest.mark.parametrize("fault", [Faults(lost=1), Faults(item_error_done=1)])
def test_a_split_without_an_answer_is_repeated(one: Sync, fault: Faults) -> None:
    one.twin.faults = fault
    correct(one, 1)
    try:
        assert one.sync(1) == {"queued": 1}
    finally:
        one.twin.faults = Faults()
    one.crm.put("b", moment(2), city="Arlington")
    one.sync(2)
    assert contacts(one) == [{"a"}, {"b"}]
    assert one.contact("a").fields["firstName"] == "Ada"
    assert one.contact("b").fields["address.city"] == "Arlington"
    assert silent(one, 0, 1, 2)


def test_the_records_of_a_contact_that_a_person_merged_in_genesys_stay_together(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.crm.put("b", moment(0), **GRACE)
    sync.sync(0)
    merge(sync.twin.store.contacts, [one.id for one in sync.contacts()])
    sync.mirror()
    sync.crm.put("b", moment(1), city="Arlington")
    sync.sync(1)
    assert contacts(sync) == [{"a", "b"}]


def test_the_eleventh_external_id_is_reported(sync: Sync) -> None:
    for number in range(11):
        sync.crm.put(f"r{number:02}", moment(0, 12 + number), **ADA)
    assert sync.sync(0) == {"created": 1, "merged": 10}
    assert [len(one.records) for one in sync.contacts()] == [10]
    plan = sync.context.frames.read("dedup_matches", window(0))
    assert plan.loc[plan["reason"] == NO_ROOM, "crm_id"].tolist() == ["r00"]
    (request,) = plan["request"].dropna()
    assert len(json.loads(request)["external_ids"]) == 10
    assert sync.context.tally("dedup_matches", window(0)).without_room == 1
    assert sync.writes(lambda: sync.sync(0)) == 0


def test_who_has_become_somebody_else_does_not_keep_the_key_from_the_next(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA, work_phone="+4930123456")
    sync.sync(0)
    before = sync.contact("a").id
    sync.crm.put("a", moment(1), **GRACE | {"work_phone": "+4930999999"})
    sync.sync(1)
    sync.crm.put("b", moment(2), **ADA, work_phone="+4930123456")  # the key that a has had since it was Ada
    assert sync.sync(2) == {"created": 1}
    assert contacts(sync) == [{"a"}, {"b"}]
    assert (sync.contact("a").id, sync.contact("a").fields["firstName"]) == (before, "Grace")
    assert silent(sync, 0, 1, 2)


def test_three_records_leave_one_contact_at_once(one: Sync) -> None:
    sync = one
    for crm_id in "cd":
        sync.crm.put(crm_id, moment(0, 20), **ADA)
    sync.sync(0)
    for crm_id, name in (("b", "Bea"), ("c", "Cleo"), ("d", "Dora")):
        sync.crm.put(crm_id, moment(1), first_name=name, last_name="Hopper", email=f"{name}@example.org")
    sync.crm.put("b", moment(1), work_phone=None)
    assert sync.sync(1) == {"created": 3}
    assert sorted(map(sorted, sync.records().values())) == [["a"], ["b"], ["c"], ["d"]]
    assert_accounted(sync, 1)


def test_a_contact_that_gets_a_record_and_loses_one_lets_it_go_first(sync: Sync) -> None:
    for crm_id in "ab":
        sync.crm.put(crm_id, moment(0), **ADA)
    for crm_id in "cd":
        sync.crm.put(crm_id, moment(0), **GRACE)
    sync.sync(0)
    sync.crm.put("a", moment(1), first_name="Bea", last_name="Benz", email="bea@example.org")
    sync.crm.put("c", moment(1, 20), **ADA)
    sync.sync(1)
    assert named(sync) == [({"a"}, "Bea"), ({"b", "c"}, "Ada"), ({"d"}, "Grace")]
    assert silent(sync, 0, 1)


@pytest.mark.parametrize("order", [(10, 20), (20, 10)])
def test_two_records_change_places(sync: Sync, order: tuple[int, int]) -> None:
    for crm_id in "ab":
        sync.crm.put(crm_id, moment(0), **ADA)
    for crm_id in "cd":
        sync.crm.put(crm_id, moment(0), **GRACE)
    sync.sync(0)
    sync.crm.put("a", moment(1, order[0]), **GRACE)
    sync.crm.put("c", moment(1, order[1]), **ADA)
    sync.sync(1)
    assert named(sync) == [({"a", "d"}, "Grace"), ({"b", "c"}, "Ada")]
    assert silent(sync, 0, 1)
    for crm_id in "bd":
        sync.crm.delete(crm_id, moment(2))
    sync.sync(2)
    for crm_id in "ac":
        sync.crm.put(crm_id, moment(3), city="London")
    sync.sync(3)
    assert named(sync) == [({"a"}, "Grace"), ({"c"}, "Ada")]
