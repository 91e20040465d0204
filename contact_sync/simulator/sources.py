"""External sources: the systems whose ids contacts carry.

What belongs here: keeping sources, their names unique and their number limited. Their ids are identifiers.
"""

from contact_sync.simulator import fields
from contact_sync.simulator.cursors import Cursors
from contact_sync.simulator.errors import Fault, Json, bad_request, conflict, invalid, not_found
from contact_sync.simulator.kinds import ROOT
from contact_sync.simulator.moments import new_id
from contact_sync.simulator.settings import TwinSettings

PATH = f"{ROOT}/externalsources"
_LINK = fields.record({"uriTemplate": fields.text(400)}, "uriTemplate")
_RULES = {"name": fields.text(200), "active": fields.boolean, "linkConfiguration": _LINK}
_SERVER_SET = {"id", "selfUri"}


class ExternalSources:
    """The external sources of the organisation, names unique."""

    def __init__(self, settings: TwinSettings, cursors: Cursors) -> None:
        self._settings = settings
        self._cursors = cursors
        self._sources: dict[str, Json] = {}

    def __contains__(self, source_id: str) -> bool:
        return source_id in self._sources

    def create(self, body: Json) -> Json:
        """Keep a new source, active unless told otherwise.

        Raises:
            ApiError: 409 when the name is taken or a limit is reached, 422.
        """
        if len(self._sources) >= self._settings.max_external_sources:
            raise conflict("max.external.source.limit.reached", "The number of External Sources is at its limit")
        return self._keep(new_id(), {"active": True} | _cleaned(body))

    def get(self, source_id: str) -> Json:
        """Return a source.

        Raises:
            ApiError: 404.
        """
        if source_id not in self._sources:
            raise not_found(message="External source not found by external source ID.")
        return self._sources[source_id] | {"id": source_id, "selfUri": f"{PATH}/{source_id}"}

    def update(self, source_id: str, body: Json) -> Json:
        """Replace a source.

        Raises:
            ApiError: 404, 409 when the name is taken, 422.
        """
        self.get(source_id)
        return self._keep(source_id, {"active": True} | _cleaned(body))

    def delete(self, source_id: str) -> None:
        """Forget a source; records that refer to it stay as they are.

        Raises:
            ApiError: 404.
        """
        self.get(source_id)
        del self._sources[source_id]

    def page(self, limit: int, cursor: str, *, prefix: str, active: bool | None) -> Json:
        """Return one page of the sources whose name starts with `prefix`.

        Raises:
            ApiError: 422 for a bad or expired cursor.
        """
        start = self._cursors.position("externalsources", cursor) if cursor else 0
        chosen = [
            self.get(one)
            for one, held in self._sources.items()
            if held["name"].startswith(prefix) and active in {None, held["active"]}
        ]
        reached = start + limit
        onward = self._cursors.links("externalsources", PATH, reached if reached < len(chosen) else None)
        return {"entities": chosen[start:reached], "selfUri": PATH} | onward

    def name_in(self, shown: Json) -> None:
        """Write the sources' names into the external ids of a shown record."""
        for held in shown.get("externalIds", ()):
            if held["externalSource"]["id"] in self:
                held["externalSource"] = self.get(held["externalSource"]["id"])

    def dump(self) -> Json:
        """Return everything as JSON."""
        return {"sources": self._sources}

    def load(self, dumped: Json) -> None:
        """Replace everything by what `dump` returned."""
        self._sources = dumped["sources"]

    def _keep(self, source_id: str, source: Json) -> Json:
        others = [held for one, held in self._sources.items() if one != source_id]
        if any(held["name"] == source["name"] for held in others):
            raise conflict("external.source.exists", "External Source with that name already exists")
        active = sum(held["active"] for held in others) + source["active"]
        if source["active"] and active > self._settings.max_active_external_sources:
            message = "The number of active External Sources is at its limit"
            raise conflict("active.external.source.limit.reached", message)
        self._sources[source_id] = source
        return self.get(source_id)


def _cleaned(body: Json) -> Json:
    for name in body:
        if name not in _RULES and name not in _SERVER_SET:
            message = f"Value [{name}] is not a valid property for object [ExternalSource]"
            raise bad_request(message, "invalid.property")
    source, faults = fields.read(body, _RULES)
    if "name" not in source and not faults:
        faults = [Fault("name", "is required")]
    if faults:
        raise invalid(faults)
    return source
