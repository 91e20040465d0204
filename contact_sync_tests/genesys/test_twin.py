"""The client against the twin of Genesys: what they make of each other, over HTTP.

Every request is also held against the published contract, where that is at hand.
"""

import json
from collections.abc import Iterator, Mapping

import pytest
import requests
from requests.adapters import HTTPAdapter

from contact_sync.genesys.auth import TokenManager
from contact_sync.genesys.client import GenesysClient
from contact_sync.genesys.errors import GenesysFatalError
from contact_sync.genesys.payloads import ExternalId, Upsert, canonical, external_ids
from contact_sync.genesys.regions import resolve
from contact_sync.genesys.transport import Transport
from contact_sync.simulator.server import TwinServer
from contact_sync.simulator.settings import TwinSettings
from contact_sync_tests import contract
from contact_sync_tests.genesys.conftest import Clock, Line

ADA = {
    "firstName": "Ada",
    "lastName": "Lovelace",
    "title": "Countess",
    "workPhone": "+4930123456;ext=12",
    "cellPhone": "+4915112345678",
    "workEmail": "ada@example.org",
    "address.city": "London",
    "address.postalCode": "W1",
    "externalSystemUrl": "https://crm.example.org/003A",
}


class LosesAnswers(HTTPAdapter):
    """Lets the first answer of every operation get lost on its way back."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: set[str] = set()

    def send(self, request: requests.PreparedRequest, *args: object, **kwargs: object) -> requests.Response:
        response = super().send(request, *args, **kwargs)  # type: ignore[arg-type]
        if request.path_url not in self.lost:
            self.lost.add(request.path_url)
            response.close()
            raise requests.ConnectionError
        return response


@pytest.fixture
def twin() -> Iterator[TwinServer]:
    with TwinServer(TwinSettings(bulk_max_items=3)) as running:
        yield running


def keeps_the_contract(response: requests.Response, *_args: object, **_options: object) -> None:
    """Check the request, not the answer: reading that here would take it from the client."""
    sent = response.request
    path = sent.path_url
    if path.startswith("/api/v2/"):
        contract.validate_request(sent.method or "", path, json.loads(sent.body) if sent.body else None)


def connect(twin: TwinServer, session: requests.Session, clock: Clock) -> GenesysClient:
    session.hooks["response"].append(keeps_the_contract)
    hosts = resolve(None, twin.base_url)
    tokens = TokenManager(hosts, "twin-client", "twin-secret", session=session, clock=clock)
    return GenesysClient(Transport(hosts, tokens, Line(clock), session=session, sleep=clock.sleep, clock=clock))


@pytest.fixture
def client(twin: TwinServer, session: requests.Session, clock: Clock) -> GenesysClient:
    return connect(twin, session, clock)


@pytest.fixture
def source(client: GenesysClient) -> str:
    return client.ensure_external_source("crm")


def held(client: GenesysClient, contact_id: str | None) -> Mapping[str, object]:
    body = client.transport.get(f"/api/v2/externalcontacts/contacts/{contact_id}").body
    assert isinstance(body, dict)
    return body


def stats(twin: TwinServer) -> dict[str, dict[str, int]]:
    read: dict[str, dict[str, int]] = requests.get(f"{twin.base_url}/_twin/stats", timeout=5).json()
    return read


def test_the_client_meets_its_organization(twin: TwinServer, client: GenesysClient) -> None:
    found = client.organization()
    assert (found.id, found.name) == (twin.settings.organization_id, twin.settings.organization_name)


def test_an_external_source_is_created_once(client: GenesysClient) -> None:
    client.ensure_external_source("crm-key")
    first = client.ensure_external_source("crm")
    assert client.writes_sent == 2
    assert client.ensure_external_source("crm") == first
    assert client.writes_sent == 2


def test_a_contact_arrives_as_it_was_sent(client: GenesysClient, source: str) -> None:
    record = ExternalId(source, "003A")
    (result,) = client.upsert([Upsert("t-1", (record,), ADA)])
    assert (result.ok, result.created) == (True, True)
    entity = held(client, result.contact_id)
    assert canonical(entity) == ADA
    assert external_ids(entity) == (record,)


def test_the_same_upsert_again_updates_the_same_contact(
    client: GenesysClient, twin: TwinServer, source: str
) -> None:
    upsert = Upsert("t-1", (ExternalId(source, "003A"),), ADA)
    (first,), (again,) = client.upsert([upsert]), client.upsert([upsert])
    assert (again.contact_id, again.created) == (first.contact_id, False)
    assert stats(twin)["held"]["contacts"] == 1


def test_only_what_is_cleared_is_erased(client: GenesysClient, source: str) -> None:
    ids = (ExternalId(source, "003A"),)
    client.upsert([Upsert("t-1", ids, ADA)])
    (result,) = client.upsert([Upsert("t-1", ids, {"title": "Lady"}, ("cellPhone", "address.city"))])
    expected = {name: value for name, value in ADA.items() if name not in {"cellPhone", "address.city"}}
    assert canonical(held(client, result.contact_id)) == expected | {"title": "Lady"}


def test_an_extension_that_is_gone_from_the_crm_is_gone_here(client: GenesysClient, source: str) -> None:
    ids = (ExternalId(source, "003A"),)
    client.upsert([Upsert("t-1", ids, ADA)])
    (result,) = client.upsert([Upsert("t-1", ids, {"workPhone": "+4930123456"})])
    assert canonical(held(client, result.contact_id))["workPhone"] == "+4930123456"


def test_a_record_with_a_new_id_is_found_by_its_key(client: GenesysClient, twin: TwinServer, source: str) -> None:
    key = ExternalId(client.ensure_external_source("crm-key"), "acme|+4930123456|9f2c")
    (old,) = client.upsert([Upsert("t-1", (ExternalId(source, "003A"), key), ADA)])
    (new,) = client.upsert([Upsert("t-2", (ExternalId(source, "003B"), key), ADA)])
    assert new.contact_id == old.contact_id
    assert len(external_ids(held(client, new.contact_id))) == 3
    assert stats(twin)["held"]["contacts"] == 1


def test_one_bad_address_does_not_stop_nine_good_contacts(client: GenesysClient, source: str) -> None:
    def upsert(number: int) -> Upsert:
        mail = "not a mail address" if number == 4 else f"somebody-{number}@example.org"
        return Upsert(f"t-{number}", (ExternalId(source, f"00{number}"),), {"lastName": "L", "workEmail": mail})

    results = client.upsert([upsert(number) for number in range(10)])
    assert [result.tracker for result in results] == [f"t-{number}" for number in range(10)]
    (bad,) = [result for result in results if not result.ok]
    assert (bad.tracker, bad.status, bad.code, bad.fields) == ("t-4", 422, "validation.failed", ("workEmail",))
    assert not bad.retryable
    assert len({result.contact_id for result in results if result.ok}) == 9


def test_lost_answers_make_no_duplicates(twin: TwinServer, clock: Clock) -> None:
    with requests.Session() as session:
        adapter = LosesAnswers()
        session.mount("http://", adapter)
        client = connect(twin, session, clock)
        source = client.ensure_external_source("crm")
        upserts = [Upsert(f"t-{n}", (ExternalId(source, f"00{n}"),), ADA) for n in range(3)]
        results = client.upsert(upserts)
        assert all(result.ok and not result.created for result in results)  # the first, lost answer said 201
        assert stats(twin)["held"]["contacts"] == 3
        removed = client.remove([result.contact_id or "" for result in results])
    assert all(result.ok for result in removed)
    assert stats(twin)["held"]["contacts"] == 0
    assert len(adapter.lost) == 5  # the token, the list and the create of the source, the upsert, the removal


def test_removing_twice_is_done_twice_and_a_long_list_is_no_obstacle(
    client: GenesysClient, twin: TwinServer, source: str
) -> None:
    upserts = [Upsert(f"t-{n}", (ExternalId(source, f"00{n}"),), {"lastName": "L"}) for n in range(10)]
    ids = [result.contact_id or "" for result in client.upsert(upserts)]
    first, again = client.remove(ids), client.remove(ids)
    assert [result.contact_id for result in first] == [result.contact_id for result in again] == ids
    assert all(result.ok for result in [*first, *again])
    assert all(result.code is None for result in first)
    assert all(result.code for result in again)
    assert stats(twin)["held"]["contacts"] == 0


def test_a_contact_is_found_by_its_external_ids_and_stays_as_it_is(client: GenesysClient, source: str) -> None:
    there, gone = ExternalId(source, "003A"), ExternalId(source, "003B")
    (made,) = client.upsert([Upsert("t-1", (there,), ADA)])
    before = held(client, made.contact_id)
    found, missing = client.find({"new:1": [gone, there], "new:2": [gone]})
    assert (found.tracker, found.ok, found.contact_id) == ("new:1", True, made.contact_id)
    assert (missing.tracker, missing.ok, missing.contact_id) == ("new:2", True, "")
    assert canonical(held(client, made.contact_id)) == canonical(before) == ADA
    assert external_ids(held(client, made.contact_id)) == (there,)


@pytest.mark.parametrize(
    ("client_id", "secret", "setting"),
    [
        ("stranger", "twin-secret", "GENESYS_REGION and GENESYS_CLIENT_ID"),
        ("twin-client", "?", "GENESYS_CLIENT_SECRET"),
    ],
)
def test_wrong_settings_are_named_in_one_line(
    twin: TwinServer, session: requests.Session, client_id: str, secret: str, setting: str
) -> None:
    tokens = TokenManager(resolve(None, twin.base_url), client_id, secret, session=session)
    with pytest.raises(GenesysFatalError, match=f"^the region .*: check {setting}$"):
        tokens.token()


def test_retry_after_restores_the_peace(session: requests.Session, clock: Clock) -> None:
    with TwinServer(TwinSettings(requests_per_minute=10, clock=clock)) as twin:
        client = connect(twin, session, clock)
        for _ in range(25):
            client.organization()
        assert stats(twin)["by_status"] == {"200": 25, "429": 2}
        assert client.requests_sent == 27


def test_a_token_that_ends_early_costs_one_replay(session: requests.Session, clock: Clock) -> None:
    ahead = Clock()
    with TwinServer(TwinSettings(token_seconds=300, clock=ahead)) as twin:
        client = connect(twin, session, clock)
        client.organization()
        ahead.now += 301  # the client's own clock stands still
        client.organization()
        assert client.requests_sent == 3
        assert stats(twin)["by_status"] == {"200": 2, "401": 1}
