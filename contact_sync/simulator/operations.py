"""The operations of the contract: each path, what it does, what it answers.

What belongs here: the table, and translating a call into work and the outcome into an answer. Rules are elsewhere.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from contact_sync.simulator import bulk, coretypes, identifying, listing, merging, schemas
from contact_sync.simulator.door import Call, Handler, Operation, Reply
from contact_sync.simulator.enrich import Enricher
from contact_sync.simulator.errors import ApiError, Json, bad_request, not_found
from contact_sync.simulator.kinds import ROOT
from contact_sync.simulator.permissions import needs, needs_old_or_new
from contact_sync.simulator.schemas import Schemas
from contact_sync.simulator.service import RecordService
from contact_sync.simulator.store import TwinStore

Service = Callable[[TwinStore], RecordService]


def operations() -> Iterator[Operation]:
    """Yield every operation; fixed paths come before those with a parameter in the same place."""
    yield from _contact_operations()
    yield from _record_operations("contacts", "contact", lambda s: s.contacts, lambda s: s.contact_enricher)
    yield from _record_operations(
        "organizations", "externalOrganization", lambda s: s.organizations, lambda s: s.organization_enricher
    )


def _contact_operations() -> Iterator[Operation]:
    schema = f"{ROOT}/contacts/schemas/{{schemaId}}"
    promotion, reverse = f"{ROOT}/contacts/{{contactId}}/promotion", f"{ROOT}/reversewhitepageslookup"
    yield Operation("DELETE", schema, _refuse_schema_delete, needs("customFields", "edit"), writes=True)
    yield Operation("POST", f"{ROOT}/contacts/merge", _merge, needs("identity", "merge"), writes=True)
    yield Operation("GET", reverse, _reverse_lookup, needs("contact", "view"), writes=False)
    yield Operation("POST", promotion, _promote, needs("identity", "promote"), writes=True)


def _record_operations(
    plural: str, noun: str, service: Service, enricher: Callable[[TwinStore], Enricher]
) -> Iterator[Operation]:
    id_name = f"{noun}Id"
    records = _Records(service, enricher, id_name)
    new, old = partial(needs, noun), partial(needs_old_or_new, noun)
    one, every, many = f"{ROOT}/{plural}/{{{id_name}}}", f"{ROOT}/{plural}", f"{ROOT}/bulk/{plural}"
    yield from _schema_operations(f"{every}/schemas", service)
    yield Operation("POST", f"{every}/enrich", records.enrich, new("enrich"), writes=True)
    yield Operation("POST", every, records.create, old("add"), writes=True)
    yield Operation("GET", every, records.search, old("view"), writes=False)
    yield Operation("GET", one, records.fetch, old("view"), writes=False)
    yield Operation("PUT", one, records.replace, old("edit"), writes=True)
    yield Operation("PATCH", one, records.patch, new("edit"), writes=True)
    yield Operation("DELETE", one, records.delete, old("delete"), writes=True)
    yield Operation("GET", f"{one}/identifiers", records.identifiers, new("view"), writes=False)
    yield Operation("PATCH", f"{one}/identifiers", records.change_owner, new("edit"), writes=True)
    yield Operation("GET", f"{ROOT}/scan/{plural}", records.scan, old("view"), writes=False)
    yield Operation("POST", f"{ROOT}/identifierlookup/{plural}", records.lookup, new("view"), writes=False)
    yield Operation("POST", many, records.bulk_fetch, new("view"), writes=False)
    yield Operation("POST", f"{many}/add", records.bulk_add, new("add"), writes=True)
    yield Operation("POST", f"{many}/update", records.bulk_update, new("edit"), writes=True)
    yield Operation("POST", f"{many}/remove", records.bulk_remove, new("delete"), writes=True)
    yield Operation("POST", f"{many}/enrich", records.bulk_enrich, new("enrich"), writes=True)


class _Records:
    """The operations that contacts and organizations have alike."""

    def __init__(self, service: Service, enricher: Callable[[TwinStore], Enricher], id_name: str) -> None:
        self._service = service
        self._enricher = enricher
        self._id_name = id_name

    def create(self, call: Call) -> Reply:
        return self._shown(call, *self._service(call.store).create(call.body))

    def fetch(self, call: Call) -> Reply:
        return self._shown(call, *self._service(call.store).fetch(self._id(call)))

    def replace(self, call: Call) -> Reply:
        return self._shown(call, *self._service(call.store).replace(self._id(call), call.body))

    def patch(self, call: Call) -> Reply:
        return self._shown(call, *self._service(call.store).patch(self._id(call), call.body))

    def delete(self, call: Call) -> Reply:
        self._service(call.store).delete(self._id(call))
        return Reply(200, {})

    def search(self, call: Call) -> Reply:
        return Reply(200, listing.search(self._service(call.store), call.query, call.expand))

    def scan(self, call: Call) -> Reply:
        service = self._service(call.store)
        path = f"{ROOT}/scan/{service.kind.path.rpartition('/')[2]}"
        return Reply(200, listing.scan(service, call.store.cursors, call.query, path))

    def lookup(self, call: Call) -> Reply:
        return self._shown(call, *identifying.lookup(self._service(call.store), call.body))

    def identifiers(self, call: Call) -> Reply:
        service = self._service(call.store)
        owned = service.owned(*service.fetch(self._id(call)))
        return Reply(200, {"entities": [one.json() for one in owned]})

    def change_owner(self, call: Call) -> Reply:
        return Reply(200, identifying.change_owner(self._service(call.store), self._id(call), call.body))

    def enrich(self, call: Call) -> Reply:
        with self._rehearsal(call):
            enriched = self._enricher(call.store).enrich(call.body)
            shown = self._service(call.store).present(enriched.record_id, enriched.record)
            return Reply(enriched.status, shown)

    def bulk_enrich(self, call: Call) -> Reply:
        service, enricher = self._service(call.store), self._enricher(call.store)

        def act(item: Json) -> bulk.Done:
            enriched = enricher.enrich(item)
            return bulk.Done(item.get("id"), enriched.status, service.present(enriched.record_id, enriched.record))

        with self._rehearsal(call):
            return Reply(200, bulk.run(call.body, bulk.MAX_ENRICH_ITEMS, call.store, act))

    def bulk_fetch(self, call: Call) -> Reply:
        service = self._service(call.store)
        return self._bulk(call, lambda item: service.fetch(_item_id(item)))

    def bulk_add(self, call: Call) -> Reply:
        service = self._service(call.store)
        return self._bulk(call, service.create, status=201)

    def bulk_update(self, call: Call) -> Reply:
        service = self._service(call.store)
        return self._bulk(call, lambda item: service.replace(_item_id(item), item))

    def bulk_remove(self, call: Call) -> Reply:
        service = self._service(call.store)

        def act(item: Json) -> bulk.Done:
            service.delete(_item_id(item))
            return bulk.Done(item["id"], 200, None)

        return Reply(200, bulk.run(call.body, call.store.settings.bulk_max_items, call.store, act))

    def _bulk(self, call: Call, work: Callable[[Json], tuple[str, Json]], status: int = 200) -> Reply:
        service = self._service(call.store)

        def act(item: Json) -> bulk.Done:
            record_id, record = work(item)
            return bulk.Done(record_id, status, service.present(record_id, record))

        return Reply(200, bulk.run(call.body, call.store.settings.bulk_max_items, call.store, act))

    def _rehearsal(self, call: Call) -> AbstractContextManager[None]:
        return self._service(call.store).store.rehearsal() if call.dry_run else nullcontext()

    def _shown(self, call: Call, record_id: str, record: Json) -> Reply:
        return Reply(200, self._service(call.store).present(record_id, record, call.expand))

    def _id(self, call: Call) -> str:
        return call.path[self._id_name]


def _item_id(item: Json) -> str:
    if not isinstance(item.get("id"), str):
        raise not_found(message="The item has no id.")
    return str(item["id"])


def _merge(call: Call) -> Reply:
    ids = call.body.get("contactIds")
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise bad_request("contactIds must be an array of ids")
    override = call.body.get("valueOverride") or {}
    if not isinstance(override, dict):
        raise bad_request("valueOverride must be an object")
    contacts = call.store.contacts
    return Reply(200, contacts.present(*merging.merge(contacts, ids, override)))


def _refuse_schema_delete(call: Call) -> Reply:
    call.store.contact_schemas.refuse_delete(call.path["schemaId"])
    return Reply(204, None)


def _promote(call: Call) -> Reply:
    contacts = call.store.contacts
    contact_id, record = contacts.fetch(call.path["contactId"])
    if record.pop("type", "Curated") == "Curated":
        message = "The contact is a curated contact and cannot be promoted"
        raise bad_request(message, "promotion.of.curated.contact.failed")
    return Reply(200, contacts.present(*contacts.change(contact_id, record, record)))


def _reverse_lookup(call: Call) -> Reply:
    return Reply(200, listing.reverse_lookup(call.store.contacts, call.query, call.expand))


def _schema_operations(path: str, service: Service) -> Iterator[Operation]:
    def of(call: Call) -> Schemas:
        return service(call.store).schemas

    def read(route: str, answer: Callable[[Call], Json]) -> Operation:
        return Operation("GET", f"{path}{route}", _ok(answer), needs("customFields", "view"), writes=False)

    yield read("/limits", lambda _call: schemas.limits(f"{path}/limits"))
    yield read("/coretypes", lambda _call: coretypes.listing(f"{path}/coretypes"))
    yield read("/coretypes/{name}", lambda call: coretypes.described(call.path["name"], f"{path}/coretypes"))
    yield read("", lambda call: of(call).listing())
    yield read("/{schemaId}", lambda call: of(call).get(call.path["schemaId"]))
    yield read("/{schemaId}/versions", lambda call: of(call).versions(call.path["schemaId"]))
    yield read(
        "/{schemaId}/versions/{versionId}", lambda call: of(call).get(call.path["schemaId"], _version(call))
    )
    create = _ok(lambda call: of(call).create(call.body))
    update = _ok(lambda call: of(call).update(call.path["schemaId"], call.body))
    yield Operation("POST", path, create, needs("customFields", "add"), writes=True)
    yield Operation("PUT", f"{path}/{{schemaId}}", update, needs("customFields", "edit"), writes=True)


def _version(call: Call) -> int:
    text = call.path["versionId"]
    if not text.isdigit():
        raise ApiError(404, "not.found", "The requested resource was not found.")
    return int(text)


def _ok(answer: Callable[[Call], Json]) -> Handler:
    return lambda call: Reply(200, answer(call))
