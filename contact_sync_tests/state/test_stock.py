"""What recognises the stored contacts is found by index and in one pass alike."""

import pyarrow as pa
import pytest

from contact_sync.contacts.matching import PEOPLE, ROWS, hashed_keys, hashed_known, hashed_records, open_matching
from contact_sync.state import stock
from contact_sync.state.store import Store
from contact_sync_tests.contacts.builders import SOURCE, link, person
from contact_sync_tests.state.stored import deliver

KEYS = [
    {"row": 0, "rule": "record", "value": "1"},
    {"row": 1, "rule": "record", "value": "new"},
    {"row": 1, "rule": "email", "value": "person1@example.com"},
    {"row": 2, "rule": "record", "value": "2"},
    {"row": 3, "rule": "phone", "value": "+12125708003"},
    {"row": 4, "rule": "record", "value": "gone"},
]


@pytest.mark.parametrize("share", [0.0, 1_000.0])
def test_stored_contacts_are_found_by_what_recognises_them(
    store: Store, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.setattr(stock, "SCAN_FROM", share)
    deliver(store, *(link(str(number), f"G{number}", person(number)) for number in range(1, 5)))
    deliver(store, link("gone", None, {}))
    with open_matching(3) as matching:
        matching.add_rows(hashed_keys(pa.Table.from_pylist(KEYS, schema=ROWS)), PEOPLE.empty_table())
        with store.reading() as connection:
            wanted = list(stock.wanted(connection, matching, stock.OF_RECORDS))
            matching.add_records(hashed_records(stock.read(connection, SOURCE, batch)) for batch in wanted)
            for batch in list(stock.wanted(connection, matching, stock.OF_CONTACTS)):
                matching.add_known(hashed_known(stock.read(connection, SOURCE, batch)))
        assert matching.groups(5).tolist() == [0, 0, 2, 3, 4]
        found = {(one["row"], one["contact"]) for one in matching.found().to_pylist()}
    assert found == {(0, "G1"), (1, "G1"), (2, "G2"), (3, "G3")}
