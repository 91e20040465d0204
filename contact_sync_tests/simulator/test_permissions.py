from typing import Any

import pytest

from contact_sync.simulator import operations, organization_operations
from contact_sync.simulator.door import Door, Operation
from contact_sync.simulator.store import TwinStore
from contact_sync_tests import contract
from contact_sync_tests.simulator.conftest import Start


def served(store: TwinStore) -> list[Operation]:
    return [*operations.operations(), *organization_operations.operations(Door(store))]


@pytest.mark.skipif(not contract.AVAILABLE, reason="the published contract is not here")
def test_the_twin_asks_for_what_the_contract_does(store: TwinStore) -> None:
    departures = {}
    for one in served(store):
        published: Any = contract.permissions(one.method, one.path)
        if published != ("ANY" if one.permissions else "", {*one.permissions}):
            departures[f"{one.method} {one.path}"] = published
    assert departures == {}


def test_who_lacks_a_permission_is_told_which_before_the_body_is_read(start: Start) -> None:
    api = start(permissions={"twin-client": frozenset({"externalContacts:contact:view"})})
    refused = api.call("POST", "/bulk/contacts/enrich", {"entities": "nonsense"})
    assert (refused.status_code, refused.json()["code"]) == (403, "missing.any.permissions")
    assert refused.json()["message"].endswith(
        "You must have at least one of the following permissions assigned: externalContacts:contact:enrich"
    )
    assert refused.headers["inin-ratelimit-count"] == "1"
    assert api.refused("POST", "/contacts", {"firstName": "A"}) == (403, "missing.any.permissions")
    assert api.call("GET", "/contacts").status_code == 200


@pytest.mark.parametrize("held", ["relate:contact:view", "externalContacts:contact:view"])
def test_one_of_several_permissions_is_enough(start: Start, held: str) -> None:
    api = start(permissions={"twin-client": frozenset({held})})
    assert api.call("GET", "/contacts").status_code == 200
    assert api.call("GET", "/reversewhitepageslookup", lookupVal="a@a.example").status_code == (
        200 if held.startswith("externalContacts") else 403
    )


def test_a_client_without_permissions_still_sees_its_organisation_and_token(start: Start) -> None:
    api = start(permissions={"twin-client": frozenset()})
    for path in ("/api/v2/organizations/me", "/api/v2/tokens/me"):
        assert api.call("GET", path).status_code == 200
    assert api.refused("GET", "/externalsources") == (403, "missing.any.permissions")


def test_a_client_that_is_not_listed_has_all(start: Start) -> None:
    api = start(permissions={"somebody-else": frozenset()})
    assert api.call("POST", "/contacts", {"firstName": "A"}).status_code == 200
