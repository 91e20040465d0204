import socket
import threading

import pytest
import requests

from contact_sync.simulator.server import TwinServer
from contact_sync.simulator.settings import TwinSettings
from contact_sync_tests.simulator.api import CREDENTIALS, Api


def test_it_listens_on_the_loopback_only_and_stops() -> None:
    with TwinServer() as server:
        assert server.base_url.startswith("http://127.0.0.1:")
        port = int(server.base_url.rpartition(":")[2])
        assert requests.get(f"{server.base_url}/_twin/stats", timeout=5).status_code == 200
        assert [one for one in threading.enumerate() if one.name == f"twin-{port}"]
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))
    assert not [one for one in threading.enumerate() if one.name == f"twin-{port}"]


def test_it_takes_the_port_it_is_given() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with TwinServer(TwinSettings(), port=port) as server:
        assert server.base_url == f"http://127.0.0.1:{port}"


def test_a_taken_port_is_an_error(api: Api) -> None:
    with pytest.raises(OSError, match="in use"):
        TwinServer(port=int(api.server.base_url.rpartition(":")[2]))


def test_stats_count_what_was_asked_and_answered() -> None:
    with TwinServer(TwinSettings(requests_per_minute=4)) as server:
        api = Api(server)
        created = api.ok("POST", "/contacts", {"firstName": "A"})
        api.ok("GET", f"/contacts/{created['id']}")
        api.call("GET", "/contacts/unknown")
        api.call("POST", "/contacts", {"workEmail": "bad"})
        api.call("POST", "/contacts", {"firstName": "over budget"})
        stats = api.stats()
        assert (stats["requests"], stats["writes"], stats["held"]["contacts"]) == (5, 1, 1)
        assert stats["by_status"] == {"200": 2, "404": 1, "422": 1, "429": 1}
        contacts = "/api/v2/externalcontacts/contacts"
        assert stats["by_operation"] == {f"POST {contacts}": 3, f"GET {contacts}/{{contactId}}": 2}
        requests.post(f"{server.base_url}/_twin/reset-stats", timeout=5)
        assert (api.stats()["requests"], api.stats()["by_status"], api.stats()["held"]["contacts"]) == (0, {}, 1)


def test_what_is_no_operation_is_404_in_genesys_words(api: Api) -> None:
    url = f"{api.server.base_url}/api/v2/externalcontacts/some-id"
    answer = requests.put(url, json={}, timeout=5)
    assert (answer.status_code, answer.json()["code"]) == (404, "not.found")
    wrong_method = requests.patch(f"{api.server.base_url}/api/v2/organizations/me", timeout=5)
    assert wrong_method.status_code == 404


def test_the_gateway_prefixes_lead_to_the_same_twin(api: Api) -> None:
    base = api.server.base_url
    form = {"grant_type": "client_credentials"}
    token = requests.post(f"{base}/login/oauth/token", form, auth=CREDENTIALS, timeout=5).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    me = requests.get(f"{base}/api-gw/api/v2/organizations/me", headers=headers, timeout=5)
    assert me.json()["id"] == api.server.settings.organization_id
