"""Records that are gone from the CRM without a trace there, and where its feed of deleted records goes on.

What belongs here: their reads and writes, and reading the links that they are looked for among. Whether a record
is gone is the judgement of `steps.gone`; what becomes of its contact is up to the window that holds `found_at`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, func, select
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from contact_sync.contacts.window import Window
from contact_sync.state.bulk import among, upsert
from contact_sync.state.database import reading, transaction
from contact_sync.state.tables import CONTACT_LINK, DELETE_FEED, IN_FLIGHT, TOMBSTONE

PAGE = 10_000
"""Links read at once where all are read."""


class Tombstones:
    """The tombstones of all sources."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def token(self, source: str) -> str | None:
        """Return where the source's delete feed goes on; None where it has not begun."""
        with reading(self._engine) as connection:
            return connection.execute(select(DELETE_FEED.c.token).where(DELETE_FEED.c.source == source)).scalar()

    def save(self, source: str, found: Mapping[str, datetime], token: str | None, at: datetime) -> None:
        """Store which records are gone since when, and where the feed goes on, in one transaction.

        Args:
            source: The source's name.
            found: By CRM id, the instant whose window deletes the record.
            token: Where the feed goes on; None leaves that as it is.
            at: The present instant.
        """
        rows = [{"source": source, "crm_id": crm_id, "found_at": when} for crm_id, when in found.items()]
        with transaction(self._engine) as connection:
            upsert(connection, TOMBSTONE, rows)
            if token is not None:
                upsert(connection, DELETE_FEED, [{"source": source, "token": token, "read_at": at}])

    def within(self, source: str, window: Window) -> dict[str, datetime]:
        """Return the records that were found gone within a window, and when; the newest time of each."""
        table = TOMBSTONE.c
        query = (
            select(table.crm_id, func.max(table.found_at))
            .where(table.source == source, table.found_at >= window.start, table.found_at < window.end)
            .group_by(table.crm_id)
            .order_by(table.crm_id)
        )
        with reading(self._engine) as connection:
            return dict(map(tuple, connection.execute(query)))

    def deletable(self, source: str, ids: Collection[str]) -> dict[str, datetime]:
        """Return which records of `ids` are a contact and not found gone yet, each with its delivered modified_at.

        One that was found gone, came back and was delivered since counts anew; so does one that was sent without
        an answer, by what was sent.
        """
        deletable: dict[str, datetime] = {}
        with reading(self._engine) as connection:
            for of in (CONTACT_LINK.c, IN_FLIGHT.c):
                its = (of.source == source, of.contact.is_not(None), among(connection, of.crm_id, ids))
                query = select(of.crm_id, of.modified_at).where(*its, ~_found_gone_after(of))
                for crm_id, modified_at in connection.execute(query):
                    deletable[crm_id] = max(modified_at, deletable.get(crm_id, modified_at))
        return deletable

    def linked(self, source: str) -> Iterator[Sequence[str]]:
        """Yield the ids of all records that are a contact, page by page, each read in a transaction of its own.

        Those that were sent without an answer come first, and perhaps again.
        """
        link, sent = CONTACT_LINK.c, IN_FLIGHT.c
        unanswered = select(sent.crm_id).where(sent.source == source).distinct()
        with reading(self._engine) as connection:
            in_doubt = connection.execute(unanswered).scalars().all()
        if in_doubt:
            yield in_doubt
        query = (
            select(link.crm_id)
            .where(link.source == source, link.contact.is_not(None))
            .order_by(link.crm_id)
            .limit(PAGE)
        )
        after = query
        while True:
            with reading(self._engine) as connection:
                page = connection.execute(after).scalars().all()
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = query.where(link.crm_id > page[-1])


def _found_gone_after(of: ReadOnlyColumnCollection[str, Any]) -> ColumnElement[bool]:
    """Return the condition that a record was found gone after the version of a row of links."""
    stone = TOMBSTONE.c
    its = (stone.source == of.source, stone.crm_id == of.crm_id, stone.found_at > of.modified_at)
    return select(stone.crm_id).where(*its).exists()
