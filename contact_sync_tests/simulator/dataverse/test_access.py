import pytest

from contact_sync.simulator.dataverse.server import DataverseServer
from contact_sync.simulator.dataverse.settings import DataverseSettings
from contact_sync.simulator.faults import Faults
from contact_sync_tests.simulator.conftest import ManualClock
from contact_sync_tests.simulator.dataverse.conftest import Web


def test_a_token_has_a_life_and_no_refresh_token(web: Web) -> None:
    granted = web.token().json()
    assert (granted["token_type"], granted["expires_in"]) == ("Bearer", 3599)
    assert "refresh_token" not in granted


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"tenant": "nobody"}, ("invalid_request", 90002)),
        ({"grant_type": "password"}, ("unsupported_grant_type", 70003)),
        ({"client_id": "nobody"}, ("unauthorized_client", 700016)),
        ({"client_secret": "wrong"}, ("invalid_client", 7000215)),
        ({"scope": "https://other.crm.dynamics.com/.default"}, ("invalid_resource", 500011)),
        ({"scope": "openid"}, ("invalid_scope", 1002012)),
    ],
)
def test_a_refused_token_says_why_in_an_object(web: Web, form: dict[str, str], error: tuple[str, int]) -> None:
    answer = web.token(**form)
    assert answer.status_code in {400, 401}
    assert (answer.json()["error"], answer.json()["error_codes"]) == (error[0], [error[1]])
    assert answer.json()["error_description"].startswith(f"AADSTS{error[1]}: ")


def test_a_token_ends(web: Web, clock: ManualClock) -> None:
    assert web.get("/WhoAmI").ok
    clock.advance(3600)
    answer = web.get("/WhoAmI")
    assert (answer.status_code, answer.content) == (401, b"")
    web.sign_in()
    assert web.get("/WhoAmI").ok


def test_nobody_gets_in_without_a_token(server: DataverseServer) -> None:
    assert Web(server).get("/contacts").status_code == 401


def test_too_many_requests_are_told_how_long_to_wait(clock: ManualClock) -> None:
    with DataverseServer(DataverseSettings(clock=clock, requests_per_window=2)) as server:
        web = Web(server)
        web.sign_in()
        assert web.get("/WhoAmI").ok
        clock.advance(100)
        assert web.get("/WhoAmI").ok
        answer = web.get("/WhoAmI")
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "200")
        assert answer.json()["error"]["code"] == "0x80072322"
        clock.advance(200)
        assert web.get("/WhoAmI").ok


def test_a_storm_shows_every_kind_of_service_protection(server: DataverseServer, web: Web) -> None:
    server.faults = Faults(throttled=1, retry_after=7, at_most={"throttled": 3})
    codes = {web.refused("/contacts") for _ in range(3)}
    assert codes == {(429, "0x80072322"), (429, "0x80072321"), (429, "0x80072326")}
    assert web.get("/contacts").ok


def test_an_outage_may_speak_html(server: DataverseServer, web: Web) -> None:
    server.faults = Faults(server_error=1, server_error_html=True)
    answer = web.get("/contacts")
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "text/html; charset=utf-8")


@pytest.mark.parametrize(("access", "code"), [("none", "0x80040220"), ("no user", "0x80072560")])
def test_who_may_not_read_is_told_so(access: str, code: str) -> None:
    with DataverseServer(DataverseSettings(access=access)) as server:  # type: ignore[arg-type]
        web = Web(server)
        web.sign_in()
        assert web.refused("/contacts") == (403, code)


def test_change_tracking_takes_the_right_to_read_all() -> None:
    with DataverseServer(DataverseSettings(access="business unit")) as server:
        web = Web(server)
        web.sign_in()
        assert web.get("/contacts").ok
        assert web.refused("/contacts", "odata.track-changes") == (403, "0x80040220")


def test_answers_carry_the_twins_own_time(web: Web, clock: ManualClock) -> None:
    clock.now = 0.0
    web.sign_in()
    assert web.get("/WhoAmI").headers["Date"] == "Thu, 01 Jan 1970 00:00:00 GMT"
