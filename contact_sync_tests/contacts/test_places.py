"""Where records were last seen, against a plain dictionary."""

from datetime import timedelta

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from contact_sync.contacts.places import Places
from contact_sync.contacts.window import Window
from contact_sync_tests.contacts.builders import moment

READINGS = st.lists(
    st.tuples(st.sampled_from("abcde"), st.integers(0, 59), st.integers(0, 5), st.booleans()), max_size=30
)


def frame(ids: list[str], minutes: list[int]) -> tuple[pd.Series, pd.Series]:
    stamps = pd.Series([moment(minute) for minute in minutes], dtype="datetime64[us, UTC]")
    return pd.Series(ids, dtype=object), stamps


@given(readings=READINGS, start=st.integers(0, 58), length=st.integers(1, 30))
def test_of_each_record_the_newest_reading_counts(
    readings: list[tuple[str, int, int, bool]], start: int, length: int
) -> None:
    places = Places()
    known: dict[str, tuple[int, int]] = {}
    span = Window(moment(start), moment(start + length))
    for crm_id, minute, read, gone in readings:
        if gone:
            places.gone(*frame([crm_id], [read]))
        else:
            places.add(*frame([crm_id], [minute]), moment(read))
        known[crm_id] = max(known.get(crm_id, (-1, -1)), (read, -1 if gone else minute))
        within = [one for one, (_, at) in known.items() if start <= at < start + length]
        assert places.count(span) == len(within)
    ids = [*known, "nobody"]
    held = places.holds(*frame(ids, [known.get(one, (0, 7))[1] % 60 for one in ids]))
    assert list(held) == [one in known and known[one][1] >= 0 for one in ids]


def test_nothing_is_nowhere() -> None:
    places = Places()
    assert places.count(Window(moment(0), moment(60))) == 0
    assert list(places.holds(*frame(["a"], [0]))) == [False]
    places.add(*frame([], []), moment(0))
    assert places.count(Window(moment(0), moment(60))) == 0


def test_stamps_are_told_apart_to_the_microsecond() -> None:
    places = Places()
    ids, stamps = frame(["a"], [5])
    places.add(ids, stamps, moment(9))
    assert list(places.holds(ids, stamps)) == [True]
    assert list(places.holds(ids, stamps + timedelta(microseconds=1))) == [False]
    assert places.count(Window(moment(5), moment(5) + timedelta(microseconds=1))) == 1
