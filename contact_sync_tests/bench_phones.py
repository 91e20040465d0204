"""How fast a million dirty phone numbers of 14 countries become E.164, against phonenumbers for each row, and
whether the answers are the ladder's. CPU time, so that neighbours count little. Exits with 1 when a bar is missed.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import phonenumbers
from phonenumbers import PhoneNumberFormat

from contact_sync.contacts.phones import read_phone, read_phones
from contact_sync_tests.bench_twin import say
from contact_sync_tests.contacts.phone_corpus import BENCH_REGIONS, dirty_rows, seeded

RATIO, SEED = 8.0, 14

T = TypeVar("T")


def main() -> None:
    """Read the same rows in three ways and print what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    asked = parser.parse_args()
    rows = list(dirty_rows(asked.rows, seeded(SEED)))
    raws, regions = [raw for raw, _ in rows], [(region,) for _, region in rows]
    say(f"{len(rows):,} rows, {len(set(rows)) / len(rows):.1%} of them distinct, {len(BENCH_REGIONS)} countries")
    for region in BENCH_REGIONS:
        naive("030 1234567", region)
        read_phone("030 1234567", (region,))
    took, plain = timed(lambda: [naive(raw, region) for raw, region in rows])
    say_line("phonenumbers for each row", took, took, rows, plain)
    alone, read = timed(lambda: [read_phone(raw, where) for raw, where in zip(raws, regions, strict=True)])
    say_line("the ladder for each row", alone, took, rows, [one.number for one in read])
    together, column = timed(lambda: read_phones(raws, regions))
    say_line("the column at once", together, took, rows, column.numbers)
    same = sum(
        (number, tuple(how)) == (one.number, tuple(one.without_number()))
        for (number, how), one in zip(column, read, strict=True)
    )
    say(f"the column agrees with the ladder on {same / len(rows):.4%} of the rows")
    sys.exit(same < len(rows) or took / together < RATIO)


def naive(raw: str, region: str) -> str | None:
    """Read a number as most programs do."""
    try:
        number = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        return None
    return (
        phonenumbers.format_number(number, PhoneNumberFormat.E164)
        if phonenumbers.is_valid_number(number)
        else None
    )


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the CPU seconds that some work takes, and its result."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def say_line(
    name: str, took: float, against: float, rows: list[tuple[str, str]], numbers: list[str | None]
) -> None:
    """Print one way of reading."""
    read = sum(number is not None for number in numbers) / len(rows)
    say(f"{name:28}{len(rows) / took:>12,.0f} rows/s{against / took:>8.1f} times{read:>8.1%} read")


if __name__ == "__main__":
    main()
