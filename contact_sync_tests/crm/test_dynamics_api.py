import re
import traceback
from collections.abc import Iterator

import pytest

from contact_sync.crm.dynamics import AppCredentials, Dynamics, DynamicsSource
from contact_sync.crm.http import PATIENCE, Http
from contact_sync.crm.source import CrmConfigurationError, CrmError, CrmUnavailableError
from contact_sync.simulator.dataverse.server import DataverseServer
from contact_sync.simulator.dataverse.settings import DataverseSettings
from contact_sync.simulator.faults import Faults
from contact_sync_tests.crm.contract import NOON, WINDOW, read
from contact_sync_tests.crm.dynamics_harness import SETTLE, credentials_of, source_of
from contact_sync_tests.scripted import Reply, Scripted
from contact_sync_tests.simulator.conftest import ManualClock

PEOPLE = 20  # three pages of seven
TOKEN = Reply(200, {"access_token": "token", "expires_in": 3599})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Iterator[DataverseServer]:
    with DataverseServer(DataverseSettings(clock=clock)) as server:
        for number in range(PEOPLE):
            server.table.put({"emailaddress1": f"SECRET{number}@example.org"}, modified_at=NOON)
        yield server


@pytest.fixture
def naps() -> list[float]:
    return []


@pytest.fixture
def source(server: DataverseServer, naps: list[float]) -> Iterator[DynamicsSource]:
    source = source_of(server, http=Http(sleep=naps.append, deadline=1.0))
    yield source
    source.close()


def elsewhere(url: str) -> DynamicsSource:
    """Return a source over a server that is told what to say, of tokens too."""
    settings, credentials = Dynamics(url=url, login_url=url), AppCredentials("tenant", "client", "secret")
    return DynamicsSource(settings, credentials, [], settle=SETTLE, http=Http(sleep=lambda _: None))


def failing(source: DynamicsSource) -> CrmError:
    """Return the error of a window, of which nothing may be told but that it failed."""
    with pytest.raises(CrmError) as caught:
        read(source)
    told = "".join(traceback.format_exception(caught.value))
    assert "SECRET" not in told
    assert "modifiedon" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__context__ is None
    return caught.value


def test_every_request_says_what_it_speaks(server: DataverseServer, source: DynamicsSource) -> None:
    read(source)
    assert len(server.seen) == 3
    for seen in server.seen:
        told = {name: seen.headers.get(name) for name in ("accept", "odata-maxversion", "odata-version")}
        assert told == {"accept": "application/json", "odata-maxversion": "4.0", "odata-version": "4.0"}
        assert (seen.headers["if-none-match"], seen.headers["prefer"]) == ("null", "odata.maxpagesize=7")


def test_only_the_registrys_columns_are_asked_for(server: DataverseServer, source: DynamicsSource) -> None:
    read(source)
    own = "contactid,modifiedon,statecode,merged,_masterid_value"
    assert f"%24select={own},firstname,emailaddress1&".replace(",", "%2C") in f"{server.seen[0].query}&"


def test_a_token_that_ends_between_pages_is_replaced(server: DataverseServer, source: DynamicsSource) -> None:
    pages = source.changes(WINDOW)
    found = len(next(pages))
    server.access.revoke_all()
    assert found + sum(map(len, pages)) == PEOPLE
    assert server.access.issued == 2


def test_a_token_that_is_refused_again_and_again_is_the_operators(
    server: DataverseServer, source: DynamicsSource
) -> None:
    server.faults = Faults(token_revoked=1)
    error = failing(source)
    assert isinstance(error, CrmConfigurationError)
    assert str(error).endswith("(401): add the app registration to the environment as an application user")
    assert (len(server.seen), server.access.issued) == (2, 2)


def test_no_request_goes_out_before_retry_after(
    server: DataverseServer, source: DynamicsSource, naps: list[float]
) -> None:
    server.faults = Faults(throttled=1, retry_after=17, at_most={"throttled": 3})
    assert len(read(source)) == PEOPLE
    assert naps == [17, 17, 17]


def test_service_protection_is_waited_for(clock: ManualClock) -> None:
    with DataverseServer(DataverseSettings(clock=clock, requests_per_window=2, window_seconds=60)) as server:
        for _ in range(PEOPLE):
            server.table.put({}, modified_at=NOON)
        source = source_of(server, http=Http(sleep=clock.advance))
        assert len(read(source)) == PEOPLE
        source.close()


def test_a_storm_that_lasts_leaves_the_window_to_the_next_run(
    server: DataverseServer, source: DynamicsSource, naps: list[float]
) -> None:
    server.faults = Faults(throttled=1, retry_after=int(PATIENCE))
    assert isinstance(failing(source), CrmUnavailableError)
    assert len(server.seen) == 5
    server.faults = Faults(throttled=1, retry_after=int(PATIENCE) + 1)
    naps.clear()
    failing(source)
    assert naps == []
    server.faults = Faults()
    assert len(read(source)) == PEOPLE


