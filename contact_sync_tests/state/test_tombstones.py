"""Tombstones and the place in the feed of deletes, on both databases."""

from itertools import chain
from typing import Any

import pytest
from sqlalchemy import Engine

from contact_sync.contacts.identity import Link
from contact_sync.contacts.window import Window
from contact_sync.state import tombstones as module
from contact_sync.state.bulk import upsert
from contact_sync.state.database import StateError
from contact_sync.state.store import Store
from contact_sync.state.tables import DELETE_FEED
from contact_sync.state.tombstones import Tombstones
from contact_sync_tests.contacts.builders import moment
from contact_sync_tests.state.stored import NOW, WINDOW, deliver


@pytest.fixture
def stones(engine: Engine) -> Tombstones:
    return Tombstones(engine)


def link(crm_id: str, contact: str | None = "G", source: str = "crm", minute: int = 0) -> Link:
    return Link((source, crm_id), contact, None, "v", moment(minute), moment(minute))


def test_a_feed_goes_on_where_it_was_left(stones: Tombstones) -> None:
    assert stones.token("crm") is None
    stones.save("crm", {}, "first", NOW)
    stones.save("crm", {"1": moment(5)}, "second", NOW)
    stones.save("crm", {"2": moment(6)}, None, NOW)
    assert (stones.token("crm"), stones.token("other")) == ("second", None)
    assert stones.within("crm", WINDOW) == {"1": moment(5), "2": moment(6)}


def test_tombstones_and_token_are_stored_together_or_not_at_all(
    stones: Tombstones, monkeypatch: pytest.MonkeyPatch
) -> None:

    def broken(connection: Any, table: Any, rows: Any) -> None:  # noqa: ANN401 -- handed on
        if table is DELETE_FEED:
            connection.exec_driver_sql("INSERT INTO nowhere VALUES (1)")
        upsert(connection, table, rows)

    monkeypatch.setattr(module, "upsert", broken)
    with pytest.raises(StateError):
        stones.save("crm", {"1": moment(5)}, "token", NOW)
    assert (stones.token("crm"), stones.within("crm", WINDOW)) == (None, {})


def test_a_window_holds_its_start_and_not_its_end_and_the_newest_of_each(stones: Tombstones) -> None:
    stones.save("crm", {"start": WINDOW.start, "end": WINDOW.end, "twice": moment(5)}, None, NOW)
    stones.save("crm", {"twice": moment(7)}, None, NOW)
    stones.save("other", {"other": moment(5)}, None, NOW)
    assert stones.within("crm", WINDOW) == {"start": WINDOW.start, "twice": moment(7)}
    assert stones.within("crm", Window(WINDOW.start, moment(6)))["twice"] == moment(5)


def test_only_living_links_can_be_deleted_and_once(store: Store, stones: Tombstones) -> None:
    deliver(store, link("1"), link("2", minute=3), link("dead", contact=None), link("other", source="other"))
    asked = ["1", "2", "dead", "other", "unknown"]
    assert stones.deletable("crm", asked) == {"1": moment(0), "2": moment(3)}
    stones.save("crm", {"1": moment(5)}, None, NOW)
    assert stones.deletable("crm", asked) == {"2": moment(3)}
    deliver(store, link("1", minute=8))  # it came back
    assert stones.deletable("crm", asked) == {"1": moment(8), "2": moment(3)}
    assert stones.deletable("crm", []) == {}


def test_all_linked_ids_come_page_by_page_and_once(
    store: Store, stones: Tombstones, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    expected = [f"{letter}{number}" for number in range(4) for letter in ("a", "B", "ü")]
    deliver(store, *(link(one, contact=f"G{one}") for one in expected), link("dead", contact=None))
    pages = list(stones.linked("crm"))
    assert sorted(chain.from_iterable(pages)) == sorted(expected)
    assert max(map(len, pages)) == 3
    assert list(stones.linked("other")) == []
