import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from contact_sync.contacts.decisions import DELETE_GUARD, TOGETHER
from contact_sync.contacts.identity import Directory, Link
from contact_sync.contacts.planning import Guard, make_plan, over
from contact_sync.contacts.requests import ContactRequest, combine, external_ids
from contact_sync.contacts.schemas import DEDUP_MATCHES, check
from contact_sync.contacts.seen import KEY
from contact_sync_tests.contacts.builders import column, link, moment, normalized, person, record

ANA = person(1)


def directory(*links: Link) -> Directory:
    known = Directory()
    for one in links:
        known.learn(one)
    return known


def plan(known: Directory, *rows: Mapping[str, Any], guard: Guard = lambda _removed: None) -> pd.DataFrame:
    frame = normalized(*rows)
    made = check(DEDUP_MATCHES, make_plan(frame, known, source="crm", guard=guard))
    assert column(made, "crm_id") == column(frame, "crm_id")
    return made


def requests(made: pd.DataFrame) -> list[ContactRequest | None]:
    return [ContactRequest.from_json(text) if text else None for text in column(made, "request")]


def changed(made: pd.DataFrame, index: int) -> list[tuple[str, str | None, str | None]]:
    return [(one["field"], one["old"], one["new"]) for one in json.loads(column(made, "changes")[index])]


def key_of(one: Link) -> tuple[str, str]:
    return (KEY, str(one.business_key))


# --- one record


def test_an_unknown_person_is_created() -> None:
    made = plan(directory(), record("1", ANA, account="A-1"))
    (request,) = requests(made)
    key = (KEY, f"A-1|{ANA['workPhone']}|{column(made, 'business_key')[0].split('|')[2]}")
    assert column(made, "action") == ["create"]
    assert column(made, "contact") == ["new:1"]
    assert request == ContactRequest("upsert", (("crm", "1"), key), (("crm", "1"), key), ANA)
    assert changed(made, 0)[0] == ("firstName", None, "First1")
    assert json.loads(column(made, "fields")[0]) == ANA


def test_a_changed_field_is_an_update() -> None:
    known = directory(link("1", "G1", ANA))
    made = plan(known, record("1", ANA | {"title": "Dr"}, at=1))
    (request,) = requests(made)
    assert request
    assert (column(made, "action"), column(made, "rule")) == (["update"], ["link"])
    assert (request.contact, request.clear, request.release) == (ANA | {"title": "Dr"}, (), False)
    assert changed(made, 0) == [("title", None, "Dr")]


def test_the_same_values_again_need_no_request() -> None:
    made = plan(directory(link("1", "G1", ANA)), record("1", ANA, at=1))
    assert column(made, "action") == ["unchanged"]
    assert requests(made) == [None]
    assert column(made, "accepted") == [True]


def test_only_what_was_delivered_is_cleared() -> None:
    known = directory(link("1", "G1", ANA | {"title": "Dr"}))
    (request,) = requests(plan(known, record("1", ANA, at=1)))
    assert request
    assert request.clear == ("title",)
    assert "title" not in request.contact


def test_the_business_key_stays_when_what_it_was_made_of_changes() -> None:
    known = directory(before := link("1", "G1", ANA))
    made = plan(known, record("1", person(2), at=1))
    (request,) = requests(made)
    assert request
    assert column(made, "business_key") == [before.business_key]
    assert request.external_ids == (("crm", "1"), key_of(before))


def test_an_account_that_changes_is_remembered_and_not_sent() -> None:
    known = directory(link("1", "G1", ANA, account="A-1"))
    made = plan(known, record("1", ANA, at=1, account="A-2"))
    assert column(made, "action") == ["unchanged"]
    assert column(made, "account") == ["A-2"]


def test_a_held_row_goes_by_with_its_reason() -> None:
    known = directory(before := link("1", "G1", ANA))
    made = plan(known, record("1", at=1, state="held", reason="no name"))
    assert (column(made, "action"), column(made, "reason")) == (["hold"], ["no name"])
    assert column(made, "accepted") == [False]
    assert known.link(("crm", "1")) == before


