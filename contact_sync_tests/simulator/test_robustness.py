"""Whatever JSON comes in, the twin answers in Genesys' words or keeps a valid record; it never breaks."""

import contextlib
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contact_sync.simulator import bulk, identifying
from contact_sync.simulator.errors import ApiError
from contact_sync.simulator.kinds import CONTACT
from contact_sync.simulator.settings import TwinSettings
from contact_sync.simulator.store import TwinStore
from contact_sync_tests import contract

Json = dict[str, Any]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
WORDS = st.sampled_from(
    ["id", "ids", "value", "display", "field", "action", "Upsert", "version", "$.title", "allOf"]
)
ANYTHING = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def bodies(*names: str) -> st.SearchStrategy[Json]:
    return st.dictionaries(st.sampled_from(names), ANYTHING, max_size=4)


def survives(act: Callable[[], object]) -> None:
    with contextlib.suppress(ApiError):
        act()


@given(bodies(*CONTACT.rules), ANYTHING)
def test_contacts(body: Json, changes: object) -> None:
    contacts = TwinStore(TwinSettings(require_known_source=False)).contacts
    with contextlib.suppress(ApiError):
        contact_id, record = contacts.create(body)
        shown = contacts.present(contact_id, record, ["identifiers", "division"])
        contract.validate_response("POST", CONTACT.path, 200, shown)
        contacts.replace(contact_id, shown)
        contacts.patch(contact_id, {"changes": changes})


@given(bodies("division", "contact", "fieldRules", "options"), ANYTHING, ANYTHING)
def test_enrich(body: Json, identifiers: object, rules: object) -> None:
    store = TwinStore(TwinSettings())
    contact_id, _ = store.contacts.create({"workEmail": "a@a.example"})
    good = [{"type": "Email", "value": "a@a.example"}]
    requests = [
        {"action": "Upsert", "matchingIdentifiers": identifiers},
        {"action": "Upsert", "matchingIdentifiers": good, "fieldRules": {"rules": rules}},
        {"action": "Upsert", "matchingIdentifiers": good} | body,
    ]
    for request in requests:
        survives(lambda request=request: store.contact_enricher.enrich(request))  # type: ignore[misc]
    survives(lambda: identifying.change_owner(store.contacts, contact_id, {"identifier": identifiers}))
    survives(lambda: bulk.run({"entities": identifiers}, 10, store, lambda item: bulk.Done(None, 200, item)))


@given(
    bodies("name", "version", "enabled", "jsonSchema"), ANYTHING, bodies("allOf", "maxLength", "enum", "minLength")
)
def test_schemas(body: Json, properties: object, field: Json) -> None:
    store = TwinStore(TwinSettings())
    whole = {"allOf": [{"$ref": "#/definitions/text"}]} | field
    for one in (
        body,
        {"jsonSchema": {"properties": properties}},
        {"jsonSchema": {"properties": {"x_text": whole}}},
    ):
        with contextlib.suppress(ApiError):
            created = store.contact_schemas.create(one)
            reference = {"id": created["id"], "version": 1}
            store.contacts.create({"schema": reference, "customFields": {"x_text": "x"}})


@given(bodies("name", "active", "linkConfiguration"))
def test_sources(body: Json) -> None:
    survives(lambda: TwinStore(TwinSettings()).sources.create(body))
