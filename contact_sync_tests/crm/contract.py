"""What every CRM source has to keep, as tests over a harness.

A source's test module subclasses `SourceContract` and gives a `harness` fixture that puts records into a real CRM.
"""

import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contact_sync.contacts.window import Window
from contact_sync.crm.source import Change, CrmError, CrmSource

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
WINDOW = Window(NOON, NOON + HALF_HOUR)
MICROSECOND = timedelta(microseconds=1)
FIRST_NAMES = [
    "Zoë",
    "O'Brien",
    'The "Rock"',
    "50%_\\",
    "李小龍",
    "a;DROP TABLE contacts--",
    "👩‍🚀",
    " padded ",
    "",
]


@dataclass(frozen=True)
class Record:
    """One CRM record; `nickname` is a field that the registry does not list."""

    crm_id: str
    modified_at: datetime = NOON
    first_name: str | None = "Ada"
    email: str | None = None
    nickname: str | None = None
    deleted: bool = False
    merged_into: str | None = None


class Harness(Protocol):
    """A CRM that tests may change. The three names are the CRM's names of the fields of `Record`."""

    first_name: str
    email: str
    nickname: str

    def put(self, records: Iterable[Record]) -> None:
        """Add the records, replacing those of the same id."""
        ...

    def clear(self) -> None:
        """Remove every record."""
        ...

    def break_down(self) -> None:
        """Make every further read fail."""
        ...

    def source(self, page_size: int = 7) -> CrmSource:
        """Return a source over the records that settles within a minute."""
        ...


def read(source: CrmSource, window: Window = WINDOW) -> list[Change]:
    return list(chain.from_iterable(source.changes(window)))


def read_current(source: CrmSource, crm_ids: Sequence[str]) -> list[Change]:
    return list(chain.from_iterable(source.current(crm_ids)))


def read_living(source: CrmSource) -> list[str]:
    return sorted(chain.from_iterable(source.living()))


def ids(changes: Iterable[Change]) -> list[str]:
    return sorted(change.crm_id for change in changes)


