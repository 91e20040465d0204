import phonenumbers
import pytest
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneNumber

from contact_sync.contacts.phone_plans import country_code, plan_of, plan_of_code, plans_of
from contact_sync_tests.contacts.phone_corpus import examples, rest, seeded

CODES = sorted(COUNTRY_CODE_TO_REGION_CODE)


def number_of(code: int, digits: str) -> PhoneNumber:
    zeros = min(len(digits) - len(digits.lstrip("0")), len(digits) - 1)
    return PhoneNumber(
        country_code=code,
        national_number=int(digits),
        italian_leading_zero=True if zeros else None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )


def examples_of(code: int) -> list[str]:
    if COUNTRY_CODE_TO_REGION_CODE[code] == ("001",):
        number = phonenumbers.example_number_for_non_geo_entity(code)
        return [rest(number)] if number else []
    return [rest(number) for region in COUNTRY_CODE_TO_REGION_CODE[code] for number in examples(region)]


@pytest.mark.parametrize("code", CODES)
def test_valid_is_what_phonenumbers_finds_valid(code: int) -> None:
    rng, plan, known, found = seeded(code), plan_of_code(str(code)), examples_of(code), set()
    for _ in range(120):
        example = rng.choice(known)
        kept, size = rng.randrange(len(example)), max(2, len(example) + rng.choice((0, 0, 0, -2, -1, 1, 2)))
        digits = (example[:kept] + "".join(rng.choice("0123456789") for _ in range(20)))[:size]
        if digits.strip("0"):
            found.add(plan.valid(digits))
            assert plan.valid(digits) == phonenumbers.is_valid_number(number_of(code, digits))
    assert found == {True, False}


def test_every_code_is_found_at_the_start_of_its_numbers() -> None:
    assert all(country_code(f"{code}123456") == str(code) for code in CODES)
    assert country_code("0301234") is None
    assert country_code("") is None


@pytest.mark.parametrize(
    ("region", "digits", "inside"),
    [
        ("DE", "0308517545", "308517545"),
        ("DE", "308517545", None),
        ("IT", "061234567", None),
        ("HU", "0612345678", "12345678"),
        ("BR", "0311198765432", "1198765432"),
        ("AR", "0111523456789", "91123456789"),
        ("AG", "4641234", "2684641234"),
    ],
)
def test_a_trunk_prefix_is_taken_away_as_the_country_dials_it(
    region: str, digits: str, inside: str | None
) -> None:
    (plan,) = plans_of((region,))
    assert plan.without_trunk(digits) == inside


@pytest.mark.parametrize(
    ("region", "digits", "written", "first"),
    [
        ("DE", "308517545", True, 2),
        ("US", "2125708393", False, 3),
        ("RU", "4951234567", False, 3),
        ("SE", "468123456", True, 2),
    ],
)
def test_a_country_writes_a_number_in_its_way(
    region: str,
    digits: str,
    written: bool,  # noqa: FBT001 -- parametrized
    first: int,
) -> None:
    (plan,) = plans_of((region,))
    assert plan.writes_trunk(digits) is written
    assert plan.first_group(digits) == first


def test_only_countries_have_plans() -> None:
    assert plan_of("ZZ") is None
    assert plan_of("Germany") is None
    assert [plan.code for plan in plans_of(("ZZ", "US", "", "DE"))] == ["1", "49"]
