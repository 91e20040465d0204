from contact_sync.simulator.history import History
from contact_sync_tests.simulator.conftest import ManualClock


def test_the_index_knows_the_first_of_the_changes_that_it_has_yet_to_hear_of(clock: ManualClock) -> None:
    history = History(clock, lambda: 5.0)
    for before in (None, b"first", b"second"):
        history.note("1", before)
        clock.advance(2)
    assert history.indexed() == {"1": b"first"}
    clock.advance(2)
    assert history.indexed() == {"1": b"second"}
    clock.advance(2)
    assert history.indexed() == {}


def test_nothing_is_remembered_for_an_index_that_keeps_up(clock: ManualClock) -> None:
    lag = [0.0]
    history = History(clock, lambda: lag[0])
    history.note("1", b"before")
    lag[0] = 5.0
    assert history.indexed() == {}
