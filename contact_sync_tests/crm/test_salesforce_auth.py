"""Who logs in, and where a token may go."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from contact_sync.crm.http import CrmRetryableError, Http
from contact_sync.crm.salesforce_auth import SalesforceCredentials, Tokens
from contact_sync.crm.salesforce_settings import Salesforce
from contact_sync.crm.source import CrmConfigurationError, CrmError
from contact_sync.simulator.salesforce.server import SalesforceServer
from contact_sync.simulator.salesforce.settings import App, OrgSettings
from contact_sync_tests.crm.salesforce_harness import CREDENTIALS
from contact_sync_tests.scripted import Reply, Scripted

USER = "sync@acme.example"


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    """Return a private key and its public one."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


@pytest.fixture
def org(keys: tuple[str, str]) -> Iterator[SalesforceServer]:
    apps = {
        "twin-consumer-key": App("twin-consumer-secret"),
        "key-app": App(public_key=keys[1], usernames=frozenset({USER})),
    }
    with SalesforceServer(OrgSettings(apps=apps)) as server:
        yield server


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as server:
        yield server


def tokens(
    url: str, credentials: SalesforceCredentials = CREDENTIALS, *, now: float | None = None, **settings: str
) -> Tokens:
    organisation = Salesforce.model_validate({"url": url} | settings)
    moment = datetime.now(UTC).timestamp() if now is None else now
    return Tokens(organisation, credentials, Http(), lambda: moment)


def by_key(private_key: str, *, client_id: str = "key-app", username: str = USER) -> SalesforceCredentials:
    return SalesforceCredentials(client_id, username=username, private_key=private_key)


def refusal(login: Tokens) -> CrmError:
    with pytest.raises(CrmError) as refused:
        login.access()
    assert refused.value.__context__ is None
    assert "\n" not in str(refused.value)
    return refused.value


def test_client_credentials(org: SalesforceServer) -> None:
    login = tokens(org.base_url)
    access = login.access()
    assert access.instance == org.base_url
    assert login.access() is access
    assert org.org.door.seen["POST /token"] == 1
    assert access.token not in f"{access!r} {login!r}"


def test_a_signed_jwt(org: SalesforceServer, keys: tuple[str, str]) -> None:
    for private in (keys[0], keys[0].replace("\n", "\\n")):  # as an .env file may have it
        assert tokens(org.base_url, by_key(private), login="jwt_bearer").access().token


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"username": "somebody@else.example"}, "invalid_app_access): let a permission set"),
        ({"client_id": "unknown"}, "invalid_client_id): check SALESFORCE_CLIENT_ID"),
        ({"client_id": "twin-consumer-key"}, "invalid_grant): check SALESFORCE_USERNAME"),
    ],
)
def test_a_jwt_of_somebody_else_is_refused(
    org: SalesforceServer, keys: tuple[str, str], change: dict[str, str], says: str
) -> None:
    assert says in str(refusal(tokens(org.base_url, by_key(keys[0], **change), login="jwt_bearer")))


def test_a_jwt_of_a_wrong_audience_or_clock_is_refused(org: SalesforceServer, keys: tuple[str, str]) -> None:
    sandbox = tokens(org.base_url, by_key(keys[0]), login="jwt_bearer", audience="https://test.salesforce.com")
    assert "crm.salesforce.audience" in str(refusal(sandbox))
    assert "this clock" in str(refusal(tokens(org.base_url, by_key(keys[0]), now=0.0, login="jwt_bearer")))


@pytest.mark.parametrize("key", ["", "PRIVATE", "-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----"])
def test_what_is_no_private_key_is_not_told(org: SalesforceServer, key: str) -> None:
    refused = refusal(tokens(org.base_url, by_key(key), login="jwt_bearer"))
    assert str(refused).startswith("SALESFORCE_PRIVATE_KEY is no private RSA key in PEM form")
    assert "QUJD" not in str(refused)


def test_a_missing_library_is_told_in_one_line(
    org: SalesforceServer, keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    refused = refusal(tokens(org.base_url, by_key(keys[0]), login="jwt_bearer"))
    assert str(refused).endswith("pip install 'contact-sync[salesforce]'")
    assert tokens(org.base_url).access().token  # a secret needs none


def test_a_secret_that_is_wrong_is_named_and_not_told(org: SalesforceServer) -> None:
    refused = refusal(tokens(org.base_url, SalesforceCredentials("twin-consumer-key", "wr0ng")))
    assert isinstance(refused, CrmConfigurationError)
    assert "check SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET" in str(refused)
    assert "wr0ng" not in f"{refused!r} {SalesforceCredentials('a', 'wr0ng')!r}"


@pytest.mark.parametrize(
    "instance",
    [
        "https://evil.example",
        "https://acme.my.salesforce.com.evil.example",
        "https://acme.my.salesforce.com@evil.example",
        "http://acme.my.salesforce.com",
        "https://evilsalesforce.com",
        "",
        None,
    ],
)
def test_a_token_goes_to_salesforces_hosts_only(server: Scripted, instance: str | None) -> None:
    server.script.append(Reply(200, {"access_token": "t0ken", "instance_url": instance}))
    refused = refusal(tokens(server.url))
    assert isinstance(refused, CrmConfigurationError)
    assert "named an instance that is not Salesforce's" in str(refused)
    assert "evil" not in str(refused)


@pytest.mark.parametrize(
    ("instance", "trusted"),
    [
        ("https://acme.my.salesforce.com", True),
        ("https://acme--dev.sandbox.my.salesforce.com/", True),
        ("https://eu42.salesforce.com", True),
        ("https://acme.my.salesforce.com:8443", True),
        ("https://evil.example", False),
        ("https://salesforce.com.evil.example", False),
        ("https://evilsalesforce.com", False),
        ("http://acme.my.salesforce.com", False),
        ("http://127.0.0.1:8080", False),
        ("https://localhost", False),
    ],
)
def test_an_organisation_of_salesforce_lives_on_salesforces_hosts(instance: str, trusted: bool) -> None:  # noqa: FBT001 -- parametrized
    login = tokens("https://acme.my.salesforce.com")
    if trusted:
        assert login._instance(instance) == instance.rstrip("/")
        return
    with pytest.raises(CrmConfigurationError, match="is not Salesforce's"):
        login._instance(instance)


@pytest.mark.parametrize("token", ["", "a\nb", "tökén", None, 7])
def test_a_token_that_cannot_be_sent_is_none(server: Scripted, token: object) -> None:
    server.script.append(Reply(200, {"access_token": token, "instance_url": server.url}))
    assert "without a token" in str(refusal(tokens(server.url)))


@pytest.mark.parametrize(
    "reply",
    [
        Reply(503, b"<html>"),
        Reply(200, b"<html>Sign in"),
        Reply(400, b"<html>"),
        Reply(400, {"error": "unknown_error", "error_description": "retry your request"}),
        Reply(drop=True),
    ],
)
def test_a_login_host_that_is_down_may_be_asked_again(server: Scripted, reply: Reply) -> None:
    login = tokens(server.url)
    server.script.extend([reply, Reply(200, {"access_token": "t0ken", "instance_url": server.url})])
    assert isinstance(refusal(login), CrmRetryableError)
    assert login.access().token == "t0ken"


@pytest.mark.parametrize("body", [{"error": "s3cret\nvalue"}, {"error": 7}, {}])
def test_a_refusal_in_odd_words_is_not_repeated(server: Scripted, body: object) -> None:
    server.script.append(Reply(400, body))
    refused = refusal(tokens(server.url))
    assert isinstance(refused, CrmConfigurationError)
    assert "s3cret" not in str(refused)
