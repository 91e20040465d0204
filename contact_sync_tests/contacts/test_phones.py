from collections.abc import Iterator

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType

from contact_sync.contacts.phones import is_region, read_phone

KINDS = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.TOLL_FREE, PhoneNumberType.VOIP)
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)


@pytest.mark.parametrize(
    ("raw", "region", "number"),
    [
        # Written internationally: no region is needed, and a wrong one does no harm.
        ("+49 30 8517545", None, "+49308517545"),
        ("+49308517545 (work)", None, "+49308517545"),
        ("+49 (0)30 8517545", "US", "+49308517545"),
        ("0049 (0) 30 / 8517545", "DE", "+49308517545"),
        ("tel:+1-212-570-8393", "DE", "+12125708393"),
        ("00 44 20 7946 0018", None, "+442079460018"),
        ("001 212 570 8393", "US", "+12125708393"),
        ("0055 31 98765 4321", "BR", "+5531987654321"),
        ("+39 06 1234567", None, "+39061234567"),
        ("\uff0b\uff14\uff19 \uff13\uff10 8517545", None, "+49308517545"),
        ("\u202a+49\xa030\xa08517545\u202c", None, "+49308517545"),
        # Written nationally: the region tells.
        ("030 8517545", "DE", "+49308517545"),
        ("(030) 8517-545", "DE", "+49308517545"),
        ("030 851754-0", "DE", "+49308517540"),
        ("Tel.: 030 8517545", "DE", "+49308517545"),
        ("06 1234567", "IT", "+39061234567"),
        ("020 7946 0018", "GB", "+442079460018"),
        ("8 (495) 123-45-67", "RU", "+74951234567"),
        ("212.570.8393", "US", "+12125708393"),
        ("1 212 570 8393", "US", "+12125708393"),
        ("011 49 30 8517545", "US", "+49308517545"),
        ("011 15 2345-6789", "AR", "+5491123456789"),
        ("\u0660\u0663\u0660 8517545", "DE", "+49308517545"),
        # A lost plus, and a number that a spreadsheet took for a decimal.
        ("44 20 7946 0018", "GB", "+442079460018"),
        ("442079460018.0", "GB", "+442079460018"),
        # Extensions.
        ("+1 212 570 8393 ext. 42", None, "+12125708393;ext=42"),
        ("(212) 570-8393 x42", "US", "+12125708393;ext=42"),
        ("212-570-8393x042", "US", "+12125708393;ext=042"),
        ("+1 212 570 8393 #42", None, "+12125708393;ext=42"),
        ("030 8517545 Durchwahl 12", "DE", "+49308517545;ext=12"),
        ("+33 1 23 45 67 89 poste 7", None, "+33123456789;ext=7"),
        ("tel:+12125708393;ext=42", None, "+12125708393;ext=42"),
    ],
)
def test_a_number_that_reads_one_way_is_taken(raw: str, region: str | None, number: str) -> None:
    assert read_phone(raw, region).number == number


@pytest.mark.parametrize(
    ("raw", "region", "reason"),
    [
        ("", "DE", "placeholder"),
        ("n/a", "DE", "letters"),
        ("1-800-FLOWERS", "US", "letters"),
        ("4.91709291197E+11", "DE", "letters"),
        ("110", "DE", "too short"),
        ("ext 1234567", "US", "too short"),
        ("0000000000", "DE", "placeholder"),
        ("+49 000 0000000", None, "not a valid number"),
        ("+1 111 111 1111", None, "placeholder"),
        ("123456789", "DE", "placeholder"),
        ("9876543210", "US", "placeholder"),
        ("555-0100", "US", "not a valid number of US"),
        ("+1 (555) 123-4567", "US", "not a valid number"),
        ("+49 30 85175451234567", None, "not a valid number"),
        ("030 8517545", None, "its country is missing"),
        ("030 8517545", "US", "not a valid number of US"),
        ("+0 30 8517545", "DE", "not a valid number"),
        ("491709291197", "DE", "two different numbers"),
        ("030 8517545 / 030 8517546", "DE", "two numbers"),
        ("030 8517545/46", "DE", "two endings"),
        ("+49 30 8517545 +49 30 8517546", None, "two numbers"),
        ("030 8517545, 030 8517546", "DE", "signs"),
        ("+49 30 8517545,,12", None, "signs"),
        ("+49 30 851754?", None, "signs"),
        ("*31#0308517545", "DE", "signs"),
    ],
)
def test_any_other_is_refused_with_a_reason_that_does_not_repeat_it(
    raw: str, region: str | None, reason: str
) -> None:
    reading = read_phone(raw, region)
    assert reading.number is None
    assert reason in str(reading.refused)
    assert not raw or raw not in str(reading.refused)


