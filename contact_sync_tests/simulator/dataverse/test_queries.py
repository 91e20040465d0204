from datetime import UTC, datetime, timedelta

import pytest

from contact_sync.simulator.dataverse.server import DataverseServer
from contact_sync_tests.simulator.dataverse.conftest import Web

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
FORMATTED = "OData.Community.Display.V1.FormattedValue"


def put(server: DataverseServer, count: int, at: datetime = NOON, step: timedelta = timedelta()) -> list[str]:
    return [server.table.put({"firstname": f"P{one}"}, modified_at=at + one * step) for one in range(count)]


def test_only_what_is_selected_comes_with_id_and_etag(server: DataverseServer, web: Web) -> None:
    [one] = put(server, 1)
    [row] = web.ok("/contacts", select="firstname,modifiedon,nickname")["value"]
    assert row == {
        "@odata.etag": f'W/"{server.table.version}"',
        "firstname": "P0",
        "modifiedon": "2026-06-15T12:00:00Z",
        "nickname": None,
        "contactid": one,
    }


def test_times_are_kept_to_the_second(server: DataverseServer, web: Web) -> None:
    server.table.put({}, modified_at=NOON + timedelta(microseconds=999_999))
    [row] = web.ok("/contacts")["value"]
    assert row["modifiedon"] == "2026-06-15T12:00:00Z"


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("modifiedon ge 2026-06-15T12:00:01Z and modifiedon lt 2026-06-15T12:00:03Z", "12"),
        ("modifiedon gt 2026-06-15T14:00:02+02:00", "3"),
        ("firstname eq 'p1' or firstname eq 'P3'", "13"),
        ("(firstname eq 'P1' or firstname eq 'P3') and not (firstname eq 'P3')", "1"),
        ("nickname eq null and lastname ne null", "0"),
        ("lastname eq 'O''Brien\\'", "0"),
        ("merged eq false and statecode eq 0 and lastname ne 'x'", "0123"),
        ("statecode eq 1", ""),
    ],
)
def test_a_filter_finds(server: DataverseServer, web: Web, condition: str, found: str) -> None:
    everybody = put(server, 4, step=timedelta(seconds=1))
    server.table.put({"lastname": "O'Brien\\"}, contact_id=everybody[0], modified_at=NOON)
    assert web.ids(filter=condition, orderby="modifiedon,contactid") == [everybody[int(one)] for one in found]


def test_in_finds_ids_in_any_case(server: DataverseServer, web: Web) -> None:
    one, two, _ = put(server, 3)
    text = f"Microsoft.Dynamics.CRM.In(PropertyName='contactid',PropertyValues=['{one.upper()}','{two}'])"
    assert sorted(web.ids(filter=text)) == sorted([one, two])


@pytest.mark.parametrize(
    "condition",
    [
        "firstname eq",
        "firstname eq 'a",
        "firstname eq 'a' 'b'",
        "shoesize eq 4",
        "modifiedon ge '2026-06-15'",
        "contactid eq 'x'",
        "firstname like 'x'",
        "statecode eq 0;",
    ],
)
def test_a_wrong_filter_is_refused(web: Web, condition: str) -> None:
    assert web.refused("/contacts", filter=condition) == (400, "0x80060888")


@pytest.mark.parametrize(
    "options", [{"skip": "5"}, {"select": "shoesize"}, {"orderby": "shoesize"}, {"expand": "account"}]
)
def test_what_is_not_known_is_refused(web: Web, options: dict[str, str]) -> None:
    assert web.refused("/contacts", **options) == (400, "0x80060888")


def test_pages_hold_what_is_preferred_and_link_absolutely(server: DataverseServer, web: Web) -> None:
    everybody = put(server, 25)  # one timestamp
    pages = web.pages("/contacts", "odata.maxpagesize=10", orderby="modifiedon asc,contactid asc")
    assert [len(page["value"]) for page in pages] == [10, 10, 5]
    assert pages[0]["@odata.nextLink"].startswith(f"{server.base_url}/api/data/v9.2/contacts?")
    assert sorted(row["contactid"] for page in pages for row in page["value"]) == sorted(everybody)


def test_a_page_holds_5000_at_most(server: DataverseServer, web: Web) -> None:
    put(server, 5001)
    pages = web.pages("/contacts", "odata.maxpagesize=9000", select="contactid")
    assert [len(page["value"]) for page in pages] == [5000, 1]
    assert web.ok("/contacts", count="true", top="1")["@odata.count"] == 5000


def test_a_broken_paging_cookie_is_refused(web: Web) -> None:
    assert web.refused("/contacts", skiptoken="zzz")[0] == 400


def test_the_accounts_name_is_a_formatted_value_that_has_to_be_asked_for(
    server: DataverseServer, web: Web
) -> None:
    server.table.accounts["6f1c7f4e-2d3b-4c55-9a57-0d4f0c3a1e10"] = "Acme"
    server.table.put({"_parentcustomerid_value": "6f1c7f4e-2d3b-4c55-9a57-0d4f0c3a1e10"})
    [plain] = web.ok("/contacts")["value"]
    [row] = web.ok("/contacts", f'odata.maxpagesize=9,odata.include-annotations="{FORMATTED}"')["value"]
    name = f"_parentcustomerid_value@{FORMATTED}"
    assert (name in plain, row[name]) == (False, "Acme")


def test_a_merged_contact_is_inactive_and_names_its_master(server: DataverseServer, web: Web) -> None:
    one, two = put(server, 2)
    server.table.merge(one, two)
    [row] = web.ok("/contacts", filter="merged eq true")["value"]
    assert (row["contactid"], row["_masterid_value"], row["statecode"]) == (one, two, 1)
    server.table.activate(one)
    assert web.ids(filter="merged eq true") == []


FETCH = (
    "<fetch aggregate='true'><entity name='contact'><attribute name='contactid' alias='n' aggregate='count'/>"
    "<attribute name='{0}' alias='v' aggregate='countcolumn'/><filter>"
    "<condition attribute='modifiedon' operator='ge' value='2026-06-15T12:00:01Z'/></filter></entity></fetch>"
)


def test_fetchxml_counts_rows_and_values(server: DataverseServer, web: Web) -> None:
    put(server, 4, step=timedelta(seconds=1))
    server.table.put({"nickname": "Countess"}, modified_at=NOON + timedelta(seconds=2))
    assert web.ok("/contacts", fetchXml=FETCH.format("nickname"))["value"] == [{"n": 4, "v": 1}]
    assert web.refused("/contacts", fetchXml=FETCH.format("shoesize")) == (400, "0x80060888")


def test_an_aggregation_has_a_limit_of_rows(server: DataverseServer, web: Web) -> None:
    put(server, 11, at=NOON + timedelta(hours=1))  # the server's limit is 10 here
    assert web.refused("/contacts", fetchXml=FETCH.format("nickname")) == (400, "0x8004E023")


def test_the_metadata_names_columns_and_shadows(web: Web) -> None:
    listed = web.ok("/EntityDefinitions(LogicalName='contact')/Attributes", select="LogicalName,AttributeOf")
    of = {one["LogicalName"]: one["AttributeOf"] for one in listed["value"]}
    assert (of["firstname"], of["parentcustomeridname"]) == (None, "parentcustomerid")
    assert web.ok("/EntityDefinitions(LogicalName='contact')")["ChangeTrackingEnabled"] is True
