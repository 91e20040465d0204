"""The two kinds of record: external contacts and external organizations.

What belongs here: which fields each has, under which rules, and which identifiers they carry. Doing something with
a record is the service's.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from contact_sync.simulator import fields
from contact_sync.simulator.errors import Json
from contact_sync.simulator.fields import Rule
from contact_sync.simulator.identifiers import (
    EMAIL_FIELDS,
    PHONE_FIELDS,
    Identifier,
    external_ids_of,
    identifiers_of,
)

ROOT = "/api/v2/externalcontacts"
MAX_EXTERNAL_IDS = 10
ITEMS = 10
MAPS = frozenset({"address", "customFields"})
"""Fields that enrich combines member by member; every other object is one value."""


@dataclass(frozen=True, slots=True)
class RecordKind:
    """What distinguishes contacts from organizations.

    Args:
        name: The contract's name of the kind.
        path: Where records of the kind are served.
        rules: The writable fields.
        arrays: Array fields and the most items each may hold.
        server_set: Fields that Genesys sets itself; ignored when written.
        kept: Server-set fields that every update carries over.
        required: Fields without which no record is created.
        identify: Yields the identifiers that a record carries.
        missing: The message of the 404.
    """

    name: str
    path: str
    rules: Mapping[str, Rule]
    arrays: Mapping[str, int]
    server_set: frozenset[str]
    kept: tuple[str, ...]
    required: tuple[str, ...]
    identify: Callable[[Json], Iterable[Identifier]]
    missing: str


def _custom_fields(value: object) -> object:
    return {name: held for name, held in fields.as_object(value).items() if held is not None} or None


def _scoped(key: str, **others: Rule) -> Rule:
    ids = fields.array(fields.record({key: fields.text(255)}, key), 1)
    return fields.record({"ids": ids, "displayName": fields.text(100), **others}, "ids")


_SHARED: Mapping[str, Rule] = {
    "division": fields.reference,
    "address": fields.ADDRESS,
    "twitterId": fields.TWITTER,
    "externalIds": fields.array(fields.EXTERNAL_ID, MAX_EXTERNAL_IDS),
    "externalSystemUrl": fields.url(1000),
    "schema": fields.record({"id": fields.text(255), "version": fields.integer}, "id"),
    "customFields": _custom_fields,
}
_SHARED_SERVER_SET = {"id", "identifiers", "createDate", "modifyDate", "externalDataSources", "selfUri"}

_CONTACT_RULES: Mapping[str, Rule] = {
    **{name: fields.text(1000) for name in ("firstName", "middleName", "lastName", "salutation", "title")},
    **dict.fromkeys(PHONE_FIELDS, fields.phone),
    **dict.fromkeys(EMAIL_FIELDS, fields.email),
    **_SHARED,
    "lineId": _scoped("userId"),
    "facebookId": _scoped("scopedId"),
    "instagramId": _scoped("scopedId", handle=fields.text(100)),
    "whatsAppId": fields.record(
        {"phoneNumber": fields.whats_app_phone, "displayName": fields.text(100)}, "phoneNumber"
    ),
    "appleOpaqueIds": fields.array(fields.record({"value": fields.text(255)}), ITEMS),
    "externalOrganization": fields.reference,
    "surveyOptOut": fields.boolean,
}
_MERGE_FIELDS = ("canonicalContact", "mergeSet", "mergedFrom")

CONTACT = RecordKind(
    name="ExternalContact",
    path=f"{ROOT}/contacts",
    rules=_CONTACT_RULES,
    arrays={"externalIds": MAX_EXTERNAL_IDS, "appleOpaqueIds": ITEMS},
    server_set=frozenset(_SHARED_SERVER_SET | {"type", "mergedTo", "mergeOperation", *_MERGE_FIELDS}),
    kept=("division", "createDate", "type", *_MERGE_FIELDS),
    required=(),
    identify=identifiers_of,
    missing="Specified contactId not found.",
)

_TICKER = fields.record({"symbol": fields.text(255), "exchange": fields.text(255)}, "symbol", "exchange")

ORGANIZATION = RecordKind(
    name="ExternalOrganization",
    path=f"{ROOT}/organizations",
    rules={
        "name": fields.text(1000),
        **_SHARED,
        "companyType": fields.text(1000),
        "industry": fields.text(1000),
        "phoneNumber": fields.phone,
        "faxNumber": fields.phone,
        "employeeCount": fields.integer,
        "revenue": fields.integer,
        "tags": fields.array(fields.text(255), ITEMS),
        "websites": fields.array(fields.text(1000), ITEMS),
        "tickers": fields.array(_TICKER, ITEMS),
    },
    arrays={"externalIds": MAX_EXTERNAL_IDS, "tags": ITEMS, "websites": ITEMS, "tickers": ITEMS},
    server_set=frozenset(_SHARED_SERVER_SET | {"trustor"}),
    kept=("division", "createDate"),
    required=("name",),
    identify=external_ids_of,
    missing="External organization is not found by external organization id.",
)
