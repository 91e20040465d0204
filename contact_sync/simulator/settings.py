"""What can be chosen about the twin.

What belongs here: every choice and its reason, above all the behaviours that Genesys does not document, so that a
client can be tried against each reading. Limits that Genesys publishes for everybody stand beside their rules.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from contact_sync.simulator.faults import Faults

Clock = Callable[[], float]
"""Seconds since the epoch, as `time.time` gives them."""


def _trial_clients() -> Mapping[str, str]:
    return {"twin-client": "twin-secret"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinSettings:
    """One imaginary Genesys Cloud organisation and how it behaves.

    The fields under "Unconfirmed" are behaviours on which no published source is conclusive.
    """

    clients: Mapping[str, str] = field(default_factory=_trial_clients, repr=False)
    """OAuth client id to secret."""
    permissions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """OAuth client id to the permissions that its roles give; a client that is not named has all."""
    organization_id: str = "6f1c7f4e-2d3b-4c55-9a57-0d4f0c3a1e10"
    """The organisation's GUID."""
    organization_name: str = "Twin Organization"
    """The organisation's name."""
    division_ids: frozenset[str] = frozenset()
    """Divisions that exist besides `*`; any other is refused with 400 invalid.division.id."""
    token_seconds: int = 86_400
    """Life of a token; Genesys allows 300 to 172800 per client, 24 hours when the admin chose nothing."""
    requests_per_minute: int = 300
    """API requests in one fixed window that opens with the first request."""
    window_seconds: int = 60
    """Length of that window; a minute in Genesys, less for tests."""
    max_body_bytes: int = 512_000
    """A larger request body is refused with 413."""
    clock: Clock = field(default=time.time, repr=False)
    """Where the twin reads the time; tests put their own here."""
    faults: Faults = field(default_factory=Faults)
    """What goes wrong from the start."""

    # Unconfirmed.
    rate_limit_per: Literal["token", "client"] = "token"
    """Whether every token has its own budget or the tokens of a client share one."""
    bulk_max_items: int = 100
    """Most items of a bulk fetch, add, update or remove; that a maximum exists is documented, its value is not."""
    bulk_created_status: Literal[200, 201] = 201
    """The per-item status of a bulk item that created a record; an item that updated one has 200."""
    bulk_result_order: Literal["request", "reversed", "shuffled"] = "shuffled"
    """Order of bulk results; Genesys guarantees none. Shuffled is a fixed function of the result ids."""
    put_keeps_omitted: bool = False
    """Whether PUT leaves fields that the body omits as they are, instead of erasing them."""
    post_keeps_caller_id: bool = False
    """Whether POST uses an id (a GUID) that the body carries, instead of assigning one."""
    post_refuses_taken_external_id: bool = False
    """Whether POST answers 409 when another contact owns an external id, instead of leaving it unclaimed."""
    require_name: bool = False
    """Whether a contact without first and last name is refused with 422."""
    require_known_source: bool = True
    """Whether an external id must name an existing external source, else 422."""
    max_identifiers: int = 50
    """Most identifiers of one contact; a merge beyond it is refused with 409 too.many.identifiers."""
    max_external_sources: int = 100
    """Most external sources of the organisation, active or not."""
    max_active_external_sources: int = 50
    """Most active external sources of the organisation."""
