"""Custom fields: the schemas that define them, version by version.

What belongs here: keeping schemas within Genesys' limits and refusing incompatible changes. The core types that
fields are made of, and checking a record's values, is `coretypes`.
"""

import copy
from collections.abc import Iterable, Mapping

from contact_sync.simulator import coretypes
from contact_sync.simulator.errors import ApiError, Fault, Json, bad_request, conflict, invalid, not_found
from contact_sync.simulator.moments import Now, new_id

MAX_SCHEMAS = 20
MAX_FIELDS_PER_SCHEMA = 25
MAX_FIELDS_PER_ORG = 500
MAX_FIELD_NAME = 100
MAX_TITLE = 50
MAX_DESCRIPTION = 200
_LIMIT = "dynamic.schema.limit.max.number.of"


class Schemas:
    """The schemas of one kind of record, every version kept.

    Args:
        now: Gives the current moment as ISO-8601.
        applies_to: CONTACT or EXTERNAL_ORGANIZATION.
        path: Where they are served, for `selfUri`.
    """

    def __init__(self, now: Now, applies_to: str, path: str) -> None:
        self._now = now
        self._applies_to = applies_to
        self._path = path
        self._versions: dict[str, list[Json]] = {}

    def create(self, body: Json) -> Json:
        """Keep a new schema as its version 1."""
        if len(self._versions) >= MAX_SCHEMAS:
            code = f"{_LIMIT}.schemas.per.org.would.be.exceeded"
            raise bad_request(f"There cannot be more than {MAX_SCHEMAS} schemas.", code)
        return self._keep(new_id(), body, 1)

    def update(self, schema_id: str, body: Json) -> Json:
        """Keep a new version: fields may be added, none may go or change type.

        Raises:
            ApiError: 404, 409 when `version` is not the current one, 400 for an incompatible change.
        """
        current = self.get(schema_id)
        if body.get("version") != current["version"]:
            raise conflict("dynamic.schema.version.conflict", "A valid version is required.")
        old, new = _properties(current), _read_document(body)["properties"]
        for name, definition in old.items():
            if name not in new or coretypes.name_of(new[name]) != coretypes.name_of(definition):
                message = "The JSON schema provided for update is incompatible with the previous version."
                raise bad_request(message, "dynamic.schema.incompatible.json.schema.update")
        return self._keep(schema_id, body, current["version"] + 1)

    def get(self, schema_id: str, version: int | None = None) -> Json:
        """Return a schema, its newest version unless another is asked for.

        Raises:
            ApiError: 404.
        """
        versions = self._versions.get(schema_id, [])
        number = len(versions) if version is None else version
        if not 1 <= number <= len(versions):
            raise not_found("not.found", "The requested resource was not found.")
        return copy.deepcopy(versions[number - 1])

    def versions(self, schema_id: str) -> Json:
        """Return all versions of a schema, newest first."""
        newest = self.get(schema_id)["version"]
        return self._listing(self.get(schema_id, number) for number in range(newest, 0, -1))

    def listing(self) -> Json:
        """Return the newest version of every schema."""
        return self._listing(map(self.get, self._versions))

    def refuse_delete(self, schema_id: str) -> None:
        """Answer a DELETE.

        Raises:
            ApiError: Always: 404, or 403 because schemas can only be disabled.
        """
        self.get(schema_id)
        raise ApiError(403, "feature.forbidden", "Delete operation forbidden.")

    def faults(self, record: Json) -> list[Fault]:
        """Return what is wrong with the `schema` and `customFields` of a written record."""
        values = record.get("customFields") or {}
        reference = record.get("schema")
        if not reference:
            return [Fault("customFields", "a schema is required")] if values else []
        try:
            schema = self.get(str(reference.get("id")), reference.get("version"))
            newest = self.get(str(reference.get("id")))
        except ApiError:
            return [Fault("schema", "no such schema or version")]
        if not newest["enabled"]:
            return [Fault("schema", "the schema is disabled")]
        return coretypes.faults(values, _properties(schema))

    def check(self, record: Json) -> None:
        """Check the custom fields of a record.

        Raises:
            ApiError: 422 custom.fields.validation.failed.
        """
        if faults := self.faults(record):
            raise invalid(faults, "custom.fields.validation.failed")

    def dump(self) -> Json:
        """Return everything as JSON."""
        return {"versions": self._versions}

    def load(self, dumped: Json) -> None:
        """Replace everything by what `dump` returned."""
        self._versions = dumped["versions"]

    def _keep(self, schema_id: str, body: Json, version: int) -> Json:
        document = _read_document(body)
        self._within_limits(schema_id, document)
        kept = {
            "id": schema_id,
            "name": str(body.get("name") or document.get("title") or ""),
            "version": version,
            "appliesTo": [self._applies_to],
            "enabled": body.get("enabled") is not False,
            "dateCreated": self._now(),
            "jsonSchema": document,
            "selfUri": f"{self._path}/{schema_id}",
        }
        self._versions.setdefault(schema_id, []).append(kept)
        return self.get(schema_id)

    def _within_limits(self, schema_id: str, document: Json) -> None:
        if len(document.get("title", "")) > MAX_TITLE or len(document.get("description", "")) > MAX_DESCRIPTION:
            message = (
                f"The schema title is limited to {MAX_TITLE} characters, the description to {MAX_DESCRIPTION}."
            )
            raise bad_request(message, "dynamic.schema.length.limits.would.be.exceeded")
        names = document["properties"]
        _field_count(len(names), MAX_FIELDS_PER_SCHEMA, "per.schema")
        others = sum(len(_properties(vs[-1])) for one, vs in self._versions.items() if one != schema_id)
        _field_count(others + len(names), MAX_FIELDS_PER_ORG, "per.org")
        if any(len(name) > MAX_FIELD_NAME for name in names):
            code = f"{_LIMIT}.characters.for.field.name.would.be.exceeded"
            raise bad_request(f"A field name cannot exceed {MAX_FIELD_NAME} characters", code)

    def _listing(self, schemas: Iterable[Json]) -> Json:
        entities = list(schemas)
        return {"total": len(entities), "entities": entities, "selfUri": self._path}


