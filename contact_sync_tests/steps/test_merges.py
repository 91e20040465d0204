"""Records merged in the CRM: their contacts become one in Genesys, in any order and whatever answers get lost."""

import pytest

from contact_sync.contacts.decisions import CRM_MERGE
from contact_sync.simulator.faults import Faults
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.test_contacts import ADA, removals
from contact_sync_tests.steps.world import moment

AUGUSTA = {"first_name": "Augusta", "last_name": "King", "email": "king@example.org", "work_phone": "+4930654321"}


def merge(sync: Sync, loser: str, survivor: str, at: int) -> None:
    sync.crm.put(loser, moment(at), is_deleted=1, merged_into=survivor)


def contacts(sync: Sync) -> list[set[str]]:
    return [set(one.records) for one in sync.contacts()]


def silent(sync: Sync, *numbers: int) -> bool:
    return not sync.queue() and not sync.table("in_flight") and sync.writes(lambda: sync.sync(*numbers)) == 0


@pytest.fixture
def two(sync: Sync) -> Sync:
    """Two records of one person, of whom nothing but the CRM knows that, with a contact each."""
    sync.crm.put("a", moment(0), **ADA)
    sync.crm.put("b", moment(0), **AUGUSTA, job_title="Countess")
    sync.sync(0)
    assert contacts(sync) == [{"a"}, {"b"}]
    return sync


def test_the_two_contacts_become_one_and_its_old_ids_lead_to_it(two: Sync) -> None:
    old, removed = {one.id for one in two.contacts()}, removals(two)
    merge(two, "b", "a", 1)
    assert two.sync(1) == {"merged": 1}
    (one,) = two.contacts()
    assert one.records == {"a"}
    assert one.fields == {"firstName": "Ada", "lastName": "Lovelace", "workEmail": "ada@example.org"}
    assert {two.twin.store.contacts.store.canonical(contact) for contact in old} == {one.id}
    assert {row["crm_id"]: row["contact"] for row in two.table("contact_link")} == {"a": one.id, "b": None}
    assert {row["contact"] for row in two.table("genesys_mirror")} == {one.id}
    assert [row["rule"] for row in two.table("audit")][-1] == CRM_MERGE
    assert removals(two) == removed
    assert_accounted(two, 1)
    assert silent(two, 0, 1)


def test_the_survivor_says_what_the_contact_holds(two: Sync) -> None:
    merge(two, "b", "a", 1)
    two.crm.put("a", moment(1), job_title="Analyst", work_phone="+4930654321")
    assert two.sync(1) == {"updated": 1, "merged": 1}
    (one,) = two.contacts()
    assert (one.fields["title"], one.fields["workPhone"]) == ("Analyst", "+4930654321")
    assert "personalEmail" not in one.fields
    assert silent(two, 0, 1)


def test_a_merge_waits_for_no_grace_period(two: Sync) -> None:
    two.configure(delete_grace_minutes=60)
    merge(two, "b", "a", 1)
    assert two.sync(1) == {"merged": 1}
    assert contacts(two) == [{"a"}]


def test_a_chain_of_merges_ends_at_its_end(two: Sync) -> None:
    two.crm.put("c", moment(0), first_name="Annabella", last_name="Milbanke", email="c@example.org")
    two.sync(0)
    merge(two, "a", "b", 1)
    two.crm.put("b", moment(1, 16), is_deleted=1, merged_into="c")
    assert two.sync(1) == {"merged": 2}
    (one,) = two.contacts()
    assert (set(one.records), one.fields["firstName"]) == ({"c"}, "Annabella")
    assert silent(two, 0, 1)


def test_a_merge_into_a_record_that_is_deleted_at_once_deletes_both(two: Sync) -> None:
    merge(two, "b", "a", 1)
    two.crm.put("a", moment(1, 16), is_deleted=1)
    assert two.sync(1) == {"deleted": 2}
    assert two.contacts() == []
    assert silent(two, 0, 1)


