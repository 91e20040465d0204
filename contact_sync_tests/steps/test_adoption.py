"""Contacts that were in Genesys before us: found, given our external id, completed, and left as they were."""

import pytest
import sqlalchemy as sa

from contact_sync.contacts.decisions import ADOPTED, FOUND_AGAIN
from contact_sync.simulator.errors import Json
from contact_sync.simulator.faults import Faults
from contact_sync.state.tables import CONTACT_LINK, GENESYS_MIRROR, MIRROR_IDENTIFIER
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Held, Sync
from contact_sync_tests.steps.test_contacts import ADA, removals
from contact_sync_tests.steps.world import moment, window

CLAIM = "PATCH /api/v2/externalcontacts/contacts/{contactId}/identifiers"
THERE: Json = {
    "firstName": "Ada",
    "lastName": "Lovelace",
    "workEmail": "ADA@example.org",
    "salutation": "Countess",
    "otherPhone": {"display": "+4930999999"},
}


@pytest.fixture
def there(sync: Sync) -> str:
    """A contact that somebody made in Genesys, and that the mirror has seen."""
    contact_id, _ = sync.twin.store.contacts.create(THERE)
    sync.mirror()
    return contact_id


def held(sync: Sync, contact_id: str) -> Held:
    (found,) = [one for one in sync.contacts() if one.id == contact_id]
    return found


def claims(sync: Sync) -> int:
    return int(sync.stats()["by_operation"].get(CLAIM, 0))


def reasons(sync: Sync, number: int) -> list[str]:
    return list(sync.context.frames.read("dedup_matches", window(number))["reason"])


def test_a_record_adopts_the_contact_that_it_is_and_completes_it(sync: Sync, there: str) -> None:
    before = claims(sync)
    sync.crm.put("a", moment(0), **ADA, city="London")
    assert sync.sync(0) == {"updated": 1}
    assert len(sync.contacts()) == 1
    adopted = held(sync, there)
    assert adopted.records == {"a"}
    assert adopted.fields == {
        "firstName": "Ada",
        "lastName": "Lovelace",
        "workEmail": "ada@example.org",
        "salutation": "Countess",
        "otherPhone": "+4930999999",
        "address.city": "London",
    }
    assert (claims(sync) - before, reasons(sync, 0)) == (1, [ADOPTED])
    assert_accounted(sync, 0)
    assert sync.writes(lambda: sync.sync(0)) == 0


def test_a_number_that_only_genesys_knows_finds_the_contact_too(sync: Sync, there: str) -> None:
    sync.crm.put("a", moment(0), first_name="Ada", last_name="Lovelace", mobile_phone="+4930999999")
    sync.sync(0)
    assert held(sync, there).records == {"a"}
    sync.crm.put("b", moment(1), first_name="Ada", last_name="Lovelace", work_phone="+4930999999", account_id="x")
    sync.sync(1)
    assert held(sync, there).records == {"a", "b"}


def test_somebody_elses_contact_is_not_adopted(sync: Sync, there: str) -> None:
    sync.crm.put("a", moment(0), **ADA | {"first_name": "Byron"})
    assert sync.sync(0) == {"created": 1}
    assert held(sync, there).records == frozenset()


def test_two_contacts_that_it_may_be_are_not_guessed_between(sync: Sync, there: str) -> None:
    other, _ = sync.twin.store.contacts.create(THERE)
    sync.mirror()
    sync.crm.put("a", moment(0), **ADA)
    assert sync.sync(0) == {"held": 1}
    (candidates,) = sync.context.frames.read("dedup_matches", window(0))["candidates"]
    assert there in candidates
    assert other in candidates


def test_what_others_filled_is_never_cleared(sync: Sync, there: str) -> None:
    sync.crm.put("a", moment(0), **ADA, job_title="Analyst")
    sync.sync(0)
    sync.crm.put("a", moment(1), job_title=None)
    sync.sync(1)
    fields = held(sync, there).fields
    assert "title" not in fields
    assert (fields["salutation"], fields["otherPhone"]) == ("Countess", "+4930999999")


@pytest.mark.parametrize("lost", [Faults(lost=1), Faults(item_error_done=1)])
def test_an_adoption_without_an_answer_is_repeated(sync: Sync, there: str, lost: Faults) -> None:
    sync.crm.people(1, moment(0))
    sync.sync(0)  # the external sources are there
    sync.crm.put("a", moment(1), **ADA)
    sync.twin.faults = lost
    try:
        assert sync.sync(1)["queued"] == 1
    finally:
        sync.twin.faults = Faults()
    sync.crm.put("a", moment(2), email="new@example.org", city="London")
    sync.sync(2)
    assert len(sync.contacts()) == 2
    assert held(sync, there).records == {"a"}
    assert held(sync, there).fields["workEmail"] == "new@example.org"
    assert sync.queue() == {}
    assert sync.table("in_flight") == []
    assert sync.writes(lambda: sync.sync(1, 2)) == 0