def limits(path: str) -> Json:
    """Return the SchemaQuantityLimits."""
    return {
        "minFieldNameCharacters": 1,
        "maxFieldNameCharacters": MAX_FIELD_NAME,
        "minFieldTitleCharacters": 1,
        "maxFieldTitleCharacters": 100,
        "minFieldDescriptionCharacters": 0,
        "maxFieldDescriptionCharacters": 200,
        "minSchemaNameCharacters": 1,
        "maxSchemaNameCharacters": MAX_TITLE,
        "minSchemaDescriptionCharacters": 0,
        "maxSchemaDescriptionCharacters": MAX_DESCRIPTION,
        "maxNumberOfSchemasPerOrg": MAX_SCHEMAS,
        "maxNumberOfFieldsPerSchema": MAX_FIELDS_PER_SCHEMA,
        "maxNumberOfFieldsPerOrg": MAX_FIELDS_PER_ORG,
        "selfUri": path,
    }


def _field_count(count: int, limit: int, scope: str) -> None:
    if count > limit:
        raise bad_request(f"More than {limit} fields.", f"{_LIMIT}.fields.{scope}.would.be.exceeded")


def _read_document(body: Json) -> Json:
    """Return the `jsonSchema` of a body, nulls dropped.

    Raises:
        ApiError: 400 when it is no readable schema.
    """
    document = body.get("jsonSchema")
    kept = (
        {name: value for name, value in document.items() if value is not None}
        if isinstance(document, dict)
        else {}
    )
    properties = kept.get("properties", {})
    texts = [kept.get(name, "") for name in ("title", "description")]
    if not kept or not isinstance(properties, dict) or not all(isinstance(text, str) for text in texts):
        raise bad_request("An invalid JSON schema was provided.", "dynamic.schema.invalid.json.schema")
    fields = {name: coretypes.read_definition(name, definition) for name, definition in properties.items()}
    return copy.deepcopy(kept | {"properties": fields})


def _properties(schema: Json) -> Mapping[str, Json]:
    properties: Mapping[str, Json] = schema["jsonSchema"]["properties"]
    return properties
