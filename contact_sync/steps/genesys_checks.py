"""What the doctor asks of Genesys Cloud: who we are there, what we may do, and how much of it.

What belongs here: the checks, in the order in which they build on each other. They ask through the client's own
transport and budget. What is asked to find a permission out belongs to `genesys.permissions`.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from contact_sync.connections import load_connections
from contact_sync.contacts.seen import KEY
from contact_sync.genesys.client import ORGANIZATION, GenesysClient
from contact_sync.genesys.permissions import (
    ADD_SOURCE,
    NEEDED,
    NEEDED_FOR_CUSTOM_FIELDS,
    NEEDED_FOR_ORGANIZATIONS,
    SUPERFLUOUS,
    VIEW_CONTACTS,
    VIEW_SCHEMAS,
    probe,
)
from contact_sync.genesys.schemas import find_schema, require_room
from contact_sync.steps.connect import Way, destination_of
from contact_sync.steps.diagnosis import Case, Check, compare_clocks, must_be_set_right, needed, ok
from contact_sync.steps.organizations import account_source
from contact_sync.steps.sources import external_source

_ATTEMPTS = 2  # somebody waits for the answer
_HALF_A_SECOND = timedelta(seconds=0.5)  # what the Date header leaves out, on average


def _token(case: Case) -> Iterator[Check]:
    settings, engine = needed(case.settings, "settings"), needed(case.engine, "state")
    destination = destination_of(settings, load_connections())
    case.way = Way(destination, settings, engine, case.clock, _ATTEMPTS)
    case.connected = case.way.prove(case.way.find())
    yield ok("token", f"good for {case.connected.tokens.remaining():,.0f} s")


def _region(case: Case) -> Iterator[Check]:
    connected = needed(case.connected, "token")
    yield ok("region", f"{connected.region}, {connected.origin}")


def _organization(case: Case) -> Iterator[Check]:
    connected, way = needed(case.connected, "token"), needed(case.way, "token")
    organization = way.confirm(connected)
    case.client = connected.client
    yield ok("organisation", f"{organization.name}, {organization.id}")


def _clock(case: Case) -> Iterator[Check]:
    headers = _client(case).transport.get(ORGANIZATION).headers
    told = _date(headers)
    if told is None:
        yield ok("clock", "Genesys does not tell its time here")
    else:
        yield compare_clocks("clock", told + _HALF_A_SECOND, case.clock(), "Genesys")


def _permissions(case: Case) -> Iterator[Check]:
    client, registry = _client(case), needed(case.settings, "settings").registry
    wanted = [
        *NEEDED,
        *(NEEDED_FOR_CUSTOM_FIELDS if registry.custom_fields else ()),
        *(NEEDED_FOR_ORGANIZATIONS if registry.has_organizations else ()),
    ]
    for permission in wanted:
        finding = case.permissions[permission.name] = probe(client.transport, permission)
        if finding.held:
            yield ok("permission", f"{permission.name} {permission.purpose}")
        elif permission.name == ADD_SOURCE:
            yield Check("permission", "warn", f"{ADD_SOURCE} is missing: only needed while a source is too")
        else:
            yield must_be_set_right(
                "permission",
                f"{permission.name} ({permission.purpose}) is missing: give it to a role of the OAuth client",
            )


def _least_privilege(case: Case) -> Iterator[Check]:
    client = _client(case)
    held = [permission.name for permission in SUPERFLUOUS if probe(client.transport, permission).held]
    if held:
        yield Check("privilege", "warn", f"the sync never needs {', '.join(held)}: take them off the client")
    else:
        yield ok("privilege", "nothing harmful beyond what the sync needs")


def _sources(case: Case) -> Iterator[Check]:
    client = _client(case)
    view, add = (needed(case.permissions.get(name), "permission") for name in (VIEW_CONTACTS, ADD_SOURCE))
    if not view.held:
        needed(None, VIEW_CONTACTS)
    settings = needed(case.settings, "settings")
    names = [external_source(name) for name in (settings.crm.name, KEY)]
    if settings.registry.has_organizations:
        names.append(account_source(settings.crm.name))
    missing = ", ".join(name for name in names if client.find_external_source(name) is None)
    if not missing:
        yield ok("sources", f"{', '.join(names)}: there")
    elif not add.held:
        yield must_be_set_right(
            "sources", f"{missing}: not there, and this client may not create them ({ADD_SOURCE}); somebody has to"
        )
    elif add.code and add.code.endswith("limit.reached"):
        yield must_be_set_right(
            "sources", f"{missing}: not there, and no room ({add.code}): delete external sources nobody uses"
        )
    else:
        yield ok("sources", f"{missing}: the first run creates what is missing")


def _custom_fields(case: Case) -> Iterator[Check]:
    registry = needed(case.settings, "settings").registry
    if not registry.custom_fields:
        yield ok("custom fields", "not used: the registry fills none")
        return
    client = _client(case)
    if not needed(case.permissions.get(VIEW_SCHEMAS), "permission").held:
        needed(None, VIEW_SCHEMAS)
    title, count = registry.custom_schema, len(registry.custom_fields)
    found = find_schema(client.transport, title)
    if found is None:
        yield ok("custom fields", f"the first run creates the contact type {title!r} with {count} fields")
        return
    require_room(found, registry.custom_fields)
    lacking = found.lacking(registry.custom_fields)
    if not lacking:
        yield ok("custom fields", f"the contact type {title!r}, version {found.version.version}, has all {count}")
    else:
        yield ok("custom fields", f"the next run adds to the contact type {title!r}: {', '.join(lacking)}")


def _budget(case: Case) -> Iterator[Check]:
    client = _client(case)
    limit = client.transport.get(ORGANIZATION).rate_limit
    if limit is None:
        yield ok("budget", "Genesys does not tell how much is left")
        return
    others = max(0, limit.count - client.requests_sent)
    yield ok("budget", f"{limit.count:,} of {limit.allowed:,} requests a minute used, {others:,} by others")


def _client(case: Case) -> GenesysClient:
    return needed(case.client, "organisation")


def _date(headers: Mapping[str, str]) -> datetime | None:
    try:
        told = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        return None
    return told if told.tzinfo else None


CHECKS: tuple[tuple[str, Callable[[Case], Iterator[Check]]], ...] = (
    ("token", _token),
    ("region", _region),
    ("organisation", _organization),
    ("clock", _clock),
    ("permission", _permissions),
    ("privilege", _least_privilege),
    ("sources", _sources),
    ("custom fields", _custom_fields),
    ("budget", _budget),
)
"""In the order in which they are made."""
