import re
import xml.etree.ElementTree as ET
from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_sync.contacts.window import Window
from contact_sync.crm.dynamics_odata import (
    FORMATTED,
    among,
    before,
    column_of,
    counting,
    is_id,
    seconds_of,
    since,
    stamp,
    within,
)
from contact_sync.crm.source import CrmConfigurationError
from contact_sync.simulator.dataverse.columns import columns_of
from contact_sync.simulator.dataverse.filters import condition_of
from contact_sync_tests.crm.contract import NOON

NASTY = ["'", "''", '"', "\\", "\n", "\r", "\t", "&", "<", "%27", "$", "@", " ", ",", ")", "é", "\u2028", "\u202e"]
pieces = st.sampled_from([*NASTY, "a", "Z", "_", "9"]) | st.characters(exclude_categories=["Cs"])
texts = st.lists(pieces).map("".join)
times = st.builds(
    lambda microseconds, hours: (NOON + timedelta(microseconds=microseconds)).astimezone(
        timezone(timedelta(hours=hours))
    ),
    st.integers(-(10**15), 10**15),
    st.integers(-12, 14),
)
PROPERTIES = {column.property: column for column in columns_of({}).values()}


@given(texts)
def test_only_what_is_a_name_becomes_a_column(text: str) -> None:
    if re.fullmatch(r"[a-zA-Z_]\w*", text, re.ASCII):
        assert column_of(text) == text
        return
    with pytest.raises(CrmConfigurationError):
        column_of(text)


@pytest.mark.parametrize("mark", NASTY)
@pytest.mark.parametrize("place", ["{}shoe", "sh{}oe", "shoe{}", "shoe{}" + FORMATTED, "shoe" + FORMATTED + "{}"])
def test_a_name_with_a_mark_in_it_is_refused_and_not_repeated(mark: str, place: str) -> None:
    with pytest.raises(CrmConfigurationError) as refused:
        column_of(place.format(mark))
    assert "oe" not in str(refused.value)


def test_a_formatted_value_is_read_with_its_column() -> None:
    assert column_of(f"_parentcustomerid_value{FORMATTED}") == "_parentcustomerid_value"


@given(texts | st.uuids().map(str) | st.uuids().map(lambda one: str(one).upper()) | st.uuids().map(repr))
def test_only_a_guid_as_dataverse_writes_it_is_asked_for(text: str) -> None:
    assert is_id(text) == (len(text) == 36 and text == text.lower() and str(_guid(text)) == text)


def _guid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


@given(st.sets(st.uuids().map(str), min_size=1, max_size=9), st.uuids().map(str))
def test_a_filter_of_ids_finds_these_and_no_others(ids: set[str], other: str) -> None:
    condition = condition_of(among(ids), PROPERTIES)
    assert all(condition({"contactid": one}) for one in ids)
    assert condition({"contactid": other}) == (other in ids)


@pytest.mark.parametrize("text", ["' or 1 eq 1", "", "1') or (statecode eq 0"])
def test_a_filter_is_never_made_of_what_is_no_guid(text: str) -> None:
    with pytest.raises(ValueError, match="badly formed"):
        among([text])


@given(times, st.timedeltas(timedelta(microseconds=1), timedelta(days=3)), times)
def test_a_windows_filter_holds_what_the_window_holds(
    start: datetime, length: timedelta, moment: datetime
) -> None:
    window, kept = Window(start, start + length), moment.replace(microsecond=0)
    low, high = seconds_of(window)
    condition = condition_of(within(low, high), PROPERTIES)
    for instant in (kept, low, high, low - timedelta(seconds=1), high - timedelta(seconds=1)):
        assert condition({"modifiedon": instant}) == (instant in window)


@given(times)
def test_a_stamp_is_utc(instant: datetime) -> None:
    assert datetime.fromisoformat(stamp(instant)) == instant.replace(microsecond=0)


@given(times, times, st.lists(st.sampled_from(["nickname", "telephone1"]), unique=True))
def test_counting_is_well_formed(start: datetime, end: datetime, columns: list[str]) -> None:
    entity = ET.fromstring(counting([since(start), before(end)], columns)).find("entity")  # noqa: S314 -- our own
    assert entity is not None
    assert [one.get("name") for one in entity.findall("attribute")] == ["contactid", *columns]
    assert [one.get("value") for one in entity.findall("filter/condition")] == [stamp(start), stamp(end)]


@given(texts)
def test_counting_takes_no_name_that_is_none(text: str) -> None:
    with pytest.raises(CrmConfigurationError):
        counting([], [f"{text}'/>"])
