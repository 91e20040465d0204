import json
import stat
from pathlib import Path

import pytest

from contact_sync.simulator.faults import Faults
from contact_sync.simulator.settings import TwinSettings
from contact_sync.simulator.store import TwinStore
from contact_sync_tests.simulator.conftest import ManualClock


def filled(store: TwinStore, source: str) -> list[str]:
    schema = store.contact_schemas.create({"jsonSchema": {"title": "T", "properties": {}}})
    organization, _ = store.organizations.create({"name": "Engines"})
    shared = {"workPhone": {"display": "+1 704 298 4733"}, "schema": {"id": schema["id"], "version": 1}}
    held = {"externalIds": [{"externalSource": {"id": source}, "value": "1"}]}
    first, _ = store.contacts.create(shared | held | {"externalOrganization": {"id": organization}})
    second, _ = store.contacts.create(shared | {"firstName": "Zoë"})
    return [first, second]


def test_a_snapshot_opens_as_it_was_saved(store: TwinStore, source: str, tmp_path: Path) -> None:
    first, second = filled(store, source)
    store.save(tmp_path / "twin.json")
    opened = TwinStore(TwinSettings())
    opened.contacts.create({"firstName": "gone after loading"})
    opened.load(tmp_path / "twin.json")
    assert list(opened.contacts.store) == list(store.contacts.store)
    assert list(opened.organizations.store) == list(store.organizations.store)
    assert opened.sources.get(source) == store.sources.get(source)
    assert opened.contact_schemas.listing() == store.contact_schemas.listing()
    opened.contacts.delete(first)
    identifiers = opened.contacts.owned(*opened.contacts.fetch(second))
    assert [one.value for one in identifiers] == ["+17042984733"]


def test_a_loaded_snapshot_knows_nothing_of_what_was_there_before(clock: ManualClock) -> None:
    store = TwinStore(TwinSettings(clock=clock, faults=Faults(index_lag_seconds=5)))
    empty = store.contacts.dump()
    store.contacts.create({"firstName": "Ada"})
    assert store.contacts.indexed() != {}
    store.contacts.load(empty)
    assert store.contacts.indexed() == {}


def test_merged_ids_survive_a_snapshot(store: TwinStore, source: str, tmp_path: Path) -> None:
    first, second = filled(store, source)
    store.contacts.store.redirect(first, second)
    store.save(tmp_path / "twin.json")
    store.load(tmp_path / "twin.json")
    assert store.contacts.fetch(first)[0] == second


def test_only_the_owner_may_read_a_snapshot(store: TwinStore, tmp_path: Path) -> None:
    path = tmp_path / "twin.json"
    path.touch(mode=0o644)
    store.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["twin.json"]


@pytest.mark.parametrize("content", [[], {"format": 0}])
def test_a_file_that_is_no_snapshot_is_refused(store: TwinStore, tmp_path: Path, content: object) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="not a snapshot"):
        store.load(path)


def test_settings_show_no_secret() -> None:
    assert "twin-secret" not in repr(TwinSettings())
