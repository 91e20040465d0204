"""The official SDK, unchanged, against the twin."""

import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from contact_sync.simulator.server import TwinServer
from contact_sync.simulator.settings import TwinSettings
from contact_sync_tests.simulator.api import CREDENTIALS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK's own sources are not free of deprecated syntax
    import PureCloudPlatformClientV2 as Sdk
    from PureCloudPlatformClientV2.rest import ApiException

Api = Any  # the SDK is not typed


@pytest.fixture(scope="module")
def twin() -> Iterator[TwinServer]:
    with TwinServer(TwinSettings(requests_per_minute=10_000)) as server:
        yield server


@pytest.fixture(scope="module")
def client(twin: TwinServer) -> Api:
    Sdk.configuration.live_reload_config = False
    Sdk.configuration.host = twin.base_url
    return Sdk.api_client.ApiClient().get_client_credentials_token(*CREDENTIALS)


@pytest.fixture
def contacts(client: Api) -> Api:
    return Sdk.ExternalContactsApi(client)


@pytest.fixture(scope="module")
def source(client: Api) -> str:
    body = Sdk.ExternalSource()
    body.name = "crm"
    return str(Sdk.ExternalContactsApi(client).post_externalcontacts_externalsources(body).id)


def contact(**fields: object) -> Api:
    return filled(Sdk.ExternalContact(), **fields)


def filled(model: Api, **fields: object) -> Api:
    for name, value in fields.items():
        setattr(model, name, value)
    return model


def external_id(source: str, value: str) -> Api:
    return filled(Sdk.ExternalId(), external_source=filled(Sdk.ExternalSource(), id=source), value=value)


def enrichment(source: str, value: str, **fields: object) -> Api:
    reference = filled(Sdk.ExternalSource(), id=source)
    identifier = filled(Sdk.ContactIdentifier(), type="ExternalId", value=value, external_source=reference)
    return filled(
        Sdk.ContactEnrichRequest(),
        id=value,
        action="Upsert",
        matching_identifiers=[identifier],
        contact=contact(external_ids=[external_id(source, value)], **fields),
    )


def test_the_organisation_and_the_token(client: Api, twin: TwinServer) -> None:
    assert Sdk.OrganizationApi(client).get_organizations_me().id == twin.settings.organization_id
    assert Sdk.TokensApi(client).get_tokens_me().o_auth_client.id == CREDENTIALS[0]


def test_create_read_change_and_delete(contacts: Api) -> None:
    phone = filled(Sdk.PhoneNumber(), display="(704) 298-4733")
    created = contacts.post_externalcontacts_contacts(contact(first_name="Ada", work_phone=phone))
    read = contacts.get_externalcontacts_contact(created.id, expand=["identifiers", "division"])
    assert (read.work_phone.e164, read.type, read.identifiers[0].value) == (
        "+17042984733",
        "Curated",
        "+17042984733",
    )
    assert read.create_date.tzinfo is not None
    read.last_name = "Lovelace"
    assert contacts.put_externalcontacts_contact(created.id, read).last_name == "Lovelace"
    change = filled(Sdk.ContactsPatchChange(), action="Update", field="$.title", value="Countess")
    patch = filled(Sdk.ExternalContactsPatchRequest(), changes=[change])
    assert contacts.patch_externalcontacts_contact(created.id, patch).title == "Countess"
    contacts.delete_externalcontacts_contact(created.id)
    with pytest.raises(ApiException) as caught:
        contacts.get_externalcontacts_contact(created.id)
    assert (caught.value.status, json.loads(caught.value.body)["code"]) == (404, "entity.not.found")


def test_a_refused_field_raises(contacts: Api) -> None:
    with pytest.raises(ApiException) as caught:
        contacts.post_externalcontacts_contacts(contact(work_email="nonsense"))
    assert (caught.value.status, json.loads(caught.value.body)["code"]) == (422, "validation.failed")
    assert caught.value.headers["inin-ratelimit-allowed"] == "10000"


def test_enrich_one_and_many(contacts: Api, source: str) -> None:
    one = contacts.post_externalcontacts_contacts_enrich(enrichment(source, "one", first_name="A"))
    again = contacts.post_externalcontacts_contacts_enrich(enrichment(source, "one", last_name="B"))
    assert (one.id, again.first_name, again.last_name) == (again.id, "A", "B")
    entities = [enrichment(source, str(number), first_name="C") for number in range(10)]
    entities[3].contact.work_email = "nonsense"
    many = filled(Sdk.BulkContactsEnrichRequest(), entities=entities)
    answer = contacts.post_externalcontacts_bulk_contacts_enrich(many)
    assert (answer.error_count, len(answer.results)) == (1, 10)
    assert answer.results[answer.error_indexes[0]].id == "3"
    assert {one.entity.first_name for one in answer.results if one.success} == {"C"}


