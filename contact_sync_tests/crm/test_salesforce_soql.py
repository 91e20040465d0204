"""SOQL is built of checked names and escaped values: what a value holds comes out of a query as it went in."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_sync.contacts.window import Window
from contact_sync.crm import salesforce_soql as soql
from contact_sync.crm.salesforce_soql import Soql
from contact_sync.crm.source import CrmConfigurationError
from contact_sync.simulator.salesforce.soql_syntax import Comparison, parse

MILLISECOND = timedelta(milliseconds=1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text(alphabet="'\"\\\n\r\t\b\f%_-; ü李👩‍🚀\0n")


@given(TEXTS)
def test_a_text_comes_out_as_it_went_in(value: str) -> None:
    query = Soql(["Id"], "Contact", (f"LastName = {soql.text(value)}",), ("Id",))
    assert parse(str(query)).where == Comparison("LastName", "=", value)


@given(st.lists(TEXTS, min_size=1))
def test_a_list_of_texts_stays_one(values: list[str]) -> None:
    query = Soql(["Id"], "Contact", (soql.one_of("LastName", values),))
    assert parse(str(query)).where == Comparison("LastName", "IN", tuple(values))


@given(TEXTS | st.from_regex(r"[A-Za-z.][A-Za-z0-9_. '(]*"))
def test_a_name_is_a_name_or_refused(path: str) -> None:
    try:
        named = soql.name(path)
    except CrmConfigurationError:
        return
    assert [item.path for item in parse(str(Soql([named], "Contact"))).items] == [path]


@pytest.mark.parametrize(
    "path", ["LastName", "Account.Name", "Lead_Score__c", "Account.Owner.Manager.Email", "a1"]
)
def test_paths_over_relationships_are_names(path: str) -> None:
    assert soql.name(path) == path


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "1a", "a b", "a\n", "a,b", "COUNT()", "a'b", "é", "a..b"])
def test_what_is_no_name_is_refused(path: str) -> None:
    with pytest.raises(CrmConfigurationError, match="is no name of a Salesforce field"):
        soql.name(path)


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1)),  # noqa: DTZ001 -- the zone is drawn, too
    st.integers(-14, 14),
    st.integers(-2, 2),
)
def test_a_literal_compares_with_whole_milliseconds_as_the_instant_does(
    moment: datetime, hours: int, away: int
) -> None:
    bound = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    stamp = bound.astimezone(UTC) - timedelta(microseconds=bound.microsecond % 1_000) + away * MILLISECOND
    where = parse(str(Soql(["Id"], "Contact", (f"SystemModstamp >= {soql.instant(bound)}",)))).where
    assert isinstance(where, Comparison)
    assert isinstance(where.value, datetime)
    assert (stamp >= where.value) == (stamp >= bound)
    assert (stamp < where.value) == (stamp < bound)


def test_a_query_as_it_is_sent() -> None:
    window = Window(datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 1, 31, 0, 30, tzinfo=UTC))
    query = Soql(
        ["Id", "Account.Name"], "Contact", soql.within("SystemModstamp", window), ("SystemModstamp", "Id")
    )
    assert str(query) == (
        "SELECT Id, Account.Name FROM Contact WHERE SystemModstamp >= 2026-01-31T00:00:00.000Z "
        "AND SystemModstamp < 2026-01-31T00:30:00.000Z ORDER BY SystemModstamp, Id"
    )
    assert str(query.counting()).startswith("SELECT COUNT() FROM Contact WHERE ")
    assert "ORDER" not in str(query.counting())


@pytest.mark.parametrize(
    ("text", "is_id"),
    [
        ("003000000000001AAA", True),
        ("003000000000001", True),
        ("0030000000000012", False),
        ("003000000000001AA'", False),
        ("003000000000001AAA\n", False),
        ("", False),
    ],
)
def test_what_can_be_an_id(text: str, is_id: bool) -> None:  # noqa: FBT001 -- parametrized
    assert soql.is_id(text) == is_id
