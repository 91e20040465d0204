"""Home regions: where an OAuth client was found, so that the regions are asked once.

What belongs here: the row. Finding a region and confirming its organisation belong to the steps.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, delete, select

from contact_sync.state.bulk import upsert
from contact_sync.state.database import transaction
from contact_sync.state.tables import HOME_REGION


@dataclass(frozen=True, slots=True)
class HomeRegion:
    """The domain of a region, and the id of the client's organisation there."""

    region: str
    organization: str


class HomeRegions:
    """Remembers the home region of OAuth clients; failures are `StateError`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def recall(self, client: str) -> HomeRegion | None:
        """Return where `client` was found, None if nobody asked yet."""
        query = select(HOME_REGION.c.region, HOME_REGION.c.organization).where(HOME_REGION.c.client == client)
        with transaction(self._engine) as connection:
            found = connection.execute(query).one_or_none()
        return HomeRegion(found.region, found.organization) if found else None

    def remember(self, client: str, home: HomeRegion, at: datetime) -> None:
        """Keep where `client` was found, in place of what was known before."""
        row = {"client": client, "region": home.region, "organization": home.organization, "found_at": at}
        with transaction(self._engine) as connection:
            upsert(connection, HOME_REGION, [row])

    def forget(self, client: str) -> None:
        """Drop what is known of `client`."""
        with transaction(self._engine) as connection:
            connection.execute(delete(HOME_REGION).where(HOME_REGION.c.client == client))
