import re
import sqlite3
import stat
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import phonenumbers
import pytest

from contact_sync.simulator import sample_dirt
from contact_sync.simulator.sample_crm import CROWDED_ACCOUNTS, Life, change, create
from contact_sync.simulator.sample_dirt import WRONG_EMAILS, WRONG_NUMBERS
from contact_sync.simulator.sample_records import COLUMNS, LIFE

Row = dict[str, Any]

START = datetime(2026, 6, 1, tzinfo=UTC)
END = START + timedelta(days=7)
LATER = END + timedelta(hours=6)
PHONES = ("work_phone", "mobile_phone", "home_phone", "other_phone")
STORED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")


def rows_of(path: Path) -> dict[str, Row]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return {row["id"]: dict(row) for row in connection.execute("SELECT * FROM contacts ORDER BY id")}


def stored(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def business(row: Row) -> tuple[Any, ...]:
    return tuple(row[column] for column in COLUMNS if column not in LIFE)


def same_address(row: Row) -> str:
    return str(row["email"] or "").strip().lower()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "crm.db"
    create(path, start=START, end=END)
    return path


@pytest.fixture(scope="module")
def rows(sample: Path) -> list[Row]:
    return list(rows_of(sample).values())


@pytest.fixture(scope="module")
def numbers(rows: list[Row]) -> list[str]:
    return [row[column] for row in rows for column in PHONES if row[column]]


def test_five_thousand_records_take_less_than_two_seconds(tmp_path: Path) -> None:
    began = time.process_time()
    create(tmp_path / "crm.db", start=START, end=END)
    assert time.process_time() - began < 2
    assert len(rows_of(tmp_path / "crm.db")) == 5000


def test_only_the_owner_may_read_the_file(sample: Path) -> None:
    assert stat.S_IMODE(sample.stat().st_mode) == 0o600


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "crm.db").write_text("mine")
    with pytest.raises(FileExistsError):
        create(tmp_path / "crm.db", start=START, end=END)
    assert (tmp_path / "crm.db").read_text() == "mine"


def test_a_seed_always_makes_the_same_crm(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one.db", "two.db", "other.db")]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        create(path, contacts=500, start=START, end=END, seed=seed)
        change(path, start=END, end=LATER, seed=seed)
    one, two, other = map(rows_of, paths)
    assert one == two
    assert one.keys().isdisjoint(other)


def test_times_lie_within_the_bounds_and_some_are_equal(rows: list[Row]) -> None:
    updated = [row["updated_at"] for row in rows]
    assert all(STORED.fullmatch(row[column]) for row in rows for column in ("updated_at", "created_at"))
    assert stored(START) <= min(updated) < stored(START + timedelta(hours=1))
    assert stored(END - timedelta(hours=1)) < max(updated) < stored(END)
    assert all(row["created_at"] <= row["updated_at"] for row in rows)
    assert max(Counter(updated).values()) > 100


def test_people_live_in_at_least_twelve_countries(rows: list[Row]) -> None:
    countries = Counter(row["country"] for row in rows)
    assert len(countries) >= 12
    assert min(countries.values()) > 200
    assert all(re.fullmatch("[A-Z]{2}", country) for country in countries)


def test_ids_are_like_salesforces(rows: list[Row]) -> None:
    assert all(re.fullmatch(r"003\w{12}(\w{3})?", row["id"]) for row in rows)
    assert {len(row["id"]) for row in rows} == {15, 18}


@pytest.mark.parametrize(
    "shape",
    [
        r"0\d+[ -].*",  # national with its trunk zero
        r"\(\d+\) .*",  # parentheses
        r"\d+(\.\d+)+",  # dots
        r"\d+(-\d+)+",  # dashes
        r"00\d+ .*",  # 00 for +
        r"\+\d+ .*",  # + with spaces
        r"\+\d{8,}",  # + without
        r"49 \d+ \d+",  # the own country code without +
        r"\+\d+ \(0\).*",  # (0)
        r".* ext\. \d+",
        r".* x\d+",
        r".* Durchwahl \d+",
        r".* \(work\)",
        *map(re.escape, WRONG_NUMBERS),
    ],
)
def test_numbers_are_typed_in_every_shape(numbers: list[str], shape: str) -> None:
    assert sum(bool(re.fullmatch(shape, number)) for number in numbers) >= 5


def test_most_numbers_are_valid_where_their_owner_lives(rows: list[Row]) -> None:
    pairs = [(row[column], row["country"]) for row in rows for column in PHONES if row[column]]
    valid = sum(is_valid(*pair) for pair in pairs)
    assert 0.85 < valid / len(pairs) < 0.97


@pytest.mark.parametrize("shape", sample_dirt.SHAPES.values(), ids=sample_dirt.SHAPES.keys())
def test_a_shape_keeps_the_digits_of_the_number(shape: Callable[[phonenumbers.PhoneNumber], str]) -> None:
    number = phonenumbers.parse("+49 30 12345678")
    assert re.sub(r"\D", "", shape(number)).endswith("3012345678")


def is_valid(text: str, country: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, country))
    except phonenumbers.NumberParseException:
        return False


def test_some_values_are_missing(rows: list[Row]) -> None:
    for column in (*PHONES, "email", "job_title", "tags", "favourite_colour"):
        assert 0.05 < sum(row[column] is None for row in rows) / len(rows) < 0.97, column


def test_emails_have_stray_spaces_other_case_and_are_sometimes_none(rows: list[Row]) -> None:
    emails = [row["email"] for row in rows if row["email"]]
    assert sum(email != email.strip() for email in emails) > 100
    assert sum(email != email.lower() for email in emails) > 400
    assert {email for email in emails if email in WRONG_EMAILS} == set(WRONG_EMAILS)


