"""A Salesforce organisation as it is on its bad days: nothing is lost, and every failure is said in one line."""

import traceback
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contact_sync.contacts.window import Window
from contact_sync.crm.http import Http
from contact_sync.crm.salesforce import MAX_IDS, SalesforceSource
from contact_sync.crm.salesforce_query import MAX_FRUITLESS
from contact_sync.crm.salesforce_settings import Salesforce
from contact_sync.crm.source import Change, CrmConfigurationError, CrmError, CrmExhaustedError, CrmUnavailableError
from contact_sync.simulator.salesforce.door import RETRY_AFTER
from contact_sync.simulator.salesforce.records import record_id
from contact_sync.simulator.salesforce.server import SalesforceServer
from contact_sync.simulator.salesforce.settings import App, OrgSettings
from contact_sync.simulator.salesforce.trouble import Kind
from contact_sync_tests.crm.salesforce_harness import CREDENTIALS, SETTLE, opened
from contact_sync_tests.scripted import Reply, Scripted

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
WINDOW = Window(NOON, NOON + timedelta(minutes=30))
SECRET = "SECRET@example.org"
MINUTES = st.integers(0, 59)


class Clock:
    """A clock that tests set, in the twin and as the present."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now.timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock(WINDOW.end + timedelta(hours=1))


@pytest.fixture
def org(clock: Clock) -> Iterator[SalesforceServer]:
    with SalesforceServer(OrgSettings(clock=clock, daily_requests=1_000)) as server:
        yield server


@pytest.fixture
def source(org: SalesforceServer) -> Iterator[SalesforceSource]:
    with opened(org, page_size=200) as source:
        yield source


def contact(number: int, **values: object) -> dict[str, object]:
    return {"Id": record_id("003", number), "LastName": "Lovelace", "Email": SECRET, **values}


def fill(org: SalesforceServer, count: int, *, every: timedelta = timedelta(0)) -> list[str]:
    """Write so many contacts from noon on; return their ids."""
    for number in range(count):
        org.org.records.put("Contact", contact(number), at=NOON + number * every)
    return [record_id("003", number) for number in range(count)]


def read(source: SalesforceSource, window: Window = WINDOW) -> list[Change]:
    return list(chain.from_iterable(source.changes(window)))


def ids(changes: Sequence[Change]) -> list[str]:
    return sorted(change.crm_id for change in changes)


def failure_of(source: SalesforceSource) -> CrmError:
    """Return why a window cannot be read; it is one line and tells nothing of anybody."""
    with pytest.raises(CrmError) as failed:
        read(source)
    shown = "".join(traceback.format_exception(failed.value))
    for private in (SECRET, CREDENTIALS.client_secret, "SELECT", "Bearer", "00D5g"):
        assert private not in str(failed.value)
        assert private not in repr(vars(failed.value))
    assert SECRET not in shown
    assert "\n" not in str(failed.value)
    assert failed.value.__context__ is None
    return failed.value


# --- pages


def test_pages_of_any_size_are_followed_to_their_end(org: SalesforceServer, source: SalesforceSource) -> None:
    expected = fill(org, 1_500, every=timedelta(seconds=1))
    found = read(source)
    assert [change.crm_id for change in found] == sorted(expected)  # by (SystemModstamp, Id)
    assert org.org.door.seen["GET /queryAll/more"] > 1_500 / 200  # pages were smaller than asked for


def test_two_thousand_rows_of_one_timestamp(org: SalesforceServer, source: SalesforceSource) -> None:
    expected = fill(org, 2_000)
    assert ids(read(source)) == expected
    assert source.count(WINDOW) == 2_000


@pytest.mark.parametrize(
    "kind", ["lost", "reset", "html", "maintenance", "throttled", "crowded", "expired", "locator_lost"]
)
@pytest.mark.parametrize("after", [0, 2])
def test_a_page_that_is_lost_on_the_way_is_read_again(org: SalesforceServer, kind: Kind, after: int) -> None:
    expected = fill(org, 1_000, every=timedelta(seconds=1))
    org.trouble.plan(kind, after=after, path="/queryAll/0")
    with opened(org, page_size=200) as source:
        found = read(source)
    assert [change.crm_id for change in found] == expected
    assert org.trouble.hits[kind] == 1


def test_a_page_that_salesforce_leaves_out_is_missed_and_read(
    org: SalesforceServer, source: SalesforceSource
) -> None:
    expected = fill(org, 1_000, every=timedelta(seconds=1))
    org.trouble.plan("page_skipped", after=1, path="/queryAll/0")
    assert ids(read(source)) == expected
    assert org.trouble.hits["page_skipped"] == 1


def test_a_result_that_stays_short_is_no_result() -> None:
    with SalesforceServer(OrgSettings(irregular=False)) as org, opened(org, page_size=200) as source:
        fill(org, 1_000)
        org.trouble.plan("page_skipped", times=1_000)
        assert "gave fewer rows of a query than it counts" in str(failure_of(source))
        assert org.org.door.seen["GET /queryAll"] == 1 + MAX_FRUITLESS


def test_locators_that_are_always_lost_still_come_to_an_end(
    org: SalesforceServer, source: SalesforceSource
) -> None:
    expected = fill(org, 1_000, every=timedelta(seconds=1))
    org.trouble.plan("locator_lost", times=1_000)
    assert [change.crm_id for change in read(source)] == expected


def test_a_record_deleted_for_good_while_it_is_read_does_not_stop_reading(
    org: SalesforceServer, source: SalesforceSource
) -> None:
    expected = fill(org, 1_000, every=timedelta(seconds=1))
    pages = source.changes(WINDOW)
    found = [*next(pages)]
    org.org.records.purge("Contact", expected[-3:])
    org.org.pages.forget()
    found += chain.from_iterable(pages)
    assert set(expected[:-3]) <= {change.crm_id for change in found}


# --- tokens, limits, failures


def test_a_token_that_ends_between_pages_is_replaced(org: SalesforceServer, clock: Clock) -> None:
    expected = fill(org, 1_000)
    with opened(org, page_size=200) as source:
        pages = source.changes(WINDOW)
        found = [*next(pages)]
        clock.now += timedelta(seconds=org.org.settings.token_seconds)
        org.org.pages._cursors.clear()  # a result lives shorter than a token
        found += chain.from_iterable(pages)
    assert ids(found) == expected
    assert org.org.door.access.issued == 2


def test_a_token_that_is_never_good_is_a_refusal(org: SalesforceServer, source: SalesforceSource) -> None:
    fill(org, 1)
    org.trouble.plan("expired", times=1_000)
    failed = failure_of(source)
    assert isinstance(failed, CrmConfigurationError)
    assert "401 INVALID_SESSION_ID to a new token" in str(failed)
    assert org.org.door.access.issued == 2


def test_the_daily_limit_in_the_middle_ends_reading_and_a_later_run_reads_all(
    org: SalesforceServer, source: SalesforceSource
) -> None:
    expected = fill(org, 1_000)
    pages = source.changes(WINDOW)
    next(pages)
    org.org.door.access.used = org.org.settings.daily_requests
    with pytest.raises(CrmExhaustedError, match="used up: a later run goes on") as failed:
        list(pages)
    assert isinstance(failed.value, CrmUnavailableError)
    asked = org.org.door.seen.total()
    org.org.door.access.used = 0
    with opened(org) as later:
        assert ids(read(later)) == expected
    assert asked <= 4  # the token, two pages, and no tight repetition


def test_reading_stops_at_its_share_of_the_day_and_leaves_the_rest_to_others(
    org: SalesforceServer, source: SalesforceSource
) -> None:
    fill(org, 1_000)
    org.org.door.access.used = 898
    with pytest.raises(CrmExhaustedError, match=r"counts 900 of 1,000 API requests of the day, .* at 90%"):
        read(source)
    assert org.org.door.access.used == 900


def test_a_share_of_one_uses_the_day_up(org: SalesforceServer) -> None:
    fill(org, 1)
    org.org.door.access.used = 998
    with opened(org, daily_share=1.0) as source:
        assert len(read(source)) == source.count(WINDOW) == 1
        with pytest.raises(CrmExhaustedError):
            source.count(WINDOW)


@pytest.mark.parametrize("kind", ["html", "maintenance", "lost", "reset", "throttled", "crowded"])
def test_an_organisation_that_stays_down_is_given_up_after_some_attempts(
    org: SalesforceServer, source: SalesforceSource, kind: Kind
) -> None:
    fill(org, 1)
    org.trouble.plan(kind, times=1_000, path="/queryAll")
    assert isinstance(failure_of(source), CrmUnavailableError)
    assert org.trouble.hits[kind] == 5


def test_a_login_that_stays_down_is_given_up_after_some_attempts(
    org: SalesforceServer, source: SalesforceSource
) -> None:
    org.trouble.plan("token_error", times=1_000)
    assert isinstance(failure_of(source), CrmUnavailableError)
    assert org.org.door.seen["POST /token"] == 5


def test_a_pause_that_salesforce_asks_for_is_kept(org: SalesforceServer) -> None:
    naps: list[float] = []
    fill(org, 1)
    org.trouble.plan("throttled", times=2)
    with opened(org, http=Http(sleep=naps.append)) as source:
        assert len(read(source)) == 1
    assert naps == [RETRY_AFTER, RETRY_AFTER]


def test_an_answer_that_drips_is_given_up_at_the_deadline(org: SalesforceServer) -> None:
    fill(org, 1)
    org.trouble.plan("drip", times=1_000, path="/queryAll")
    with opened(org, http=Http(deadline=0.2, attempts=2, sleep=lambda _: None)) as source:
        assert "did not finish its answer" in str(failure_of(source))


def test_a_next_page_on_another_host_is_not_read(org: SalesforceServer, source: SalesforceSource) -> None:
    fill(org, 1_000)
    org.trouble.plan("foreign_link")
    failed = failure_of(source)
    assert isinstance(failed, CrmConfigurationError)
    assert "named a page on another host" in str(failed)


def test_a_missing_right_is_told(org: SalesforceServer, source: SalesforceSource) -> None:
    org.trouble.plan("forbidden", times=10)
    failed = failure_of(source)
    assert isinstance(failed, CrmConfigurationError)
    assert "403 INSUFFICIENT_ACCESS: give the integration user API access" in str(failed)


def test_a_field_that_is_not_there_or_not_for_the_user_is_named() -> None:
    settings = OrgSettings(hidden=frozenset({"Contact.Email"}))
    with SalesforceServer(settings) as org, opened(org, ["LastName", "Email", "Colour__c"]) as source:
        failed = failure_of(source)
    assert isinstance(failed, CrmConfigurationError)
    assert "Contact of Salesforce has no field Email or Colour__c, or the integration user may not see it" in str(
        failed
    )


def test_a_field_of_the_account_that_is_not_there_is_named(org: SalesforceServer) -> None:
    with opened(org, ["LastName", "Account.Colour__c"]) as source:
        assert "Contact of Salesforce has no field Account.Colour__c" in str(failure_of(source))


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}])
def test_an_answer_without_a_time_is_told(headers: dict[str, str]) -> None:
    with Scripted() as server:
        server.script.append(Reply(200, [], headers))
        source = SalesforceSource(Salesforce.model_validate({"url": server.url}), CREDENTIALS, [], settle=SETTLE)
        with pytest.raises(CrmUnavailableError, match="without its time") as failed:
            source.server_time()
        source.close()
    assert failed.value.__context__ is None


def test_an_object_that_is_not_there_is_told(org: SalesforceServer) -> None:
    with opened(org, ["LastName"], object="Person") as source:
        assert "400 INVALID_TYPE" in str(failure_of(source))


@pytest.mark.parametrize("name", ["Last Name", "Email FROM Contact", "a'b", "Account.", "", "Näme", "Email)--"])
def test_only_names_of_fields_are_asked_for(org: SalesforceServer, name: str) -> None:
    with pytest.raises(CrmConfigurationError, match="is no name of a Salesforce field"), opened(org, [name]):
        pass


def test_a_compound_field_is_told(org: SalesforceServer) -> None:
    fill(org, 1)
    org.org.records.put("Contact", contact(0, MailingAddress={"city": "Ulm"}), at=NOON)
    with opened(org, ["MailingAddress"]) as source:
        assert "MailingAddress is a compound field" in str(failure_of(source))


# --- what is read


def test_fields_of_the_account_and_names_in_any_case(org: SalesforceServer) -> None:
    org.org.records.put("Account", {"Id": record_id("001", 1), "Name": "Analytical Engines"}, at=NOON)
    org.org.records.put("Contact", contact(1, AccountId=record_id("001", 1), LeadScore__c=12.5), at=NOON)
    org.org.records.put("Contact", contact(2, HasOptedOutOfEmail=True), at=NOON)
    fields = ["lastname", "Account.Name", "LeadScore__c", "HasOptedOutOfEmail", "AccountId"]
    with opened(org, fields) as source:
        first, second = read(source)
    assert {name: str(value) for name, value in first.fields.items()} == {
        "lastname": "Lovelace",
        "Account.Name": "Analytical Engines",
        "LeadScore__c": "12.5",
        "HasOptedOutOfEmail": "false",
        "AccountId": record_id("001", 1),
    }
    assert (second.fields["Account.Name"], second.fields["HasOptedOutOfEmail"]) == (None, "true")


def test_a_merge_a_delete_and_what_comes_back(org: SalesforceServer, source: SalesforceSource) -> None:
    survivor, loser, gone, back = fill(org, 4)
    records, later = org.org.records, NOON + timedelta(minutes=5)
    records.merge("Contact", survivor, [loser], at=later)
    records.delete("Contact", [gone, back], at=later)
    records.undelete("Contact", back, at=later)
    kinds = {change.crm_id: (change.kind, change.merged_into) for change in read(source)}
    assert kinds == {
        survivor: ("upsert", None),
        loser: ("merge", survivor),
        gone: ("delete", None),
        back: ("upsert", None),
    }
    assert list(chain.from_iterable(source.living())) == [survivor, back]


def test_what_has_left_the_recycle_bin_is_seen_no_more(
    org: SalesforceServer, source: SalesforceSource, clock: Clock
) -> None:
    [gone] = fill(org, 1)
    org.org.records.delete("Contact", [gone], at=NOON)
    assert ids(read(source)) == [gone]
    clock.now += timedelta(days=16)
    assert read(source) == []
    assert list(source.current([gone])) == []


def test_a_change_back_dated_by_an_import_is_found_by_its_system_modstamp(
    org: SalesforceServer, source: SalesforceSource
) -> None:
    org.org.records.put("Contact", contact(1, LastModifiedDate=NOON - timedelta(days=400)), at=NOON)
    [change] = read(source)
    assert change.modified_at == NOON


@pytest.mark.parametrize("late", [timedelta(minutes=5), timedelta(hours=1), timedelta(hours=3)])
def test_a_late_commit_moves_the_count_of_its_window(
    org: SalesforceServer, source: SalesforceSource, clock: Clock, late: timedelta
) -> None:
    clock.now = WINDOW.end + timedelta(minutes=2)
    fill(org, 3)
    org.org.records.put("Contact", contact(7), at=WINDOW.start, visible_at=clock.now + late)
    before = source.count(WINDOW), len(read(source))
    clock.now += late
    assert before == (3, 3)
    assert (source.count(WINDOW), len(read(source))) == (4, 4)


@pytest.mark.parametrize(
    ("window", "moment"),
    [
        (Window(datetime(2028, 2, 29, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)), "2028-02-29T23:59:59+00:00"),
        (
            Window(datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 3, 29, 2, tzinfo=UTC)),
            "2026-03-29T03:30+02:00",
        ),
        (
            Window(datetime(2026, 10, 25, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
            "2026-10-25T02:30+02:00",
        ),
    ],
    ids=["leap day", "clocks go forward", "clocks go back"],
)
def test_odd_days(org: SalesforceServer, source: SalesforceSource, window: Window, moment: str) -> None:
    org.org.records.put("Contact", contact(1), at=datetime.fromisoformat(moment))
    assert len(read(source, window)) == source.count(window) == 1


def test_the_horizon_is_of_salesforces_clock() -> None:
    with SalesforceServer(OrgSettings(skew_seconds=-600)) as org, opened(org) as source:
        behind = datetime.now(UTC) - timedelta(minutes=10)
        assert abs(source.server_time() - behind) < timedelta(seconds=10)
        assert abs(source.horizon() - (behind - SETTLE)) < timedelta(seconds=10)
        assert org.org.door.access.used == 0


def test_maintenance_tells_no_time(org: SalesforceServer, source: SalesforceSource) -> None:
    org.trouble.plan("maintenance", times=100)
    with pytest.raises(CrmUnavailableError, match="a page that is no data"):
        source.horizon()


def test_many_ids_need_few_requests(org: SalesforceServer, source: SalesforceSource) -> None:
    expected = fill(org, 2 * MAX_IDS + 1)
    found = list(chain.from_iterable(source.current([*expected, "no id", *expected])))
    assert ids(found) == expected
    assert org.org.door.seen["GET /queryAll"] == 3


# --- accounts


def test_a_change_of_the_account_is_a_change_of_its_contacts(org: SalesforceServer) -> None:
    records, account = org.org.records, record_id("001", 1)
    records.put("Account", {"Id": account, "Name": "Old"}, at=NOON - timedelta(days=9))
    records.put("Contact", contact(1, AccountId=account), at=NOON - timedelta(days=8))
    records.put("Contact", contact(2), at=NOON)
    later = Window(WINDOW.end, WINDOW.end + timedelta(minutes=30))
    with opened(org, ["Account.Name"], account_changes=True) as source:
        [before] = source.current([record_id("003", 1)])
        records.put("Account", {"Id": account, "Name": "New"}, at=later.start)
        [after] = source.current([record_id("003", 1)])
        assert ids(read(source)) == [record_id("003", 2)]
        assert read(source, later) == list(after)
        assert [source.count(one) for one in (WINDOW, later)] == [1, 1]
    assert (before[0].fields["Account.Name"], after[0].fields["Account.Name"]) == ("Old", "New")
    assert before[0].version != after[0].version
    assert (before[0].modified_at, after[0].modified_at) == (NOON - timedelta(days=8), later.start)
    with opened(org, ["Account.Name"]) as unasked:
        assert read(unasked, later) == []


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    contacts=st.lists(st.tuples(MINUTES, st.sampled_from([None, 1, 2])), max_size=12),
    accounts=st.tuples(MINUTES, MINUTES),
    cuts=st.sets(st.integers(1, 59), max_size=4),
    bulk_above=st.sampled_from([0, 50_000]),
)
def test_any_tiling_reads_each_contact_once_at_the_newer_of_itself_and_its_account(
    org: SalesforceServer,
    contacts: list[tuple[int, int | None]],
    accounts: tuple[int, int],
    cuts: set[int],
    bulk_above: int,
) -> None:
    records = org.org.records
    records.clear()
    org.org.door.access.used = 0
    for number, minute in enumerate(accounts, start=1):
        records.put("Account", {"Id": record_id("001", number), "Name": "A"}, at=NOON + timedelta(minutes=minute))
    newest = {}
    for number, (minute, account) in enumerate(contacts):
        reference = record_id("001", account) if account else None
        records.put("Contact", contact(number, AccountId=reference), at=NOON + timedelta(minutes=minute))
        of_account = accounts[account - 1] if account else 0
        newest[record_id("003", number)] = NOON + timedelta(minutes=max(minute, of_account))
    borders = [NOON + timedelta(minutes=minute) for minute in sorted({0, *cuts, 60})]
    tiles = [Window(start, end) for start, end in pairwise(borders)]
    with opened(org, ["Account.Name"], account_changes=True, bulk_above=bulk_above) as source:
        found = [read(source, tile) for tile in tiles]
        assert [source.count(tile) for tile in tiles] == list(map(len, found))
    assert sorted((one.crm_id, one.modified_at) for tile in found for one in tile) == sorted(newest.items())
    assert all(one.modified_at in tile for tile, changes in zip(tiles, found, strict=True) for one in changes)


def test_an_app_without_a_secret_of_ours_is_refused_in_one_line() -> None:
    with SalesforceServer(OrgSettings(apps={"twin-consumer-key": App("other")})) as org, opened(org) as source:
        failed = failure_of(source)
    assert isinstance(failed, CrmConfigurationError)
    assert "refuses the login (invalid_client): check SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET" in str(
        failed
    )
