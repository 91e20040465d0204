"""Writes to the state database and reads it back, for the tests of the store."""

from typing import Any

from sqlalchemy import Engine, Table, select

from contact_sync.contacts.identity import Link
from contact_sync.contacts.window import Window
from contact_sync.state.delivery import Delivery
from contact_sync.state.store import Store
from contact_sync_tests.contacts.builders import moment

NOW = moment(60)
WINDOW = Window(moment(0), moment(30))


def rows_of(engine: Engine, table: Table) -> list[dict[str, Any]]:
    """Return the rows of a table, ordered by its key."""
    with engine.begin() as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]


def deliver(store: Store, *links: Link, **more: Any) -> None:  # noqa: ANN401 (any part of a delivery)
    """Store what a batch of requests did; the contacts of its links are touched unless `more` says otherwise."""
    touched = {one.contact for one in links if one.contact}
    store.record(Delivery(**{"links": links, "touched": touched, **more}), NOW)
