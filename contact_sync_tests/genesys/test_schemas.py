"""The contact type of our custom fields, against the twin and over lost answers."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from contact_sync.contacts.fields import CORE_TYPES, CustomField
from contact_sync.genesys.client import GenesysClient
from contact_sync.genesys.errors import GenesysFatalError, GenesysRetryableError
from contact_sync.genesys.payloads import ExternalId, SchemaVersion, Upsert, canonical, enrich_item
from contact_sync.genesys.schemas import ensure_schema, find_schema
from contact_sync.simulator.server import TwinServer
from contact_sync.simulator.settings import TwinSettings
from contact_sync_tests.genesys.conftest import Clock
from contact_sync_tests.genesys.test_twin import LosesAnswers, connect

TITLE = "contact_sync"
SCORE = CustomField("lead_score", "integer")
TIER = CustomField("tier", "enum", ("gold", "silver"))


@pytest.fixture(scope="module")
def running() -> Iterator[TwinServer]:
    with TwinServer(TwinSettings()) as server:
        yield server


@pytest.fixture
def twin(running: TwinServer) -> TwinServer:
    running.store.contact_schemas.load({"versions": {}})
    return running


@pytest.fixture
def genesys(twin: TwinServer, session: requests.Session, clock: Clock) -> GenesysClient:
    return connect(twin, session, clock)


def only(twin: TwinServer) -> dict[str, Any]:
    (schema,) = twin.store.contact_schemas.listing()["entities"]
    return dict(schema)


def test_a_contact_type_is_made_and_then_left_alone(twin: TwinServer, genesys: GenesysClient) -> None:
    version = ensure_schema(genesys.transport, TITLE, [SCORE, TIER])
    writes = genesys.writes_sent
    assert ensure_schema(genesys.transport, TITLE, [TIER]) == version
    assert genesys.writes_sent == writes
    made = only(twin)
    assert (made["name"], made["version"], made["id"]) == (TITLE, 1, version.id)
    assert made["jsonSchema"]["properties"].keys() == {"lead_score_integer", "tier_enum"}


def test_it_grows_and_never_shrinks(twin: TwinServer, genesys: GenesysClient) -> None:
    ensure_schema(genesys.transport, TITLE, [SCORE, TIER])
    more = CustomField("tier", "enum", ("bronze", "gold"))
    version = ensure_schema(genesys.transport, TITLE, [more])
    assert version.version == 2
    properties = only(twin)["jsonSchema"]["properties"]
    assert properties["tier_enum"]["enum"] == ["gold", "silver", "bronze"]
    assert properties["tier_enum"]["_enumProperties"].keys() == {"gold", "silver", "bronze"}
    assert "lead_score_integer" in properties


def test_what_others_define_in_it_stays(twin: TwinServer, genesys: GenesysClient) -> None:
    theirs = {"shoe_text": {"allOf": [{"$ref": "#/definitions/text"}], "title": "Shoe", "maxLength": 7}}
    document = {"title": "Customer", "properties": theirs}
    twin.store.contact_schemas.create({"name": "Customer", "version": 1, "jsonSchema": document})
    ensure_schema(genesys.transport, "Customer", [SCORE])
    assert only(twin)["jsonSchema"]["properties"]["shoe_text"] == theirs["shoe_text"]


@pytest.mark.parametrize("fields", [[SCORE], [SCORE, TIER]])
def test_lost_answers_make_no_second_contact_type(
    twin: TwinServer, session: requests.Session, clock: Clock, fields: list[CustomField]
) -> None:
    session.mount("http://", LosesAnswers())
    genesys = connect(twin, session, clock)
    ensure_schema(genesys.transport, TITLE, fields)
    ensure_schema(genesys.transport, TITLE, [CustomField("new", "text"), *fields])
    assert only(twin)["version"] == 2


class Meddles(HTTPAdapter):
    """Lets somebody else change the schema just before each of our first writes."""

    def __init__(self, twin: TwinServer, times: int) -> None:
        super().__init__()
        self._twin = twin
        self._left = times

    def send(self, request: requests.PreparedRequest, *args: object, **options: object) -> requests.Response:
        if request.method == "PUT" and self._left:
            self._left -= 1
            schema = only(self._twin)
            schema["jsonSchema"]["properties"][f"other{self._left}_text"] = {
                "allOf": [{"$ref": "#/definitions/text"}]
            }
            self._twin.store.contact_schemas.update(schema["id"], schema)
        return super().send(request, *args, **options)  # type: ignore[arg-type]


def test_a_version_of_somebody_else_is_built_upon(
    twin: TwinServer, session: requests.Session, clock: Clock
) -> None:
    genesys = connect(twin, session, clock)
    ensure_schema(genesys.transport, TITLE, [SCORE])
    session.mount("http://", Meddles(twin, 2))
    assert ensure_schema(genesys.transport, TITLE, [TIER]).version == 4
    assert only(twin)["jsonSchema"]["properties"].keys() == {
        *("lead_score_integer", "other1_text", "other0_text", "tier_enum")
    }
    session.mount("http://", Meddles(twin, 100))
    with pytest.raises(GenesysRetryableError, match="could not be brought up to date"):
        ensure_schema(genesys.transport, TITLE, [CustomField("new", "text")])


@pytest.mark.usefixtures("twin")
def test_a_full_contact_type_is_refused_before_it_is_written(genesys: GenesysClient) -> None:
    ensure_schema(genesys.transport, TITLE, [CustomField(f"x{one}", "text") for one in range(24)])
    writes = genesys.writes_sent
    with pytest.raises(GenesysFatalError, match="would have 26 fields, and Genesys takes 25: take lines out"):
        ensure_schema(genesys.transport, TITLE, [SCORE, TIER])
    ensure_schema(genesys.transport, TITLE, [CustomField("tier", "enum", tuple(map(str, range(30))))])
    many = CustomField("tier", "enum", tuple(map(str, range(25, 55))))
    with pytest.raises(GenesysFatalError, match="tier_enum would have 55 options, and Genesys takes 50"):
        ensure_schema(genesys.transport, TITLE, [many])
    assert genesys.writes_sent == writes + 1


def test_a_disabled_contact_type_is_refused(twin: TwinServer, genesys: GenesysClient) -> None:
    twin.store.contact_schemas.create({"enabled": False, "version": 1, "jsonSchema": {"title": TITLE}})
    with pytest.raises(GenesysFatalError, match="is disabled in Genesys: enable it"):
        ensure_schema(genesys.transport, TITLE, [SCORE])


def test_what_genesys_refuses_is_for_an_operator(twin: TwinServer, genesys: GenesysClient) -> None:
    for one in range(20):
        document = {"title": f"t{one}"}
        twin.store.contact_schemas.create({"version": 1, "jsonSchema": document})
    with pytest.raises(GenesysFatalError, match=r"refuses the custom fields of the registry .*schemas\.per\.org"):
        ensure_schema(genesys.transport, TITLE, [SCORE])


VALUES = {
    "text": "x",
    "longtext": "one\ntwo",
    "url": "https://example.com",
    "identifier": "K-17",
    "enum": "gold",
    "date": "2026-01-31",
    "datetime": "2026-01-31T06:00:00.000Z",
    "integer": "-42",
    "number": "0.00001",
    "checkbox": "false",
    "tag": '["a", "b"]',
}


def test_every_type_goes_there_and_comes_back(twin: TwinServer, genesys: GenesysClient) -> None:
    assert VALUES.keys() == set(CORE_TYPES)
    fields = [CustomField("x", type_, ("gold",) if type_ == "enum" else ()) for type_ in CORE_TYPES]
    schema = ensure_schema(genesys.transport, TITLE, fields)
    contact = {"lastName": "L", **{f"customFields.{field.key}": VALUES[field.type] for field in fields}}
    source = genesys.ensure_external_source("contact_sync crm")
    (result,) = genesys.upsert([Upsert("t", (ExternalId(source, "1"),), contact, schema=schema)])
    assert result.ok
    stored = dict(twin.store.contacts.store)[result.contact_id or ""]
    assert canonical(stored) == contact
    cleared = Upsert(
        "t", (ExternalId(source, "1"),), {"lastName": "L"}, clear=tuple(contact.keys() - {"lastName"})
    )
    assert genesys.upsert([cleared])[0].ok
    assert canonical(dict(twin.store.contacts.store)[result.contact_id or ""]) == {"lastName": "L"}


def test_what_is_only_filled_gives_way() -> None:
    schema = SchemaVersion("s", 3)
    contact = {"title": "Dr", "customFields.lead_score_integer": "4"}
    item: Any = enrich_item(
        Upsert(
            "t",
            (ExternalId("s", "1"),),
            contact,
            only_filled=frozenset({"customFields.lead_score_integer", "lastName"}),
            schema=schema,
        )
    )
    assert item["contact"]["schema"] == {"id": "s", "version": 3}
    assert item["contact"]["customFields"] == {"lead_score_integer": 4}
    rule = {"field": "$.customFields.lead_score_integer", "action": "PreferExisting"}
    assert item["fieldRules"]["rules"] == [rule]


def test_an_absent_contact_type_is_not_found(twin: TwinServer, genesys: GenesysClient) -> None:
    assert twin.store.contact_schemas.listing()["total"] == 0
    assert find_schema(genesys.transport, TITLE) is None
