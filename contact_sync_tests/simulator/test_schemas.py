from typing import Any

import pytest

from contact_sync_tests.simulator.api import Api, Json

PATH = "/contacts/schemas"


def field(core: str, **limits: object) -> Json:
    return {"allOf": [{"$ref": f"#/definitions/{core}"}], "title": core, **limits}


EVERY = {
    "note_text": field("text", minLength=1, maxLength=5),
    "story_longtext": field("longtext"),
    "site_url": field("url"),
    "number_identifier": field("identifier"),
    "tier_enum": field("enum", enum=["gold", "silver"], _enumProperties={"gold": {"title": "Gold"}}),
    "born_date": field("date"),
    "seen_datetime": field("datetime"),
    "age_integer": field("integer", minimum=0, maximum=150),
    "score_number": field("number"),
    "vip_checkbox": field("checkbox"),
    "labels_tag": field("tag", maxItems=2),
}


def schema(properties: Json, **more: object) -> Json:
    document = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": "Customer",
        "properties": properties,
    }
    return {"name": "Customer", "version": 1, "jsonSchema": document, **more}


def create(api: Api, properties: Json | None = None) -> Json:
    return api.ok("POST", PATH, schema(EVERY if properties is None else properties))


def contact(created: Json, **values: object) -> Json:
    return {"schema": {"id": created["id"], "version": created["version"]}, "customFields": values}


def test_a_schema_grows_version_by_version(api: Api) -> None:
    first = create(api, {"note_text": field("text")})
    assert (first["version"], first["enabled"], first["appliesTo"]) == (1, True, ["CONTACT"])
    path = f"{PATH}/{first['id']}"
    second = api.ok("PUT", path, schema({"note_text": field("text"), "age_integer": field("integer")}))
    assert second["version"] == 2
    assert api.ok("GET", path) == second
    assert api.ok("GET", f"{path}/versions/1") == first
    assert api.ok("GET", f"{path}/versions")["entities"] == [second, first]
    assert api.ok("GET", PATH)["total"] == 1


def test_a_stale_version_or_a_lost_field_is_refused(api: Api) -> None:
    path = f"{PATH}/{create(api, {'note_text': field('text')})['id']}"
    stale = schema({"note_text": field("text")}, version=2)
    assert api.refused("PUT", path, stale) == (409, "dynamic.schema.version.conflict")
    for properties in ({}, {"note_text": field("longtext")}):
        refusal = api.refused("PUT", path, schema(properties))
        assert refusal == (400, "dynamic.schema.incompatible.json.schema.update")


def test_a_schema_cannot_be_deleted_only_disabled(api: Api) -> None:
    created = create(api, {"note_text": field("text")})
    path = f"{PATH}/{created['id']}"
    assert api.refused("DELETE", path) == (403, "feature.forbidden")
    api.ok("PUT", path, schema({"note_text": field("text")}, enabled=False))
    refusal = api.refused("POST", "/contacts", contact(created, note_text="x"))
    assert refusal == (422, "custom.fields.validation.failed")


def test_unknown_schemas_and_versions_are_404(api: Api) -> None:
    known = create(api, {})["id"]
    for path in (
        "/unknown",
        "/unknown/versions",
        f"/{known}/versions/2",
        f"/{known}/versions/x",
        "/coretypes/blob",
    ):
        assert api.refused("GET", f"{PATH}{path}") == (404, "not.found")
    assert api.refused("DELETE", f"{PATH}/unknown") == (404, "not.found")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"version": 1}, "invalid.json.schema"),
        (schema({"x_blob": field("blob")}), "invalid.json.schema"),
        (schema({"x_text": {"type": "string"}}), "invalid.json.schema"),
        (schema({"x_text": field("text", maxLength=101)}), "validation.limit.error"),
        (schema({"x_enum": field("enum", enum=[])}), "validation.limit.error"),
        (schema({"x_enum": field("enum", enum=[str(n) for n in range(51)])}), "validation.limit.error"),
        (
            schema({f"f{n}_text": field("text") for n in range(26)}),
            "limit.max.number.of.fields.per.schema.would.be.exceeded",
        ),
        (
            schema({"x" * 101: field("text")}),
            "limit.max.number.of.characters.for.field.name.would.be.exceeded",
        ),
        ({"version": 1, "jsonSchema": {"title": "x" * 51}}, "length.limits.would.be.exceeded"),
    ],
)
def test_schemas_beyond_the_limits(api: Api, body: Json, code: str) -> None:
    assert api.refused("POST", PATH, body) == (400, f"dynamic.schema.{code}")


