import pytest

from contact_sync.simulator.dataverse.server import DataverseServer
from contact_sync.simulator.dataverse.settings import DataverseSettings
from contact_sync_tests.simulator.conftest import ManualClock
from contact_sync_tests.simulator.dataverse.conftest import Json, Web

TRACK = "odata.track-changes,odata.maxpagesize=2"
DAY = 86_400


def begin(web: Web) -> tuple[list[str], str]:
    pages = web.pages("/contacts", TRACK, select="contactid")
    return [row["contactid"] for page in pages for row in page["value"]], pages[-1]["@odata.deltaLink"]


def deleted(page: Json) -> list[str]:
    return [one["id"] for one in page["value"] if one.get("@odata.context", "").endswith("$deletedEntity")]


def test_the_first_listing_is_of_everybody_and_ends_with_a_delta_link(server: DataverseServer, web: Web) -> None:
    people = [server.table.put({}) for _ in range(5)]
    server.table.delete(people.pop())
    found, link = begin(web)
    assert sorted(found) == sorted(people)
    assert web.ok(link)["value"] == []


def test_a_delta_tells_changes_then_deletions_even_of_what_was_never_told(
    server: DataverseServer, web: Web
) -> None:
    one, two = server.table.put({}), server.table.put({})
    _, link = begin(web)
    server.table.delete(one)
    server.table.put({"firstname": "Ada"}, contact_id=two)
    brief = server.table.put({})
    server.table.delete(brief)
    page = web.ok(link)
    assert page["value"][0]["contactid"] == two
    assert deleted(page) == [one, brief]
    assert web.ok(page["@odata.deltaLink"])["value"] == []
    assert deleted(web.ok(link)) == [one, brief]  # as often as it is asked


def test_what_changes_between_pages_belongs_to_the_next_delta(server: DataverseServer, web: Web) -> None:
    people = [server.table.put({}) for _ in range(3)]
    first = web.ok("/contacts", TRACK)
    server.table.delete(people[0])
    last = web.ok(first["@odata.nextLink"], TRACK)
    assert deleted(web.ok(last["@odata.deltaLink"])) == [people[0]]


def test_a_token_is_good_for_seven_days(server: DataverseServer, web: Web, clock: ManualClock) -> None:
    server.table.put({})
    _, link = begin(web)
    clock.advance(7 * DAY - 10)
    web.sign_in()
    assert web.get(link).ok
    clock.advance(60)
    assert web.refused(link) == (400, "0x80044352")


@pytest.mark.parametrize("option", ["filter", "orderby", "top", "expand"])
def test_other_options_are_refused(web: Web, option: str) -> None:
    assert web.refused("/contacts", TRACK, **{option: "x"}) == (400, "0x80060888")


def test_a_malformed_token_is_refused(web: Web) -> None:
    assert web.refused("/contacts", deltatoken="x!y") == (400, "0x80060888")


def test_a_table_without_tracking_says_so() -> None:
    with DataverseServer(DataverseSettings(change_tracking=False)) as server:
        web = Web(server)
        web.sign_in()
        assert web.refused("/contacts", TRACK) == (400, "0x80060888")
