"""Genesys Cloud External Contacts, as far as this project speaks it.

What belongs here: the operations on contacts and external sources: their paths, bodies and outcomes. How a request
travels is `transport`'s, what an item looks like is `payloads`', what an answer means is `answers`'.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import parse_qs, urljoin, urlsplit

from contact_sync.genesys.answers import ItemResult, JsonObject, Organization, as_object, as_text, item_results
from contact_sync.genesys.errors import GenesysFatalError, GenesysRetryableError, GenesysRowError
from contact_sync.genesys.payloads import ExternalId, Upsert, enrich_item, find_item, identifier
from contact_sync.genesys.transport import Transport

MAX_UPSERTS = 10  # Genesys documents at most 10 enrich operations a request
MAX_BODY = 512_000  # bytes of a request, by Genesys' limits; a larger one is refused with 413

ORGANIZATION = "/api/v2/organizations/me"
"""Tells a client its organisation; needs no permission."""

_CONTACTS = "/api/v2/externalcontacts/bulk/contacts"
_CONTACT = "/api/v2/externalcontacts/contacts"
_SOURCES = "/api/v2/externalcontacts/externalsources"
_DIVISIBLE = {400, 413, 422}  # refusals of a whole list that a part of it may escape


class GenesysClient:
    """A client of one organisation; safe to share between threads.

    Attributes:
        transport: Carries the requests, also those that are no operation on contacts.

    Every operation raises `GenesysFatalError` and `GenesysRetryableError`, `GenesysRowError` where it says so.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._source_ids: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"GenesysClient({self.transport.hosts.region})"

    @property
    def requests_sent(self) -> int:
        """Requests to the API so far, repeated ones included; token requests do not count."""
        return self.transport.requests_sent

    @property
    def writes_sent(self) -> int:
        """How many of them could change something."""
        return self.transport.writes_sent

    def organization(self) -> Organization:
        """Return the organisation that the client belongs to."""
        answer = self.transport.get(ORGANIZATION)
        body = as_object(answer.body)
        found, name = as_text(body.get("id")), as_text(body.get("name"))
        if found is None:
            msg = f"Genesys answered {answer.place} without the organisation's id"
            raise GenesysFatalError(msg, status=answer.status, correlation_id=answer.correlation_id)
        return Organization(found, name or "")

    def upsert(self, items: Sequence[Upsert]) -> list[ItemResult]:
        """Create or update contacts, at most `MAX_UPSERTS`; the results follow the order of `items`.

        A list that Genesys refuses as a whole is halved until the culprit stands alone and becomes a result.

        Raises:
            ValueError: Too many items, or two with the same tracker.
            GenesysRowError: Refused as a whole in a way that no part could escape.
        """
        if len(items) > MAX_UPSERTS:
            msg = f"at most {MAX_UPSERTS} upserts fit a request, not {len(items)}"
            raise ValueError(msg)
        entities = {item.tracker: enrich_item(item) for item in items}
        _refuse_repeats(entities, len(items))
        return list(self.bulk(f"{_CONTACTS}/enrich", entities).values())

    def find(self, matching: Mapping[str, Sequence[ExternalId]]) -> list[ItemResult]:
        """Find contacts by their external ids, by tracker, at most `MAX_UPSERTS`.

        A contact that is not there counts as found, too: its result is ok, its code tells and its id is empty.
        Unlike a look-up, an enrichment does not wait for the search index.

        Raises:
            GenesysRowError: As in `upsert`.
        """
        entities = {tracker: find_item(tracker, ids) for tracker, ids in matching.items()}
        results = self.bulk(f"{_CONTACTS}/enrich", entities).values()
        return [replace(one, status=200, contact_id="") if one.status == 404 else one for one in results]

    def remove(self, contact_ids: Sequence[str]) -> list[ItemResult]:
        """Remove contacts by their Genesys ids, which are also the trackers of the results.

        A contact that is not there any more counts as removed: its result is ok, and its code tells. Genesys does
        not document the size of the list; one that it finds too big is halved.

        Raises:
            ValueError: An id appears twice.
            GenesysRowError: As in `upsert`.
        """
        entities = {contact_id: {"id": contact_id} for contact_id in contact_ids}
        _refuse_repeats(entities, len(contact_ids))
        return [_removed(result) for result in self.bulk(f"{_CONTACTS}/remove", entities).values()]

    def claim(self, contact_id: str, external_id: ExternalId) -> ItemResult:
        """Give a contact an external id, as the only one that carries it; the tracker of the result is its id.

        A contact that carries it already counts as done. Status 409: another one does; 404: the contact is gone.
        """
        return self._change_owner("Claim", contact_id, external_id)

    def release(self, contact_id: str, external_id: ExternalId) -> ItemResult:
        """Take an external id off a contact; one that does not carry it, or is gone, counts as done."""
        result = self._change_owner("Release", contact_id, external_id)
        return replace(result, status=200, contact_id=contact_id) if result.status == 404 else result

    def _change_owner(self, operation: str, contact_id: str, external_id: ExternalId) -> ItemResult:
        body = {"operation": operation, "identifier": identifier(external_id)}
        try:
            answer = self.transport.patch(f"{_CONTACT}/{contact_id}/identifiers", body)
        except GenesysRowError as refused:
            return _refusal(contact_id, refused)
        return ItemResult(contact_id, answer.status, contact_id, None, False, answer.correlation_id)  # noqa: FBT003

    def ensure_external_source(self, name: str) -> str:
        """Return the id of the external source `name`, creating it if there is none; asked for once.

        Raises:
            GenesysRowError: Genesys refuses the name.
        """
        name = name.strip()  # as Genesys does
        if name not in self._source_ids:
            self._source_ids[name] = self._find_or_create_source(name)
        return self._source_ids[name]

    def _find_or_create_source(self, name: str) -> str:
        if found := self.find_external_source(name):
            return found
        try:
            answer = self.transport.post(_SOURCES, {"name": name, "active": True})
        except GenesysRowError as refused:
            if refused.status != 409:
                raise
        else:
            return _source_id(as_object(answer.body), name)
        # Someone was faster, or the answer to our own first attempt was lost.
        if found := self.find_external_source(name):
            return found
        msg = f"Genesys has the external source {name!r} but does not list it yet: try again; is it active?"
        raise GenesysRetryableError(msg, status=409, code="external.source.exists")

    def find_external_source(self, name: str) -> str | None:
        """Return the id of the external source `name`, None if there is none."""
        return self.external_sources(name).get(name)

    def external_sources(self, prefix: str) -> Mapping[str, str]:
        """Return the ids of the external sources whose names begin with `prefix`, by name."""
        found: dict[str, str] = {}
        cursor: str | None = ""
        seen: set[str] = set()
        while cursor is not None and cursor not in seen:
            seen.add(cursor)
            params = {"name": prefix, "limit": "200"} | ({"cursor": cursor} if cursor else {})
            page = as_object(self.transport.get(_SOURCES, params).body)
            entities = page.get("entities")
            for source in map(as_object, entities if isinstance(entities, list) else ()):
                if name := as_text(source.get("name")):
                    found.setdefault(name, _source_id(source, name))
            cursor = self._next_cursor(page)
        return found

    def _next_cursor(self, page: JsonObject) -> str | None:
        """Return the cursor of the next page. A link is read, never followed: it could lead the token away."""
        link = urljoin(self.transport.hosts.api, as_text(page.get("nextUri")) or "")
        if urlsplit(link)[:2] != urlsplit(self.transport.hosts.api)[:2]:
            msg = "Genesys' list of external sources continues on another host: refused"
            raise GenesysFatalError(msg)
        named = as_text(as_object(page.get("cursors")).get("after"))
        return named or next(iter(parse_qs(urlsplit(link).query).get("cursor", ())), None)

    def bulk(self, path: str, entities: Mapping[str, JsonObject]) -> dict[str, ItemResult]:
        """Send `entities`, by tracker, halving a list that is too large or is refused as a whole.

        Raises:
            GenesysRowError: As in `upsert`.
        """
        if not entities:
            return {}
        try:
            answer = self.transport.post(path, _fitting({"entities": list(entities.values())}))
        except GenesysRowError as refused:
            if refused.status not in _DIVISIBLE:
                raise
            if len(entities) == 1:
                return {tracker: _refusal(tracker, refused) for tracker in entities}
        else:
            return item_results(as_object(answer.body), entities, answer.correlation_id)
        pairs = list(entities.items())
        middle = len(pairs) // 2
        return self.bulk(path, dict(pairs[:middle])) | self.bulk(path, dict(pairs[middle:]))


