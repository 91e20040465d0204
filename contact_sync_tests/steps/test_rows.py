"""Row by row: one that is bad, or that Genesys refuses, ends with its reason and stops no other."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from contact_sync.contacts.schemas import records
from contact_sync.simulator.server import TwinServer
from contact_sync.simulator.settings import TwinSettings
from contact_sync.steps.extract import _text
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Row, Sync
from contact_sync_tests.steps.world import moment, window

BAD = {"first_name": "Charles", "last_name": "Babbage", "email": "bad@example.org"}


def upserts(sync: Sync, number: int = 0) -> Mapping[str, Row]:
    frame = sync.context.frames.read("genesys_upserts", window(number))
    return {row["crm_id"]: row for row in records(frame)}


def test_a_record_that_nothing_identifies_is_held_with_the_reason(sync: Sync) -> None:
    sync.crm.people(12, moment(0))
    sync.crm.put("bad", moment(0), first_name="Somebody")
    assert sync.sync(0) == {"created": 12, "held": 1}
    assert "nothing identifies this person" in upserts(sync)["bad"]["reason"]
    assert_accounted(sync, 0)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"last_name": "B" * 5000}, {"lastName": "B" * 1000}),
        ({"email": "not an address", "city": "London"}, {"address.city": "London"}),
        ({"first_name": "Char\x00les\x07", "city": " \t "}, {"firstName": "Charles"}),
        ({"work_phone": "call me", "mobile_phone": "+4915112345678"}, {"cellPhone": "+4915112345678"}),
        ({"city": "L" * 5000}, {"address.city": "L" * 100}),
        ({"job_title": "\N{PILE OF POO}\u202e'; DROP TABLE contacts"}, {}),
    ],
    ids=["endless name", "bad e-mail", "control characters", "bad number", "endless city", "odd signs"],
)
def test_what_can_be_used_of_a_bad_record_is(
    sync: Sync, columns: dict[str, object], expected: dict[str, str]
) -> None:
    sync.crm.people(12, moment(0))
    sync.crm.put("bad", moment(0), **(BAD | columns))
    assert sync.sync(0) == {"created": 13}
    fields = sync.contact("bad").fields
    assert expected.items() <= fields.items()
    assert ("workEmail" in fields) == ("email" not in columns)


def test_a_record_that_genesys_refuses_is_dead_with_the_reason_and_kept_as_the_crm_had_it(sync: Sync) -> None:
    sync.crm.people(12, moment(0))
    sync.crm.put("bad", moment(0), **BAD, work_phone=" 030/1234-56", country="DE", shoe_size=42)
    Answers(sync.session).refuse_items("bad@example.org", 422, "validation.failed", retryable=False)
    assert sync.sync(0) == {"created": 12, "dead": 1}
    ended = upserts(sync)["bad"]
    assert (ended["outcome"], ended["reason"], ended["status"]) == ("dead", "validation.failed", 422)
    assert ended["correlation_id"]
    kept = sync.queue()["bad"]
    assert (kept["state"], kept["attempts"], kept["last_error"]) == ("dead", 1, "validation.failed")
    assert kept["next_attempt_at"] is None
    assert (kept["version"], kept["modified_at"]) == (moment(0).isoformat(timespec="microseconds"), moment(0))
    assert (kept["window_start"], kept["window_end"]) == (window(0).start, window(0).end)
    original = {**BAD, "work_phone": " 030/1234-56", "country": "DE"}
    assert kept["change"] == {"kind": "upsert", "merged_into": None, "fields": original}
    assert [row["result"] for row in sync.table("audit") if row["crm_id"] == "bad"] == ["dead"]
    assert window(0) in sync.committed()
    assert_accounted(sync, 0)


def test_an_item_that_may_succeed_later_is_queued_with_its_next_attempt(sync: Sync) -> None:
    sync.crm.people(2, moment(0))
    sync.crm.put("bad", moment(0), **BAD)
    Answers(sync.session).refuse_items("bad@example.org", 503, "service.unavailable", retryable=True)
    assert sync.sync(0) == {"created": 2, "queued": 1}
    kept = sync.queue()["bad"]
    assert (kept["state"], kept["last_error"]) == ("waiting", "service.unavailable")
    assert kept["next_attempt_at"] > kept["queued_at"]
    assert window(0) in sync.committed()
    assert_accounted(sync, 0)


@pytest.mark.parametrize(("status", "retryable"), [(422, False), (503, True)])
def test_once_the_cause_is_gone_the_window_delivers_and_empties_the_queue(
    sync: Sync, status: int, *, retryable: bool
) -> None:
    sync.crm.people(2, moment(0))
    sync.crm.put("bad", moment(0), **BAD)
    answers = Answers(sync.session)
    answers.refuse_items("bad@example.org", status, "some.code", retryable=retryable)
    sync.sync(0)
    queued_at = sync.queue()["bad"]["queued_at"]
    sync.sync(0)
    again = sync.queue()["bad"]
    assert (again["attempts"], again["queued_at"]) == (2, queued_at)
    answers.pass_on()
    assert sync.sync(0) == {"created": 1, "unchanged": 2}
    assert sync.queue() == {}
    assert sync.writes(lambda: sync.sync(0)) == 0


def test_a_newer_version_that_is_delivered_takes_the_refused_one_off_the_queue(sync: Sync) -> None:
    sync.crm.put("bad", moment(0), **BAD)
    Answers(sync.session).refuse_items("bad@example.org", 422, "validation.failed", retryable=False)
    sync.sync(0)
    sync.crm.put("bad", moment(1), email="good@example.org")
    assert sync.sync(1) == {"created": 1}
    assert sync.queue() == {}


def test_a_refused_update_leaves_the_contact_and_all_rows_of_it_as_they_were(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **BAD, city="London")
    sync.crm.put("b", moment(0), **BAD)
    sync.sync(0)
    before = sync.contacts()
    sync.crm.put("a", moment(1), job_title="refuse me")
    sync.crm.put("b", moment(1, 16), city="Paris")
    answers = Answers(sync.session)
    answers.refuse_items("refuse me", 422, "validation.failed", retryable=False)
    assert sync.sync(1) == {"dead": 2}
    assert (sync.contacts(), set(sync.queue())) == (before, {"a", "b"})
    answers.pass_on()
    assert sync.sync(1) == {"updated": 2}
    assert sync.contact("a").fields["address.city"] == "Paris"


def test_a_refused_removal_is_kept_and_done_later(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **BAD)
    sync.sync(0)
    sync.crm.delete("a", moment(1))
    answers = Answers(sync.session)
    answers.refuse_items(sync.contact("a").id, 503, "service.unavailable", retryable=True)
    assert sync.sync(1) == {"queued": 1}
    assert sync.queue()["a"]["change"]["kind"] == "delete"
    answers.pass_on()
    assert sync.sync(1) == {"deleted": 1}
    assert (sync.contacts(), sync.queue()) == ([], {})


@pytest.mark.parametrize("state", ["sqlite", "postgresql"])
def test_what_the_organization_refuses_fits_every_state_database(
    request: pytest.FixtureRequest, tmp_path: Path, state: str
) -> None:
    url = request.getfixturevalue("postgres_url") if state == "postgresql" else ""
    with TwinServer(TwinSettings(require_name=True)) as twin, Sync(tmp_path, twin, state_url=url) as sync:
        sync.crm.people(3, moment(0))
        sync.crm.put("bad", moment(0), email="nobody@example.org", job_title="nul \x00 and \ufffe")
        assert sync.sync(0) == {"created": 3, "dead": 1}
        assert sync.queue()["bad"]["last_error"] == "validation.failed"
        assert sync.sync(0) == {"unchanged": 3, "dead": 1}
        assert_accounted(sync, 0)


def test_a_record_without_an_id_is_held_and_the_rest_delivered(sync: Sync) -> None:
    sync.crm.put("", moment(0), **BAD)
    sync.crm.put("a", moment(0), **BAD)
    assert sync.sync(0) == {"held": 1, "created": 1}
    assert_accounted(sync, 0)


def test_half_a_surrogate_pair_does_not_stop_the_window() -> None:
    assert _text("Ad\ud83da") == "Ad?a"
