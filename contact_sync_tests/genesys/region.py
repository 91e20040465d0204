"""Regions of Genesys on this machine, each of which knows the client or does not.

What belongs here: what the tests of discovery share, and those of connecting, which lies above it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from contact_sync.genesys.regions import Hosts
from contact_sync_tests.genesys.server import ScriptedGenesys
from contact_sync_tests.scripted import Reply

NOT_FOUND = Reply(400, {"error": "invalid_client", "description": "client not found"})
WRONG_SECRET = Reply(401, {"error": "invalid_client", "description": "authentication failed"})


class RegionServer(ScriptedGenesys):
    """Login and API host of a region; it knows the client if there is an organisation."""

    def __init__(self, organization: str | None) -> None:
        super().__init__()
        self.organization = organization

    @property
    def hosts(self) -> Hosts:
        return Hosts(self.url, self.url)

    @property
    def requests(self) -> tuple[int, int]:
        """How many token requests there were, and how many others."""
        return len(self.token_requests), len(self.seen)

    def _token(self) -> Reply:
        self.otherwise = Reply(200, {"id": self.organization, "name": "Somewhere Ltd"})
        return super()._token() if self.organization else NOT_FOUND


@contextmanager
def regions(**organizations: str | None) -> Iterator[dict[str, RegionServer]]:
    """Serve a region for each organisation, by the domain `<name>.example`; None is a region of others."""
    with ExitStack() as stack:
        yield {
            f"{name}.example": stack.enter_context(RegionServer(organization))
            for name, organization in organizations.items()
        }
