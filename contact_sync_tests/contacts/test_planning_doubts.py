"""What is planned while answers are missing: a record may be any of the contacts that requests made it."""

import pytest

from contact_sync.contacts.identity import Directory, Link
from contact_sync.contacts.requests import ContactRequest
from contact_sync.contacts.seen import Seen
from contact_sync_tests.contacts.builders import column, link, person, record
from contact_sync_tests.contacts.test_planning import directory, plan, requests

ANA, EVA = person(1), person(2)
ONE, TWO = ("crm", "1"), ("crm", "2")


def in_doubt(*sent: Link, linked: tuple[Link, ...] = ()) -> Directory:
    known = directory(*linked)
    for one in sent:
        known.learn_unanswered(one)
    return known


def only(made: list[ContactRequest | None]) -> ContactRequest:
    (request,) = [one for one in made if one]
    return request


def test_a_delete_takes_along_every_contact_that_the_record_may_be() -> None:
    known = in_doubt(link("1", "new:1", EVA, at=2), linked=(link("1", "G1", ANA), link("2", "G1", ANA)))
    request = only(requests(plan(known, record("1", at=3, kind="delete"))))
    assert (request.kind, ONE in request.external_ids) == ("upsert", False)
    assert request.leaves == ("new:1",)
    assert request.first["new:1"].kind == "remove"
    assert ONE in request.first["new:1"].matching


def test_a_repeated_merge_still_knows_what_was_to_be_merged() -> None:
    known = in_doubt(
        link("2", "new:2", EVA), link("2", "G1", {}, at=1), linked=(link("1", "G1", ANA),)
    )  # made without an answer, then merged without one
    request = only(requests(plan(known, record("2", at=1, kind="merge", merged_into="1"))))
    assert (request.kind, request.absorbed) == ("upsert", ("new:2",))
    assert TWO in request.matching


def test_who_may_have_left_a_contact_is_not_looked_for_there() -> None:
    """The request that took the record off may have been done, and its id may be another contact's by now."""
    known = in_doubt(link("1", "new:1", ANA), link("2", "new:1", {}, at=1))
    request = only(requests(plan(known, record("1", at=2, kind="delete"))))
    assert (request.kind, ONE in request.matching, TWO in request.matching) == ("remove", True, False)


def test_a_contact_that_only_lost_records_is_not_removed() -> None:
    made = plan(in_doubt(link("1", "new:9", {}, at=1)), record("1", at=2, kind="delete"))
    assert requests(made) == [None]


def test_a_record_leaves_whom_it_may_have_joined() -> None:
    known = in_doubt(link("1", "G2", EVA, at=1), linked=(link("2", "G2", EVA),))
    made = plan(known, record("1", ANA, at=2))
    assert column(made, "contact") == ["new:1"]
    request = only(requests(made))
    assert request.leaves == ("G2",)
    assert request.first["G2"].external_ids[0] == TWO
    assert request.first["G2"].release


def test_who_takes_the_place_of_a_record_in_doubt_keeps_the_contact() -> None:
    known = in_doubt(link("1", "new:1", ANA))
    made = plan(known, record("2", ANA, at=1), record("1", EVA, at=2))
    assert column(made, "contact") == ["new:1", "new:new:1"]


def test_the_records_of_one_doubt_are_compared_with_each_other() -> None:
    """Both may have become one contact: who is somebody else now is so wherever the other one is."""
    known = in_doubt(link("1", "new:1", ANA), link("2", "new:1", ANA))
    made = plan(known, record("2", EVA, at=1))
    assert column(made, "contact") == ["new:2"]
    assert only(requests(made)).leaves == ("new:1",)


@pytest.mark.parametrize(("ours", "kind"), [((), "leave"), ((ONE,), "remove")])
def test_a_contact_of_others_stays_when_its_adoption_is_in_doubt(
    ours: tuple[tuple[str, str], ...], kind: str
) -> None:
    known = in_doubt(link("1", "G1", ANA))
    known.learn_seen(Seen("G1", ANA, ours))
    assert only(requests(plan(known, record("1", at=1, kind="delete")))).kind == kind
