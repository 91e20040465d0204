"""A CRM gives the same people new ids: updates go out and nothing else, and every contact keeps its Genesys id."""

import pytest

from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.test_contacts import removals
from contact_sync_tests.steps.world import moment

PEOPLE = 6


def person(number: int) -> dict[str, str]:
    """Return a person's columns: some are reached by both, some by one thing, some only by name and account."""
    columns = {"first_name": f"First{number}", "last_name": f"Last{number}", "account_id": "acme"}
    if number % 3 != 1:
        columns["email"] = f"p{number}@example.org"
    if number % 3 != 2:
        columns["work_phone"] = f"+49301234{number:03}"
    return columns


@pytest.mark.parametrize(
    ("deleted_in", "created_in"),
    [((1, 1), (1, 1)), ((1, 1), (2, 2)), ((2, 2), (1, 1)), ((1, 2), (2, 1)), ((1, 3), (3, 1))],
    ids=["one window", "delete first", "create first", "by halves", "by halves, far apart"],
)
def test_a_re_index_sends_updates_only(
    sync: Sync, deleted_in: tuple[int, int], created_in: tuple[int, int]
) -> None:
    sync.configure(delete_grace_minutes=120)
    for number in range(PEOPLE):
        sync.crm.put(f"old{number}", moment(0), **person(number))
    sync.sync(0)
    before = {sync.contact(f"old{number}").id: f"new{number}" for number in range(PEOPLE)}
    removed = removals(sync)
    total = 0
    for window in (1, 2, 3):
        for number in range(PEOPLE):
            if deleted_in[number % 2] == window:
                sync.crm.delete(f"old{number}", moment(window))
            if created_in[number % 2] == window:
                sync.crm.put(f"new{number}", moment(window, 16), **person(number))
        total += sync.sync(window).get("created", 0)
        assert_accounted(sync, window)
        sync.retry()
    for window in range(4, 10):
        sync.sync(window)
    sync.later(days=1)
    sync.retry()
    assert {one.id: "".join(one.records) for one in sync.contacts()} == before
    assert (removals(sync), total, sync.queue()) == (removed, 0, {})
    sync.mirror()
    assert sync.writes(lambda: sync.sync(0, 1, 2, 3)) == 0
