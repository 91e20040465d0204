"""The regions of Genesys Cloud, and the hosts of each.

What belongs here: names of regions and the addresses that follow from them. An organisation's id does not tell its
region and no public endpoint does either, so the region is a setting. Nothing here sends a request.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

# AWS region -> domain, as the official SDK lists them.
REGIONS: dict[str, str] = {
    "ap-northeast-1": "mypurecloud.jp",
    "ap-northeast-2": "apne2.pure.cloud",
    "ap-northeast-3": "apne3.pure.cloud",
    "ap-south-1": "aps1.pure.cloud",
    "ap-southeast-1": "apse1.pure.cloud",
    "ap-southeast-2": "mypurecloud.com.au",
    "ca-central-1": "cac1.pure.cloud",
    "eu-central-1": "mypurecloud.de",
    "eu-central-2": "euc2.pure.cloud",
    "eu-west-1": "mypurecloud.ie",
    "eu-west-2": "euw2.pure.cloud",
    "eusc-de-east-1": "edee1.eusc-pure.cloud",
    "me-central-1": "mec1.pure.cloud",
    "mx-central-1": "mxc1.pure.cloud",
    "sa-east-1": "sae1.pure.cloud",
    "us-east-1": "mypurecloud.com",
    "us-east-2": "use2.us-gov-pure.cloud",
    "us-west-2": "usw2.pure.cloud",
}


@dataclass(frozen=True, slots=True)
class Hosts:
    """Where a region is reached: origins without a trailing slash, such as `https://api.mypurecloud.de`."""

    api: str
    login: str

    @property
    def region(self) -> str:
        """The domain of the region, as an operator knows it."""
        return self.login.partition("://")[2].removeprefix("login.")


def resolve(region: str | None, base_url: str | None = None) -> Hosts:
    """Return the hosts of `region`: an AWS name (`eu-central-1`) or a domain (`mypurecloud.de`).

    A `base_url` wins over the region and serves both hosts: it exists for a simulator on this machine, and only
    there may the connection be plain http.

    Raises:
        ValueError: The region is missing or unknown, or `base_url` leads off this machine.
    """
    if base_url:
        return _local(base_url)
    name = (region or "").strip().lower()
    domain = REGIONS.get(name, name)
    if domain not in REGIONS.values():
        known = ", ".join(f"{aws} ({domain})" for aws, domain in REGIONS.items())
        msg = f"GENESYS_REGION is {f'{name!r}, which is no region' if name else 'not set'}: use one of {known}"
        raise ValueError(msg)
    return Hosts(f"https://api.{domain}", f"https://login.{domain}")


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
