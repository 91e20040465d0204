import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from contact_sync.genesys.auth import TokenManager
from contact_sync.genesys.errors import GenesysFatalError, GenesysRetryableError
from contact_sync.genesys.permissions import ADD_SOURCE, NEEDED, SUPERFLUOUS, Finding, Permission, probe
from contact_sync.genesys.regions import resolve
from contact_sync.genesys.transport import Transport
from contact_sync.simulator.server import TwinServer
from contact_sync.simulator.settings import TwinSettings
from contact_sync_tests import contract
from contact_sync_tests.genesys.conftest import Clock, Line
from contact_sync_tests.genesys.server import ScriptedGenesys, error
from contact_sync_tests.scripted import HTML, Reply

ALL = (*NEEDED, *SUPERFLUOUS)
NAMES = {permission.name for permission in ALL}
each = pytest.mark.parametrize("permission", ALL, ids=lambda permission: permission.name)


@contextmanager
def calling(twin: TwinServer, clock: Clock) -> Iterator[Transport]:
    with requests.Session() as session:
        hosts = resolve(None, twin.base_url)
        tokens = TokenManager(hosts, "twin-client", "twin-secret", session=session)
        yield Transport(hosts, tokens, Line(clock), session=session, sleep=clock.sleep, clock=clock)


@pytest.fixture
def twin() -> Iterator[TwinServer]:
    with TwinServer() as running:
        yield running


def held(twin: TwinServer) -> str:
    rooms = (twin.store.contacts, twin.store.organizations, twin.store.sources)
    return json.dumps([room.dump() for room in rooms], default=str)


def test_each_permission_is_there_for_a_client_that_has_them_all_and_nothing_changes(
    twin: TwinServer, clock: Clock
) -> None:
    twin.store.contacts.create({"lastName": "Lovelace"})
    before = held(twin)
    with calling(twin, clock) as transport:
        assert [probe(transport, permission).held for permission in ALL] == [True] * len(ALL)
    assert "Lovelace" in before
    assert held(twin) == before


@each
def test_a_lacking_permission_is_found(clock: Clock, permission: Permission) -> None:
    others = frozenset(NAMES - {permission.name})
    with TwinServer(TwinSettings(permissions={"twin-client": others})) as twin, calling(twin, clock) as transport:
        assert [one.name for one in ALL if not probe(transport, one).held] == [permission.name]


@each
def test_a_probe_is_a_request_of_the_contract(permission: Permission) -> None:
    if permission.name == ADD_SOURCE:
        assert "name" not in (permission.body or {})  # which the contract requires: that is what makes it harmless
    else:
        contract.validate_request("GET" if permission.body is None else "POST", permission.path, permission.body)


def test_an_enrich_is_only_tried_dry() -> None:
    [enrich] = [one for one in ALL if "enrich" in one.path]
    assert enrich.path.endswith("?dryRun=true")
    assert '"action": "Update"' in json.dumps(enrich.body)


@pytest.mark.parametrize(
    ("reply", "finding"),
    [
        (Reply(200, {}), Finding(held=True)),
        (error(404, "entity.not.found"), Finding(held=True, code="entity.not.found")),
        (error(422, "validation.failed"), Finding(held=True, code="validation.failed")),
        (
            error(409, "active.external.source.limit.reached"),
            Finding(held=True, code="active.external.source.limit.reached"),
        ),
        (error(403, "missing.permissions"), Finding(held=False, code="missing.permissions")),
        (error(403, "missing.division.permission"), Finding(held=False, code="missing.division.permission")),
    ],
)
def test_only_403_says_that_a_permission_is_lacking(
    server: ScriptedGenesys, transport: Transport, reply: Reply, finding: Finding
) -> None:
    server.script.append(reply)
    assert probe(transport, NEEDED[0]) == finding


@pytest.mark.parametrize("reply", [error(401, "bad.credentials"), Reply(403, b"<html>no</html>", HTML)])
def test_an_answer_that_is_not_about_the_permission_tells_nothing(
    server: ScriptedGenesys, transport: Transport, reply: Reply
) -> None:
    server.otherwise = reply
    with pytest.raises(GenesysFatalError):
        probe(transport, NEEDED[0])


def test_no_answer_tells_nothing(server: ScriptedGenesys, transport: Transport) -> None:
    server.otherwise = error(503, "service.unavailable")
    with pytest.raises(GenesysRetryableError):
        probe(transport, NEEDED[0])