class SourceContract:
    def test_a_window_holds_its_start_and_not_its_end(self, harness: Harness) -> None:
        harness.put(
            [
                Record("before", WINDOW.start - MICROSECOND),
                Record("start", WINDOW.start),
                Record("last", WINDOW.end - MICROSECOND),
                Record("end", WINDOW.end),
            ]
        )
        assert ids(read(harness.source())) == ["last", "start"]

    def test_an_empty_window_yields_no_page(self, harness: Harness) -> None:
        harness.put([Record("1", WINDOW.end)])
        assert list(harness.source().changes(WINDOW)) == []

    def test_records_of_one_timestamp_cross_page_borders(self, harness: Harness) -> None:
        expected = [f"{number:04}" for number in range(500)]
        harness.put(Record(crm_id) for crm_id in expected)
        pages = list(harness.source(page_size=7).changes(WINDOW))
        assert ids(chain.from_iterable(pages)) == expected
        assert max(map(len, pages)) <= 7

    def test_a_full_last_page_ends(self, harness: Harness) -> None:
        harness.put(Record(str(number)) for number in range(14))
        assert len(read(harness.source(page_size=7))) == 14

    def test_reading_stopped_midway_starts_again(self, harness: Harness) -> None:
        harness.put(Record(str(number), NOON + number * timedelta(seconds=1)) for number in range(20))
        source = harness.source(page_size=7)
        next(iter(source.changes(WINDOW)))
        assert len(read(source)) == 20

    @settings(
        max_examples=25,
        deadline=None,
        # The harness is cleared for each example, and subclasses share the test on purpose.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(
        minutes=st.lists(st.sampled_from([0, 1, 1, 15, 29, 30, 59]), max_size=25),
        cuts=st.sets(st.integers(1, 59), max_size=6),
        page_size=st.integers(1, 5),
    )
    def test_any_tiling_reads_every_record_once(
        self, harness: Harness, minutes: list[int], cuts: set[int], page_size: int
    ) -> None:
        harness.clear()
        records = [Record(str(number), NOON + timedelta(minutes=minute)) for number, minute in enumerate(minutes)]
        harness.put(records)
        source = harness.source(page_size)
        borders = [NOON + timedelta(minutes=minute) for minute in sorted({0, *cuts, 60})]
        tiles = [Window(start, end) for start, end in pairwise(borders)]
        found = Counter(change.crm_id for tile in tiles for change in read(source, tile))
        assert found == Counter(record.crm_id for record in records)
        assert [source.count(tile) for tile in tiles] == [len(read(source, tile)) for tile in tiles]

    def test_values_come_unchanged(self, harness: Harness) -> None:
        harness.put(Record(str(number), first_name=name) for number, name in enumerate(FIRST_NAMES))
        found = {change.crm_id: change.fields[harness.first_name] for change in read(harness.source())}
        assert found == {str(number): name for number, name in enumerate(FIRST_NAMES)}

    def test_only_the_registrys_fields_come(self, harness: Harness) -> None:
        harness.put([Record("1", email="ada@example.org", nickname="Countess")])
        (change,) = read(harness.source())
        assert change.fields == {harness.first_name: "Ada", harness.email: "ada@example.org"}

    def test_an_absent_value_is_none(self, harness: Harness) -> None:
        harness.put([Record("1", first_name=None)])
        (change,) = read(harness.source())
        assert change.fields[harness.first_name] is None

    def test_a_living_record_is_an_upsert(self, harness: Harness) -> None:
        harness.put([Record("1")])
        (change,) = read(harness.source())
        assert (change.kind, change.merged_into) == ("upsert", None)

    def test_a_deleted_record_is_a_delete(self, harness: Harness) -> None:
        harness.put([Record("1", deleted=True)])
        (change,) = read(harness.source())
        assert (change.kind, change.merged_into) == ("delete", None)

    def test_a_record_that_lost_a_merge_names_the_survivor(self, harness: Harness) -> None:
        harness.put([Record("1", deleted=True, merged_into="2"), Record("2")])
        kinds = {change.crm_id: (change.kind, change.merged_into) for change in read(harness.source())}
        assert kinds == {"1": ("merge", "2"), "2": ("upsert", None)}

    def test_modified_at_is_exact_and_utc(self, harness: Harness) -> None:
        modified_at = NOON + timedelta(seconds=1, microseconds=123_456)
        harness.put([Record("1", modified_at)])
        (change,) = read(harness.source())
        assert (change.modified_at, change.modified_at.utcoffset()) == (modified_at, timedelta())

    def test_a_version_is_stable_until_the_record_changes(self, harness: Harness) -> None:
        harness.put([Record("1")])
        source = harness.source()
        (first,), (again,) = read(source), read(source)
        harness.put([Record("1", NOON + MICROSECOND)])
        (changed,) = read(source)
        assert first.version == again.version != changed.version

    def test_a_record_is_read_again_as_its_window_gave_it(self, harness: Harness) -> None:
        names = [name for name in FIRST_NAMES if name]
        living = [
            Record(name, NOON + number * MICROSECOND, first_name=name, nickname="Bob")
            for number, name in enumerate(names)
        ]
        harness.put([*living, Record("dead", deleted=True), Record("lost", deleted=True, merged_into="O'Brien")])
        source = harness.source()
        changes = {change.crm_id: change for change in read(source)}
        again = read_current(source, [*changes])
        assert len(changes) == len(again) == len(names) + 2
        assert {change.crm_id: change for change in again} == changes
        assert [changes[crm_id].kind for crm_id in ("dead", "lost")] == ["delete", "merge"]

    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(texts=st.sets(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)))
    def test_a_record_of_any_id_is_read_again(self, harness: Harness, texts: set[str]) -> None:
        harness.clear()
        harness.put(Record(text) for text in texts)
        source = harness.source(page_size=100)
        assert ids(read_current(source, [*texts])) == ids(read(source)) == sorted(texts)

    def test_what_is_read_again_is_the_newest_version(self, harness: Harness) -> None:
        harness.put([Record("1", first_name="Ada")])
        source = harness.source()
        (before,) = read(source)
        harness.put([Record("1", WINDOW.end + HALF_HOUR, first_name="Grace")])
        (change,) = read_current(source, ["1"])
        assert (change.modified_at, change.fields[harness.first_name]) == (WINDOW.end + HALF_HOUR, "Grace")
        assert change.version != before.version

    def test_only_what_was_asked_for_is_read_again(self, harness: Harness) -> None:
        harness.put(map(Record, ["1", "2", "a", "gone"]))
        source = harness.source()
        assert ids(read_current(source, ["2", "a", "2", "unknown", "' OR 1=1 --", "%", "", "01", "2 "])) == [
            "2",
            "a",
        ]
        assert list(source.current(["unknown"])) == []
        harness.clear()
        assert list(source.current(["gone"])) == []

    def test_nothing_asked_is_nothing_read(self, harness: Harness) -> None:
        harness.put([Record("1")])
        source = harness.source()
        harness.break_down()
        assert list(source.current([])) == []

    def test_many_ids_come_page_by_page_and_once(self, harness: Harness) -> None:
        expected = [f"{number:04}" for number in range(1_200)]
        harness.put(map(Record, [*expected, "other"]))
        pages = list(harness.source(page_size=2_000).current([*expected, *expected[:700]]))
        assert ids(chain.from_iterable(pages)) == expected
        assert max(map(len, pages)) <= 500

    def test_a_page_of_records_read_again_is_no_larger_than_others(self, harness: Harness) -> None:
        expected = [f"{number:02}" for number in range(20)]
        harness.put(map(Record, expected))
        pages = list(harness.source(page_size=7).current(expected))
        assert ids(chain.from_iterable(pages)) == expected
        assert max(map(len, pages)) <= 7

    def test_a_count_is_of_all_kinds_of_changes_of_the_window(self, harness: Harness) -> None:
        harness.put(
            [
                Record("before", WINDOW.start - MICROSECOND),
                Record("1", WINDOW.start),
                Record("2", WINDOW.end - MICROSECOND, deleted=True),
                Record("3", deleted=True, merged_into="1"),
                Record("after", WINDOW.end),
            ]
        )
        source = harness.source()
        assert source.count(WINDOW) == 3
        harness.clear()
        assert source.count(WINDOW) == 0

    def test_stamps_tell_when_which_record_changed(self, harness: Harness) -> None:
        harness.put(Record(str(number), NOON + number * timedelta(seconds=1)) for number in range(20))
        harness.put([Record("dead", deleted=True), Record("early", WINDOW.start - MICROSECOND)])
        source = harness.source(page_size=7)
        found = sorted(chain.from_iterable(source.stamps(WINDOW)))
        assert found == sorted((change.crm_id, change.modified_at) for change in read(source))
        assert list(source.stamps(Window(NOON - HALF_HOUR, NOON - HALF_HOUR + MICROSECOND))) == []

    def test_all_that_live_are_named_once_whenever_they_changed(self, harness: Harness) -> None:
        assert read_living(harness.source()) == []
        expected = [f"{number:04}" for number in range(500)]
        harness.put(Record(crm_id, NOON + int(crm_id) * timedelta(days=1)) for crm_id in expected)
        harness.put([Record("dead", deleted=True), Record("lost", deleted=True, merged_into="0001")])
        assert read_living(harness.source(page_size=7)) == expected

    def test_a_full_last_page_of_the_living_ends(self, harness: Harness) -> None:
        harness.put(Record(f"{number:02}", deleted=number % 2 == 1) for number in range(14))
        assert read_living(harness.source(page_size=7)) == [f"{number:02}" for number in range(0, 14, 2)]

    def test_the_living_and_the_windows_call_a_record_the_same(self, harness: Harness) -> None:
        harness.put(Record(name) for name in FIRST_NAMES if name)
        source = harness.source()
        assert read_living(source) == ids(read(source))

    def test_unlisted_fields_are_counted_within_the_window(self, harness: Harness) -> None:
        harness.put(
            [
                Record("1", nickname="Countess"),
                Record("2", nickname="Bob"),
                Record("3"),
                Record("4", WINDOW.end, nickname="Late"),
                Record("5", WINDOW.start - MICROSECOND, nickname="Early"),
            ]
        )
        source = harness.source()
        assert source.unlisted(WINDOW) == {harness.nickname: 2}
        assert source.unlisted(Window(NOON - HALF_HOUR, NOON - MICROSECOND)) == {}

    def test_an_unlisted_field_has_an_example_of_the_window(self, harness: Harness) -> None:
        harness.put([Record("1", nickname="Countess"), Record("2"), Record("3", WINDOW.end, nickname="Late")])
        source = harness.source()
        assert source.examples(WINDOW) == {harness.nickname: "Countess"}
        assert source.examples(Window(NOON - HALF_HOUR, NOON - MICROSECOND)) == {}

    def test_the_crms_own_clock_is_about_right_where_it_is_told(self, harness: Harness) -> None:
        told = harness.source().server_time()
        assert told is None or abs(told - datetime.now(UTC)) < timedelta(seconds=30)

    def test_the_horizon_lies_in_the_past_and_is_aware(self, harness: Harness) -> None:
        assert harness.source().horizon() < datetime.now(UTC)

    @pytest.mark.parametrize("ask", [lambda source: source.count(WINDOW), read_living], ids=["count", "living"])
    def test_what_a_broken_crm_cannot_tell_is_not_taken_for_nothing(
        self, harness: Harness, ask: Callable[[CrmSource], object]
    ) -> None:
        harness.put([Record("1")])
        source = harness.source()
        ask(source)
        harness.break_down()
        with pytest.raises(CrmError) as caught:
            ask(source)
        assert caught.value.__context__ is None

    @pytest.mark.parametrize("asked", ["a window", "ids"])
    def test_a_broken_crm_says_so_in_one_line_without_values(self, harness: Harness, asked: str) -> None:
        secrets = [f"SECRET{number}" for number in range(8)]
        harness.put(Record(crm_id, email="SECRET@example.org") for crm_id in secrets)
        source = harness.source(page_size=7)
        pages = source.current(secrets) if asked == "ids" else source.changes(WINDOW)
        assert len(next(pages)) == 7
        harness.break_down()
        with pytest.raises(CrmError) as caught:
            next(pages)
        shown: Sequence[str] = traceback.format_exception(caught.value)
        assert "SECRET" not in "".join(shown)
        assert caught.value.__context__ is None
        assert "\n" not in str(caught.value)
