"""External organisations: the accounts of a CRM, found by their own external id, created or renamed.

What belongs here: one bulk request. Which organisations a delivery needs is `steps.organizations`'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from contact_sync.genesys.answers import ItemResult, JsonObject
from contact_sync.genesys.client import MAX_UPSERTS, GenesysClient
from contact_sync.genesys.payloads import ExternalId

ENRICH = "/api/v2/externalcontacts/bulk/organizations/enrich"


@dataclass(frozen=True, slots=True)
class Organization:
    """An account: its external id, and what it is called."""

    external_id: ExternalId
    name: str = field(repr=False)


def upsert_organizations(client: GenesysClient, organizations: Sequence[Organization]) -> list[ItemResult]:
    """Create or rename organisations, at most `MAX_UPSERTS`; the results follow the order of `organizations`.

    A result's `contact_id` is the organisation's id.

    Raises:
        ValueError: There are too many.
        GenesysError: As in `GenesysClient.upsert`.
    """
    if len(organizations) > MAX_UPSERTS:
        msg = f"at most {MAX_UPSERTS} organisations fit a request, not {len(organizations)}"
        raise ValueError(msg)
    entities: Mapping[str, JsonObject] = {
        str(place): _item(str(place), organization) for place, organization in enumerate(organizations)
    }
    return list(client.bulk(ENRICH, entities).values())


def _item(tracker: str, organization: Organization) -> JsonObject:
    one = {
        "externalSource": {"id": organization.external_id.source_id},
        "value": organization.external_id.value,
    }
    return {
        "id": tracker,
        "action": "Upsert",
        "matchingIdentifiers": [{"type": "ExternalId", **one}],
        "externalOrganization": {"name": organization.name, "externalIds": [one]},
        "fieldRules": {"defaultAction": "PreferProvided", "rules": []},
    }
