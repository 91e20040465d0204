"""The shared pace: one row for each OAuth client, by which every process and every restart keeps one budget.

What belongs here: reading the row and the clock, and writing the row back, in one transaction. What the row means
is the governor's. Sleeping until a ticket's turn comes belongs to the client.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection, Engine, Float, bindparam, cast, extract, func, select, text, update

from contact_sync.state.database import transaction
from contact_sync.state.governor import Meter, Reading
from contact_sync.state.tables import BUDGET

WINDOW = 60.0
"""Seconds; Genesys counts requests a minute."""

_CREATE = text("INSERT INTO budget (client) VALUES (:client) ON CONFLICT (client) DO NOTHING")
_READ = select(BUDGET).where(BUDGET.c.client == bindparam("of"))
_COLUMNS = [column.name for column in BUDGET.c if not column.primary_key]
_WRITE = (
    update(BUDGET)
    .where(BUDGET.c.client == bindparam("of"))
    .values({column: bindparam(column) for column in _COLUMNS})
)
# Hosts agree on PostgreSQL's clock. It is read again when somebody who held the row's lock has changed the row.
_READ_POSTGRES = _READ.add_columns(cast(extract("epoch", func.clock_timestamp()), Float).label("now"))


class SharedPace:
    """The budget of one (organisation, OAuth client) as the state database keeps it; failures are `StateError`."""

    def __init__(
        self,
        engine: Engine,
        client: str,
        *,
        allowed: int,
        reserve: float,
        window: float = WINDOW,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Use the row of `client`, made if it is missing.

        Args:
            engine: The state database.
            client: Names the organisation and OAuth client that own the quota.
            allowed: Requests that Genesys allows in a window, until its answers say otherwise.
            reserve: Share of them that is left to the client's other users.
            window: Seconds of Genesys' window.
            clock: Seconds since 1970 on SQLite; PostgreSQL's own clock is used there.
        """
        self._engine = engine
        self._of = {"of": client}
        self._fresh = Meter(allowed=allowed, reserve=reserve, window=window)
        self._clock = clock
        with transaction(engine) as connection:
            connection.execute(_CREATE, {"client": client})

    def reserve(self) -> tuple[int, float]:
        """Take a place in the line; return its ticket, and the seconds until its turn as `remaining` does."""
        meter, now = self._change(lambda meter, now: meter.reserved(now))
        return meter.tickets, meter.wait(now, meter.tickets)

    def remaining(self, ticket: int) -> float:
        """Return the seconds after which to ask again whether it is the turn of `ticket`; 0 when it is."""
        meter, now = self._look()
        return meter.wait(now, ticket)

    def pause(self, seconds: float) -> None:
        """Let no process send before `seconds` from now (Genesys' Retry-After)."""
        self._change(lambda meter, now: meter.paused(now, seconds))

    def observe(self, ticket: int, elapsed: float, *, count: int, allowed: int, reset: int) -> None:
        """Learn what an answer tells of Genesys' window: the values of its `inin-ratelimit-*` headers.

        Args:
            ticket: The ticket of the request.
            elapsed: Seconds between sending it and now.
            count: Requests of the window, this one included.
            allowed: The most that it may have.
            reset: Seconds until it ends.
        """
        came = time.monotonic()  # waiting for the row takes time, too
        self._change(
            lambda meter, now: meter.observed(
                now, ticket, elapsed + time.monotonic() - came, count, allowed, reset
            )
        )

    def wait(self) -> float:
        """Return the seconds that the next request would have to wait; takes no place."""
        meter, now = self._look()
        return meter.reserved(now).wait(now, meter.tickets + 1)

    def reading(self) -> Reading:
        """Return what is known of the budget."""
        meter, now = self._look()
        return meter.reading(now)

    def _change(self, change: Callable[[Meter, float], Meter]) -> tuple[Meter, float]:
        with transaction(self._engine) as connection:
            meter, now = self._load(connection, lock=True)
            meter = change(meter, now)
            connection.execute(_WRITE, self._of | {column: getattr(meter, column) for column in _COLUMNS})
        return meter, now

    def _look(self) -> tuple[Meter, float]:
        with transaction(self._engine) as connection:
            return self._load(connection, lock=False)

    def _load(self, connection: Connection, *, lock: bool) -> tuple[Meter, float]:
        """Return the meter and the present moment."""
        if self._engine.dialect.name == "postgresql":
            read = _READ_POSTGRES.with_for_update() if lock else _READ_POSTGRES
            row = connection.execute(read, self._of).mappings().one()
            now = float(row["now"])
        else:  # the transaction itself is the lock
            row = connection.execute(_READ, self._of).mappings().one()
            now = self._clock()
        told = {column: row[column] for column in _COLUMNS}
        if not row["ends_by"]:
            told["allowed"] = self._fresh.allowed
        return replace(self._fresh, **told), now
