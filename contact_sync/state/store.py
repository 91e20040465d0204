"""The store: what the sync knows, read and written in sets, each write one transaction. Failures are `StateError`.

What belongs here: queries over `tables`. What the answers mean belongs to the domain.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Engine, func, insert, select

from contact_sync.contacts.fields import Contact
from contact_sync.contacts.identity import Directory, Link, RecordId
from contact_sync.contacts.matching import Matching
from contact_sync.contacts.window import Window
from contact_sync.state import links as linked
from contact_sync.state import lookups
from contact_sync.state import retries as retry_queue
from contact_sync.state.bulk import upsert
from contact_sync.state.database import open_database, reading, transaction
from contact_sync.state.lock import delivery_lock
from contact_sync.state.retries import QueueDepth, QueueState
from contact_sync.state.tables import AUDIT, CONTACT_LINK, UNMAPPED_FIELD, WINDOW_LEDGER

Row = dict[str, Any]


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
        answered: Contacts, as they were sent, that are now known to be as they should be.
        refused: Records, as they were sent, whose request Genesys has refused.
    """

    links: Sequence[Link] = ()
    touched: Collection[str] = ()
    renamed: Sequence[tuple[str, str]] = ()
    audit: Sequence[Row] = field(default=(), repr=False)
    retries: Sequence[Row] = field(default=(), repr=False)
    settled: Sequence[tuple[RecordId, datetime]] = ()
    answered: Sequence[str] = ()
    refused: Sequence[Link] = ()