def test_a_superseded_row_goes_by() -> None:
    known = directory()
    made = plan(known, record("1", at=1, state="superseded", reason="a newer version"), record("1", ANA, at=2))
    assert column(made, "action") == ["unchanged", "create"]
    assert column(made, "accepted") == [False, True]


@pytest.mark.parametrize("kind", ["upsert", "delete", "merge"])
def test_an_older_version_changes_nothing(kind: str) -> None:
    known = directory(before := link("1", "G1", ANA, at=5))
    made = plan(known, record("1", person(2) if kind == "upsert" else {}, at=4, kind=kind))
    assert column(made, "action") == ["unchanged"]
    assert column(made, "reason") == ["stale: a newer version was delivered"]
    assert requests(made) == [None]
    assert known.link(("crm", "1")) == before


def test_of_two_versions_at_one_instant_the_one_read_last_wins() -> None:
    known = directory()
    plan(known, record("1", ANA, at=5, read=7))
    assert column(plan(known, record("1", person(2), at=5, read=6)), "accepted") == [False]
    assert column(plan(known, record("1", person(3), at=5, read=8)), "action") == ["update"]


# --- people with more than one record


def test_a_second_record_of_a_person_is_merged_into_the_contact() -> None:
    known = directory(first := link("1", "G1", ANA))
    made = plan(
        known, record("2", at=1, workEmail=ANA["workEmail"], title="Dr", firstName="First1", lastName="Last1")
    )
    (request,) = requests(made)
    assert request
    assert (column(made, "action"), column(made, "rule"), column(made, "contact")) == (
        ["merge"],
        ["email"],
        ["G1"],
    )
    assert request.contact == ANA | {"title": "Dr"}
    assert set(request.external_ids) >= {("crm", "1"), ("crm", "2"), key_of(first)}
    assert not request.release


def test_two_records_of_one_person_in_a_window_are_one_request() -> None:
    made = plan(directory(), record("1", ANA, at=1), record("2", ANA | {"title": "Dr"}, at=2))
    assert column(made, "action") == ["create", "merge"]
    assert column(made, "contact") == ["new:1", "new:1"]
    sent, none = requests(made)
    assert none is None
    assert sent
    assert sent.contact == ANA | {"title": "Dr"}
    assert {value for source, value in sent.external_ids if source == "crm"} == {"1", "2"}


def test_the_newest_value_wins_field_by_field() -> None:
    links = [link("1", "G1", {"title": "Dr"}, at=2), link("2", "G1", {"title": "Prof", "lastName": "Lopez"}, at=1)]
    assert combine(links) == {"lastName": "Lopez", "title": "Dr"}


def test_a_version_that_becomes_the_newest_of_the_contact_is_an_update() -> None:
    old, new = ANA | {"title": "Dr"}, ANA | {"title": "Prof"}
    known = directory(link("1", "G1", old, at=1), link("2", "G1", new, at=2))
    made = plan(known, record("1", old, at=3))
    (request,) = requests(made)
    assert request
    assert column(made, "action") == ["update"]
    assert changed(made, 0) == [("title", "Prof", "Dr")]


def test_the_request_is_carried_by_a_row_that_asks_for_it() -> None:
    known = directory(link("1", "G1", ANA, at=1), link("2", "G1", ANA, at=2))
    made = plan(known, record("1", ANA, at=3), record("2", ANA | {"title": "Dr"}, at=4))
    assert column(made, "action") == ["update", "update"]
    assert column(made, "reason") == [TOGETHER, None]
    assert [bool(request) for request in requests(made)] == [False, True]


