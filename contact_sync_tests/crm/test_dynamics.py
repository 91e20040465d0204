from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contact_sync.contacts.window import Frequency, Window
from contact_sync.crm.dynamics import DynamicsSource
from contact_sync.crm.dynamics_odata import FORMATTED
from contact_sync.crm.source import Change, CrmSource, DeleteFeed
from contact_sync.simulator.dataverse.server import DataverseServer
from contact_sync.simulator.dataverse.settings import DataverseSettings
from contact_sync_tests.crm.contract import NOON, WINDOW, ids, read, read_current, read_living
from contact_sync_tests.crm.dynamics_harness import SETTLE, source_of
from contact_sync_tests.simulator.conftest import ManualClock

ACCOUNT = "6f1c7f4e-2d3b-4c55-9a57-0d4f0c3a1e10"
NAME = f"_parentcustomerid_value{FORMATTED}"
OVERLAP = timedelta(minutes=10)
SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Iterator[DataverseServer]:
    with DataverseServer(DataverseSettings(clock=clock, aggregate_rows=100)) as server:
        yield server


@pytest.fixture
def source(server: DataverseServer) -> Iterator[DynamicsSource]:
    source = source_of(server)
    yield source
    source.close()


def put(server: DataverseServer, at: datetime = NOON, **values: object) -> str:
    return server.table.put(values, modified_at=at)


def the_only(changes: Sequence[Change]) -> Change:
    (change,) = changes
    return change


def test_it_is_a_source_that_tells_of_hard_deletes(source: DynamicsSource) -> None:
    kept: CrmSource = source
    assert isinstance(kept, DeleteFeed)


# What a row means.


def test_an_inactive_contact_is_a_delete_until_it_is_active_again(
    server: DataverseServer, source: DynamicsSource
) -> None:
    one = put(server, firstname="Ada")
    server.table.deactivate(one, NOON)
    change = the_only(read(source))
    assert (change.kind, change.fields["firstname"]) == ("delete", "Ada")
    assert read_living(source) == []
    server.table.activate(one, NOON + SECOND)
    assert the_only(read(source)).kind == "upsert"


def test_a_contact_that_lost_a_merge_names_its_master_until_it_is_active_again(
    server: DataverseServer, source: DynamicsSource
) -> None:
    one, two = put(server), put(server)
    server.table.merge(one, two, NOON)
    [lost] = [change for change in read(source) if change.crm_id == one]
    assert (lost.kind, lost.merged_into) == ("merge", two)
    server.table.put({"statecode": 0}, contact_id=one, modified_at=NOON)  # `merged` stays
    [back] = [change for change in read(source) if change.crm_id == one]
    assert (back.kind, back.merged_into) == ("upsert", None)


def test_the_accounts_name_comes_on_every_page_and_as_it_is_now(server: DataverseServer) -> None:
    server.table.accounts[ACCOUNT] = "Acme"
    for _ in range(10):
        put(server, _parentcustomerid_value=ACCOUNT)
    source = source_of(server, ["_parentcustomerid_value", NAME], page_size=4)
    assert [dict(change.fields) for change in read(source)] == [
        {"_parentcustomerid_value": ACCOUNT, NAME: "Acme"}
    ] * 10
    server.table.accounts[ACCOUNT] = "Acme GmbH"
    assert {change.fields[NAME] for change in read(source)} == {"Acme GmbH"}
    source.close()


def test_two_changes_within_a_second_are_two_versions(server: DataverseServer, source: DynamicsSource) -> None:
    one = put(server, firstname="Ada")
    before = the_only(read(source))
    server.table.put({"firstname": "Grace"}, contact_id=one, modified_at=NOON)
    after = the_only(read(source))
    assert (before.modified_at, after.modified_at) == (NOON, NOON)
    assert before.version != after.version


# Nothing is missed.