def test_lookup_and_identifiers(contacts: Api) -> None:
    created = contacts.post_externalcontacts_contacts(contact(work_email="look@up.example"))
    identifier = filled(Sdk.ContactIdentifier(), type="Email", value="look@up.example")
    assert contacts.post_externalcontacts_identifierlookup_contacts(identifier).id == created.id
    found = contacts.get_externalcontacts_reversewhitepageslookup("look@up.example")
    assert [one.id for one in found.contacts] == [created.id]
    claim = filled(Sdk.IdentifierClaimRequest(), operation="Release", identifier=identifier)
    contacts.patch_externalcontacts_contact_identifiers(created.id, claim)
    assert contacts.get_externalcontacts_contact_identifiers(created.id).entities == []


def test_bulk_and_a_scan_to_the_end(contacts: Api, twin: TwinServer) -> None:
    entities = [contact(first_name=f"Bulk {number}") for number in range(25)]
    added = contacts.post_externalcontacts_bulk_contacts_add(filled(Sdk.BulkContactsRequest(), entities=entities))
    expected = {one.id for one in added.results}
    scanned: list[str] = []
    options: dict[str, str] = {}
    while True:
        page = contacts.get_externalcontacts_scan_contacts(limit=10, **options)
        scanned += [one.id for one in page.entities]
        if page.cursors is None:
            break
        options = {"cursor": page.cursors.after}
    assert expected <= set(scanned)
    assert len(scanned) == len(set(scanned)) == len(twin.store.contacts)
    assert contacts.get_externalcontacts_contacts(q="Bulk 24").total == 1
    ids = [filled(Sdk.ExternalContactsEntity(), id=one) for one in expected]
    removal = filled(Sdk.BulkIdsRequest(), entities=ids)
    assert contacts.post_externalcontacts_bulk_contacts_remove(removal).error_count == 0


def test_schemas_and_custom_fields(contacts: Api) -> None:
    definition = {"allOf": [{"$ref": "#/definitions/text"}], "title": "Tier", "minLength": 0, "maxLength": 10}
    document = filled(Sdk.JsonSchemaDocument(), title="Customer", properties={"tier_text": definition})
    schema = contacts.post_externalcontacts_contacts_schemas(
        filled(Sdk.DataSchema(), name="Customer", version=1, json_schema=document)
    )
    reference = filled(Sdk.DataSchema(), id=schema.id, version=schema.version)
    created = contacts.post_externalcontacts_contacts(
        contact(schema=reference, custom_fields={"tier_text": "gold"})
    )
    assert created.custom_fields == {"tier_text": "gold"}
    with pytest.raises(ApiException) as caught:
        contacts.post_externalcontacts_contacts(contact(schema=reference, custom_fields={"tier_text": 7}))
    assert json.loads(caught.value.body)["code"] == "custom.fields.validation.failed"
    assert contacts.get_externalcontacts_contacts_schemas().total == 1
    assert contacts.get_externalcontacts_contacts_schemas_coretypes().total == 11


def test_external_sources(contacts: Api, source: str) -> None:
    listing = contacts.get_externalcontacts_externalsources(name="cr")
    assert [one.id for one in listing.entities] == [source]
    with pytest.raises(ApiException) as caught:
        contacts.post_externalcontacts_externalsources(filled(Sdk.ExternalSource(), name="crm"))
    assert caught.value.status == 409


def test_organizations(contacts: Api) -> None:
    created = contacts.post_externalcontacts_organizations(filled(Sdk.ExternalOrganization(), name="Engines"))
    member = contacts.post_externalcontacts_contacts(
        contact(external_organization=filled(Sdk.ExternalOrganization(), id=created.id))
    )
    shown = contacts.get_externalcontacts_contact(member.id, expand=["externalOrganization"])
    assert shown.external_organization.name == "Engines"
    contacts.delete_externalcontacts_organization(created.id)


def test_merge(contacts: Api) -> None:
    ids = [contacts.post_externalcontacts_contacts(contact(first_name=name)).id for name in "AB"]
    merged = contacts.post_externalcontacts_contacts_merge(filled(Sdk.MergeContactsRequest(), contact_ids=ids))
    assert contacts.get_externalcontacts_contact(ids[0]).id == merged.id


def test_through_a_gateway(twin: TwinServer) -> None:
    Sdk.configuration.host = twin.base_url
    through = Sdk.api_client.ApiClient()
    port = int(twin.base_url.rpartition(":")[2])
    through.set_gateway("127.0.0.1", "http", port, "login", "api-gw")
    through.get_client_credentials_token(*CREDENTIALS)
    assert Sdk.OrganizationApi(through).get_organizations_me().id == twin.settings.organization_id
