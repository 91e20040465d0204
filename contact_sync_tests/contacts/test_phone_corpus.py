from collections import Counter

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat

from contact_sync.contacts.phone_plans import plan_of
from contact_sync.contacts.phones import PhoneReading, read_phone
from contact_sync_tests.contacts.phone_corpus import (
    BENCH_REGIONS,
    JUNK,
    REGIONS,
    Case,
    cases,
    e164,
    examples,
    rest,
    seeded,
)

CALLERS = ("US", "DE", "AU", "JP", "RU", "BR", "FI", "KR", "SG", "HK", "KZ", "TH", "CO", "KE")


@pytest.fixture(scope="module")
def corpus() -> list[tuple[Case, PhoneReading]]:
    return [(case, read_phone(case.raw, (case.region,))) for region in REGIONS for case in cases(region)]


def test_no_number_of_the_corpus_is_read_as_another(corpus: list[tuple[Case, PhoneReading]]) -> None:
    assert len(corpus) > 95_000
    assert [case for case, read in corpus if read.number not in {case.truth, None}] == []


def test_hardly_any_number_of_the_corpus_is_lost(corpus: list[tuple[Case, PhoneReading]]) -> None:
    lost = Counter(case.shape for case, read in corpus if read.number is None)
    assert lost.total() / len(corpus) <= 0.0025
    assert max(lost.values()) / sum(1 for case, _ in corpus if case.shape == "no plus") < 0.02


def test_what_is_lost_says_why(corpus: list[tuple[Case, PhoneReading]]) -> None:
    held = [read for _, read in corpus if read.number is None]
    assert {read.refused for read in held} == {
        "it can be read as different numbers",
        "it is a placeholder",
        "it may lack its area code",
    }
    assert all(read.alternatives for read in held if read.refused != "it is a placeholder")


def test_what_is_dialled_from_anywhere_to_anywhere_is_never_another_number() -> None:
    read = [
        (read_phone(dialled, (where,)).number, e164(number))
        for region in REGIONS
        for number in examples(region)
        for caller in CALLERS
        for dialled in [phonenumbers.format_out_of_country_calling_number(number, caller)]
        for where in (caller, region)
    ]
    assert [(got, truth) for got, truth in read if got not in {truth, None}] == []
    assert sum(got is None for got, _ in read) / len(read) <= 0.005


def test_a_number_without_its_trunk_prefix_is_never_another_number() -> None:
    read = [
        (read_phone(rest(number), (region,)).number, e164(number))
        for region in REGIONS
        for number in examples(region)
    ]
    assert [(got, truth) for got, truth in read if got not in {truth, None}] == []


@pytest.mark.parametrize("region", ["AT", "DE", "ID", "NL", "SE", "BR", "IT", "VN"])
def test_a_number_that_starts_with_its_country_code_by_chance_is_never_another_number(region: str) -> None:
    plan, rng = plan_of(region), seeded(region)
    assert plan
    tried = 0
    for _ in range(3_000):
        digits = plan.code + "".join(
            rng.choice("0123456789") for _ in range(rng.randrange(4, 12 - len(plan.code)))
        )
        if plan.valid(digits):
            tried += 1
            assert read_phone(digits, (region,)).number in {f"+{plan.code}{digits}", None}
    assert tried


@pytest.mark.parametrize(
    "shape", [PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.RFC3966]
)
def test_a_number_with_a_plus_is_the_same_in_every_country(shape: int) -> None:
    for home in ("US", "DE", "IT", "KR", "SG"):
        for region in REGIONS:
            for number in examples(region):
                assert read_phone(phonenumbers.format_number(number, shape), (home,)).number == e164(number)


@pytest.mark.parametrize("home", [BENCH_REGIONS, tuple(REGIONS)])
def test_hardly_any_junk_is_read_as_a_number(home: tuple[str, ...]) -> None:
    taken = Counter(raw for raw in JUNK for region in home if read_phone(raw, (region,)).number)
    assert taken.total() / (len(JUNK) * len(home)) < 0.01