@pytest.mark.parametrize("late", [timedelta(minutes=5), timedelta(minutes=9, seconds=59)])
def test_what_is_committed_late_is_in_the_next_windows_overlap(
    server: DataverseServer, source: DynamicsSource, late: timedelta
) -> None:
    read(source)
    one = put(server, WINDOW.end - late)  # its transaction began then, and ends now
    following = Window(WINDOW.end, WINDOW.end + WINDOW.end.resolution)
    assert ids(read(source, Window(WINDOW.end - OVERLAP, following.end))) == [one]


@pytest.mark.parametrize("late", [timedelta(minutes=20), timedelta(hours=3), timedelta(days=400)])
def test_what_comes_later_than_any_overlap_shows_in_the_windows_count(
    server: DataverseServer, source: DynamicsSource, late: timedelta
) -> None:
    window = Window(NOON - late, NOON - late + timedelta(minutes=30))
    put(server, window.start)
    before = source.count(window)
    one = put(server, window.end - SECOND)  # an import that dates its rows back looks the same
    assert source.count(window) == before + 1
    assert one in ids(read(source, window))


def test_two_thousand_of_one_timestamp_cross_pages(server: DataverseServer) -> None:
    expected = sorted(put(server) for _ in range(2_000))
    source = source_of(server, page_size=300)
    assert ids(read(source)) == expected
    source.close()


def test_the_horizon_is_told_by_dataverses_clock(source: DynamicsSource, clock: ManualClock) -> None:
    clock.now = (NOON + timedelta(seconds=0.9)).timestamp()  # hours from ours
    assert source.server_time() == NOON
    assert source.horizon() == NOON - SETTLE


@pytest.mark.parametrize(
    "day",
    [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC)],
)
def test_days_of_other_lengths_and_leap_days_lose_nothing(server: DataverseServer, day: datetime) -> None:
    everybody = sorted(put(server, day + timedelta(minutes=13 * number)) for number in range(110))
    source = source_of(server)
    tiles = Window(day, day + timedelta(days=1)).split(Frequency.THIRTY_MINUTES)
    found = chain.from_iterable(read(source, tile) for tile in tiles)
    assert sorted(change.crm_id for change in found) == everybody
    source.close()


def test_a_change_while_pages_are_read_is_in_this_window_or_a_later_one(
    server: DataverseServer, source: DynamicsSource
) -> None:
    everybody = [put(server, NOON + number * SECOND) for number in range(20)]
    pages = source.changes(WINDOW)
    found = [*next(pages)]
    for one in everybody[2:12]:  # those read already, and those still to come
        server.table.put({}, contact_id=one, modified_at=WINDOW.end)
    found += chain.from_iterable(pages)
    found += read(source, Window(WINDOW.end, WINDOW.end + SECOND))
    assert {change.crm_id for change in found} == set(everybody)


# Counting.


def test_a_count_beyond_the_limit_of_aggregations_is_put_together(
    server: DataverseServer, source: DynamicsSource
) -> None:
    for number in range(450):
        put(server, NOON + number % 7 * timedelta(minutes=4))
    assert source.count(WINDOW) == 450


def test_a_second_beyond_the_limit_of_aggregations_is_counted_by_its_ids(
    server: DataverseServer, source: DynamicsSource
) -> None:
    for _ in range(101):
        put(server)
    assert source.count(WINDOW) == 101
    assert "%24select=contactid&" in server.seen[-1].query


@pytest.fixture(scope="module")
def narrow_server() -> Iterator[DataverseServer]:
    with DataverseServer(DataverseSettings(aggregate_rows=3)) as server:
        yield server


