import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_sync.contacts.rules import contradict, folded, may_be, same_name

ANA = {"firstName": "Ana", "lastName": "Lopez"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("López", "LOPEZ"),
        ("O'Brien", "O\u2019Brien"),
        ("Anna-Lena", "Anna Lena"),
        ("Straße", "STRASSE"),
        ("Zoe\u0308", "Zoë"),
        ("Ελένη", "ΕΛΕΝΗ"),
    ],
)
def test_one_name_in_two_spellings_folds_to_one(one: str, other: str) -> None:
    assert folded(one) == folded(other) != ""


def test_names_that_differ_stay_different() -> None:
    names = ["Ana", "Anna", "Jon", "John", "李", "王", "की", "का", "김", "감"]
    assert len({*map(folded, names)}) == len(names)
    assert folded(" -. ") == ""


@given(name=st.text(max_size=20))
def test_what_is_folded_stays_folded(name: str) -> None:
    assert folded(folded(name)) == folded(name)


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({}, False),
        ({"lastName": "Lopez"}, False),
        ({"firstName": "ANA"}, False),
        ({"firstName": "Eva"}, True),
        ({"firstName": "A."}, True),
        ({"lastName": "Perez"}, True),
        (ANA | {"middleName": "Maria"}, False),
        (ANA | {"middleName": "B."}, True),
    ],
)
def test_names_contradict_where_one_of_them_differs(other: dict[str, str], *, differs: bool) -> None:
    ana = ANA | {"middleName": "M"}
    assert contradict(ana, other) == contradict(other, ana) == differs


def test_the_same_name_is_the_whole_name() -> None:
    assert same_name(ANA, {"firstName": "ána", "lastName": "lopez"})
    for half in ({"lastName": "Lopez"}, {"firstName": "Ana"}, {}):
        assert not same_name(ANA, half)
        assert not same_name(half, half)


@pytest.mark.parametrize("rule", ["email", "phone"])
def test_a_mailbox_or_number_needs_the_whole_name(rule: str) -> None:
    nameless: dict[str, str] = {}
    assert may_be(rule, ANA, [nameless, ANA])
    assert not may_be(rule, ANA, [ANA, {"firstName": "Eva"}])
    assert not may_be(rule, {"lastName": "Lopez"}, [ANA])
    assert may_be(rule, ANA, [nameless]) == may_be(rule, nameless, [ANA]) == (rule == "email")


@pytest.mark.parametrize(
    ("known", "may"),
    [
        ({}, True),
        ({"cellPhone": "+12125708393"}, True),
        ({"personalEmail": "A@example.com"}, True),
        ({"workEmail": "b@example.com"}, False),
        ({"workEmail": "a@example.com", "cellPhone": "+12125708394"}, False),
    ],
)
def test_people_of_one_name_at_one_company_are_told_apart_by_how_they_are_reached(
    known: dict[str, str], *, may: bool
) -> None:
    who = ANA | {"workEmail": "a@example.com"} | ({"homePhone": "+12125708393"} if "workEmail" in known else {})
    assert may_be("name", who, [ANA | known]) == may