@pytest.mark.parametrize("lost", ["refused", "lost", "reset", "server_error"])
def test_a_page_that_is_lost_in_the_middle_is_asked_for_again(
    server: DataverseServer, source: DynamicsSource, lost: str
) -> None:
    pages = source.changes(WINDOW)
    found = len(next(pages))
    server.faults = Faults.model_validate({lost: 1.0, "at_most": {lost: 2}})
    assert found + sum(map(len, pages)) == PEOPLE


def test_a_page_that_stays_lost_is_no_end(server: DataverseServer, source: DynamicsSource) -> None:
    pages = source.changes(WINDOW)
    next(pages)
    server.faults = Faults(lost=1)
    with pytest.raises(CrmUnavailableError, match=r"^the CRM did not answer GET 127\.0\.0\.1:\d+/api/data/v9\.2/"):
        list(pages)


def test_an_outage_in_html_is_told_in_a_line(server: DataverseServer, source: DynamicsSource) -> None:
    server.faults = Faults(server_error=1, server_error_html=True)
    error = failing(source)
    assert isinstance(error, CrmUnavailableError)
    assert str(error).endswith("/api/data/v9.2/contacts with 503")
    assert len(server.seen) == 5


@pytest.mark.parametrize("body", [b"<html>sign in</html>", [], "text", {"value": 3}, {"value": [3]}, {}])
def test_a_success_that_is_no_page_is_none(body: object) -> None:
    with Scripted() as server:
        source = elsewhere(server.url)
        server.script.append(TOKEN)
        server.otherwise = Reply(200, body)
        with pytest.raises(CrmUnavailableError):
            read(source)
        source.close()


def test_a_dripping_answer_is_given_up(server: DataverseServer, source: DynamicsSource) -> None:
    server.faults = Faults(drip=1, drip_seconds=3, at_most={"drip": 1})
    assert len(read(source)) == PEOPLE  # the second attempt is served whole
    assert len(server.seen) == 4


def test_a_link_to_another_host_is_not_followed(server: DataverseServer, source: DynamicsSource) -> None:
    with Scripted() as foreign:
        server.foreign_origin = foreign.url
        error = failing(source)
        assert isinstance(error, CrmConfigurationError)
        assert "another host, which is not followed" in str(error)
        assert foreign.seen == []


def test_a_link_that_leads_back_is_not_followed_for_ever() -> None:
    with Scripted() as server:
        source = elsewhere(server.url)
        server.script.append(TOKEN)
        server.otherwise = Reply(200, {"value": [], "@odata.nextLink": f"{server.url}/api/data/v9.2/contacts?a=1"})
        with pytest.raises(CrmUnavailableError, match="lead nowhere"):
            read(source)
        assert len(server.seen) == 3
        source.close()


@pytest.mark.parametrize(
    ("access", "hint"),
    [
        ("none", r"\(403, 0x80040220\): give its application user a security role that reads contacts"),
        ("no user", r"\(403, 0x80072560\): add the app registration to the environment as an application user$"),
    ],
)
def test_a_missing_right_is_told_with_what_to_do(access: str, hint: str) -> None:
    with DataverseServer(DataverseSettings(access=access)) as server:  # type: ignore[arg-type]
        source = source_of(server)
        with pytest.raises(CrmConfigurationError, match=hint):
            read(source)
        assert len(server.seen) == 1
        source.close()


def test_a_column_that_there_is_not_is_named(server: DataverseServer) -> None:
    source = source_of(server, ["firstname", "new_shoesize"])
    with pytest.raises(
        CrmConfigurationError, match=r"contacts have no column new_shoesize: correct the registry$"
    ):
        read(source)
    source.close()


def test_nobody_there_is_worth_another_run(server: DataverseServer, source: DynamicsSource) -> None:
    read(source)
    server.stop()
    assert isinstance(failing(source), CrmUnavailableError)


@pytest.mark.parametrize(
    ("reply", "hint"),
    [
        (Reply(404, b"<html>no</html>"), r"contacts \(404\): check crm\.dynamics\.url$"),
        (
            Reply(400, {"error": {"code": "", "message": "SECRET"}}),
            r"\(400\): compare the registry with the columns",
        ),
        (Reply(400, {"error": "SECRET"}), r"\(400\): compare the registry"),
        (Reply(403, ["SECRET"]), r"\(403\): give its application user a security role"),
        (Reply(302, {}, {"Location": "https://evil.example/"}), r"302, a redirect, which is not followed"),
    ],
)
def test_a_refusal_is_told_without_what_it_says(reply: Reply, hint: str) -> None:
    with Scripted() as server:
        source = elsewhere(server.url)
        server.script.append(TOKEN)
        server.otherwise = reply
        error = failing(source)
        assert isinstance(error, CrmConfigurationError)
        assert re.search(hint, str(error))
        assert len(server.seen) == 2  # once: repeating would not help
        source.close()


def test_the_secret_goes_to_the_token_endpoint_only(server: DataverseServer, source: DynamicsSource) -> None:
    read(source)
    secret = credentials_of(server).client_secret
    assert all(secret not in f"{seen.query}{seen.headers}" for seen in server.seen)
    assert secret not in repr(vars(source))