def examples(region: str) -> Iterator[PhoneNumber]:
    for kind in KINDS:
        number = phonenumbers.example_number_for_type(region, kind)
        if number and phonenumbers.is_valid_number(number):
            yield number


def e164(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def international_shapes(number: PhoneNumber, region: str) -> Iterator[str]:
    """Yield ways to write a number that name its country."""
    plain = e164(number)
    spaced = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    code, rest = str(number.country_code), phonenumbers.national_significant_number(number)
    yield from (plain, spaced, phonenumbers.format_number(number, PhoneNumberFormat.RFC3966))
    yield from (plain.replace("+", "00"), spaced.replace("+", "00 "))
    yield from (spaced.replace(" ", ".").replace("-", "."), spaced.replace(" ", "\xa0"), f"\u202a{spaced}\u202c")
    yield from (f"+{code} ({rest[:2]}) {rest[2:]}", f"{plain} (work)", f"Mobile: {spaced}")
    if trunk := phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True):
        yield from (f"+{code} ({trunk}) {rest}", f"00{code}({trunk}){rest}")


def national_shapes(number: PhoneNumber) -> Iterator[str]:
    """Yield ways to write a number that leave its country to the record."""
    national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    digits = e164(number).removeprefix("+")
    yield from (national, national.replace(" ", ""), f"Tel: {national}", national.replace(" ", "-"))
    yield from (digits, f"{digits}.0", phonenumbers.national_significant_number(number))


@pytest.mark.parametrize("region", REGIONS)
def test_no_example_is_read_as_another_number(region: str) -> None:
    for number in examples(region):
        shapes = [*international_shapes(number, region), *national_shapes(number)]
        read = {shape: read_phone(shape, region).number for shape in shapes}
        assert {shape: got for shape, got in read.items() if got not in {e164(number), None}} == {}
        assert read[e164(number)] == e164(number)


def test_nearly_every_example_is_read_in_every_shape() -> None:
    wanted = [
        read_phone(shape, region).number == e164(number)
        for region in REGIONS
        for number in examples(region)
        for shape in (*international_shapes(number, region), *national_shapes(number))
    ]
    assert sum(wanted) / len(wanted) > 0.98


@given(home=st.sampled_from(REGIONS), abroad=st.sampled_from(REGIONS))
def test_a_foreign_region_does_not_bend_a_number_that_names_its_country(home: str, abroad: str) -> None:
    for number in examples(home):
        assert {read_phone(shape, abroad).number for shape in international_shapes(number, home)} <= {
            e164(number),
            None,
        }
        assert read_phone(e164(number), abroad).number == e164(number)


@given(raw=st.text(alphabet="0123456789+()-./# x,", max_size=24), region=st.sampled_from([None, *REGIONS]))
def test_what_is_read_is_valid_and_reads_as_itself(raw: str, region: str | None) -> None:
    reading = read_phone(raw, region)
    assert (reading.number is None) != (reading.refused is None)
    if reading.number:
        assert read_phone(reading.number, None) == reading
        assert phonenumbers.is_valid_number(phonenumbers.parse(reading.number, None))


def test_regions_are_countries_with_a_numbering_plan() -> None:
    assert is_region("DE")
    assert not is_region("ZZ")
    assert not is_region("Germany")
    assert not is_region("")


def test_no_number_shows_in_a_repr() -> None:
    assert "49308517545" not in repr(read_phone("+49 30 8517545", None))
