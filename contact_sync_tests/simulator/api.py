"""A plain HTTP client for the twin that holds every exchange against the contract."""

from typing import Any

import requests

from contact_sync.simulator.server import TwinServer
from contact_sync_tests import contract

Json = dict[str, Any]
ROOT = "/api/v2/externalcontacts"
CREDENTIALS = ("twin-client", "twin-secret")


class Api:
    """One token's view of a twin; paths are relative to External Contacts unless they start with `/api`."""

    def __init__(self, server: TwinServer) -> None:
        self.server = server
        self.session = requests.Session()
        contract.install(self.session)
        self.session.headers["Authorization"] = f"Bearer {self.token()['access_token']}"

    def token(self) -> Json:
        form = {"grant_type": "client_credentials"}
        response = requests.post(f"{self.server.base_url}/oauth/token", form, auth=CREDENTIALS, timeout=5)
        return dict(response.json())

    def call(self, method: str, path: str, body: Json | None = None, **query: object) -> requests.Response:
        full = path if path.startswith("/api") else f"{ROOT}{path}"
        params = {name: str(value) for name, value in query.items()}
        return self.session.request(method, f"{self.server.base_url}{full}", json=body, params=params, timeout=5)

    def ok(self, method: str, path: str, body: Json | None = None, **query: object) -> Json:
        response = self.call(method, path, body, **query)
        assert response.ok, (response.status_code, response.text)
        return dict(response.json())

    def refused(self, method: str, path: str, body: Json | None = None, **query: object) -> tuple[int, str]:
        response = self.call(method, path, body, **query)
        return response.status_code, response.json()["code"]

    def source(self, name: str = "crm") -> str:
        return str(self.ok("POST", "/externalsources", {"name": name})["id"])

    def stats(self) -> Json:
        return dict(requests.get(f"{self.server.base_url}/_twin/stats", timeout=5).json())