def test_what_a_lost_answer_may_have_overwritten_is_what_it_was(sync: Sync, there: str) -> None:
    sync.crm.people(1, moment(0))
    sync.sync(0)
    Answers(sync.session).lose()
    sync.crm.put("a", moment(1), **ADA, job_title="Analyst")
    contact_id, old = sync.twin.store.contacts.fetch(there)
    sync.twin.store.contacts.change(contact_id, old, old | {"title": "Poet"})
    sync.session.mount("http://", Answers(sync.session))
    sync.mirror()
    Answers(sync.session).lose()
    sync.sync(1)
    sync.session.mount("http://", Answers(sync.session))
    sync.crm.put("a", moment(2), job_title=None)
    sync.sync(2)
    assert held(sync, there).fields["title"] == "Poet"


def test_a_contact_that_is_gone_meanwhile_is_made(sync: Sync, there: str) -> None:
    sync.twin.store.contacts.delete(there)
    sync.crm.put("a", moment(0), **ADA)
    assert sync.sync(0) == {"queued": 1}
    sync.later(hours=1)
    assert sync.retry() == {"created": 1}
    assert len(sync.contacts()) == 1
    assert {row["contact"] for row in sync.table("genesys_mirror")} == {sync.contact("a").id}


def test_an_external_id_that_another_contact_has_is_not_taken_from_it(sync: Sync, there: str) -> None:
    source = sync.context.genesys.ensure_external_source("contact_sync crm")
    body: Json = {"lastName": "B", "externalIds": [{"externalSource": {"id": source}, "value": "a"}]}
    sync.twin.store.contacts.create(body)  # after the scan
    sync.crm.put("a", moment(0), **ADA)
    assert sync.sync(0) == {"dead": 1}
    assert sync.queue()["a"]["last_error"] == "identifier.claim.conflict"
    assert held(sync, there).fields["workEmail"] == "ADA@example.org"


def test_a_deleted_record_leaves_its_contact_to_whom_it_belonged_before(sync: Sync, there: str) -> None:
    removed = removals(sync)
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    sync.crm.delete("a", moment(1))
    assert sync.sync(1) == {"deleted": 1}
    left = held(sync, there)
    assert (left.records, left.fields["salutation"]) == (frozenset(), "Countess")
    _, entity = sync.twin.store.contacts.fetch(there)
    assert not entity.get("externalIds")
    assert removals(sync) == removed
    assert sync.writes(lambda: sync.sync(0, 1)) == 0
    sync.crm.put("a", moment(2), is_deleted=0)
    sync.sync(2)
    assert held(sync, there).records == {"a"}


def test_external_ids_of_others_survive_when_one_of_ours_goes(sync: Sync) -> None:
    source = sync.context.genesys.ensure_external_source("someone else")
    theirs: Json = {"externalSource": {"id": source}, "value": "x"}
    one, _ = sync.twin.store.contacts.create(THERE | {"externalIds": [theirs]})
    sync.mirror()
    sync.crm.put("a", moment(0), **ADA)
    sync.crm.put("b", moment(0), **ADA)
    sync.sync(0)
    sync.crm.delete("b", moment(1))
    sync.sync(1)
    assert held(sync, one).records == {"a"}
    _, entity = sync.twin.store.contacts.fetch(one)
    assert theirs in entity["externalIds"]


# --- the state database is lost


def forget(sync: Sync) -> None:
    with sync.engine.begin() as connection:
        for table in (CONTACT_LINK, GENESYS_MIRROR, MIRROR_IDENTIFIER):
            connection.execute(sa.delete(table))


def test_links_that_were_lost_are_found_again_without_a_request(sync: Sync) -> None:
    sync.crm.people(12, moment(0))
    sync.crm.put("a", moment(0), **ADA, city="London")
    sync.crm.put("b", moment(1), **ADA, job_title="Analyst", mobile_phone="+4930123456")
    sync.sync(0, 1)
    links = {row["crm_id"]: row["contact"] for row in sync.table("contact_link")}
    forget(sync)
    sync.mirror()
    assert sync.writes(lambda: sync.sync(0, 1)) == 0
    assert {row["crm_id"]: row["contact"] for row in sync.table("contact_link")} == links
    assert set(reasons(sync, 0)) == {FOUND_AGAIN}


def test_a_record_that_was_re_indexed_meanwhile_is_found_by_its_business_key(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    before = sync.contact("a")
    forget(sync)
    sync.mirror()
    sync.crm.execute("DELETE FROM contacts")
    sync.crm.put("b", moment(1), **ADA)
    assert sync.sync(1) == {"updated": 1}
    assert sync.contact("b").id == before.id