class Store:
    """Reads and writes the state database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __reduce__(self) -> tuple[Callable[[str], "Store"], tuple[str]]:
        """Be opened anew in another process."""
        return _opened, (self._engine.url.render_as_string(hide_password=False),)

    def delivery_lock(self) -> AbstractContextManager[Callable[[], None]]:
        """Keep other processes from delivering until the block ends; see `state.lock`."""
        return delivery_lock(self._engine)

    def fill(self, directory: Directory, links: Sequence[Link]) -> None:
        """Tell `directory` all that is known of the records of `links` and of every contact that they may be."""
        with reading(self._engine) as connection:
            linked.fill(connection, directory, links)

    def load(self, directory: Directory, records: Sequence[RecordId], contacts: Collection[str]) -> None:
        """Tell `directory` all that is known of records and of contacts that have been found before."""
        with reading(self._engine) as connection:
            linked.load(connection, directory, records, contacts)

    def learn(self, matching: Matching, source: str) -> None:
        """Tell `matching` what recognises the stored contacts that its rows, of `source`, may be."""
        with reading(self._engine) as connection:
            lookups.learn(connection, matching, source)

    def names(self, contacts: Collection[str]) -> Mapping[str, Sequence[Contact]]:
        """Return what the records of contacts say, by contact."""
        with reading(self._engine) as connection:
            return linked.names(connection, contacts)

    def send(self, links: Sequence[Link]) -> None:
        """Remember records as a request is about to carry them; `record` forgets them with the answer.

        Should it never come, since the process dies or the answer is lost, the next plan knows what may be there.
        """
        with transaction(self._engine) as connection:
            linked.send(connection, links)

    def record(self, delivery: Delivery, at: datetime) -> None:
        """Store what a batch of requests changed. An older version never replaces a newer one."""
        with transaction(self._engine) as connection:
            for old, new in delivery.renamed:
                linked.rename(connection, old, new)
            linked.save(connection, delivery.links)
            linked.answered(connection, delivery.answered, delivery.refused)
            delivered = [(link.record, link.modified_at) for link in delivery.links]
            retry_queue.forget(connection, [*delivered, *delivery.settled])
            linked.mirror(connection, delivery.touched, at)
            if delivery.audit:
                connection.execute(insert(AUDIT), list(delivery.audit))
            retry_queue.queue(connection, delivery.retries)

    def commit_window(self, row: Row) -> None:
        """Write the window's row of the ledger: from now on its rows are accounted for."""
        with transaction(self._engine) as connection:
            upsert(connection, WINDOW_LEDGER, [row])

    def committed_windows(self, source: str) -> list[Window]:
        """Return the windows of `source` that the ledger holds."""
        query = select(WINDOW_LEDGER.c.window_start, WINDOW_LEDGER.c.window_end).where(
            WINDOW_LEDGER.c.source == source
        )
        with transaction(self._engine) as connection:
            return [Window(start, end) for start, end in connection.execute(query)]

    def ledger_row(self, source: str, window: Window) -> Row | None:
        """Return the ledger's row of a window, None while it is open."""
        columns = WINDOW_LEDGER.c
        query = select(WINDOW_LEDGER).where(
            columns.source == source, columns.window_start == window.start, columns.window_end == window.end
        )
        with transaction(self._engine) as connection:
            found = connection.execute(query).mappings().one_or_none()
        return dict(found) if found else None

    def note_unmapped(self, source: str, window: Window, counts: Mapping[str, int]) -> None:
        """Remember how many records of a window carry a CRM field that the registry does not list."""
        key = {"source": source, "window_start": window.start, "window_end": window.end}
        rows = [{**key, "field": name, "records": count} for name, count in counts.items() if count]
        with transaction(self._engine) as connection:
            upsert(connection, UNMAPPED_FIELD, rows)

    def unmapped(self, source: str) -> list[Row]:
        """Return the CRM fields that the registry does not list: `field`, `first_seen`, `last_seen`, `records`."""
        table = UNMAPPED_FIELD.c
        query = (
            select(
                table.field,
                func.min(table.window_start).label("first_seen"),
                func.max(table.window_end).label("last_seen"),
                func.sum(table.records).label("records"),
            )
            .where(table.source == source)
            .group_by(table.field)
            .order_by(table.field)
        )
        with transaction(self._engine) as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def queue_depth(self, source: str) -> QueueDepth:
        """Return how many changes wait in the retry queue, are deferred and are dead, and since when."""
        with transaction(self._engine) as connection:
            return retry_queue.depth(connection, source)

    def due_retries(self, source: str, now: datetime, limit: int) -> list[Row]:
        """Return rows of the retry queue, waiting and deferred, that are due: the first `limit` by due time."""
        with transaction(self._engine) as connection:
            return retry_queue.due(connection, source, now, limit)

    def retries(
        self,
        source: str,
        ids: Collection[str] | None = None,
        states: Collection[QueueState] | None = None,
        limit: int | None = None,
    ) -> list[Row]:
        """Return rows of the retry queue, longest queued first; only these ids, states, so many, if given."""
        with transaction(self._engine) as connection:
            return retry_queue.listed(connection, source, ids, states, limit)

    def replay(self, source: str, ids: Collection[str], at: datetime) -> list[str]:
        """Make waiting and dead changes due at once, their attempts counted anew.

        Args:
            source: The source's name.
            ids: CRM ids. A deferred delete is not hurried.
            at: The present instant.

        Returns:
            The ids that were found waiting or dead.
        """
        with transaction(self._engine) as connection:
            return retry_queue.replay(connection, source, ids, at)

    def discard(self, source: str, ids: Collection[str], reason: str, at: datetime, run_id: str) -> list[str]:
        """Take changes off the retry queue for good, in any state, with an audit entry each.

        Args:
            source: The source's name.
            ids: CRM ids.
            reason: Why, for the audit; its first 255 characters are kept.
            at: The present instant.
            run_id: Who did it.

        Returns:
            The ids that were on the queue.
        """
        with transaction(self._engine) as connection:
            return retry_queue.discard(connection, source, ids, reason=reason, at=at, run_id=run_id)

    def link_counts(self, source: str) -> dict[str, int]:
        """Return how many records are linked, and how many contacts they are."""
        table = CONTACT_LINK
        query = select(func.count(table.c.contact), func.count(table.c.contact.distinct())).where(
            table.c.source == source
        )
        with transaction(self._engine) as connection:
            records, contacts = connection.execute(query).one()
        return {"records": records, "contacts": contacts}


@cache
def _opened(url: str) -> Store:
    """Return the store at `url`, the same for a process's whole life."""
    return Store(open_database(url))