def test_an_organisation_has_twenty_schemas_and_five_hundred_fields(api: Api) -> None:
    full = {f"f{number}_text": field("text") for number in range(25)}
    for _ in range(20):
        create(api, full)
    code = "dynamic.schema.limit.max.number.of.schemas.per.org.would.be.exceeded"
    assert api.refused("POST", PATH, schema({})) == (400, code)
    limits = api.ok("GET", f"{PATH}/limits")
    assert (limits["maxNumberOfSchemasPerOrg"], limits["maxNumberOfFieldsPerOrg"]) == (20, 500)


def test_core_types_are_described(api: Api) -> None:
    listing = api.ok("GET", f"{PATH}/coretypes")
    assert listing["total"] == 11
    assert api.ok("GET", f"{PATH}/coretypes/text")["validationLimits"]["maxLength"]["max"] == 100


GOOD: Json = {
    "note_text": "hello",
    "story_longtext": "x" * 1000,
    "site_url": "https://example.com/x",
    "number_identifier": "4711",
    "tier_enum": "gold",
    "born_date": "1815-12-10",
    "seen_datetime": "2026-01-01T10:00:00Z",
    "age_integer": 36,
    "score_number": 1.5,
    "vip_checkbox": False,
    "labels_tag": ["a", "b"],
}


def test_good_values_are_kept(api: Api) -> None:
    created = create(api)
    stored = api.ok("POST", "/contacts", contact(created, **GOOD, absent_text=None))
    assert stored["customFields"] == GOOD
    assert stored["schema"] == {"id": created["id"], "version": 1}


BAD: list[tuple[str, Any]] = [
    ("unknown_text", "x"),
    ("note_text", ""),
    ("note_text", "longer"),
    ("note_text", 7),
    ("story_longtext", "x" * 1001),
    ("site_url", "example"),
    ("tier_enum", "bronze"),
    ("born_date", "10.12.1815"),
    ("born_date", "1815-12-10T00:00:00Z"),
    ("seen_datetime", "2026-01-01"),
    ("seen_datetime", "yesterday"),
    ("age_integer", 1.5),
    ("age_integer", "36"),
    ("age_integer", True),
    ("age_integer", 151),
    ("score_number", "1.5"),
    ("vip_checkbox", "yes"),
    ("labels_tag", ["a", "b", "c"]),
    ("labels_tag", [7]),
    ("labels_tag", "a"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_bad_values_are_refused_by_name(api: Api, name: str, value: object) -> None:
    response = api.call("POST", "/contacts", contact(create(api), **GOOD | {name: value}))
    answer = response.json()
    assert (response.status_code, answer["code"]) == (422, "custom.fields.validation.failed")
    assert [one["fieldName"] for one in answer["details"]] == [f"customFields.{name}"]


def test_custom_fields_need_a_schema_that_exists(api: Api) -> None:
    created = create(api)
    bodies = [
        {"customFields": {"note_text": "x"}},
        {"customFields": {"note_text": "x"}, "schema": {"id": "unknown"}},
        {"schema": {"id": created["id"], "version": 2}},
    ]
    for body in bodies:
        assert api.refused("POST", "/contacts", body) == (422, "custom.fields.validation.failed")


def test_enrich_combines_custom_fields_one_by_one(api: Api) -> None:
    created = create(api)
    held = api.ok(
        "POST", "/contacts", contact(created, note_text="old", age_integer=1) | {"workEmail": "a@a.example"}
    )
    body = {
        "action": "Update",
        "matchingIdentifiers": [{"type": "Email", "value": "a@a.example"}],
        "contact": {"customFields": {"note_text": "new", "age_integer": None}},
    }
    enriched = api.ok("POST", "/contacts/enrich", body)
    assert enriched["id"] == held["id"]
    assert enriched["customFields"] == {"note_text": "new", "age_integer": 1}
    body["contact"] = {"customFields": {"age_integer": "old"}}
    assert api.refused("POST", "/contacts/enrich", body) == (422, "custom.fields.validation.failed")
