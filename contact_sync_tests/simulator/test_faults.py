from typing import Any, get_args

import pytest
import requests

from contact_sync.simulator import faults
from contact_sync.simulator.faults import Chance, Faults
from contact_sync_tests.simulator.api import Api
from contact_sync_tests.simulator.conftest import Start

CHANCES = get_args(Chance)


def put(api: Api, text: str) -> requests.Response:
    return requests.put(f"{api.server.base_url}/_twin/faults", text, timeout=5)


def shown(api: Api) -> dict[str, Any]:
    return dict(requests.get(f"{api.server.base_url}/_twin/faults", timeout=5).json())


def test_nothing_goes_wrong_unless_told(start: Start) -> None:
    api = start()
    for _ in range(5):
        api.ok("POST", "/contacts", {"firstName": "A"})
    assert api.stats()["faults"] == {}
    assert {shown(api)[name] for name in CHANCES} == {0}


@pytest.mark.parametrize("name", CHANCES)
def test_every_chance_is_a_share_and_can_be_bounded(name: str) -> None:
    bounds = f'"at_most": {{"{name}": 3}}, "for_seconds": {{"{name}": 0.5}}'
    assert getattr(faults.read(f'{{"{name}": 0.25, {bounds}}}'.encode()), name) == 0.25
    for share in ("-0.1", "1.1", "true", '"0.5"', "NaN"):
        with pytest.raises(ValueError, match=f"^{name}: "):
            faults.read(f'{{"{name}": {share}}}'.encode())


def test_faults_are_set_shown_and_taken_back_at_run_time(start: Start) -> None:
    api = start(faults=Faults(lost=0.5))
    assert shown(api)["lost"] == 0.5
    answer = put(api, '{"server_error": 1, "server_error_status": 500, "at_most": {"server_error": 2}}')
    assert (answer.status_code, answer.json()) == (200, shown(api))
    assert (shown(api)["server_error"], shown(api)["lost"]) == (1, 0)
    assert [api.call("GET", "/contacts").status_code for _ in range(3)] == [500, 500, 200]
    assert api.stats()["faults"] == {"server_error": 2}
    put(api, "{}")
    assert api.server.faults == Faults()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"losst": 1}', "losst: Extra inputs are not permitted"),
        ('{"server_error_status": 404}', "server_error_status: Input should be 500, 502, 503 or 504"),
        ('{"latency_seconds": -1}', "latency_seconds: Input should be greater than or equal to 0"),
        ('{"at_most": {"seed": 1}}', "at_most.seed.[key]: Input should be"),
        ('{"max_bulk_items": 1.5}', "max_bulk_items: Input should be a valid integer"),
        ("[]", "faults: Input should be an object"),
        ("{", "faults: Invalid JSON"),
    ],
)
def test_what_describes_no_faults_is_refused_in_one_line_and_changes_nothing(
    api: Api, text: str, problem: str
) -> None:
    answer = put(api, text)
    assert (answer.status_code, shown(api)) == (400, Faults().model_dump())
    assert answer.json()["message"].startswith(problem)
    assert "\n" not in answer.json()["message"]