@settings(max_examples=25, deadline=None)
@given(seconds=st.lists(st.integers(0, 20), min_size=1, max_size=30), cut=st.integers(1, 2 * 10**7))
def test_a_count_is_what_is_read_however_it_is_cut(
    narrow_server: DataverseServer, seconds: list[int], cut: int
) -> None:
    narrow_server.table.clear()
    for second in seconds:
        put(narrow_server, NOON + second * SECOND)
    source = source_of(narrow_server, page_size=100)
    cuts = [NOON, NOON + timedelta(microseconds=cut), NOON + 21 * SECOND]
    tiles = [Window(start, end) for start, end in pairwise(cuts)]
    counts = [source.count(tile) for tile in tiles]
    source.close()
    assert counts == [sum(NOON + second * SECOND in tile for second in seconds) for tile in tiles]


def test_records_without_a_time_are_counted(server: DataverseServer, source: DynamicsSource) -> None:
    assert source.undated() == 0
    for one in (put(server), put(server)):
        server.table.rows[one]["modifiedon"] = None
    put(server)
    assert source.undated() == 2
    assert read_current(source, list(server.table.rows)[:2]) == []


# Columns that nobody lists.


def test_unlisted_columns_are_named_as_the_registry_would_name_them() -> None:
    added = {f"new_column{number}": "String" for number in range(100)} | {"new_agentid": "Lookup"}
    with DataverseServer(DataverseSettings(columns=added)) as server:
        source = source_of(server)
        assert (source.unlisted(WINDOW), source.examples(WINDOW)) == ({}, {})
        put(server, new_column7="x", new_column99="y", _new_agentid_value=ACCOUNT)
        put(server, new_column99="z", firstname="Ada")
        found = source.unlisted(WINDOW)
        assert {name: found[name] for name in found if name.startswith(("new", "_new"))} == {
            "new_column7": 1,
            "new_column99": 2,
            "_new_agentid_value": 1,
        }
        assert source.examples(WINDOW)["new_column7"] == "x"
        assert not {"firstname", "contactid", "modifiedon", "merged", "statecode"} & set(found)
        assert all(len(seen.query) < 8_000 for seen in server.seen)
        source.close()


def test_a_column_that_cannot_be_counted_stops_no_window(
    server: DataverseServer, source: DynamicsSource, caplog: pytest.LogCaptureFixture
) -> None:
    put(server, nickname="Countess", telephone1="1", telephone3="3")
    source.unlisted(WINDOW)
    del server.table.columns["nickname"], server.table.columns["telephone3"]  # gone since the metadata was read
    found = source.unlisted(WINDOW)
    assert (found["telephone1"], found["versionnumber"]) == (1, 1)
    assert not {"nickname", "telephone3"} & set(found)
    told = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert sorted(told) == [
        f"the column {name}, which the registry does not list, is not counted"
        for name in ("nickname", "telephone3")
    ]
    before = len(server.seen)
    assert source.unlisted(WINDOW) == found
    assert len(server.seen) - before == 1  # they are not asked for again


def test_ids_of_any_number_are_asked_for_in_short_addresses(
    server: DataverseServer, source: DynamicsSource
) -> None:
    source = source_of(server, page_size=5_000)
    everybody = sorted(put(server) for _ in range(250))
    assert ids(read_current(source, everybody)) == everybody
    assert len(server.seen) == 3
    assert all(len(seen.query) < 8_000 for seen in server.seen)
    source.close()


def test_what_is_no_guid_is_not_asked_for(server: DataverseServer, source: DynamicsSource) -> None:
    one = put(server)
    asked = [one.upper(), f"{{{one}}}", one.replace("-", ""), "' or 1 eq 1", "\n", "İ", ""]
    assert read_current(source, asked) == []
    assert server.seen == []


def test_a_page_never_holds_more_than_dataverse_gives(server: DataverseServer) -> None:
    source = source_of(server, page_size=50_000)
    read(source)
    assert server.seen[-1].headers["prefer"] == "odata.maxpagesize=5000"
    source.close()


def test_each_record_comes_once(server: DataverseServer, source: DynamicsSource) -> None:
    for number in range(100):
        put(server, NOON + number // 30 * SECOND)
    assert set(Counter(ids(read(source))).values()) == {1}
