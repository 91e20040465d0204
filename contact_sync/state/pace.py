"""The shared pace: one row for each OAuth client, by which every process and every restart keeps one budget.

A GCRA reservation: taking a slot moves the row's next free slot on by one interval in one statement, so callers
queue in the order in which they asked. Grants in any minute are at most `per_minute`. What belongs here: the row.
Sleeping until the slot comes belongs to the client.
"""

import time
from collections.abc import Callable

from sqlalchemy import Engine, text

from contact_sync.state.database import transaction

_RESERVE = text("""
    UPDATE budget SET next_slot =
        (CASE WHEN next_slot > :now - :credit THEN next_slot ELSE :now - :credit END) + :interval
    WHERE client = :client RETURNING next_slot - :interval
""")
_PAUSE = text("UPDATE budget SET next_slot = :until WHERE client = :client AND next_slot < :until")
_CREATE = text("INSERT INTO budget (client, next_slot) VALUES (:client, 0) ON CONFLICT (client) DO NOTHING")
_NEXT_SLOT = text("SELECT next_slot FROM budget WHERE client = :client")
_POSTGRES_CLOCK = text("SELECT extract(epoch FROM clock_timestamp())::float8")

BURST_SHARE = 15
"""One in this many requests of a minute may go out at once after a pause; the rest are evenly paced."""


class SharedPace:
    """The budget of one (organisation, OAuth client) as the state database keeps it."""

    def __init__(
        self, engine: Engine, client: str, *, per_minute: int, clock: Callable[[], float] = time.time
    ) -> None:
        """Use the row of `client`, made if it is missing.

        Args:
            engine: The state database.
            client: Names the organisation and OAuth client that own the quota.
            per_minute: Requests that all processes together may send in any 60 seconds.
            clock: Seconds since 1970 on SQLite; PostgreSQL's own clock is used there, so that hosts agree.
        """
        self._engine = engine
        self._client = client
        self._clock = clock
        burst = max(1, per_minute // BURST_SHARE)
        self._interval = 60.0 / max(1, per_minute - burst)
        self._credit = (burst - 1) * self._interval
        with transaction(engine) as connection:
            connection.execute(_CREATE, {"client": client})

    def reserve(self) -> float:
        """Take the next slot; return the seconds to wait before it comes."""
        now = self._now()
        with transaction(self._engine) as connection:
            values = {"client": self._client, "now": now, "credit": self._credit, "interval": self._interval}
            slot = float(connection.execute(_RESERVE, values).scalar_one())
        return max(0.0, slot - now)

    def pause(self, seconds: float) -> None:
        """Let no process send before `seconds` from now (Genesys' Retry-After)."""
        until = self._now() + seconds
        with transaction(self._engine) as connection:
            connection.execute(_PAUSE, {"client": self._client, "until": until})

    def wait(self) -> float:
        """Return the seconds that the next request would have to wait; takes no slot."""
        with transaction(self._engine) as connection:
            slot = connection.execute(_NEXT_SLOT, {"client": self._client}).scalar_one()
        return max(0.0, float(slot) - self._now())

    def _now(self) -> float:
        if self._engine.dialect.name != "postgresql":
            return self._clock()
        with transaction(self._engine) as connection:
            return float(connection.execute(_POSTGRES_CLOCK).scalar_one())
