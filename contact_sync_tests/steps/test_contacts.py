"""What becomes of one person's contact: lost answers, new ids, deletes, cleared fields, an agent's hands."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from contact_sync.simulator.errors import Json
from contact_sync.state.tables import CONTACT_LINK, GENESYS_MIRROR, MIRROR_IDENTIFIER
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.harness import Held, Sync
from contact_sync_tests.steps.world import moment, window

ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org", "account_id": "acme"}
REMOVE = "POST /api/v2/externalcontacts/bulk/contacts/remove"


def touch_by_hand(sync: Sync, crm_id: str, **fields: object) -> None:
    """Let an agent change fields of a contact in Genesys."""
    contact_id, old = sync.twin.store.contacts.fetch(sync.contact(crm_id).id)
    changed: Json = old | fields
    sync.twin.store.contacts.store.put(contact_id, changed)


def removals(sync: Sync) -> int:
    return int(sync.stats()["by_operation"].get(REMOVE, 0))


def test_a_new_record_arrives_as_it_is_in_the_crm(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA, work_phone="030 123456", country="DE", city="Berlin")
    assert sync.sync(0) == {"created": 1}
    assert sync.contact("a").fields == {
        "firstName": "Ada",
        "lastName": "Lovelace",
        "workEmail": "ada@example.org",
        "workPhone": "+4930123456",
        "address.city": "Berlin",
    }
    assert_accounted(sync, 0)


def test_a_run_that_died_before_it_stored_the_links_makes_no_second_contact(sync: Sync) -> None:
    sync.crm.people(12, moment(0))
    sync.sync(0)
    before = sync.contacts()
    with sync.engine.begin() as connection:
        for table in (CONTACT_LINK, GENESYS_MIRROR, MIRROR_IDENTIFIER):
            connection.execute(sa.delete(table))
    assert sync.sync(0) == {"updated": 12}
    assert sync.contacts() == before


def test_a_re_indexed_record_is_an_update_and_no_delete(sync: Sync) -> None:
    sync.crm.put("old", moment(0), **ADA)
    sync.sync(0)
    before, removed = sync.contact("old"), removals(sync)
    sync.crm.delete("old", moment(1))
    sync.crm.put("new", moment(1), **ADA)
    assert sync.sync(1) == {"updated": 1, "deleted": 1}
    assert removals(sync) == removed
    after = sync.contact("new")
    assert after == replace(before, records=frozenset({"new"}))


def test_a_record_re_indexed_and_changed_at_once_keeps_its_contact(sync: Sync) -> None:
    sync.crm.put("old", moment(0), **ADA, work_phone="+4930123456")
    sync.sync(0)
    before = sync.contact("old")
    sync.crm.delete("old", moment(1))
    sync.crm.put("new", moment(1), **ADA, work_phone="+4930654321")  # so its business key is another one too
    sync.sync(1)
    (after,) = sync.contacts()
    assert (after.id, after.fields["workPhone"]) == (before.id, "+4930654321")


def test_deleting_one_of_two_records_keeps_the_contact_and_its_other_record(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA, job_title="Countess")
    sync.crm.put("b", moment(0), **ADA, city="London")
    assert sync.sync(0) == {"created": 1, "merged": 1}
    both = sync.contact("a")
    assert both.records == {"a", "b"}
    sync.crm.delete("a", moment(1))
    assert sync.sync(1) == {"deleted": 1}
    left = sync.contact("b")
    assert left == Held(both.id, {name: both.fields[name] for name in left.fields}, frozenset({"b"}))
    assert "title" not in left.fields
    sync.crm.delete("b", moment(2))
    assert sync.sync(2) == {"deleted": 1}
    assert sync.contacts() == []


def test_a_record_that_lost_a_merge_in_the_crm_leaves_its_contact_to_the_winner(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.crm.put("b", moment(0), **ADA)
    sync.sync(0)
    sync.crm.put("b", moment(1), is_deleted=1, merged_into="a")
    assert sync.sync(1) == {"deleted": 1}
    assert [one.records for one in sync.contacts()] == [{"a"}]


def test_a_restored_record_gets_a_contact_again(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    sync.crm.delete("a", moment(1))
    sync.sync(1)
    sync.crm.put("a", moment(2), is_deleted=0)
    assert sync.sync(2) == {"created": 1}
    assert sync.contact("a").fields["firstName"] == "Ada"


def test_a_record_deleted_before_it_was_ever_delivered_asks_for_nothing(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.crm.delete("a", moment(0, 16))
    assert sync.writes(lambda: sync.sync(0)) == 0
    assert_accounted(sync, 0)


def test_a_field_that_the_crm_clears_is_cleared_and_what_an_agent_added_stays(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA, job_title="Countess", city="London")
    sync.sync(0)
    touch_by_hand(sync, "a", salutation="Lady", address={"city": "London", "postalCode": "W1"})
    sync.crm.put("a", moment(1), job_title=None, city=None)
    assert sync.sync(1) == {"updated": 1}
    fields = sync.contact("a").fields
    assert "title" not in fields
    assert "address.city" not in fields
    assert (fields["salutation"], fields["address.postalCode"]) == ("Lady", "W1")


def test_a_contact_deleted_by_hand_comes_back_on_the_next_change_and_all_its_links_follow(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.crm.put("b", moment(0), **ADA)
    sync.sync(0)
    gone = sync.contact("a").id
    sync.twin.store.contacts.delete(gone)
    sync.crm.put("a", moment(1), job_title="Countess")
    sync.sync(1)
    back = sync.contact("a")
    assert back.records == {"a", "b"}
    assert {row["contact"] for row in sync.table("contact_link")} == {back.id} != {gone}
    assert [row["contact"] for row in sync.table("genesys_mirror")] == [back.id]
    sync.crm.delete("a", moment(2))
    sync.crm.delete("b", moment(2))
    sync.sync(2)
    assert sync.contacts() == []


def test_a_contact_that_is_gone_already_counts_as_deleted(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    sync.twin.store.contacts.delete(sync.contact("a").id)
    sync.crm.delete("a", moment(1))
    assert sync.sync(1) == {"deleted": 1}


def test_of_two_reads_of_one_timestamp_the_later_wins_for_good(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA, job_title="first read")
    sync.read(0)
    stored = {name: sync.context.frames.read(name, window(0)) for name in ("crm_delta", "normalized_contacts")}
    sync.crm.put("a", moment(0), job_title="second read")
    sync.sync(0)
    assert sync.contact("a").fields["title"] == "second read"
    for name, frame in stored.items():
        sync.context.frames.write(name, window(0), frame)
    sync.plan(0)
    assert sync.writes(lambda: sync.deliver(0)) == 0
    assert sync.contact("a").fields["title"] == "second read"


def test_a_row_committed_late_is_found_by_the_overlap_of_the_next_window(sync: Sync) -> None:
    sync.sync(0)
    sync.crm.put("a", moment(1) - timedelta(minutes=20), **ADA)
    assert sync.sync(1) == {"created": 1}


@pytest.mark.parametrize("column", ["email", "first_name"])
def test_a_changed_identity_stays_the_same_contact(sync: Sync, column: str) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    before = sync.contact("a").id
    sync.crm.put("a", moment(1), **{column: "changed@example.org"})
    assert sync.sync(1) == {"updated": 1}
    assert sync.contact("a").id == before


def test_two_possible_contacts_hold_the_row_and_name_both(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.crm.put("b", moment(0), first_name="Ada", last_name="Lovelace", email="a.l@example.org")
    sync.sync(0)
    sync.crm.put("c", moment(1), email="ada@example.org", work_phone="+4930123456")
    sync.crm.put("b", moment(1), email="ada@example.org")
    assert sync.sync(1)["held"] == 1
    plan = sync.context.frames.read("dedup_matches", window(1))
    (held,) = plan.loc[plan["action"] == "hold"].to_dict("records")
    assert sorted(one.id for one in sync.contacts()) == sorted(json.loads(held["candidates"]))