def _fitting(body: JsonObject) -> JsonObject:
    """Return `body` if Genesys would not find it too large; refuse it as Genesys would, if it would."""
    if len(json.dumps(body)) > MAX_BODY:
        raise GenesysRowError("the request is too large", status=413, code="request.entity.too.large")
    return body


def _refuse_repeats(entities: Mapping[str, JsonObject], count: int) -> None:
    if len(entities) != count:
        msg = "two items of a request share an id: their results could not be told apart"
        raise ValueError(msg)


def _refusal(tracker: str, error: GenesysRowError) -> ItemResult:
    retryable = False
    return ItemResult(tracker, error.status or 400, None, error.code or "unknown", retryable, error.correlation_id)


def _removed(result: ItemResult) -> ItemResult:
    """Complete the result of a removal: its answer names no contact, and a missing one is as good as removed."""
    if result.status == 404:
        return replace(result, status=200, contact_id=result.tracker, retryable=False)
    if 200 <= result.status < 300:
        return replace(result, contact_id=result.tracker, retryable=False)
    return result


def _source_id(source: JsonObject, name: str) -> str:
    found = as_text(source.get("id"))
    if found is None:
        msg = f"Genesys answered without the id of the external source {name!r}"
        raise GenesysFatalError(msg)
    return found
