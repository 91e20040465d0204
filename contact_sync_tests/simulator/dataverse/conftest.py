"""A Dataverse twin for each module, and a plain client that knows nothing of the source's code."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from contact_sync.simulator.dataverse.server import ROOT, DataverseServer
from contact_sync.simulator.dataverse.settings import DataverseSettings
from contact_sync_tests.simulator.conftest import ManualClock

Json = dict[str, Any]
TENANT = DataverseSettings().tenant_id
[(CLIENT, SECRET)] = DataverseSettings().clients.items()


class Web:
    """One application's view of a twin."""

    def __init__(self, server: DataverseServer) -> None:
        self.server = server
        self.session = requests.Session()

    def token(self, tenant: str = TENANT, **form: str) -> requests.Response:
        usual = {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "client_secret": SECRET,
            "scope": f"{self.server.base_url}/.default",
        }
        return requests.post(
            f"{self.server.base_url}/{tenant}/oauth2/v2.0/token", usual | form, timeout=5, allow_redirects=False
        )

    def sign_in(self) -> None:
        self.session.headers["Authorization"] = f"Bearer {self.token().json()['access_token']}"

    def get(self, path: str, prefer: str = "", **options: str) -> requests.Response:
        url = path if path.startswith("http") else f"{self.server.base_url}{ROOT}{path}"
        named = {name if name == "fetchXml" else f"${name}": value for name, value in options.items()}
        return self.session.get(url, params=named, headers={"Prefer": prefer} if prefer else {}, timeout=5)

    def ok(self, path: str, prefer: str = "", **options: str) -> Json:
        response = self.get(path, prefer, **options)
        assert response.ok, (response.status_code, response.text)
        return dict(response.json())

    def refused(self, path: str, prefer: str = "", **options: str) -> tuple[int, str]:
        response = self.get(path, prefer, **options)
        return response.status_code, response.json()["error"]["code"]

    def pages(self, path: str, prefer: str = "", **options: str) -> list[Json]:
        pages = [self.ok(path, prefer, **options)]
        while link := pages[-1].get("@odata.nextLink"):
            pages.append(self.ok(link, prefer))
        return pages

    def ids(self, **options: str) -> list[str]:
        return [row["contactid"] for page in self.pages("/contacts", **options) for row in page["value"]]


@pytest.fixture
def server(clock: ManualClock) -> Iterator[DataverseServer]:
    with DataverseServer(DataverseSettings(clock=clock, aggregate_rows=10)) as running:
        yield running


@pytest.fixture
def web(server: DataverseServer) -> Web:
    web = Web(server)
    web.sign_in()
    return web
