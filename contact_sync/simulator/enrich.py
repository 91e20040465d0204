"""Enrich: find a record by identifiers, then update it, create it or merge what was found.

What belongs here: matching and the choice of what to do. How fields are combined is `combining`'s,
how contacts are merged is `merging`'s.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from contact_sync.simulator import identifying
from contact_sync.simulator.combining import FieldRules
from contact_sync.simulator.errors import Fault, Json, conflict, invalid, not_found
from contact_sync.simulator.identifiers import Identifier
from contact_sync.simulator.service import RecordService

MAX_MATCHING_IDENTIFIERS = 25
Merge = Callable[[list[str]], tuple[str, Json]]


@dataclass(frozen=True, slots=True)
class Enriched:
    """The outcome: 201 created, 200 updated or merged."""

    status: int
    record_id: str
    record: Json


@dataclass(frozen=True, slots=True)
class Enricher:
    """Enriches the records of one kind.

    Args:
        service: The records.
        body_field: The request's member that carries the record.
        noun: The kind's name inside error codes.
        merge: Merges several records into one; None where the kind cannot be merged.
    """

    service: RecordService
    body_field: str
    noun: str
    merge: Merge | None = None

    def enrich(self, request: Json) -> Enriched:
        """Carry out one request.

        A match never gains the matching identifiers by itself: only what the provided record carries is claimed.

        Raises:
            ApiError: 404 (Update found nothing), 409 (Insert found something), 400 or 422.
        """
        action = self._action(request)
        matches = self._matches(self._identifiers(request))
        rules = FieldRules.read(_object(request, "fieldRules"), self.service.kind)
        provided = self.service.cleaned(_object(request, self.body_field) | _division(request))
        if not matches:
            return self._create(action, provided)
        if action == "Insert":
            message = "Another record was found by `matchingIdentifiers`; will not insert duplicate."
            raise conflict(f"matching.{self.noun}.found", message)
        record_id, old = self._target(action, matches)
        if _object(request, "options").get("promote"):
            old.pop("type", None)
        combined = rules.combined(old, provided, self.service.kind)
        return Enriched(200, *self.service.change(record_id, old, combined))

    def _action(self, request: Json) -> str:
        allowed = {"Upsert", "Update", "Insert"} | ({"Merge"} if self.merge else set())
        action = str(request.get("action"))
        if action not in allowed:
            raise invalid([Fault("action", f"must be one of {', '.join(sorted(allowed))}")])
        return action

    def _identifiers(self, request: Json) -> list[Identifier]:
        written = request.get("matchingIdentifiers")
        if not isinstance(written, list) or not 1 <= len(written) <= MAX_MATCHING_IDENTIFIERS:
            reason = f"must have 1 to {MAX_MATCHING_IDENTIFIERS} items"
            raise invalid([Fault("matchingIdentifiers", reason)])
        return [identifying.read(one) for one in written]

    def _matches(self, identifiers: list[Identifier]) -> Mapping[str, Json]:
        """Return the records that own one of `identifiers`, in the order of these."""
        return dict(filter(None, map(self.service.store.owner, identifiers)))

    def _create(self, action: str, provided: Json) -> Enriched:
        if action == "Update":
            message = "No matching record was found by `matchingIdentifiers`; can not update."
            raise not_found(f"matching.{self.noun}.not.found", message)
        return Enriched(201, *self.service.add(provided))

    def _target(self, action: str, matches: Mapping[str, Json]) -> tuple[str, Json]:
        if action == "Merge" and self.merge and len(matches) > 1:
            return self.merge(list(matches))
        return next(iter(matches.items()))


def _object(request: Json, name: str) -> Json:
    value = request.get(name)
    if value is not None and not isinstance(value, dict):
        raise invalid([Fault(name, "must be an object")])
    return value or {}


def _division(request: Json) -> Json:
    return {"division": request["division"]} if request.get("division") else {}
