"""The life of a record, as it is put together from frames and state."""

import pytest
from rich.console import Console

from contact_sync.rendering_lives import explanation_tables
from contact_sync.steps.explain import Explanation, explain, understand
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.waiting import ADA, queued
from contact_sync_tests.steps.world import moment, window

WINDOWS = [window(number) for number in range(3)]
BERT = {"first_name": "Bert", "last_name": "Byron", "work_phone": "+49 30 123456"}


def life(sync: Sync, text: str) -> Explanation:
    return explain(sync.context, text, [one for one in WINDOWS if sync.context.frames.has("crm_delta", one)])


def crm_ids(found: Explanation) -> list[str]:
    return [one.record[1] for one in found.records]


@pytest.mark.parametrize("text", ["+1-800-555-0199", "18005550199", "0018005550199", " (800) 555 0199 "])
def test_a_number_is_understood_however_it_is_dialled(text: str) -> None:
    assert understand(text, "US").number == "+18005550199"


@pytest.mark.parametrize("text", ["18005550199", "0018005550199", "+1-800-555-0199"])
def test_a_number_needs_no_country_where_it_carries_its_code(text: str) -> None:
    assert understand(text).number == "+18005550199"


def test_what_is_no_number_is_an_id() -> None:
    asked = understand(" 003xyz ")
    assert (asked.crm_id, asked.number, asked.email) == ("003xyz", None, None)
    assert understand("Ada@Example.com").email == "ada@example.com"


def test_a_record_is_told_window_by_window(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    sync.crm.put("a", moment(1), job_title="Countess")
    sync.sync(1)
    [record] = life(sync, "a").records
    assert [(one.window, one.plan["action"], one.outcome["outcome"]) for one in record.sightings] == [
        (window(0), "create", "created"),
        (window(1), "update", "updated"),
    ]
    assert [[change["field"] for change in write["changes"]][-1:] for write in record.writes][1] == ["title"]
    assert (record.queued, record.unanswered) == (None, False)


def test_all_ways_to_ask_find_the_same(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **(ADA | {"work_phone": "+49 30 123456", "email": "ada@example.com"}))
    sync.sync(0)
    told = life(sync, "a")
    contact = sync.contact("a").id
    for text in (
        contact,
        contact.upper(),
        "ada@example.com",
        "ADA@example.com",
        "+49 30 123456",
        "0049 30 123456",
    ):
        assert life(sync, text) == told
    assert [one.contact for one in told.contacts] == [contact]


def test_a_number_finds_whoever_has_an_extension_of_it(sync: Sync) -> None:
    sync.crm.put("a", moment(0), first_name="Ada", last_name="Lovelace", work_phone="+49 30 123456 ext. 7")
    sync.sync(0)
    assert crm_ids(life(sync, "+4930123456")) == ["a"]


def test_records_of_one_contact_are_told_together(sync: Sync) -> None:
    for crm_id in ("a", "b"):
        sync.crm.put(crm_id, moment(0), **ADA)
    sync.sync(0)
    found = life(sync, "b")
    assert crm_ids(life(sync, found.contacts[0].contact)) == ["a", "b"]
    assert [crm_id for _, crm_id in found.contacts[0].members] == ["a", "b"]


def test_a_record_that_was_held_is_found_by_what_it_carries(sync: Sync) -> None:
    sync.crm.put("x", moment(0), **BERT)
    sync.crm.put("y", moment(0), **(BERT | {"account_id": "other"}), email="bert@example.com")
    sync.sync(0)
    sync.crm.put("h", moment(1), first_name="Nobody")
    sync.sync(1)
    [held] = life(sync, "h").records
    assert (held.link, held.sightings[0].outcome["outcome"]) == (None, "held")
    assert "nothing identifies" in held.sightings[0].read["reason"]


def test_candidates_between_which_nobody_guessed_are_told(sync: Sync) -> None:
    for crm_id, account in (("a", "one"), ("b", "two")):
        sync.crm.put(crm_id, moment(0), first_name="Ada", email=f"{crm_id}@example.com", account_id=account)
        sync.crm.put(crm_id, moment(0), last_name=crm_id)
    sync.sync(0)
    sync.crm.put("a", moment(1), last_name="Lovelace", work_phone="+49 30 123456")
    sync.crm.put("b", moment(1), last_name="Lovelace", work_phone="+49 30 123456")
    sync.sync(1)
    sync.crm.put("c", moment(2), first_name="Ada", last_name="Lovelace", work_phone="+49 30 123456")
    sync.sync(2)
    [record] = life(sync, "c").records
    [sighting] = record.sightings
    assert (sighting.plan["action"], sighting.plan["rule"]) == ("hold", "phone")
    assert all(sync.contact(crm_id).id in sighting.plan["candidates"] for crm_id in ("a", "b"))


def test_what_waits_is_told_with_its_attempts(sync: Sync, answers: Answers) -> None:
    queued(sync, answers)
    [record] = life(sync, "a").records
    assert record.queued is not None
    assert (record.queued["state"], record.queued["attempts"]) == ("waiting", 1)
    assert (record.link, [write["result"] for write in record.writes]) == (None, ["queued"])


def test_a_contact_that_shares_a_switchboard_says_so(sync: Sync) -> None:
    for number, name in enumerate(("Ada", "Bert", "Cora")):
        sync.crm.put(name, moment(0), first_name=name, last_name=f"L{number}", work_phone="+49 30 123456")
    sync.sync(0)
    [contact] = life(sync, "Ada").contacts
    assert contact.shared == ["phone"]


def test_a_frame_that_was_removed_leaves_the_rest(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **ADA)
    sync.sync(0)
    [record] = explain(sync.context, "a", [window(0), window(9)]).records
    assert len(record.sightings) == 1


def test_of_a_stranger_nothing_is_known(sync: Sync) -> None:
    sync.sync(0)
    for text in ("nobody", "nobody@example.com", "+49 30 999999", ""):
        assert life(sync, text) == Explanation([], [])


def test_a_record_between_two_contacts_is_not_told_as_deleted(sync: Sync) -> None:
    for crm_id in "ab":
        sync.crm.put(crm_id, moment(0), **ADA)
    sync.sync(0)
    answers = Answers(sync.session)
    answers.refuse_items('"firstName": "Bert"', 503, "service.unavailable", retryable=True)
    sync.crm.put("b", moment(1), **BERT, email="bert@example.org")
    assert sync.sync(1) == {"queued": 1}
    console = Console(record=True, width=200)
    with console.capture() as told:
        console.print(explanation_tables(life(sync, "b"), values=False))
    assert "has left its contact to be another one, which is not delivered yet" in told.get()