def test_a_merge_of_two_records_of_one_contact_leaves_it(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.crm.put("b", moment(0), **ADA, job_title="Countess")
    sync.sync(0)
    before = sync.contact("a").id
    merge(sync, "b", "a", 1)
    sync.sync(1)
    (one,) = sync.contacts()
    assert (one.id, set(one.records), "title" in one.fields) == (before, {"a"}, False)
    assert silent(sync, 0, 1)


def test_a_contact_that_another_living_record_is_stays(two: Sync) -> None:
    two.crm.put("c", moment(0), **AUGUSTA)
    two.sync(0)
    merge(two, "b", "a", 1)
    two.sync(1)
    assert contacts(two) == [{"a"}, {"c"}]
    assert silent(two, 0, 1)


def test_a_survivor_that_comes_in_the_same_window_takes_the_contact_over(sync: Sync) -> None:
    sync.crm.put("b", moment(0), **AUGUSTA)
    sync.sync(0)
    before = sync.contact("b").id
    merge(sync, "b", "a", 1)
    sync.crm.put("a", moment(1), **ADA)
    sync.sync(1)
    (one,) = sync.contacts()
    assert (one.id, set(one.records), one.fields["firstName"]) == (before, {"a"}, "Ada")
    assert silent(sync, 0, 1)


def test_a_survivor_that_comes_later_but_within_the_grace_period_is_merged_with(sync: Sync) -> None:
    sync.configure(delete_grace_minutes=30)
    sync.crm.put("b", moment(0), **AUGUSTA)
    sync.sync(0)
    merge(sync, "b", "a", 1)
    assert sync.sync(1) == {"queued": 1}
    before, removed = sync.contact("b").id, removals(sync)
    sync.crm.put("a", moment(2), **ADA)
    sync.sync(2)
    sync.later(hours=1)
    assert sync.retry() == {"merged": 1}
    (one,) = sync.contacts()
    assert one.records == {"a"}
    assert sync.twin.store.contacts.store.canonical(before) == one.id
    assert removals(sync) == removed
    assert silent(sync, 0, 1, 2)


@pytest.mark.parametrize("fault", [Faults(lost=1), Faults(item_error_done=1), None])
def test_a_merge_without_an_answer_is_repeated(two: Sync, fault: Faults | None) -> None:
    merge(two, "b", "a", 1)
    two.crm.put("a", moment(1), job_title="Analyst")
    if fault:
        two.twin.faults = fault
    else:
        Answers(two.session).lose()
    try:
        assert two.sync(1)["queued"] == 2
    finally:
        two.twin.faults = Faults()
        two.session.mount("http://", Answers(two.session))
    two.crm.put("a", moment(2), job_title=None, city="London")
    two.sync(2)
    two.later(hours=1)
    two.retry()
    (one,) = two.contacts()
    assert (set(one.records), one.fields["address.city"], "title" in one.fields) == ({"a"}, "London", False)
    assert silent(two, 1, 2)


def test_a_loser_that_comes_back_has_a_contact_of_its_own(two: Sync) -> None:
    merge(two, "b", "a", 1)
    two.sync(1)
    two.crm.put("b", moment(2), is_deleted=0, merged_into=None)
    assert two.sync(2) == {"created": 1}
    assert contacts(two) == [{"a"}, {"b"}]
    assert two.contact("a").fields["firstName"] == "Ada"
    assert silent(two, 0, 1, 2)


def test_a_mass_of_merges_is_no_mass_delete(two: Sync) -> None:
    two.configure(max_deletes=0)
    merge(two, "b", "a", 1)
    assert two.sync(1) == {"merged": 1}


@pytest.mark.parametrize("fault", [Faults(lost=1), Faults(item_error_done=1)])
def test_a_loser_that_may_be_there_is_taken_in_too(sync: Sync, fault: Faults) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    sync.twin.faults = fault
    sync.crm.put("b", moment(1), **AUGUSTA)
    try:
        assert sync.sync(1)["queued"] >= 1
    finally:
        sync.twin.faults = Faults()
    merge(sync, "b", "a", 2)
    assert sync.sync(2) == {"merged": 1}
    assert contacts(sync) == [{"a"}]
    assert silent(sync, 0, 1, 2)
