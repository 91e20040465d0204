"""The twin as an HTTP API: what it answers, byte for byte as far as a client can tell."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests

from contact_sync.simulator.salesforce.records import record_id
from contact_sync.simulator.salesforce.server import SalesforceServer
from contact_sync.simulator.salesforce.settings import OrgSettings

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
ALL = {"q": "SELECT Id, LastName FROM Contact ORDER BY Id"}


class Client:
    """Sends requests with a token."""

    def __init__(self, org: SalesforceServer) -> None:
        self.url = org.base_url
        self.session = requests.Session()
        self.session.trust_env = False
        self.log_in()

    def log_in(self, **form: str) -> requests.Response:
        """Get a token."""
        app = {"client_id": "twin-consumer-key", "client_secret": "twin-consumer-secret"}
        granted = self.session.post(
            f"{self.url}/services/oauth2/token", {"grant_type": "client_credentials"} | app | form, timeout=5
        )
        self.session.headers["Authorization"] = f"Bearer {granted.json().get('access_token')}"
        return granted

    def call(self, method: str, path: str, **options: object) -> requests.Response:
        """Call a resource."""
        url = self.url + (path if path.startswith("/services") else f"/services/data/v62.0{path}")
        return self.session.request(method, url, timeout=5, **options)  # type: ignore[arg-type]

    def get(self, path: str, **params: str) -> requests.Response:
        """Read a resource."""
        return self.call("GET", path, params=params)


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = NOON + timedelta(hours=1)

    def __call__(self) -> float:
        return self.now.timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def org(clock: Clock) -> Iterator[SalesforceServer]:
    with SalesforceServer(OrgSettings(clock=clock, daily_requests=50, skew_seconds=30)) as server:
        for number in range(900):
            server.org.records.put("Contact", {"Id": record_id("003", number), "LastName": "L"}, at=NOON)
        yield server


@pytest.fixture
def client(org: SalesforceServer) -> Iterator[Client]:
    client = Client(org)
    yield client
    client.session.close()


def test_a_token_and_its_answer(client: Client) -> None:
    granted = client.log_in().json()
    assert granted["instance_url"] == client.url
    assert "expires_in" not in granted
    refused = client.log_in(client_secret="wrong")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client")
    assert client.log_in(client_id="nobody").json()["error"] == "invalid_client_id"
    assert client.log_in(grant_type="password").json()["error"] == "unsupported_grant_type"
    unknown = client.get("/query/", **ALL)
    assert (unknown.status_code, unknown.json()[0]["errorCode"]) == (401, "INVALID_SESSION_ID")


def test_pages_are_of_odd_sizes_and_the_same_when_asked_again(client: Client) -> None:
    page = client.call("GET", "/query/", params=ALL, headers={"Sforce-Query-Options": "batchSize=10"}).json()
    sizes, seen = [], []
    while True:
        sizes.append(len(page["records"]))
        seen += [record["Id"] for record in page["records"]]
        assert page["totalSize"] == 900
        if page["done"]:
            break
        again = client.get(page["nextRecordsUrl"]).json()
        page = client.get(page["nextRecordsUrl"]).json()
        assert page == again
    assert seen == [record_id("003", number) for number in range(900)]
    assert max(sizes) <= 200  # the smallest batch that is heeded
    assert len(set(sizes)) > 1


def test_a_locator_ends_by_age_and_by_number(client: Client, clock: Clock) -> None:
    first = _page(client)
    clock.now += timedelta(minutes=16)
    late = client.get(first["nextRecordsUrl"])
    assert (late.status_code, late.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")
    oldest = _page(client)
    for _ in range(10):
        _page(client)
    assert client.get(oldest["nextRecordsUrl"]).status_code == 400


def _page(client: Client) -> dict[str, str]:
    page: dict[str, str] = client.call(
        "GET", "/query/", params=ALL, headers={"Sforce-Query-Options": "batchSize=200"}
    ).json()
    return page


def test_the_day_has_an_end(client: Client) -> None:
    for used in range(1, 51):
        assert client.get("/query/", **ALL).headers["Sforce-Limit-Info"] == f"api-usage={used}/50"
    ended = client.get("/query/", **ALL)
    assert (ended.status_code, ended.json()[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")
    assert client.get("/services/data/").ok  # which counts for nothing


def test_a_token_ends_without_notice(client: Client, clock: Clock) -> None:
    clock.now += timedelta(hours=2)
    assert client.get("/query/", **ALL).status_code == 401


def test_the_date_is_of_the_organisations_own_clock(client: Client, clock: Clock) -> None:
    told = parsedate_to_datetime(client.get("/services/data/").headers["Date"])
    assert told == clock.now + timedelta(seconds=30)


def test_what_is_committed_late_keeps_its_stamp(client: Client, org: SalesforceServer, clock: Clock) -> None:
    values = {"Id": record_id("003", 1_000), "LastName": "Late"}
    org.org.records.put("Contact", values, at=NOON, visible_at=clock.now + timedelta(hours=1))
    query = {"q": "SELECT SystemModstamp FROM Contact WHERE LastName = 'Late'"}
    assert client.get("/query/", **query).json()["totalSize"] == 0
    clock.now += timedelta(minutes=61)
    [found] = client.get("/query/", **query).json()["records"]
    assert found["SystemModstamp"] == "2026-06-15T12:00:00.000+0000"


def test_a_job_from_its_creation_to_its_deletion(client: Client) -> None:
    asked = {"operation": "query", "query": ALL["q"]}
    job = client.call("POST", "/jobs/query", json=asked).json()
    assert job["state"] == "UploadComplete"
    path = f"/jobs/query/{job['id']}"
    assert client.get(f"{path}/results").status_code == 400
    states = [client.get(path).json()["state"] for _ in range(3)]
    assert states == ["InProgress", "InProgress", "JobComplete"]
    first = client.get(f"{path}/results", maxRecords="500")
    assert first.text.splitlines()[:2] == ['"Id","LastName"', f'"{record_id("003", 0)}","L"']
    assert (first.headers["Sforce-Locator"], first.headers["Sforce-NumberOfRecords"]) == ("500", "500")
    last = client.get(f"{path}/results", maxRecords="500", locator="500")
    assert (last.headers["Sforce-Locator"], last.headers["Sforce-NumberOfRecords"]) == ("null", "400")
    assert client.call("DELETE", path).status_code == 204
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("query", ["SELECT COUNT() FROM Contact", "SELECT MailingAddress FROM Contact", "SELECT"])
def test_what_a_job_does_not_do(client: Client, query: str) -> None:
    assert client.call("POST", "/jobs/query", json={"operation": "query", "query": query}).status_code == 400


def test_deletions_are_told_by_the_minute(client: Client, org: SalesforceServer) -> None:
    gone, binned = record_id("003", 1), record_id("003", 2)
    org.org.records.purge("Contact", [gone], at=NOON + timedelta(minutes=1))
    org.org.records.delete("Contact", [binned], at=NOON + timedelta(minutes=2))
    path = "/sobjects/Contact/deleted/"
    told = client.get(path, start="2026-06-15T12:00:00+00:00", end="2026-06-15T12:30:59+00:00").json()
    assert [one["id"] for one in told["deletedRecords"]] == [gone, binned]
    assert told["latestDateCovered"] == "2026-06-15T12:30:00.000+0000"
    for start, end in (
        ("2026-06-15T12:00:00Z", "2026-06-15T12:00:59Z"),
        ("2026-05-01T12:00:00Z", "2026-06-15T12:00:00Z"),
    ):
        refused = client.get(path, start=start, end=end)
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALID_REPLICATION_DATE")


def test_describe_tells_what_may_be_done_with_a_field(client: Client) -> None:
    fields = {one["name"]: one for one in client.get("/sobjects/Contact/describe").json()["fields"]}
    told = {name: (fields[name]["filterable"], fields[name]["aggregatable"]) for name in ("Email", "Tags__c")}
    assert told == {"Email": (True, True), "Tags__c": (True, False)}
    assert fields["Description"]["filterable"] is False
    assert client.get("/sobjects/Person/describe").status_code == 404
