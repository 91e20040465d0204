"""What can be chosen about the Dataverse twin.

What belongs here: one imaginary environment, its limits and who may read it. What goes wrong with it is `faults`'
of the simulator; rows belong to `table`.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from contact_sync.simulator.faults import Faults
from contact_sync.simulator.settings import Clock

Access = Literal["organization", "business unit", "none", "no user"]
"""How far the application user reads contacts; `no user` is an application that nobody added as a user."""


def _trial_clients() -> Mapping[str, str]:
    return {"b7a1d2c4-1f0e-4b57-8a51-0d9f6e2c3a41": "dataverse-secret"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DataverseSettings:
    """One imaginary environment and how it behaves. Limits are those that Microsoft documents."""

    tenant_id: str = "5d2f0a37-90c4-4a5b-9c1d-3e8b7f6a2c10"
    """The directory in which the application is registered."""
    clients: Mapping[str, str] = field(default_factory=_trial_clients, repr=False)
    """Application (client) id to secret."""
    access: Access = "organization"
    """The read privilege on contacts."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Columns that somebody added to the table: logical name to attribute type."""
    change_tracking: bool = True
    """Whether the table has Track changes switched on."""
    tracking_days: float = 7.0
    """How old a delta token may be (the organisation's ExpireChangeTrackingInDays)."""
    token_seconds: int = 3599
    """Life of a token."""
    requests_per_window: int = 6000
    """Requests of one user in a sliding window."""
    window_seconds: int = 300
    """Length of that window."""
    page_size: int = 5000
    """Most rows of a page."""
    aggregate_rows: int = 50_000
    """Most rows that an aggregation may look at."""
    clock: Clock = field(default=time.time, repr=False)
    """Where the twin reads the time; tests put their own here."""
    faults: Faults = field(default_factory=Faults)
    """What goes wrong from the start."""