def test_candidates_are_held_and_named() -> None:
    known = directory(link("1", "G1", ANA), link("2", "G2", ANA | {"workPhone": "+12125708399"}))
    made = plan(known, record("3", at=1, workEmail=ANA["workEmail"]))
    assert column(made, "action") == ["hold"]
    assert column(made, "reason") == ["the email rule finds 2 contacts"]
    assert json.loads(column(made, "candidates")[0]) == ["G1", "G2"]
    assert column(made, "accepted") == [False]
    assert known.link(("crm", "3")) is None


def test_a_later_window_of_the_run_sees_what_an_earlier_one_plans() -> None:
    known = directory()
    plan(known, record("1", ANA, at=1))
    made = plan(known, record("2", ANA, at=2))
    assert (column(made, "action"), column(made, "contact")) == (["merge"], ["new:1"])


# --- leaving


def test_a_deleted_record_takes_its_contact_with_it() -> None:
    known = directory(link("1", "G1", ANA))
    made = plan(known, record("1", at=1, kind="delete"))
    assert (column(made, "action"), column(made, "contact")) == (["delete"], ["G1"])
    assert requests(made) == [ContactRequest("remove")]
    assert column(plan(known, record("1", at=1, kind="delete")), "action") == ["unchanged"]


def test_the_loser_of_a_merge_leaves_with_the_reason() -> None:
    known = directory(link("1", "G1", ANA))
    made = plan(known, record("1", at=1, kind="merge", merged_into="2"))  # nothing is known of 2
    assert (column(made, "action"), column(made, "reason")) == (["delete"], ["merged into 2 in the CRM"])
    assert requests(made) == [ContactRequest("remove")]


def test_one_of_two_records_leaves_its_contact_and_releases_its_external_id() -> None:
    stays, leaves = link("1", "G1", ANA, at=1), link("2", "G1", ANA | {"title": "Dr"}, at=2)
    known = directory(stays, leaves)
    (request,) = requests(plan(known, record("2", at=3, kind="delete")))
    assert request
    assert request.kind == "upsert"
    assert request.external_ids == (("crm", "1"), key_of(stays))
    assert ("crm", "2") in request.matching
    assert request.release
    assert request.clear == ("title",)


def test_both_records_of_a_contact_leaving_is_one_removal() -> None:
    known = directory(link("1", "G1", ANA), link("2", "G1", ANA))
    made = plan(known, record("1", at=1, kind="delete"), record("2", at=1, kind="delete"))
    assert column(made, "action") == ["delete", "delete"]
    assert requests(made) == [ContactRequest("remove"), None]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_reindexed_record_is_an_update_and_no_removal(order: tuple[int, int]) -> None:
    known = directory(before := link("old", "G1", ANA))
    rows = [record("old", at=1, kind="delete"), record("new", ANA, at=2)]
    made = plan(known, *(rows[index] for index in order)).set_index("crm_id")
    assert made.loc["new", "action"] == "update"
    assert str(made.loc["new", "reason"]).startswith("re-indexed")
    assert made.loc["old", "action"] == "delete"
    assert set(made["contact"]) == {"G1"}
    (request,) = (one for one in requests(made) if one)
    assert request.kind == "upsert"
    assert request.external_ids == (("crm", "new"), key_of(before))
    assert request.matching[0] == ("crm", "old")
    assert request.release
    assert request.clear == ()


def test_a_record_that_was_deleted_before_it_was_delivered_asks_for_nothing() -> None:
    known = directory()
    made = plan(known, record("1", at=2, kind="delete"))
    assert column(made, "action") == ["unchanged"]
    assert (column(made, "accepted"), column(made, "contact"), requests(made)) == ([True], [None], [None])
    assert column(plan(known, record("1", ANA, at=1)), "accepted") == [False]


def test_a_record_that_comes_back_is_created_anew_with_its_key() -> None:
    known = directory(before := link("1", "G1", ANA))
    plan(known, record("1", at=1, kind="delete"))
    made = plan(known, record("1", person(1, title="Dr"), at=2))
    assert (column(made, "action"), column(made, "contact")) == (["create"], ["new:1"])
    assert column(made, "business_key") == [before.business_key]


