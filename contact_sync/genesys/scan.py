"""All contacts of an organisation, page by page.

What belongs here: one page of the scan, read as far as the sync needs it. When to ask for the next one, and where
pages are kept, belongs to the steps.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from contact_sync.contacts.fields import Contact
from contact_sync.genesys.answers import JsonObject, as_object, as_text
from contact_sync.genesys.errors import GenesysFatalError
from contact_sync.genesys.payloads import ExternalId, canonical, external_ids
from contact_sync.genesys.transport import Transport

SCAN = "/api/v2/externalcontacts/scan/contacts"
PAGE_SIZE = 200  # the most that Genesys gives


@dataclass(frozen=True, slots=True)
class Scanned:
    """A contact of a page.

    Attributes:
        id: Its id.
        canonical: The contact that it was merged into; its own id unless it was.
        replaced: Ids that were merged into it.
        fields: Its canonical fields.
        external_ids: Its external ids, other integrations' included.
        organization: The id of its external organisation.
    """

    id: str
    canonical: str
    replaced: tuple[str, ...] = ()
    fields: Contact = field(default_factory=dict, repr=False)
    external_ids: tuple[ExternalId, ...] = field(default=(), repr=False)
    organization: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the scan; it may be short or empty, only a missing cursor ends the scan."""

    contacts: tuple[Scanned, ...]
    after: str | None


def read_page(transport: Transport, cursor: str | None = None) -> Page:
    """Read the page at `cursor`, the first one unless given.

    Raises:
        GenesysRowError: With status 422, if the cursor is older than 24 hours or not one of Genesys'.
        GenesysFatalError: The answer is not a page of contacts.
        GenesysRetryableError: Genesys did not answer.
    """
    params: Mapping[str, str] = {"limit": str(PAGE_SIZE)} | ({"cursor": cursor} if cursor else {})
    answer = transport.get(SCAN, params)
    body = as_object(answer.body)
    entities = body.get("entities")
    after = as_text(as_object(body.get("cursors")).get("after"))
    if not isinstance(entities, list) or (after is not None and after == cursor):
        msg = f"Genesys answered {answer.place} with something that is no page of contacts"
        raise GenesysFatalError(msg, status=answer.status, correlation_id=answer.correlation_id)
    return Page(tuple(_scanned(map(as_object, entities))), after)


def _scanned(entities: Iterator[JsonObject]) -> Iterator[Scanned]:
    for entity in entities:
        if contact_id := as_text(entity.get("id")):
            into = _id(entity.get("canonicalContact")) or _id(entity.get("mergedTo")) or contact_id
            merged = dict.fromkeys([*_ids(entity.get("mergedFrom")), *_ids(entity.get("mergeSet"))])
            yield Scanned(
                id=contact_id,
                canonical=into,
                replaced=tuple(one for one in merged if one not in {contact_id, into}),
                fields=canonical(entity),
                external_ids=external_ids(entity),
                organization=_id(entity.get("externalOrganization")),
            )


def _ids(values: object) -> Iterator[str]:
    for one in values if isinstance(values, list) else ():
        if found := _id(one):
            yield found


def _id(reference: object) -> str | None:
    return as_text(as_object(reference).get("id"))
