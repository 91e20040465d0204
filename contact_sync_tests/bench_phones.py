"""How fast a million dirty phone numbers of 14 countries become E.164, against phonenumbers for each row, and
whether the answers are the ladder's. CPU time, so that neighbours count little; on every core wall time, the
processes started. Exits with 1 when a bar is missed.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import phonenumbers
from phonenumbers import PhoneNumberFormat

from contact_sync.contacts.phones import read_phone, read_phones
from contact_sync.steps.workers import workers
from contact_sync_tests.bench_twin import say
from contact_sync_tests.contacts.phone_corpus import BENCH_REGIONS, dirty_rows, seeded

RATIO, SEED, PIECE = 8.0, 14, 125_000

T = TypeVar("T")


def main() -> None:
    """Read the same rows in four ways and print what each took."""
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
    with workers(len(rows)) as running:
        list(running.map(_numbers, [(raws[:PIECE], regions[:PIECE])] * 2))  # started, and the patterns compiled
        pieces = [(raws[at : at + PIECE], regions[at : at + PIECE]) for at in range(0, len(rows), PIECE)]
        every_core, parts = timed(lambda: list(running.map(_numbers, pieces)), time.perf_counter)
    say_line("the column on every core", every_core, took, rows, [number for part in parts for number in part])
    say(f"the column agrees with the ladder on {same / len(rows):.4%} of the rows")
    sys.exit(same < len(rows) or took / every_core < RATIO)


def _numbers(piece: tuple[list[str], list[tuple[str]]]) -> list[str | None]:
    return read_phones(*piece).numbers


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


def timed(work: Callable[[], T], clock: Callable[[], float] = time.process_time) -> tuple[float, T]:
    """Return the CPU seconds that some work takes, or those of another clock, and its result."""
    started = clock()
    result = work()
    return clock() - started, result


def say_line(
    name: str, took: float, against: float, rows: list[tuple[str, str]], numbers: list[str | None]
) -> None:
    """Print one way of reading."""
    read = sum(number is not None for number in numbers) / len(rows)
    say(f"{name:28}{len(rows) / took:>12,.0f} rows/s{against / took:>8.1f} times{read:>8.1%} read")


if __name__ == "__main__":
    main()
