from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from contact_sync.state.bulk import COPY_FROM, chunks, upsert
from contact_sync.state.database import StateError, transaction
from contact_sync.state.tables import CONTACT_LINK, MIRROR_IDENTIFIER
from contact_sync_tests.contacts.builders import moment

Row = dict[str, Any]
SIZES = [1, COPY_FROM + 1]


def row(crm_id: str, modified: float = 0, read: float = 0, **values: object) -> Row:
    return {
        "source": "crm",
        "crm_id": crm_id,
        "contact": None,
        "business_key": "A|+12125708393|ü\t\\N",
        "version": f"{modified}/{read}",
        "modified_at": moment(modified),
        "read_at": moment(read),
        "account": None,
        "fields": {"lastName": 'O"Brien\n'},
        **values,
    }


def stored(engine: Engine) -> dict[str, Row]:
    with engine.begin() as connection:
        return {str(found["crm_id"]): dict(found) for found in connection.execute(select(CONTACT_LINK)).mappings()}


@pytest.mark.parametrize("size", SIZES)
def test_rows_come_back_as_they_went(engine: Engine, size: int) -> None:
    rows = [row(str(number)) for number in range(size)]
    with engine.begin() as connection:
        upsert(connection, CONTACT_LINK, rows)
    assert stored(engine) == {one["crm_id"]: one for one in rows}


@pytest.mark.parametrize("size", SIZES)
def test_rows_of_the_same_key_are_overwritten_and_others_stay(engine: Engine, size: int) -> None:
    with engine.begin() as connection:
        upsert(connection, CONTACT_LINK, [row("0", contact="old"), row("other", contact="old")])
        upsert(connection, CONTACT_LINK, [row(str(number), contact="new") for number in range(size)])
    contacts = {crm_id: one["contact"] for crm_id, one in stored(engine).items()}
    assert contacts == {**{str(number): "new" for number in range(size)}, "other": "old"}


@pytest.mark.parametrize("size", SIZES)
def test_a_stored_row_that_is_newer_stays(engine: Engine, size: int) -> None:
    with engine.begin() as connection:
        upsert(connection, CONTACT_LINK, [row("0", modified=2, contact="newer")])
        rows = [row(str(number), modified=1, contact="older") for number in range(size)]
        upsert(connection, CONTACT_LINK, rows, newer_by=("modified_at", "read_at"))
    contacts = {crm_id: one["contact"] for crm_id, one in stored(engine).items()}
    assert contacts == {**{str(number): "older" for number in range(size)}, "0": "newer"}


def test_in_every_order_the_newest_version_is_what_stays(engine: Engine) -> None:
    versions = [(1, 9), (2, 3), (2, 4)]
    for name, order in enumerate(permutations(versions)):
        for modified, read in order:
            with engine.begin() as connection:
                upsert(
                    connection, CONTACT_LINK, [row(str(name), modified, read)], newer_by=("modified_at", "read_at")
                )
    assert {one["version"] for one in stored(engine).values()} == {"2/4"}


def test_an_equal_version_is_written_again(engine: Engine) -> None:
    for contact in ("one", "two"):
        with engine.begin() as connection:
            upsert(connection, CONTACT_LINK, [row("1", contact=contact)], newer_by=("modified_at", "read_at"))
    assert stored(engine)["1"]["contact"] == "two"


@pytest.mark.parametrize("size", SIZES)
def test_a_table_of_keys_only_takes_a_row_twice(engine: Engine, size: int) -> None:
    rows = [{"contact": "G1", "rule": "phone", "value": str(number)} for number in range(size)]
    with engine.begin() as connection:
        upsert(connection, MIRROR_IDENTIFIER, rows)
        upsert(connection, MIRROR_IDENTIFIER, rows)
        assert len(connection.execute(select(MIRROR_IDENTIFIER)).all()) == size


def test_no_rows_is_no_statement(engine: Engine) -> None:
    with engine.begin() as connection:
        upsert(connection, CONTACT_LINK, [])
    assert stored(engine) == {}


@pytest.mark.parametrize("size", SIZES)
def test_all_rows_or_none(engine: Engine, size: int) -> None:
    rows = [*(row(str(number)) for number in range(size)), row("bad", version=None)]
    with pytest.raises(StateError), transaction(engine) as connection:
        upsert(connection, CONTACT_LINK, rows)
    assert stored(engine) == {}


def test_an_instant_without_timezone_is_refused_before_it_is_written(engine: Engine) -> None:
    naive = row("1") | {"modified_at": moment(0).replace(tzinfo=None)}
    with pytest.raises(ValueError, match="needs a timezone"), engine.begin() as connection:
        upsert(connection, CONTACT_LINK, [naive])


def test_microseconds_order_versions(engine: Engine) -> None:
    early = row("1") | {"modified_at": moment(0) + timedelta(microseconds=9)}
    late = row("1", contact="late") | {"modified_at": moment(0) + timedelta(microseconds=10)}
    for one in (late, early):
        with engine.begin() as connection:
            upsert(connection, CONTACT_LINK, [one], newer_by=("modified_at",))
    assert stored(engine)["1"]["contact"] == "late"


@given(values=st.lists(st.integers(), max_size=30), size=st.integers(1, 10))
def test_chunks_hold_every_value_once_in_order(values: list[int], size: int) -> None:
    parts = list(chunks(values, size))
    assert [value for part in parts for value in part] == values
    assert all(1 <= len(part) <= size for part in parts)
