"""A stored plan is carried out only while it is still right, whoever delivered what since it was made."""

from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import moment, window

ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org"}


def test_an_old_plan_does_not_bring_back_what_a_newer_window_replaced(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA, job_title="one")
    sync.sync(0)
    sync.crm.put("a", moment(1), job_title="two")
    sync.read(1)
    sync.plan(1)
    sync.crm.put("a", moment(2), job_title="three")
    sync.sync(2)
    assert sync.writes(lambda: sync.deliver(1)) == 0
    assert sync.contact("a").fields["title"] == "three"


def test_an_old_plan_does_not_overwrite_a_newer_version_that_needed_no_request(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA, job_title="one")
    sync.sync(0)
    sync.crm.put("a", moment(1), job_title="two")
    sync.read(1)
    sync.plan(1)
    sync.crm.put("a", moment(2), job_title="one")
    sync.sync(2)
    sync.deliver(1)
    assert sync.contact("a").fields["title"] == "one"


def test_an_old_plan_does_not_remove_a_record_that_was_restored_since(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    sync.crm.delete("a", moment(1))
    sync.read(1)
    sync.plan(1)
    sync.crm.put("a", moment(2), is_deleted=0)
    sync.sync(2)
    sync.deliver(1)
    assert sync.contact("a").fields["firstName"] == "Ada"


def test_an_old_plan_of_one_record_does_not_overrule_a_newer_one_of_the_same_person(sync: Sync) -> None:
    sync.crm.put("a", moment(0, 11), **ADA, job_title="one")
    sync.crm.put("b", moment(0, 10), **ADA, job_title="one")
    sync.sync(0)
    sync.crm.put("a", moment(1), job_title="two")
    sync.read(1)
    sync.plan(1)
    sync.crm.put("b", moment(2))
    sync.sync(2)
    sync.deliver(1)
    assert sync.contact("a").fields["title"] == "one"


def test_plans_made_apart_and_delivered_together_make_no_duplicate(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA, work_phone="+4930123456")
    sync.read(0)
    sync.plan(0)
    sync.crm.put("b", moment(1), **ADA, work_phone="+4930654321")
    sync.read(1)
    sync.plan(1)
    sync.deliver(0, 1)
    assert [one.records for one in sync.contacts()] == [{"a", "b"}]


def test_a_plan_that_builds_on_a_window_that_was_not_delivered_loses_nobody(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.read(0)
    sync.crm.put("a", moment(1))
    sync.read(1)
    sync.plan(0, 1)
    sync.deliver(1)
    assert sync.contact("a").fields["firstName"] == "Ada"
    sync.deliver(0)
    assert [one.records for one in sync.contacts()] == [{"a"}]


def test_a_contact_created_in_the_run_is_removed_once_its_last_record_is(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.read(0)
    sync.crm.put("b", moment(1), **ADA)
    sync.read(1)
    sync.crm.delete("a", moment(2))
    sync.read(2)
    sync.crm.delete("b", moment(3))
    sync.read(3)
    sync.plan(0, 1, 2, 3)
    sync.deliver(0, 1, 2, 3)
    assert sync.contacts() == []


def test_a_contact_made_anew_in_the_run_is_removed_under_its_new_id(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    sync.twin.store.contacts.delete(sync.contact("a").id)
    sync.crm.put("a", moment(1), job_title="two")
    sync.read(1)
    sync.crm.delete("a", moment(2))
    sync.read(2)
    sync.plan(1, 2)
    sync.deliver(1, 2)
    assert sync.contacts() == []


def test_a_record_that_gained_an_address_nobody_had_to_be_told_of_is_recognised_by_it(sync: Sync) -> None:
    sync.crm.put("a", moment(0, 11), **ADA, mobile_phone="+4915112345678")
    sync.crm.put("b", moment(0, 10), **ADA)
    sync.sync(0)
    sync.crm.put("b", moment(0, 10.5), mobile_phone="+4915187654321")
    assert sync.sync(0) == {"unchanged": 2}
    sync.crm.put("c", moment(1), first_name="Ada", last_name="Lovelace", mobile_phone="+4915187654321")
    sync.sync(1)
    assert [one.records for one in sync.contacts()] == [{"a", "b", "c"}]


def test_a_file_is_counted_once_and_another_in_its_place_anew(sync: Sync) -> None:
    sync.crm.people(2, moment(0))
    sync.read(0)
    counted = sync.context.tally("crm_delta", window(0))
    assert sync.context.tally("crm_delta", window(0)) is counted
    sync.crm.people(1, moment(0), first=2)
    sync.read(0)
    assert (counted.rows, sync.context.tally("crm_delta", window(0)).rows) == (2, 3)
