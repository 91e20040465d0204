"""The way to Genesys: which region, which organisation, and the client that talks to it.

What belongs here: the order in which the region is decided, remembering the one that was found, and the refusal of
an organisation that is not the one meant. How the regions are asked belongs to `genesys.discovery`, what is
remembered to `state.homes`.

An explicit region costs no request. An organisation that has to be confirmed is confirmed once: a client never
changes its organisation, nor its region.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr
from sqlalchemy import Engine

from contact_sync.connections import Connections
from contact_sync.genesys.answers import Organization
from contact_sync.genesys.auth import TokenManager, UnknownClientError
from contact_sync.genesys.client import GenesysClient
from contact_sync.genesys.discovery import find_home
from contact_sync.genesys.regions import Hosts, resolve
from contact_sync.genesys.transport import Transport
from contact_sync.settings import ConfigurationError, Settings
from contact_sync.state.homes import HomeRegion, HomeRegions
from contact_sync.state.pace import SharedPace

FOUND = "found by asking the login hosts"
REMEMBERED = "found by asking the login hosts, remembered"


@dataclass(frozen=True, slots=True)
class Destination:
    """What the settings say of where contacts go.

    Attributes:
        client_id: The OAuth client.
        client_secret: Its secret.
        organization: The id of the organisation that has to answer, None if any may.
        regions: All regions there are, by domain.
        hosts: Those of the region that the settings name; None if it has to be found.
        setting: Which setting names it.
    """

    client_id: str
    client_secret: SecretStr
    organization: str | None
    regions: Mapping[str, Hosts]
    hosts: Hosts | None
    setting: str


@dataclass(frozen=True, slots=True)
class Connected:
    """A client of the right organisation, what it draws on, and where its region came from."""

    client: GenesysClient
    tokens: TokenManager
    pace: SharedPace
    region: str
    origin: str


def destination_of(settings: Settings, connections: Connections) -> Destination:
    """Return where contacts go: GENESYS_BASE_URL, GENESYS_REGION or the routing table decides, in this order.

    Raises:
        ConfigurationError: The region is none.
    """
    routing, organization = settings.genesys, (connections.genesys_organization_id or "").strip().lower() or None
    region, setting = connections.genesys_region, "GENESYS_REGION"
    if not region and (routed := routing.organizations.get(organization or "")):
        region, setting = routed, "genesys.organizations in contact_sync.yaml"
    base_url = connections.genesys_base_url
    try:
        hosts = resolve(region, base_url, routing=routing, setting=setting) if region or base_url else None
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    return Destination(
        connections.genesys_client_id,
        connections.genesys_client_secret,
        organization,
        routing.hosts,
        hosts,
        "GENESYS_BASE_URL" if base_url else setting,
    )


class Way:
    """The way to a destination, step by step: `find` the region, `prove` that it is home, `confirm` who answers.

    Args:
        destination: Where contacts go.
        settings: The settings.
        engine: The state database; it remembers the region and keeps the pace.
        clock: Now, aware.
        attempts: How often a call is tried.

    Every step raises `StateError`, and `GenesysError` where it sends requests.
    """

    def __init__(
        self,
        destination: Destination,
        settings: Settings,
        engine: Engine,
        clock: Callable[[], datetime],
        attempts: int = 5,
    ) -> None:
        self._to = destination
        self._secret = destination.client_secret.get_secret_value()
        self._delivery = settings.delivery
        self._engine = engine
        self._homes = HomeRegions(engine)
        self._clock = clock
        self._attempts = attempts

    def find(self) -> Connected:
        """Return a client in the region of the settings, the remembered one, or the one that asking finds."""
        to, known = self._to, self._homes.recall(self._to.client_id)
        if to.hosts:
            tokens = TokenManager(to.hosts, to.client_id, self._secret, setting=to.setting)
            return self._using(to.hosts.region, to.hosts, tokens, f"from {to.setting}")
        if known and known.region in to.regions:
            hosts = to.regions[known.region]
            return self._using(known.region, hosts, TokenManager(hosts, to.client_id, self._secret), REMEMBERED)
        home = find_home(to.regions, to.client_id, self._secret)
        return self._using(home.region, home.hosts, home.tokens, FOUND)

    def prove(self, connected: Connected) -> Connected:
        """Return what holds a token: `connected`, or the region found anew if the remembered one has lost us."""
        try:
            connected.tokens.token()
        except UnknownClientError:
            if connected.origin != REMEMBERED:
                raise
            self.forget()
            return self.find()
        return connected

    def forget(self) -> None:
        """Drop what is remembered of the client."""
        self._homes.forget(self._to.client_id)

    def must_confirm(self, connected: Connected) -> bool:
        """Tell whether the organisation has to be asked: it is new, or not known to be the one of the settings."""
        if connected.origin == FOUND:
            return True
        expected = self._to.organization
        known = self._homes.recall(self._to.client_id) if expected else None
        return expected is not None and known != HomeRegion(connected.region, expected)

    def confirm(self, connected: Connected) -> Organization:
        """Return the organisation that answers, and remember it and its region.

        Raises:
            ConfigurationError: It is not the one that the settings name.
        """
        organization, expected = connected.client.organization(), self._to.organization
        found = organization.id.lower()
        self._homes.remember(self._to.client_id, HomeRegion(connected.region, found), self._clock())
        if expected and found != expected:
            raise ConfigurationError(
                f"the OAuth client belongs to the organisation {found}, not to {expected} as "
                "GENESYS_ORGANIZATION_ID says: use a client of that organisation or correct the variable"
            )
        return organization

    def _using(self, region: str, hosts: Hosts, tokens: TokenManager, origin: str) -> Connected:
        allowed, reserve = self._delivery.requests_per_minute, self._delivery.reserve
        pace = SharedPace(self._engine, f"{region}/{self._to.client_id}", allowed=allowed, reserve=reserve)
        client = GenesysClient(Transport(hosts, tokens, pace, attempts=self._attempts))
        return Connected(client, tokens, pace, region, origin)


@contextmanager
def open_genesys(way: Way) -> Iterator[Connected]:
    """Connect to the right organisation. A remembered region that no longer knows the client is forgotten.

    Raises:
        ConfigurationError: The client belongs to another organisation than the settings name.
        GenesysError: The region could not be found, or the organisation not be asked.
        StateError: The state database failed.
    """
    connected = way.find()
    if way.must_confirm(connected):
        connected = way.prove(connected)
        way.confirm(connected)
    try:
        yield connected
    except UnknownClientError:
        if connected.origin != REMEMBERED:
            raise
        way.forget()
        raise UnknownClientError(
            f"the region {connected.region}, where this client was found before, does not know it any more: run "
            "again to look for it in all regions, and check GENESYS_CLIENT_ID"
        ) from None
