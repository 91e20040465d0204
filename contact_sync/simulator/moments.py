"""Moments and ids as Genesys writes them.

What belongs here: what the server makes up for every entity. Where the time comes from is a setting.
"""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from contact_sync.simulator.settings import Clock

Now = Callable[[], str]


def iso(seconds: float) -> str:
    """Return epoch seconds as ISO-8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now_of(clock: Clock) -> Now:
    """Return a function that gives the current moment of `clock` as ISO-8601."""
    return lambda: iso(clock())


def new_id() -> str:
    """Return a fresh GUID."""
    return str(uuid.uuid4())
