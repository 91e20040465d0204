import base64

import pytest
import requests

from contact_sync_tests.simulator.api import CREDENTIALS, Api
from contact_sync_tests.simulator.conftest import ManualClock, Start

ME = "/api/v2/organizations/me"
GRANT = {"grant_type": "client_credentials"}


def token_call(api: Api, form: dict[str, str], **options: object) -> requests.Response:
    return requests.post(f"{api.server.base_url}/oauth/token", form, timeout=5, **options)  # type: ignore[arg-type]


def test_a_token_says_how_long_it_lives(start: Start) -> None:
    answer = token_call(start(token_seconds=600), GRANT, auth=CREDENTIALS).json()
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 600)
    assert "refresh_token" not in answer


def test_the_secret_may_come_in_the_form(api: Api) -> None:
    answer = token_call(api, GRANT | {"client_id": CREDENTIALS[0], "client_secret": CREDENTIALS[1]})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("credentials", "description"),
    [(("nobody", "x"), "client not found"), ((CREDENTIALS[0], "wrong"), "authentication failed")],
)
def test_wrong_credentials_are_named(api: Api, credentials: tuple[str, str], description: str) -> None:
    answer = token_call(api, GRANT, auth=credentials)
    expected = {"error": "invalid_client", "description": description, "error_description": description}
    assert (answer.status_code, answer.json()) == (400, expected)


def test_an_unreadable_authorization_knows_no_client(api: Api) -> None:
    for header in ("Basic ###", "Basic " + base64.b64encode(b"\xff\xfe").decode()):
        assert token_call(api, GRANT, headers={"Authorization": header}).status_code == 400


def test_another_grant_is_refused(api: Api) -> None:
    answer = token_call(api, {"grant_type": "password"}, auth=CREDENTIALS)
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def test_a_call_needs_a_token(api: Api) -> None:
    del api.session.headers["Authorization"]
    assert api.refused("GET", ME) == (401, "authentication.required")
    api.session.headers["Authorization"] = "Bearer made-up"
    assert api.refused("GET", ME) == (401, "bad.credentials")


def test_a_token_dies_at_its_expiry(start: Start, clock: ManualClock) -> None:
    api = start(token_seconds=600)
    clock.advance(599)
    assert api.call("GET", ME).status_code == 200
    clock.advance(1)
    assert api.refused("GET", ME) == (401, "bad.credentials")


def test_a_revoked_token_is_useless(api: Api) -> None:
    assert api.ok("GET", "/api/v2/tokens/me")["OAuthClient"]["id"] == CREDENTIALS[0]
    assert api.call("DELETE", "/api/v2/tokens/me").status_code == 200
    assert api.refused("GET", "/api/v2/tokens/me") == (401, "bad.credentials")


def test_every_answer_tells_the_budget(start: Start, clock: ManualClock) -> None:
    api = start(requests_per_minute=5)
    api.call("GET", ME)
    clock.advance(20.5)
    headers = api.call("GET", "/contacts/unknown").headers
    told = [headers[f"inin-ratelimit-{name}"] for name in ("count", "allowed", "reset")]
    assert told == ["2", "5", "40"]
    assert headers["ININ-Correlation-Id"]


def test_the_budget_opens_again_a_minute_after_the_first_request(start: Start, clock: ManualClock) -> None:
    api = start(requests_per_minute=2)
    clock.advance(1000)
    assert [api.call("GET", ME).status_code for _ in range(2)] == [200, 200]
    clock.advance(45.2)
    refused = api.call("GET", ME)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "15")
    assert refused.json()["code"] == "too.many.requests.retry.after"
    assert refused.headers["inin-ratelimit-count"] == "2"
    assert "[15] seconds" in refused.json()["message"]
    clock.advance(14.7)
    assert api.call("GET", ME).status_code == 429
    clock.advance(0.2)
    assert api.call("GET", ME).status_code == 200


@pytest.mark.parametrize(("per", "status"), [("token", 200), ("client", 429)])
def test_whether_tokens_share_a_budget_is_a_setting(start: Start, per: str, status: int) -> None:
    api = start(requests_per_minute=1, rate_limit_per=per)
    assert api.call("GET", ME).status_code == 200
    other = Api(api.server)
    assert other.call("GET", ME).status_code == status
