"""The contract checks themselves: they pass what is right and refuse what is wrong."""

from typing import Any

import pytest

from contact_sync.simulator import operations
from contact_sync_tests import contract
from contact_sync_tests.contract import ContractError

pytestmark = pytest.mark.skipif(not contract.AVAILABLE, reason="the published contract is not here")

ROOT = "/api/v2/externalcontacts"
CONTACT = {
    "id": "1",
    "createDate": "2026-01-01T00:00:00.000Z",
    "type": "Curated",
    "schema": {"id": "s", "version": 1},
}
MISSING = {"code": "entity.not.found", "message": "x", "status": 404}


def test_good_exchanges_pass() -> None:
    contract.validate_request("POST", f"{ROOT}/contacts", {"firstName": None, "customFields": {"a_text": "x"}})
    contract.validate_request("GET", f"{ROOT}/scan/contacts?limit=10&cursor=x", None)
    contract.validate_response("POST", f"{ROOT}/contacts", 200, CONTACT)
    contract.validate_response("GET", f"{ROOT}/contacts/1", 404, MISSING)
    contract.validate_response("DELETE", f"{ROOT}/contacts/1", 200, {})


@pytest.mark.parametrize(
    ("method", "path", "status", "body", "problem"),
    [
        ("PUT", f"{ROOT}/1", 204, None, "not an operation"),
        ("POST", f"{ROOT}/contacts", 201, CONTACT, "not declared"),
        ("POST", f"{ROOT}/contacts", 200, CONTACT | {"phoneNumbers": []}, "phoneNumbers"),
        ("POST", f"{ROOT}/contacts", 200, CONTACT | {"address": {"zip": "1"}}, "zip"),
        ("POST", f"{ROOT}/contacts", 200, CONTACT | {"createDate": "yesterday"}, "date-time"),
        ("POST", f"{ROOT}/contacts", 200, CONTACT | {"createDate": "2026-01-01T00:00:00"}, "date-time"),
        ("POST", f"{ROOT}/contacts", 200, CONTACT | {"type": "Golden"}, "Golden"),
        ("POST", f"{ROOT}/contacts", 200, CONTACT | {"title": None}, "None"),
        ("GET", f"{ROOT}/contacts/1", 404, MISSING | {"code": "gone"}, "gone is not declared"),
        ("GET", f"{ROOT}/contacts/schemas/1", 200, {"id": "1"}, "jsonSchema"),
    ],
)
def test_departing_responses_are_named(method: str, path: str, status: int, body: Any, problem: str) -> None:  # noqa: ANN401 -- JSON
    with pytest.raises(ContractError, match=problem):
        contract.validate_response(method, path, status, body)


@pytest.mark.parametrize(
    ("method", "path", "body", "problem"),
    [
        ("POST", f"{ROOT}/contacts/enrich", {"contact": {}}, "action"),
        ("POST", f"{ROOT}/contacts", {"workPhone": "+1"}, "workPhone"),
        ("GET", f"{ROOT}/contacts?modifiedSince=1", None, "modifiedSince"),
        ("GET", f"{ROOT}/contacts", {}, "no body"),
    ],
)
def test_departing_requests_are_named(method: str, path: str, body: Any, problem: str) -> None:  # noqa: ANN401 -- JSON
    with pytest.raises(ContractError, match=problem):
        contract.validate_request(method, path, body)


def test_the_twin_serves_nothing_that_the_contract_lacks() -> None:
    assert contract.missing_operations((one.method, one.path) for one in operations.operations()) == []
