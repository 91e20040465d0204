"""The store: what the sync knows, read and written in sets, each write one transaction. Failures are `StateError`.

What belongs here: queries over `tables`. What the answers mean belongs to the domain.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, func, insert, select

from contact_sync.contacts.identity import Directory, Link
from contact_sync.contacts.window import Window
from contact_sync.state import links as linked
from contact_sync.state import retries
from contact_sync.state.bulk import upsert
from contact_sync.state.database import transaction
from contact_sync.state.tables import AUDIT, CONTACT_LINK, RETRY_QUEUE, UNMAPPED_FIELD, WINDOW_LEDGER

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
    """

    links: Sequence[Link] = ()
    touched: Collection[str] = ()
    renamed: Sequence[tuple[str, str]] = ()
    audit: Sequence[Row] = field(default=(), repr=False)
    retries: Sequence[Row] = field(default=(), repr=False)


class Store:
    """Reads and writes the state database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def fill(self, directory: Directory, links: Sequence[Link]) -> None:
        """Tell `directory` all that is known of the records of `links` and of every contact that they may be."""
        with transaction(self._engine) as connection:
            linked.fill(connection, directory, links)

    def record(self, delivery: Delivery, at: datetime) -> None:
        """Store what a batch of requests changed. An older version never replaces a newer one."""
        with transaction(self._engine) as connection:
            for old, new in delivery.renamed:
                linked.rename(connection, old, new)
            linked.save(connection, delivery.links)
            retries.forget(connection, delivery.links)
            linked.mirror(connection, delivery.touched, at)
            if delivery.audit:
                connection.execute(insert(AUDIT), list(delivery.audit))
            retries.queue(connection, delivery.retries)

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

    def queue_depth(self, source: str) -> dict[str, int]:
        """Return how many changes wait in the retry queue and how many are dead."""
        table = RETRY_QUEUE
        query = select(table.c.state, func.count()).where(table.c.source == source).group_by(table.c.state)
        with transaction(self._engine) as connection:
            counted = connection.execute(query).all()
        return {"waiting": 0, "dead": 0} | {str(state): int(count) for state, count in counted}

    def link_counts(self, source: str) -> dict[str, int]:
        """Return how many records are linked, and how many contacts they are."""
        table = CONTACT_LINK
        query = select(func.count(table.c.contact), func.count(table.c.contact.distinct())).where(
            table.c.source == source
        )
        with transaction(self._engine) as connection:
            records, contacts = connection.execute(query).one()
        return {"records": records, "contacts": contacts}
