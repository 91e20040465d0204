"""A mass delete stops the deletes, and nothing else, until somebody allows them."""

from dataclasses import replace

import pytest

from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import moment


def everybody_leaves(sync: Sync, people: int) -> None:
    for number in range(people):
        sync.crm.put(
            f"p{number}", moment(0), first_name="Ada", last_name=f"L{number}", email=f"{number}@example.org"
        )
    sync.sync(0)
    for number in range(people):
        sync.crm.delete(f"p{number}", moment(1))


@pytest.mark.parametrize(
    ("people", "limits"),
    [(3, {"max_deletes": 2}), (30, {"max_delete_share": 0.9})],
)
def test_more_deletes_than_allowed_are_held_and_the_rest_is_delivered(
    sync: Sync, people: int, limits: dict[str, float]
) -> None:
    sync.configure(**limits)
    everybody_leaves(sync, people)
    sync.crm.put("new", moment(1), first_name="Grace", last_name="Hopper", email="grace@example.org")
    assert sync.sync(1) == {"created": 1, "held": people}
    assert len(sync.contacts()) == people + 1
    assert_accounted(sync, 1)


def test_once_allowed_the_window_removes_them(sync: Sync) -> None:
    sync.configure(max_deletes=2)
    everybody_leaves(sync, 3)
    assert sync.sync(1) == {"held": 3}
    sync.context = replace(sync.context, allow_deletes=True)
    assert sync.sync(1) == {"deleted": 3}
    assert not sync.contacts()


def test_a_share_of_few_deletes_says_nothing(sync: Sync) -> None:
    sync.configure(max_delete_share=0.0)
    everybody_leaves(sync, 3)
    assert sync.sync(1) == {"deleted": 3}