# --- the parts


def test_external_ids_are_records_first_and_ten_at_most() -> None:
    links = [link(str(n), "G1", person(n), at=-n) for n in range(12)]
    assert external_ids(links[:2]) == (("crm", "0"), ("crm", "1"), key_of(links[0]), key_of(links[1]))
    assert external_ids(links) == tuple(("crm", str(n)) for n in range(10))


def test_a_request_survives_json() -> None:
    ids = (("crm", "1"), (KEY, "|é|"))
    request = ContactRequest("upsert", ids[:1], ids, {"title": "Dr"}, ("address.city",), release=True)
    assert ContactRequest.from_json(request.to_json()) == request
    assert "\n" not in request.to_json()


def test_an_empty_window_has_an_empty_plan() -> None:
    assert len(plan(directory())) == 0


def test_instants_of_the_plan_are_those_of_the_row() -> None:
    made = plan(directory(), record("1", ANA, at=1, read=3))
    assert made["modified_at"].tolist() == [moment(1)]
    assert made["read_at"].tolist() == [moment(3)]


def test_no_person_shows_in_a_repr() -> None:
    known = directory(one := link("1", "G1", ANA))
    (request,) = requests(plan(known, record("1", ANA | {"title": "Dr"}, at=1)))
    shown = f"{one!r} {request!r}"
    assert not [value for value in ANA.values() if value in shown]


# --- a mass delete


def three_leave_and_one_changes(limit: int) -> pd.DataFrame:
    known = directory(*(link(str(number), f"G{number}", person(number)) for number in range(1, 5)))
    leaving = [record(str(number), kind="delete", at=1) for number in range(1, 4)]
    return plan(known, *leaving, record("4", person(4, title="Dr"), at=1), guard=over(limit))


def test_as_many_deletes_as_allowed_go() -> None:
    assert column(three_leave_and_one_changes(3), "action") == [*["delete"] * 3, "update"]


def test_one_delete_too_many_holds_them_all_and_nothing_else() -> None:
    made = three_leave_and_one_changes(2)
    assert column(made, "action") == [*["hold"] * 3, "update"]
    assert column(made, "rule")[:3] == [DELETE_GUARD] * 3
    assert column(made, "accepted") == [False, False, False, True]
    assert column(made, "reason")[0].startswith("3 contacts would be removed, over the limit of 2 ")


def test_a_contact_that_another_record_keeps_is_no_removal() -> None:
    known = directory(link("1", "G1", ANA), link("2", "G1", ANA))
    assert column(plan(known, record("1", kind="delete", at=1), guard=over(0)), "action") == ["delete"]


def test_records_that_leave_a_contact_together_are_one_removal() -> None:
    known = directory(link("1", "G1", ANA), link("2", "G1", ANA))
    rows = [record(crm_id, kind="delete", at=1) for crm_id in ("1", "2")]
    assert column(plan(known, *rows, guard=over(1)), "action") == ["delete", "delete"]


def test_a_reindex_of_everybody_is_no_mass_delete() -> None:
    people = [person(number) for number in range(1, 6)]
    known = directory(*(link(f"old{i}", f"G{i}", one, account="A") for i, one in enumerate(people)))
    old = [record(f"old{i}", kind="delete", at=1) for i in range(len(people))]
    new = [record(f"new{i}", one, account="A", at=1) for i, one in enumerate(people)]
    made = plan(known, *old, *new, guard=over(0))
    assert column(made, "action") == [*["delete"] * 5, *["update"] * 5]


def test_a_delete_that_is_out_of_date_does_not_count() -> None:
    known = directory(link("1", "G1", ANA, at=2), link("2", "G2", person(2)))
    rows = [record("1", kind="delete", at=1), record("2", kind="delete", at=1)]
    assert column(plan(known, *rows, guard=over(1)), "action") == ["unchanged", "delete"]
