"""The regions of Genesys Cloud: their names, their hosts, and which organisation lives where.

What belongs here: the table, which is `regions.yaml`, the settings that add to it, and the addresses that follow.
An organisation's id does not tell its region and no public endpoint does either. Nothing here sends a request:
asking the login hosts is `discovery`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

REGIONS: Mapping[str, str] = yaml.safe_load(
    (resources.files("contact_sync.genesys") / "regions.yaml").read_text(encoding="utf-8")
)
"""AWS region -> domain."""

_Text = Annotated[str, StringConstraints(to_lower=True, strip_whitespace=True, min_length=1)]
_Domain = Annotated[
    str, StringConstraints(to_lower=True, max_length=64, pattern=r"^([A-Za-z0-9-]+\.)+[A-Za-z]{2,}$")
]


@dataclass(frozen=True, slots=True)
class Hosts:
    """Where a region is reached: origins without a trailing slash, such as `https://api.mypurecloud.de`."""

    api: str
    login: str

    @property
    def region(self) -> str:
        """The domain of the region, as an operator knows it."""
        return self.login.partition("://")[2].removeprefix("login.")


class Routing(BaseModel):
    """Where organisations live, for whom GENESYS_REGION is not set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    organizations: Mapping[_Text, _Text] = Field(
        default_factory=dict,
        description="Organisation id -> region; looked up for GENESYS_ORGANIZATION_ID.",
    )
    regions: Mapping[_Text, _Domain] = Field(
        default_factory=dict, description="Name -> domain of regions that this version does not know yet."
    )

    @property
    def known_regions(self) -> Mapping[str, str]:
        """All regions there are: name -> domain."""
        return {**REGIONS, **self.regions}

    @property
    def hosts(self) -> Mapping[str, Hosts]:
        """Their hosts: domain -> hosts."""
        domains = self.known_regions.values()
        return {domain: Hosts(f"https://api.{domain}", f"https://login.{domain}") for domain in domains}


def resolve(
    region: str | None,
    base_url: str | None = None,
    *,
    routing: Routing | None = None,
    setting: str = "GENESYS_REGION",
) -> Hosts:
    """Return the hosts of `region`: a name (`eu-central-1`) or a domain (`mypurecloud.de`).

    A `base_url` wins over the region and serves both hosts: it exists for a simulator on this machine, and only
    there may the connection be plain http.

    Args:
        region: The name or domain.
        base_url: GENESYS_BASE_URL.
        routing: What the settings say of regions.
        setting: Where the region was read, for the message that it is none.

    Raises:
        ValueError: The region is missing or unknown, or `base_url` leads off this machine.
    """
    if base_url:
        return _local(base_url)
    routing = routing or Routing()
    name = (region or "").strip().lower()
    domain = routing.known_regions.get(name, name)
    if domain not in routing.hosts:
        known = ", ".join(f"{aws} ({domain})" for aws, domain in routing.known_regions.items())
        msg = f"{setting} is {f'{name!r}, which is no region' if name else 'not set'}: use one of {known}"
        raise ValueError(msg)
    return routing.hosts[domain]


def _local(base_url: str) -> Hosts:
    """Return both hosts at `base_url`; the refusal does not repeat the address, which may hold a password."""
    url = urlsplit(base_url.strip())
    bare = url._replace(scheme="", netloc="").geturl() in {"", "/"} and "@" not in url.netloc
    if not (bare and url.scheme in {"http", "https"} and _is_loopback(url.hostname or "")):
        msg = (
            "GENESYS_BASE_URL is for a simulator on this machine, such as http://127.0.0.1:8080: "
            "no path, no user name, no other host; for Genesys Cloud set GENESYS_REGION"
        )
        raise ValueError(msg)
    origin = f"{url.scheme}://{url.netloc}"
    return Hosts(origin, origin)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
