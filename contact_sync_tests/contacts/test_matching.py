"""Set-based matching finds what a loop over dictionaries finds, and what hangs together."""

from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contact_sync.contacts.matching import (
    KNOWN,
    MEMBERS,
    PEOPLE,
    ROWS,
    RULES,
    Matching,
    hashed_keys,
    hashed_known,
    open_matching,
)
from contact_sync_tests.contacts import dictionary_match
from contact_sync_tests.contacts.dictionary_match import Someone

values = st.fixed_dictionaries(
    {},
    optional={
        "email": st.lists(st.sampled_from(["a@b.example", "c@d.example"]), min_size=1, max_size=2, unique=True),
        "phone": st.lists(st.sampled_from(["+1", "+2"]), min_size=1, max_size=2, unique=True),
        "name": st.lists(st.sampled_from(["n1", "n2"]), min_size=1, max_size=1),
        "key": st.lists(st.sampled_from(["k1", "k2"]), min_size=1, max_size=1),
    },
)
firsts, lasts = st.sampled_from([None, "ana", "eva"]), st.sampled_from([None, "lopez", "perez"])


@st.composite
def people(draw: st.DrawFn, names: str) -> Sequence[Someone]:
    records = draw(st.lists(st.sampled_from("123456"), max_size=6, unique=True))
    return [
        Someone(names + record, {"record": [record], **draw(values)}, draw(firsts), draw(lasts))
        for record in records
    ]


def told(rows: Sequence[Someone], stored: Sequence[Someone], matching: Matching) -> Matching:
    keys = [(n, rule, value) for n, row in enumerate(rows) for rule, some in row.values.items() for value in some]
    matching.add_rows(
        hashed_keys(table(keys, ROWS)), table([(n, row.first, row.last) for n, row in enumerate(rows)], PEOPLE)
    )
    known = [(rule, value, one.name) for one in stored for rule, some in one.values.items() for value in some]
    matching.add_known(hashed_known(table(known, KNOWN)))
    matching.add_members(table([(one.name, one.first, one.last) for one in stored], MEMBERS))
    names = {one.name: [{"firstName": one.first or "", "lastName": one.last or ""}] for one in stored}
    matching.bar_shared(lambda contacts: {contact: names[contact] for contact in contacts})
    return matching


def table(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


@settings(deadline=None, max_examples=40)
@given(rows=people("row"), stored=people("G"), rules=st.permutations(RULES), some=st.integers(0, 3))
def test_links_are_those_of_a_loop_over_dictionaries(
    rows: Sequence[Someone], stored: Sequence[Someone], rules: Sequence[str], some: int
) -> None:
    with open_matching(3) as matching:
        found = told(rows, stored, matching).links(rules[:some]).to_pylist()
    links = [(rows[one["row"]].name, one["rule"], one["candidates"]) for one in found]
    assert sorted(links) == sorted(dictionary_match.links(rows, stored, rules[:some], 3))


def groups(*rows: Someone, stored: Sequence[Someone] = (), threshold: int = 3) -> list[int]:
    with open_matching(threshold) as matching:
        return list(map(int, told(rows, stored, matching).groups(len(rows))))


def someone(number: int, **more: str) -> Someone:
    known = {rule: [value] for rule, value in more.items()}
    return Someone(f"p{number}", {"record": [str(number)], **known}, f"first{number}", f"last{number}")


def test_rows_that_share_nothing_are_alone() -> None:
    assert groups(someone(1, email="a"), someone(2, email="b"), someone(3)) == [0, 1, 2]


def test_rows_hang_together_through_others_and_through_stored_contacts() -> None:
    rows = [someone(1, email="a"), someone(2, phone="+1"), someone(3), someone(4, email="a", phone="+1")]
    assert groups(*rows) == [0, 0, 2, 0]
    contact = Someone("G1", {"email": ["a"], "phone": ["+1"]}, "first1", "last1")
    assert groups(someone(1, email="a"), someone(2), someone(3, phone="+1"), stored=[contact]) == [0, 1, 0]


def test_what_too_many_share_holds_nothing_together() -> None:
    crowd = [someone(number, phone="+1") for number in range(4)]
    assert groups(*crowd) == [0, 1, 2, 3]
    assert groups(*crowd, threshold=5) == [0, 0, 0, 0]


@pytest.mark.parametrize("number", [3, 50])
def test_one_person_under_many_ids_is_not_a_crowd(number: int) -> None:
    again = Someone("p", {"phone": ["+1"]}, "ana", "lopez")
    assert groups(*[again] * number) == [0] * number


def test_no_extension_is_fetched() -> None:
    with open_matching(3) as matching:
        asked = "SELECT value FROM duckdb_settings() WHERE name LIKE 'auto%_known_extensions'"
        assert matching._fetch(asked) == [("false",), ("false",)]
