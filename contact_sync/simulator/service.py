"""Create, read, replace, patch and delete records of one kind.

What belongs here: what both contacts and organizations do with one record. Combining and merging several, and
finding them, have their own modules.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from contact_sync.simulator import fields, patching
from contact_sync.simulator.errors import Fault, Json, bad_request, conflict, invalid, not_found
from contact_sync.simulator.history import History
from contact_sync.simulator.identifiers import Identifier
from contact_sync.simulator.injector import Injector
from contact_sync.simulator.kinds import RecordKind
from contact_sync.simulator.moments import Now, new_id, now_of
from contact_sync.simulator.records import RecordStore
from contact_sync.simulator.schemas import Schemas
from contact_sync.simulator.settings import TwinSettings
from contact_sync.simulator.sources import ExternalSources

ANY_DIVISION = "*"
Expander = Callable[[Json], None]


class RecordService:
    """The records of one kind.

    Args:
        kind: Which kind.
        settings: How the twin behaves.
        schemas: The schemas of the kind's custom fields.
        sources: The external sources that external ids refer to.
        injector: Brings the faults.
    """

    def __init__(
        self,
        kind: RecordKind,
        settings: TwinSettings,
        schemas: Schemas,
        sources: ExternalSources,
        injector: Injector,
    ) -> None:
        self.kind = kind
        self.settings = settings
        self.schemas = schemas
        self._injector = injector
        self.store = RecordStore(kind.identify, self._history())
        self.expanders: dict[str, Expander] = {"externalSources": sources.name_in, "division": _name_division}
        self._sources = sources
        self._now: Now = now_of(settings.clock)

    def __len__(self) -> int:
        return len(self.store)

    def create(self, body: Json) -> tuple[str, Json]:
        """Keep a new record.

        Raises:
            ApiError: 400, 409 or 422.
        """
        record = self.cleaned(body)
        if self.settings.post_refuses_taken_external_id:
            self._refuse_taken(record)
        asked = str(body.get("id") or "") if self.settings.post_keeps_caller_id else ""
        return self.add(record, asked if asked not in self.store else "")

    def add(self, record: Json, record_id: str = "") -> tuple[str, Json]:
        """Keep a new record whose fields were cleaned."""
        self.check(record)
        now = self._now()
        kept = {"division": {"id": ANY_DIVISION}} | record | {"createDate": now, "modifyDate": now}
        record_id = record_id or new_id()
        self.store.put(record_id, kept)
        return record_id, kept

    def fetch(self, record_id: str) -> tuple[str, Json]:
        """Return a record and its own id, which differs from the asked one after a merge.

        Raises:
            ApiError: 404.
        """
        record = self.store.get(record_id)
        if record is None:
            raise not_found(message=self.kind.missing)
        return self.store.canonical(record_id), record

    def replace(self, record_id: str, body: Json) -> tuple[str, Json]:
        """Put `body` in place of a record; what it omits is gone unless the settings say otherwise.

        Raises:
            ApiError: 400, 404 or 422.
        """
        record_id, old = self.fetch(record_id)
        written = self.cleaned(body)
        return self.change(record_id, old, old | written if self.settings.put_keeps_omitted else written)

    def change(self, record_id: str, old: Json, new: Json) -> tuple[str, Json]:
        """Put `new`, whose fields were cleaned, in place of `old`; what only Genesys sets is carried over."""
        kept = {name: old[name] for name in self.kind.kept if name in old}
        record = {**new, **kept, "modifyDate": self._now()}
        self.check(record)
        self.store.put(record_id, record)
        return record_id, record

    def patch(self, record_id: str, body: Json) -> tuple[str, Json]:
        """Apply `changes`.

        Raises:
            ApiError: 404, 409 when a field and its parent are patched, 422.
        """
        record_id, old = self.fetch(record_id)
        touched = patching.patched(old, body.get("changes"), self.kind.rules)
        rest = {name: value for name, value in old.items() if name not in touched}
        return self.change(record_id, old, rest | self.cleaned(touched))

    def delete(self, record_id: str) -> None:
        """Forget a record.

        Raises:
            ApiError: 404.
        """
        if not self.store.remove(record_id):
            raise not_found(message=self.kind.missing)

    def cleaned(self, body: Json) -> Json:
        """Return the stored form of a written record.

        Raises:
            ApiError: 400 for an unknown property or division, 422 for a field that breaks its rule.
        """
        for name in body:
            if name not in self.kind.rules and name not in self.kind.server_set:
                message = f"Value [{name}] is not a valid property for object [{self.kind.name}]"
                raise bad_request(message, "invalid.property")
        record, faults = fields.read(body, self.kind.rules)
        faults += self._unknown_sources(record)
        if faults:
            raise invalid(faults)
        division = record.get("division", {"id": ANY_DIVISION})["id"]
        if division != ANY_DIVISION and division not in self.settings.division_ids:
            raise bad_request("The specified division(s) is not valid.", "invalid.division.id")
        return record

    def check(self, record: Json) -> None:
        """Check what only a whole record can break.

        Raises:
            ApiError: 422.
        """
        missing = [Fault(name, "is required") for name in self._required() if name not in record]
        if missing:
            raise invalid(missing)
        self.schemas.check(record)

    def present(self, record_id: str, record: Json, expand: Collection[str] = ()) -> Json:
        """Return a record as it goes over the wire."""
        shown: dict[str, Any] = {"id": record_id, **record, "selfUri": f"{self.kind.path}/{record_id}"}
        if "type" in self.kind.server_set:
            shown.setdefault("type", "Curated")
        if "identifiers" in expand:
            shown["identifiers"] = [one.json() for one in self.owned(record_id, record)]
        for name in expand:
            if name in self.expanders:
                self.expanders[name](shown)
        return shown

    def owned(self, record_id: str, record: Json) -> list[Identifier]:
        """Return the identifiers that a record owns."""
        return self.store.identifiers.owned(record_id, self.kind.identify(record))

    def indexed(self) -> Mapping[str, Json | None]:
        """Return the records of which the search index does not know the latest, as it knows them."""
        stale = self.store.indexed()
        self._injector.injected["index_lag_seconds"] += bool(stale)
        return stale

    def dump(self) -> Json:
        """Return everything as JSON."""
        return self.store.dump()

    def load(self, dumped: Json) -> None:
        """Replace everything by what `dump` returned."""
        self.store = RecordStore.restored(self.kind.identify, self._history(), dumped)

    def _history(self) -> History:
        return History(self.settings.clock, lambda: self._injector.faults.index_lag_seconds)

    def _required(self) -> tuple[str, ...]:
        if self.settings.require_name and not self.kind.required:
            return ("firstName", "lastName")
        return self.kind.required

    def _unknown_sources(self, record: Mapping[str, Any]) -> list[Fault]:
        if not self.settings.require_known_source:
            return []
        named = (held["externalSource"]["id"] for held in record.get("externalIds", ()))
        return [Fault("externalIds", "no such external source", one) for one in named if one not in self._sources]

    def _refuse_taken(self, record: Json) -> None:
        for identifier in self.kind.identify(record):
            if identifier.type == "ExternalId" and self.store.identifiers.owner(identifier) is not None:
                raise conflict("request.conflict", "Another contact owns the external id.")


def _name_division(shown: Json) -> None:
    division = shown["division"]
    shown["division"] = {**division, "name": "Home" if division["id"] == ANY_DIVISION else division["id"]}
