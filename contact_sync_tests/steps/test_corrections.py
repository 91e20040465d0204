"""Records that turn out to be somebody else, again and again: no contact ever ends up with two people.

Which of two contacts a person's records are on depends on the order in which that came out. That each living
record is on one contact, without anybody else's records and with its person's values, does not.
"""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contact_sync.simulator.server import TwinServer
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.test_histories import WINDOWS, Way, Writable, fresh, live_through, somebody, ways
from contact_sync_tests.steps.world import moment

Event = tuple[int, int | None, int]
"""A record, the person that it is from now on (None: it is deleted), and the minute of its window."""

events = st.tuples(st.integers(0, 5), st.sampled_from([0, 0, 1, 2, None]), st.sampled_from([5, 12, 18]))
histories = st.lists(st.lists(events, max_size=6), min_size=WINDOWS, max_size=WINDOWS)


class Lives:
    """Lets records become people, and remembers who they are."""

    def __init__(self, crm: Writable) -> None:
        self._crm = crm
        self.person: dict[str, int] = {}

    def live(self, number: int, events: Sequence[Event]) -> None:
        for record, person, minute in sorted(events, key=lambda one: one[2]):
            crm_id = f"r{record}"
            if person is not None:
                self._crm.put(crm_id, moment(number, minute), **somebody(person), is_deleted=0)
                self.person[crm_id] = person
            elif self.person.pop(crm_id, None) is not None:
                self._crm.put(crm_id, moment(number, minute), is_deleted=1)


def assert_nobody_is_mixed_up(sync: Sync, lives: Lives) -> None:
    contacts = sync.contacts()
    assert sorted(record for one in contacts for record in one.records) == sorted(lives.person)
    for one in contacts:
        [person] = {lives.person[record] for record in one.records}
        who = somebody(person)
        assert (one.fields["firstName"], one.fields["workEmail"]) == (who["first_name"], who["email"])


def nobody_is_mixed_up(
    shared_twin: TwinServer,
    tmp_path_factory: pytest.TempPathFactory,
    history: list[list[Event]],
    last: list[int],
    way: Way,
) -> None:
    with fresh(shared_twin, tmp_path_factory, way) as sync:
        lives = Lives(sync.crm)
        live_through(sync, lives, history, set(), [("deliver", number) for number in last], way)
        assert_nobody_is_mixed_up(sync, lives)
        assert (sync.queue(), sync.table("in_flight")) == ({}, [])
        assert sync.writes(lambda: sync.sync(*range(WINDOWS))) == 0


def law_of_corrections(examples: int) -> Callable[..., None]:
    """Return the law, held over so many histories."""
    over = settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    law = given(history=histories, last=st.permutations(range(WINDOWS)), way=ways)(nobody_is_mixed_up)
    chain = [[(0, 0, 5), (1, 0, 5), (2, 1, 5), (3, 1, 5)], [(0, 2, 5), (2, 0, 12)], []]
    return over(example(history=chain, last=list(range(WINDOWS)), way=Way())(law))


test_nobody_is_mixed_up_whoever_records_turn_out_to_be = law_of_corrections(8)
