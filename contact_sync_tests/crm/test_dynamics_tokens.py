import traceback
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import ValidationError

from contact_sync.crm.dynamics import AppCredentials, Dynamics
from contact_sync.crm.dynamics_tokens import EntraTokens
from contact_sync.crm.http import CrmRetryableError, Http
from contact_sync.crm.source import CrmConfigurationError
from contact_sync.simulator.dataverse.server import DataverseServer
from contact_sync.simulator.dataverse.settings import DataverseSettings
from contact_sync.simulator.faults import Faults
from contact_sync_tests.crm.dynamics_harness import credentials_of, settings_of
from contact_sync_tests.scripted import Reply, Scripted
from contact_sync_tests.simulator.conftest import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Iterator[DataverseServer]:
    with DataverseServer(DataverseSettings(clock=clock)) as server:
        yield server


@pytest.fixture
def http() -> Iterator[Http]:
    http = Http(sleep=lambda _: None)
    yield http
    http.close()


@pytest.fixture
def tokens(server: DataverseServer, http: Http, clock: ManualClock) -> EntraTokens:
    return EntraTokens(http, settings_of(server), credentials_of(server), clock=clock)


def test_a_token_is_used_until_shortly_before_its_end(
    server: DataverseServer, tokens: EntraTokens, clock: ManualClock
) -> None:
    first = tokens.token()
    clock.advance(3599 - 300 - 1)
    assert tokens.token() == first
    clock.advance(1)
    assert tokens.token() != first
    assert server.access.issued == 2


def test_of_a_short_life_the_last_tenth_is_left(http: Http, clock: ManualClock) -> None:
    with DataverseServer(DataverseSettings(token_seconds=100)) as short:
        tokens = EntraTokens(http, settings_of(short), credentials_of(short), clock=clock)
        first = tokens.token()
        clock.advance(89)
        assert tokens.token() == first
        clock.advance(1)
        assert tokens.token() != first


def test_a_token_that_was_refused_is_given_up_once(server: DataverseServer, tokens: EntraTokens) -> None:
    first = tokens.token()
    tokens.forget(first)
    second = tokens.token()
    tokens.forget(first)
    assert tokens.token() == second != first
    assert server.access.issued == 2


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"tenant_id": "nobody.example"}, r"\(400, AADSTS90002\).* DYNAMICS_TENANT_ID$"),
        ({"client_id": "S3CRET"}, r"\(400, AADSTS700016\).* DYNAMICS_CLIENT_ID"),
        ({"client_secret": "S3CRET"}, r"\(401, AADSTS7000215\).* DYNAMICS_CLIENT_SECRET"),
    ],
)
def test_a_refusal_names_the_variable_and_nothing_else(
    server: DataverseServer, http: Http, wrong: dict[str, str], hint: str
) -> None:
    tokens = EntraTokens(http, settings_of(server), replace(credentials_of(server), **wrong))
    with pytest.raises(CrmConfigurationError, match=hint) as refused:
        tokens.token()
    told = "".join(traceback.format_exception(refused.value))
    assert refused.value.__context__ is None
    for secret in ("S3CRET", credentials_of(server).client_secret, "Trace ID"):
        assert secret not in told


def test_another_environments_token_is_not_given(server: DataverseServer, http: Http) -> None:
    settings = settings_of(server).model_copy(update={"url": "https://other.crm.dynamics.com"})
    with pytest.raises(CrmConfigurationError, match=r"AADSTS500011\).* crm.dynamics.url"):
        EntraTokens(http, settings, credentials_of(server)).token()


@pytest.mark.parametrize("fault", [Faults(token_error=1), Faults(token_throttled=1, retry_after=9)])
def test_a_login_host_in_trouble_may_be_asked_again(
    server: DataverseServer, tokens: EntraTokens, fault: Faults
) -> None:
    server.faults = fault
    with pytest.raises(CrmRetryableError) as failed:
        tokens.token()
    assert failed.value.retry_after == (9 if fault.token_throttled else None)
    server.faults = Faults()
    assert tokens.token()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"access_token": "x"},
        {"access_token": "x", "expires_in": 0},
        {"access_token": "x", "expires_in": "3599"},
        {"access_token": "bad\nS3CRET", "expires_in": 3599},
        {"access_token": "S3CRÉT", "expires_in": 3599},
        {"access_token": 7, "expires_in": 3599},
        {"access_token": "", "expires_in": 3599},
    ],
)
def test_an_answer_without_a_token_is_none(http: Http, body: dict[str, object]) -> None:
    with Scripted() as server:
        server.otherwise = Reply(200, body)
        tokens = EntraTokens(
            http, Dynamics(url=server.url, login_url=server.url), AppCredentials("tenant", "client", "secret")
        )
        with pytest.raises(
            CrmConfigurationError, match=r"without a token: check crm.dynamics.login_url$"
        ) as failed:
            tokens.token()
        assert "S3CR" not in str(failed.value)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(200, b"<html>sign in</html>"), CrmRetryableError),
        (Reply(400, b"<html>no</html>"), CrmConfigurationError),
        (Reply(400, {"error_description": "AADSTSx: S3CRET"}), CrmConfigurationError),
        (Reply(400, ["S3CRET"]), CrmConfigurationError),
        (Reply(302, {}, {"Location": "https://evil.example/"}), CrmConfigurationError),
    ],
)
def test_a_strange_answer_is_an_error_that_tells_nothing_of_it(
    http: Http, reply: Reply, error: type[Exception]
) -> None:
    with Scripted() as server:
        server.otherwise = reply
        tokens = EntraTokens(
            http, Dynamics(url=server.url, login_url=server.url), AppCredentials("tenant", "client", "secret")
        )
        with pytest.raises(error) as failed:
            tokens.token()
        assert "S3CRET" not in str(failed.value)


@pytest.mark.parametrize("tenant", ["../evil", "a/b", "", "a?b", "a\nb", "-", "é"])
def test_a_tenant_is_an_id_or_a_domain(tenant: str) -> None:
    with pytest.raises(CrmConfigurationError, match=r"^DYNAMICS_TENANT_ID is neither"):
        AppCredentials(tenant, "client", "secret")


def test_credentials_do_not_show_the_secret() -> None:
    assert "S3CRET" not in repr(AppCredentials("tenant", "client", "S3CRET"))


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("url", "http://acme.crm4.dynamics.com"),
        ("url", "https://acme.crm4.dynamics.com.evil.example"),
        ("url", "https://make.powerapps.com"),
        ("url", "https://user@acme.crm4.dynamics.com"),
        ("login_url", "https://login.evil.example"),
        ("login_url", "http://login.microsoftonline.com"),
    ],
)
def test_secrets_go_to_microsoft_only(name: str, url: str) -> None:
    with pytest.raises(ValidationError):
        Dynamics.model_validate({"url": "https://acme.crm4.dynamics.com", name: url})


@pytest.mark.parametrize(
    "host", ["acme.crm4.dynamics.com", "acme.crm.microsoftdynamics.us", "acme.crm.dynamics.cn"]
)
def test_environments_of_every_cloud_are_known(host: str) -> None:
    assert Dynamics(url=f"https://{host}/").url == f"https://{host}"
