"""The store: what the sync knows, read and written in sets, each write one transaction. Failures are `StateError`.

What belongs here: queries over `tables`. What the answers mean belongs to the domain.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select

from contact_sync.contacts.fields import Contact
from contact_sync.contacts.identity import Directory, Link, RecordId
from contact_sync.contacts.seen import Seen
from contact_sync.contacts.window import Window
from contact_sync.state import links as linked
from contact_sync.state import lookup, mirror
from contact_sync.state import retries as retry_queue
from contact_sync.state.bulk import among, chunks, upsert
from contact_sync.state.database import open_database, reading, transaction
from contact_sync.state.delivery import Delivery
from contact_sync.state.ledger import Ledger
from contact_sync.state.lock import delivery_lock
from contact_sync.state.retries import QueueDepth, QueueState
from contact_sync.state.tables import AUDIT, CONTACT_LINK, EXTERNAL_ORGANIZATION, UNMAPPED_FIELD
from contact_sync.state.tombstones import Tombstones

Row = dict[str, Any]


class Store:
    """Reads and writes the state database.

    Attributes:
        ledger: Its window ledger.
        tombstones: The records that are gone from the CRM.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.ledger = Ledger(engine)
        self.tombstones = Tombstones(engine)

    def __reduce__(self) -> tuple[Callable[[str], "Store"], tuple[str]]:
        """Be opened anew in another process."""
        return _opened, (self._engine.url.render_as_string(hide_password=False),)

    def reading(self) -> AbstractContextManager[Connection]:
        """Open a transaction for several queries that belong together, such as those of `lives`."""
        return reading(self._engine)

    def delivery_lock(self) -> AbstractContextManager[Callable[[], None]]:
        """Keep other processes from delivering until the block ends; see `state.lock`."""
        return delivery_lock(self._engine)

    def fill(self, directory: Directory, links: Sequence[Link]) -> None:
        """Tell `directory` all that is known of the records of `links` and of every contact that they may be."""
        with reading(self._engine) as connection:
            lookup.fill(connection, directory, links)

    def load(self, directory: Directory, records: Sequence[RecordId], contacts: Collection[str]) -> None:
        """Tell `directory` all that is known of records and of contacts that have been found before."""
        with reading(self._engine) as connection:
            lookup.load(connection, directory, records, contacts)

    def alone(self, source: str, found: Mapping[str, str | None]) -> tuple[set[str], dict[str, Link]]:
        """Return which records stand alone in the state database, as `lookup.alone` does."""
        with self.reading() as connection:
            return lookup.alone(connection, source, found)

    def names(self, contacts: Collection[str]) -> Mapping[str, Sequence[Contact]]:
        """Return what the records of contacts say, by contact."""
        with reading(self._engine) as connection:
            return lookup.names(connection, contacts)

    def everybody(self) -> tuple[list[Link], list[Seen]]:
        """Return the links of all records that are a contact, and the contacts that no record is linked to."""
        with reading(self._engine) as connection:
            return list(linked.everybody(connection)), list(mirror.unlinked(connection))

    def ages(self, source: str, ids: Collection[str]) -> dict[str, tuple[datetime, datetime]]:
        """Return modified_at and read_at of the delivered versions of records, tombstones too, by CRM id."""
        link = CONTACT_LINK.c
        with reading(self._engine) as connection:
            query = select(link.crm_id, link.modified_at, link.read_at).where(
                link.source == source, among(connection, link.crm_id, ids)
            )
            return {row.crm_id: (row.modified_at, row.read_at) for row in connection.execute(query)}

    def send(self, links: Sequence[Link]) -> None:
        """Remember records as a request is about to carry them; `record` forgets them with the answer.

        Should it never come, since the process dies or the answer is lost, the next plan knows what may be there.
        """
        with transaction(self._engine) as connection:
            linked.send(connection, links)

    def record(self, delivery: Delivery, at: datetime) -> None:
        """Store what a batch of requests changed. An older version never replaces a newer one."""
        with transaction(self._engine) as connection:
            before = mirror.linked(connection, {*delivery.touched, *(old for old, _ in delivery.renamed)})
            linked.answered(connection, delivery.answered, delivery.refused)
            for old, new in delivery.renamed:
                before = mirror.joined(before, old, new)
                mirror.rename(connection, old, new)
            linked.release(connection, delivery.released)
            linked.save(connection, delivery.links)
            delivered = [(link.record, link.modified_at) for link in delivery.links]
            retry_queue.forget(connection, [*delivered, *delivery.settled])
            mirror.write(connection, delivery.touched, at, before, delivery.adopted)
            mirror.forget(connection, delivery.missing)
            if delivery.audit:
                connection.execute(insert(AUDIT), list(delivery.audit))
            retry_queue.queue(connection, delivery.retries)

    def mirror_page(self, page: Sequence[Seen], renamed: Sequence[tuple[str, str]], scan: mirror.Scan) -> int:
        """Store a page of the scan of all contacts, and how far the scan is with it.

        Args:
            page: The contacts on it.
            renamed: Contacts that were merged into others: (old id, new id).
            scan: The scan, this page included; its `cursor_at` is when the page was asked for.

        Returns:
            How many of `renamed` were known.
        """
        with transaction(self._engine) as connection:
            moved = sum(mirror.rename(connection, old, new) for old, new in renamed)
            mirror.write_page(connection, page, scan.cursor_at or scan.started_at)
            mirror.save_scan(connection, replace(scan, merged=scan.merged + moved))
        return moved

    def scan_under_way(self) -> mirror.Scan | None:
        """Return the scan of all contacts that was begun and not finished."""
        with transaction(self._engine) as connection:
            return mirror.scan_under_way(connection)

    def finish_scan(self, scan: mirror.Scan) -> tuple[int, int]:
        """End a complete scan: contacts that it has not seen are dropped; see `mirror.finish`."""
        with transaction(self._engine) as connection:
            return mirror.finish(connection, scan)

    def mirrored(self, threshold: int) -> tuple[int, dict[str, int]]:
        """Return how many contacts the mirror holds, and by rule how many identifiers too many of them share."""
        with transaction(self._engine) as connection:
            return mirror.size(connection), mirror.shared(connection, threshold)

    def organizations(self, source: str, accounts: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return what accounts of `source` became, by account: the organisation's id in Genesys, and its name."""
        table = EXTERNAL_ORGANIZATION.c
        found: dict[str, tuple[str, str]] = {}
        with transaction(self._engine) as connection:
            for chunk in chunks(accounts):
                query = select(EXTERNAL_ORGANIZATION).where(table.source == source, table.account.in_(chunk))
                found |= {row.account: (row.organization, row.name) for row in connection.execute(query)}
        return found

    def note_organizations(self, rows: Sequence[Row]) -> None:
        """Remember organisations: `source`, `account`, `organization`, `name`."""
        with transaction(self._engine) as connection:
            upsert(connection, EXTERNAL_ORGANIZATION, rows)

    def note_unmapped(
        self, source: str, window: Window, counts: Mapping[str, int], shapes: Mapping[str, str] | None = None
    ) -> None:
        """Remember how many records of a window carry a CRM field that the registry does not list.

        Args:
            source: The source's name.
            window: The window.
            counts: Records by field.
            shapes: What a value of the field looks like, without the value.
        """
        key = {"source": source, "window_start": window.start, "window_end": window.end}
        shapes = shapes or {}
        rows = [
            {**key, "field": name, "records": count, "shape": shapes.get(name)}
            for name, count in counts.items()
            if count
        ]
        with transaction(self._engine) as connection:
            upsert(connection, UNMAPPED_FIELD, rows)

    def unmapped(self, source: str) -> list[Row]:
        """Return the CRM fields that the registry did not list when they were seen.

        Each has its name as `field`, `first_seen`, `last_seen`, `records`, and the `shape` of a value or None.
        """
        table = UNMAPPED_FIELD.c
        query = (
            select(
                table.field,
                func.min(table.window_start).label("first_seen"),
                func.max(table.window_end).label("last_seen"),
                func.sum(table.records).label("records"),
                func.max(table.shape).label("shape"),
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
