"""What a batch of requests changed, in the words of the state database. Storing it belongs to `store`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from contact_sync.contacts.identity import Link, RecordId

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one batch of requests changed; stored in one transaction, so that a crash repeats it whole.

    Attributes:
        links: The versions that are now delivered.
        touched: The Genesys contacts that were written or removed.
        renamed: Contacts in whose place Genesys answered with another: (old id, new id).
        audit: Rows of the audit table.
        retries: Rows of the retry queue; `attempts` counts those of this delivery only.
        settled: Versions that need no attempt any more though no link says so, such as one that a newer delivered
            version made stale: the record and its modified_at. They, as the links' versions, leave the queue.
        adopted: Those of the touched contacts that were in Genesys before us.
        missing: Contacts that turned out to be gone from Genesys.
        answered: Contacts, as they were sent, that are now known to be as they should be.
        refused: Records, as they were sent, whose request Genesys has refused.
        released: Contacts, and records that they have lost; what has become of these is not known yet.
    """

    links: Sequence[Link] = ()
    touched: Collection[str] = ()
    renamed: Sequence[tuple[str, str]] = ()
    audit: Sequence[Row] = field(default=(), repr=False)
    retries: Sequence[Row] = field(default=(), repr=False)
    settled: Sequence[tuple[RecordId, datetime]] = ()
    adopted: Collection[str] = ()
    missing: Collection[str] = ()
    answered: Sequence[str] = ()
    refused: Sequence[Link] = ()
    released: Sequence[tuple[str, RecordId]] = ()