def test_about_four_in_a_hundred_are_second_records_of_one_person(rows: list[Row]) -> None:
    people: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row["last_name"]:
            people[row["account_id"], row["first_name"], row["last_name"]].append(row)
    doubles = [group for group in people.values() if len(group) > 1]
    assert sum(len(group) - 1 for group in doubles) == 200
    assert all(is_one_person(*group) for group in doubles)
    assert sum(group[0]["email"] != group[1]["email"] for group in doubles) > 50


def is_one_person(one: Row, two: Row) -> bool:
    same_phone = any(one[column] and one[column] == two[column] for column in PHONES)
    return same_phone or (same_address(one) == same_address(two) != "")


def test_a_few_records_say_nothing_of_whose_they_are(rows: list[Row]) -> None:
    telling = ("first_name", "last_name", "email", *PHONES)
    assert sum(not any(row[column] for column in telling) for row in rows) == 20


def test_a_switchboard_and_a_mailbox_are_shared_by_many_of_one_account(rows: list[Row]) -> None:
    switchboards: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if row["work_phone"] and is_valid(row["work_phone"], row["country"]):
            parsed = phonenumbers.parse(row["work_phone"], row["country"])
            switchboards[row["account_id"], str(parsed.national_number)] += 1
    mailboxes = Counter(same_address(row) for row in rows if same_address(row).startswith("info@"))
    crowds = switchboards.most_common(CROWDED_ACCOUNTS)
    assert min(count for _, count in crowds) >= 20
    assert len({account for (account, _), _ in crowds}) == CROWDED_ACCOUNTS
    assert len(mailboxes) == CROWDED_ACCOUNTS
    assert min(mailboxes.values()) >= 4


def test_history_holds_deleted_records_and_losers_of_merges(rows: list[Row]) -> None:
    by_id = {row["id"]: row for row in rows}
    losers = [row for row in rows if row["merged_into"]]
    assert 40 <= sum(row["is_deleted"] for row in rows if not row["merged_into"]) <= 60
    assert len(losers) >= 5
    assert all(row["is_deleted"] and is_one_person(row, by_id[row["merged_into"]]) for row in losers)


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Row], dict[str, Row], Life]:
    path = tmp_path_factory.mktemp("life") / "crm.db"
    create(path, start=START, end=END)
    before = rows_of(path)
    counts = change(path, start=END, end=LATER, seed=3)
    return before, rows_of(path), counts


Lived = tuple[dict[str, Row], dict[str, Row], Life]


def written(life: Lived) -> list[Row]:
    before, after, _ = life
    return [row for crm_id, row in after.items() if before.get(crm_id) != row]


def test_a_window_brings_what_was_promised(life: Lived) -> None:
    assert life[2] == Life(changed=60, touched=40, created=30, deleted=20, reindexed=10, duplicated=5, merged=3)


def test_a_window_writes_within_its_bounds_only(life: Lived) -> None:
    counts = life[2]
    rows = written(life)
    assert all(stored(END) <= row["updated_at"] < stored(LATER) for row in rows)
    assert len(rows) == 60 + 40 + 30 + 20 + 2 * counts.reindexed + 5 + 2 * counts.merged


def test_a_window_changes_and_touches(life: Lived) -> None:
    before, _, counts = life
    living = [row for row in written(life) if row["id"] in before and not row["is_deleted"]]
    touched = [row for row in living if business(row) == business(before[row["id"]])]
    assert len(touched) == counts.touched + counts.merged  # each survivor too
    assert len(living) - len(touched) == counts.changed


def test_a_reindexed_record_keeps_its_business_data(life: Lived) -> None:
    before, _, counts = life
    gone = [row for row in written(life) if row["is_deleted"] and not row["merged_into"]]
    new = {business(row): row for row in written(life) if row["id"] not in before}
    moved = [(row, new[business(row)]) for row in gone if business(row) in new]
    assert len(gone) == counts.deleted + counts.reindexed
    assert len(moved) == counts.reindexed
    assert all(old["updated_at"] == heir["created_at"] == heir["updated_at"] for old, heir in moved)


def test_a_merge_marks_the_loser_and_touches_the_survivor(life: Lived) -> None:
    _, after, counts = life
    losers = [row for row in written(life) if row["merged_into"]]
    assert len(losers) == counts.merged
    for loser in losers:
        survivor = after[loser["merged_into"]]
        assert survivor["updated_at"] >= stored(END)
        assert not survivor["is_deleted"]
        assert is_one_person(loser, survivor)


def test_some_people_get_a_second_record(life: Lived) -> None:
    before, _, counts = life
    new = [row for row in written(life) if row["id"] not in before]
    names = {(row["account_id"], row["first_name"], row["last_name"]) for row in before.values()}
    doubles = [row for row in new if (row["account_id"], row["first_name"], row["last_name"]) in names]
    assert len(doubles) == counts.duplicated + counts.reindexed


@pytest.mark.parametrize("contacts", [0, 1, 7, 100])
def test_a_small_crm_lives_less(tmp_path: Path, contacts: int) -> None:
    path = tmp_path / "crm.db"
    create(path, contacts=contacts, start=START, end=END)
    before = rows_of(path)
    counts = change(path, start=END, end=LATER, seed=1)
    after = rows_of(path)
    assert len(before) == contacts
    assert len(after) - len(before) == counts.created + counts.reindexed + counts.duplicated


def test_no_database_is_made_by_changing_one(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        change(tmp_path / "absent.db", start=START, end=END, seed=1)
    assert not (tmp_path / "absent.db").exists()
