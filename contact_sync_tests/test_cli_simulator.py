import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import requests
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def api(base_url: str, method: str, path: str, body: object = None) -> dict[str, Any]:
    token = requests.post(
        f"{base_url}/oauth/token",
        data={"grant_type": "client_credentials"},
        auth=("twin-client", "twin-secret"),
        timeout=5,
    ).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.request(
        method, f"{base_url}/api/v2/externalcontacts{path}", json=body, headers=headers, timeout=5
    )
    answer.raise_for_status()
    return dict(answer.json())


def simulate(store: Path, *options: str, call: tuple[Any, ...]) -> tuple[dict[str, Any], str]:
    """Serve the simulator in a process of its own, call it once, interrupt it; return its answer and stdout."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("contact-sync")), "simulator", "--port", str(port)]
    served = subprocess.Popen(  # noqa: S603 -- our own words
        [*command, "--store", str(store), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        once_it_listens = Retrying(
            wait=wait_fixed(0.05),
            stop=stop_after_delay(30),
            retry=retry_if_exception_type(requests.ConnectionError),
            reraise=True,
        )
        answer = once_it_listens(api, f"http://127.0.0.1:{port}", *call)
    finally:
        served.send_signal(signal.SIGINT)
        said, complaints = served.communicate(timeout=30)
    assert (served.returncode, complaints) == (0, "")
    assert f"http://127.0.0.1:{port}" in said
    return answer, said


def test_the_simulator_says_how_to_reach_it_and_keeps_its_contacts(tmp_path: Path) -> None:
    store = tmp_path / "twin.json"
    ada = {"firstName": "Ada", "lastName": "Lovelace"}
    created, said = simulate(store, call=("POST", "/contacts", ada))
    assert said.splitlines()[1:] == ["GENESYS_CLIENT_ID=twin-client", "GENESYS_CLIENT_SECRET=twin-secret"]
    assert store.stat().st_mode & 0o777 == 0o600
    found, said = simulate(store, "--json", call=("GET", f"/contacts/{created['id']}"))
    assert (found["firstName"], found["lastName"]) == ("Ada", "Lovelace")
    assert json.loads(said)["GENESYS_CLIENT_ID"] == "twin-client"
