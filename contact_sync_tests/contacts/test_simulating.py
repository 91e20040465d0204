"""What other rules would make of the people that are known."""

from hypothesis import given
from hypothesis import strategies as st

from contact_sync.contacts.identity import Link
from contact_sync.contacts.rules import IdentityRules
from contact_sync.contacts.seen import Seen
from contact_sync.contacts.simulating import Simulation, simulate
from contact_sync_tests.contacts.builders import link

ANA = {"firstName": "Ana", "lastName": "Lopez"}
EMAIL, PHONE = {"workEmail": "ana@example.com"}, {"cellPhone": "+12125708393"}
ALL = IdentityRules()
NO_PHONE = IdentityRules(rules=("email", "name"))


def outcome(*links: Link, rules: IdentityRules = ALL, others: tuple[Seen, ...] = ()) -> Simulation:
    return simulate(links, others, rules)


def mailed(address: str) -> dict[str, str]:
    return ANA | {"workEmail": f"{address}@example.com"}


def test_rules_that_are_those_of_today_move_nobody() -> None:
    same = outcome(link("1", "G1", ANA | EMAIL), link("2", "G1", ANA | EMAIL, at=1), link("3", "G3", PHONE))
    assert (same.records, same.contacts, same.people) == (3, 2, 2)
    assert (same.relinked, same.merged, same.split, same.held, same.examples) == (0, 0, 0, {}, [])


def test_a_rule_that_is_switched_off_splits_a_contact() -> None:
    two = (link("1", "G1", mailed("a") | PHONE), link("2", "G1", mailed("b") | PHONE, at=1))
    assert outcome(*two).split == 0
    fallen = outcome(*two, rules=NO_PHONE)
    assert (fallen.people, fallen.split, fallen.relinked, fallen.examples) == (2, 1, 1, ["2"])


def test_a_rule_that_is_switched_on_merges_contacts() -> None:
    two = (link("1", "G1", mailed("a") | PHONE), link("2", "G2", mailed("b") | PHONE, at=1))
    joined = outcome(*two)
    assert (joined.contacts, joined.people, joined.merged, joined.relinked) == (2, 1, 1, 1)
    assert outcome(*two, rules=NO_PHONE).merged == 0


def test_a_record_that_several_contacts_fit_is_held_by_its_rule() -> None:
    held = outcome(
        link("1", "G1", mailed("a")),
        link("2", "G2", mailed("b"), at=1),
        link("3", "G1", mailed("a") | {"personalEmail": "b@example.com"}, account="A-1", at=2),
    )
    assert (held.held, held.people, held.examples) == ({"email": 1}, 2, ["3"])


def test_a_contact_of_others_may_be_taken_over() -> None:
    stranger = Seen("G9", ANA | EMAIL)
    taken = outcome(link("1", "G1", ANA | EMAIL), others=(stranger,))
    assert (taken.adopted, taken.people) == (1, 1)


def test_nobody_is_replayed_where_nobody_is() -> None:
    assert outcome() == Simulation(0, 0, 0, 0, 0, 0, 0, {}, [])


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("123"), st.booleans()), max_size=8))
def test_people_and_held_add_up(drawn: list[tuple[str, str, bool]]) -> None:
    links = [
        link(
            str(number),
            f"G{contact}",
            ANA | {"lastName": name} | (EMAIL if by_mail else PHONE),
            at=number,
        )
        for number, (name, contact, by_mail) in enumerate(drawn)
    ]
    told = simulate(links, (), ALL)
    assert told.records == len(links)
    assert told.people + sum(told.held.values()) <= told.records
    assert told.merged <= max(told.contacts - 1, 0)
    assert told.relinked <= told.records
