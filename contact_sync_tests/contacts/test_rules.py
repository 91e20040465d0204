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


def test_the_same_name_is_a_last_name_with_the_same_first_name_or_none() -> None:
    assert same_name(ANA, {"firstName": "ána", "lastName": "lopez"})
    assert same_name({"lastName": "Lopez"}, {"lastName": "Lopez"})
    assert not same_name(ANA, {"lastName": "Lopez"})
    assert not same_name({"firstName": "Ana"}, {"firstName": "Ana"})


def test_one_record_that_contradicts_rules_a_contact_out() -> None:
    nameless: dict[str, str] = {}
    assert may_be("email", ANA, [nameless, ANA])
    assert may_be("phone", ANA, [nameless, ANA])
    assert not may_be("phone", ANA, [nameless])
    assert not may_be("email", ANA, [ANA, {"firstName": "Eva"}])
