"""The operations around contacts: external sources, the organisation itself and the token in use.

What belongs here: the same as in `operations`, for what is not a record.
"""

from collections.abc import Iterator
from functools import partial

from contact_sync.simulator import listing
from contact_sync.simulator.door import Call, Door, Operation, Reply
from contact_sync.simulator.errors import Json
from contact_sync.simulator.moments import iso
from contact_sync.simulator.permissions import needs
from contact_sync.simulator.sources import PATH as SOURCES


def operations(door: Door) -> Iterator[Operation]:
    """Yield the operations; revoking a token needs the door that issued it."""

    def revoke(call: Call) -> Reply:
        door.tokens.revoke(call.token)
        return Reply(200, {})

    yield Operation("GET", "/api/v2/organizations/me", _organization, (), writes=False)
    yield Operation("GET", "/api/v2/tokens/me", _token, (), writes=False)
    yield Operation("DELETE", "/api/v2/tokens/me", revoke, (), writes=False)
    one, own = f"{SOURCES}/{{externalSourceId}}", partial(needs, "externalSource")
    view = own("view") + needs("contact", "view") + needs("externalOrganization", "view")
    yield Operation("GET", SOURCES, _sources, view, writes=False)
    yield Operation("POST", SOURCES, _create_source, own("add"), writes=True)
    yield Operation("GET", one, _source, view, writes=False)
    yield Operation("PUT", one, _update_source, own("edit"), writes=True)
    yield Operation("DELETE", one, _delete_source, own("delete"), writes=True)


def _organization(call: Call) -> Reply:
    settings = call.store.settings
    return Reply(
        200,
        {
            "id": settings.organization_id,
            "name": settings.organization_name,
            "defaultLanguage": "en-us",
            "defaultCountryCode": "US",
            "thirdPartyOrgName": settings.organization_name.lower().replace(" ", "-"),
            "domain": settings.organization_name.lower().replace(" ", "-"),
            "version": 1,
            "state": "active",
            "productPlatform": "GenesysCloud",
            "features": {"externalContacts": True},
            "selfUri": f"/api/v2/organizations/{settings.organization_id}",
        },
    )


def _token(call: Call) -> Reply:
    settings, token = call.store.settings, call.token
    organization: Json = {"id": settings.organization_id, "name": settings.organization_name}
    client = {"id": token.client_id, "name": token.client_id, "authorizedGrantType": "CLIENT-CREDENTIALS"}
    return Reply(
        200,
        {
            "organization": organization,
            "homeOrganization": organization,
            "authorizedScope": [],
            "dateTokenIdles": iso(token.expires_at),
            "OAuthClient": client,
        },
    )


def _sources(call: Call) -> Reply:
    active = {"true": True, "false": False}.get(call.query.get("active", "").lower())
    limit, cursor = listing.page_limit(call.query), call.query.get("cursor", "")
    prefix = call.query.get("name", "")
    return Reply(200, call.store.sources.page(limit, cursor, prefix=prefix, active=active))


def _create_source(call: Call) -> Reply:
    return Reply(200, call.store.sources.create(call.body))


def _source(call: Call) -> Reply:
    return Reply(200, call.store.sources.get(_source_id(call)))


def _update_source(call: Call) -> Reply:
    return Reply(200, call.store.sources.update(_source_id(call), call.body))


def _delete_source(call: Call) -> Reply:
    call.store.sources.delete(_source_id(call))
    return Reply(200, {})


def _source_id(call: Call) -> str:
    return call.path["externalSourceId"]
