"""What the OAuth client may do, found out by asking for things that change nothing.

A client's roles are not asked for: reading them needs permissions that a least-privilege client has no use for.
Instead each permission is tried. Genesys looks at permissions before it looks at content, so 403 means that the
permission is lacking, and any other answer that it is there. What belongs here: the permissions, a harmless
request for each, and what its answer tells. Saying so to an operator belongs to the steps.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from contact_sync.genesys.answers import JsonObject
from contact_sync.genesys.errors import GenesysFatalError, GenesysRowError
from contact_sync.genesys.organizations import ENRICH
from contact_sync.genesys.schemas import SCHEMAS
from contact_sync.genesys.transport import Transport

ADD_SOURCE = "externalContacts:externalSource:add"
VIEW_CONTACTS = "externalContacts:contact:view"

_ROOT = "/api/v2/externalcontacts"
_NOBODY, _NO_ONE = str(uuid.uuid4()), str(uuid.uuid4())  # ids that nothing has


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission, what it is for, and a request that shows whether the client has it.

    The request changes nothing even where it is allowed.

    Attributes:
        name: As Genesys calls it.
        path: Where the request goes.
        body: What is posted there; None for a read.
        purpose: What the sync has it for.
        replaces: Whether the body is put there instead.
    """

    name: str
    path: str
    body: JsonObject | None = field(default=None, repr=False)
    purpose: str = ""
    replaces: bool = False


_UPDATE_OF_NOTHING = {
    "id": _NOBODY,
    "action": "Update",
    "matchingIdentifiers": [{"type": "ExternalId", "value": _NOBODY, "externalSource": {"id": _NOBODY}}],
}

NEEDED: Sequence[Permission] = (
    # A dry run writes nothing, and an update creates nothing.
    Permission(
        "externalContacts:contact:enrich",
        f"{_ROOT}/bulk/contacts/enrich?dryRun=true",
        {"entities": [_UPDATE_OF_NOTHING]},
        purpose="to upsert contacts",
    ),
    Permission(
        "externalContacts:contact:delete",
        f"{_ROOT}/bulk/contacts/remove",
        {"entities": [{"id": _NOBODY}]},
        purpose="to remove contacts",
    ),
    Permission(
        "externalContacts:contact:edit",
        f"{_ROOT}/bulk/contacts/update",
        {"entities": [{"id": _NOBODY}]},
        purpose="to adopt contacts that others made",
    ),
    # Whoever may view contacts may view external sources.
    Permission(
        VIEW_CONTACTS,
        f"{_ROOT}/scan/contacts?limit=10",
        purpose="to know the contacts that others made, and to find its sources",
    ),
    # The contract requires a name, so no source can come of this; if one did, it would be inactive.
    Permission(
        ADD_SOURCE,
        f"{_ROOT}/externalsources",
        {"active": False},
        purpose="to create them",
    ),
)
"""What the sync cannot do without."""

VIEW_SCHEMAS = "externalContacts:customFields:view"

NEEDED_FOR_CUSTOM_FIELDS: Sequence[Permission] = (
    Permission(VIEW_SCHEMAS, SCHEMAS, purpose="to find the contact type of the custom fields"),
    # Without the JSON schema that the contract requires, nothing can come of these.
    Permission("externalContacts:customFields:add", SCHEMAS, {"version": 1}, purpose="to create it"),
    Permission(
        "externalContacts:customFields:edit",
        f"{SCHEMAS}/{_NOBODY}",
        {"version": 1},
        purpose="to add fields to it",
        replaces=True,
    ),
)
NEEDED_FOR_ORGANIZATIONS: Sequence[Permission] = (
    Permission(
        "externalContacts:externalOrganization:enrich",
        f"{ENRICH}?dryRun=true",
        {"entities": [_UPDATE_OF_NOTHING]},
        purpose="to upsert organisations",
    ),
)
"""What more it needs where the registry has custom fields, or links contacts to organisations."""

SUPERFLUOUS: Sequence[Permission] = (
    Permission("externalContacts:contact:add", f"{_ROOT}/bulk/contacts/add", {"entities": []}),
    Permission("externalContacts:identity:merge", f"{_ROOT}/contacts/merge", {"contactIds": [_NOBODY, _NO_ONE]}),
    Permission(
        "externalContacts:externalOrganization:edit",
        f"{_ROOT}/bulk/organizations/update",
        {"entities": [{"id": _NOBODY, "name": _NOBODY}]},
    ),
    Permission(
        "externalContacts:externalOrganization:delete",
        f"{_ROOT}/bulk/organizations/remove",
        {"entities": [{"id": _NOBODY}]},
    ),
)
"""What could do harm, and what the sync never does."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether the client has a permission; `code` is the error with which its request was refused, if it was."""

    held: bool
    code: str | None = None


def probe(transport: Transport, permission: Permission) -> Finding:
    """Find out whether the client has `permission`.

    Raises:
        GenesysRetryableError: Genesys did not answer.
        GenesysFatalError: It did not let the client in at all, or the answer is not Genesys'.
    """
    try:
        if permission.body is None:
            transport.get(permission.path)
        elif permission.replaces:
            transport.put(permission.path, permission.body)
        else:
            transport.post(permission.path, permission.body)
    except GenesysRowError as refused:
        return Finding(held=True, code=refused.code)
    except GenesysFatalError as refused:
        if refused.code is None or refused.status == 401:
            raise
        return Finding(refused.status != 403, refused.code)
    return Finding(held=True)
