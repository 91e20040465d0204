import re
from itertools import pairwise

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contact_sync.contacts.phones import is_region, read_phone
from contact_sync_tests.contacts.phone_corpus import (
    ABROAD,
    EXTENSIONS,
    REGIONS,
    cases_of,
    e164,
    random_number,
    seeded,
)

STEPS = {
    *("characters", "quotes", "spreadsheet", "uri", "carrier", "extension", "label", "repeated", "letters"),
    *("idd", "idd_abroad", "national", "trunk", "lost_trunk", "area_code", "lost_plus", "bracketed_zero"),
}

texts = st.text(max_size=40) | st.text(alphabet="0123456789+()-./# x,;abe\u2013\uff10", max_size=30)
regions = st.lists(st.sampled_from(REGIONS), max_size=3).map(tuple)
numbers = st.builds(
    lambda region, seed: (region, random_number(region, seeded(seed))),
    st.sampled_from([region for region in REGIONS if region != "TA"]),
    st.integers(0, 2**32),
)


@pytest.mark.parametrize(
    ("raw", "region", "number"),
    [
        # Written internationally: no region is needed, and a wrong one does no harm.
        ("+49 30 8517545", "", "+49308517545"),
        ("+49308517545 (work)", "", "+49308517545"),
        ("+49 (0)30 8517545", "US", "+49308517545"),
        ("0049 (0) 30 / 8517545", "DE", "+49308517545"),
        ("(+49)(0)30 8517545", "", "+49308517545"),
        ("+0049 30 8517545", "", "+49308517545"),
        ("+48 (0)22 123 45 67", "", "+48221234567"),
        ("+1 (0)212 570 8393", "", "+12125708393"),
        ("tel:+1-212-570-8393", "DE", "+12125708393"),
        ("tel:8517545;phone-context=+49-30", "", "+49308517545"),
        ("00 44 20 7946 0018", "", "+442079460018"),
        ("001 212 570 8393", "US", "+12125708393"),
        ("0055 31 98765 4321", "BR", "+5531987654321"),
        ("+39 06 1234567", "", "+39061234567"),
        ("+39 (0)6 1234567", "", "+39061234567"),
        ("\uff0b\uff14\uff19 \uff13\uff10 8517545", "", "+49308517545"),
        ("\u202a+49\xa030\xa08517545\u202c", "", "+49308517545"),
        ("+49 (mobil) 170 9291197", "", "+491709291197"),
        ("+49 30 8517545 / 030 8517545", "DE", "+49308517545"),
        # The same number, whatever the region knows of it.
        ("+1-800-555-0199", "", "+18005550199"),
        ("18005550199", "US", "+18005550199"),
        ("0018005550199", "US", "+18005550199"),
        ("0018005550199", "DE", "+18005550199"),
        # Written nationally: the region tells.
        ("030 8517545", "DE", "+49308517545"),
        ("(030) 8517-545", "DE", "+49308517545"),
        ("030 851754-0", "DE", "+49308517540"),
        ("Tel.: 030 8517545", "DE", "+49308517545"),
        ("Tel 2: 030 8517545", "DE", "+49308517545"),
        ("Tel (0)30 8517545", "DE", "+49308517545"),
        ("2. 030 8517545", "DE", "+49308517545"),
        ("030 8517545 (after 5pm)", "DE", "+49308517545"),
        ("030 8517545 ab 17 Uhr", "DE", "+49308517545"),
        ("01 23 45 67 88 h", "FR", "+33123456788"),
        ("06/12/34/56/77", "FR", "+33612345677"),
        ("06 1234567", "IT", "+39061234567"),
        ("020 7946 0018", "GB", "+442079460018"),
        ("8 (495) 123-45-67", "RU", "+74951234567"),
        ("212.570.8393", "US", "+12125708393"),
        ("1 212 570 8393", "US", "+12125708393"),
        ("011 15 2345-6789", "AR", "+5491123456789"),
        ("(0xx11) 2345-6789", "BR", "+551123456789"),
        ("464 1234", "AG", "+12684641234"),
        ("\u0660\u0663\u0660 8517545", "DE", "+49308517545"),
        ('="\'0308517545"', "DE", "+49308517545"),
        # As dialled abroad, from the record's country or another.
        ("011 49 30 8517545", "US", "+49308517545"),
        ("0011 49 30 8517545", "AU", "+49308517545"),
        ("010 49 30 8517545", "JP", "+49308517545"),
        ("8~10 49 30 8517545", "RU", "+49308517545"),
        ("011 33 1 42 68 53 00", "FR", "+33142685300"),
        # A lost plus or trunk prefix, and a number that a spreadsheet took for a decimal.
        ("44 20 7946 0018", "GB", "+442079460018"),
        ("442079460018.0", "GB", "+442079460018"),
        ("491709291197", "DE", "+491709291197"),
        ("4.91709291197E+11", "DE", "+491709291197"),
        ("1709291197", "DE", "+491709291197"),
        # Extensions.
        ("+1 212 570 8393 ext. 42", "", "+12125708393;ext=42"),
        ("(212) 570-8393 x42", "US", "+12125708393;ext=42"),
        ("212-570-8393x042", "US", "+12125708393;ext=042"),
        ("+1 212 570 8393 #42", "", "+12125708393;ext=42"),
        ("+1 212 570 8393-42#", "", "+12125708393;ext=42"),
        ("+49 30 8517545,,12", "", "+49308517545;ext=12"),
        ("030 8517545 Durchwahl 12", "DE", "+49308517545;ext=12"),
        ("+33 1 23 45 67 89 poste 7", "", "+33123456789;ext=7"),
        ("tel:+12125708393;ext=42", "", "+12125708393;ext=42"),
        # Letters for digits, where the country has them.
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("+1 800 GO-FEDEX", "", "+18004633339"),
    ],
)
def test_a_number_that_reads_one_way_is_taken(raw: str, region: str, number: str) -> None:
    assert read_phone(raw, (region,)).number == number


@pytest.mark.parametrize(
    ("raw", "region", "reason"),
    [
        ("", "DE", "no digits"),
        ("n/a", "DE", "no digits"),
        ("110", "DE", "too short"),
        ("ext 1234567", "US", "no digits"),
        ("0000000000", "DE", "placeholder"),
        ("+49 000 0000000", "", "not a valid number"),
        ("123456789", "DE", "placeholder"),
        ("1234567890", "US", "placeholder"),
        ("5555555555", "US", "placeholder"),
        ("9876543210", "US", "placeholder"),
        ("90000000", "NO", "placeholder"),
        ("2024-05-03", "DK", "a date"),
        ("ana1234567@example.com", "DE", "e-mail"),
        ("4.91709E+11", "DE", "spreadsheet has cut"),
        ("555-0100", "US", "not a valid number of US"),
        ("+1 (555) 123-4567", "US", "not a valid number"),
        ("+49 30 85175451234567", "", "not a valid number"),
        ("030 8517545", "", "its country is missing"),
        ("030 8517545", "US", "not a valid number of US"),
        ("+0 30 8517545", "DE", "not a valid number"),
        ("+8 (495) 123-45-67", "RU", "not a valid number"),
        ("1-800-FLOWERS", "DE", "not a valid number of DE"),
        ("DE287654321", "DE", "letters"),
        ("030 85175xx", "DE", "letters"),
        ("Kundennummer 0308517545", "DE", "something else"),
        ("Anna 1709291197", "DE", "words stand beside it"),
        ("030 851 75 45 h", "DE", "may belong to the words"),
        ("030 8517545 24h", "DE", "may belong to the words"),
        ("030 8517545 2. Stock", "DE", "may belong to the words"),
        ("030 8517545 / 030 8517546", "DE", "two numbers"),
        ("030 8517545, 030 8517546", "DE", "two numbers"),
        ("030 123456 (privat) 0401234", "DE", "two numbers"),
        ("+49 30 8517545 +49 30 8517546", "", "two numbers"),
        ("030 8517545/46", "DE", "two endings"),
        ("+49 30 851754?", "", "signs"),
        ("*31#0308517545", "DE", "signs"),
        ("8517545", "DE", "may lack its area code"),
        ("030 8517545 Anna " * 20, "DE", "a whole text"),
    ],
)
def test_any_other_is_refused_with_a_reason_that_does_not_repeat_it(raw: str, region: str, reason: str) -> None:
    reading = read_phone(raw, (region,))
    assert reading.number is None
    assert reason in str(reading.refused)
    assert not re.search(r"\d", f"{reading.refused}{reading.steps}")


@pytest.mark.parametrize(
    ("raw", "regions", "alternatives"),
    [
        ("468123456", ("SE",), ("+46468123456", "+468123456")),
        ("15123456789", ("DE",), ("+15123456789", "+4915123456789")),
        ("390 1234567", ("IT",), ("+3901234567", "+393901234567")),
        ("(212) 570-8393", ("DE", "US"), ("+12125708393", "+492125708393")),
        ("030 8517545", ("US", "DE"), ("+49308517545",)),
        ("18005550199", (), ("+18005550199",)),
        ("030 8517545 / 0170 9291197", ("DE",), ("+491709291197", "+49308517545")),
    ],
)
def test_a_number_that_reads_several_ways_is_held_with_its_alternatives(
    raw: str, regions: tuple[str, ...], alternatives: tuple[str, ...]
) -> None:
    reading = read_phone(raw, regions)
    assert (reading.number, reading.confidence) == (None, None)
    assert reading.alternatives == alternatives


@pytest.mark.parametrize(
    ("raw", "regions", "steps", "confidence"),
    [
        ("+49308517545", (), (), "certain"),
        ("0170 9291197", ("DE",), ("national", "trunk"), "certain"),
        ("'+49 (0)30 8517545 ext. 4 ", ("DE",), ("quotes", "extension", "trunk"), "certain"),
        ("+48 (0)22 123 45 67", (), ("bracketed_zero",), "certain"),
        ("491709291197", ("DE",), ("lost_plus",), "likely"),
        ("491709291197", ("FR", "DE"), ("lost_plus",), "weak"),
        ("1709291197", ("DE",), ("national", "lost_trunk"), "likely"),
        ("011 33 1 42 68 53 00", ("FR",), ("idd_abroad",), "likely"),
        ("464 1234", ("AG",), ("national", "area_code"), "likely"),
        ("1-800-FLOWERS", ("US",), ("label", "letters"), "likely"),
    ],
)
def test_a_number_keeps_how_it_was_read(
    raw: str, regions: tuple[str, ...], steps: tuple[str, ...], confidence: str
) -> None:
    reading = read_phone(raw, regions)
    assert (reading.steps, reading.confidence) == (steps, confidence)


def test_one_region_can_be_given_as_text() -> None:
    assert read_phone("030 8517545", "DE") == read_phone("030 8517545", ("DE",))


@given(raw=texts, where=regions)
def test_any_text_is_read_or_refused_and_what_is_read_reads_as_itself(raw: str, where: tuple[str, ...]) -> None:
    reading = read_phone(raw, where)
    assert (reading.number is None) != (reading.refused is None)
    assert set(reading.steps) <= STEPS
    if reading.number:
        again = read_phone(reading.number, where)
        assert (again.number, again.confidence) == (reading.number, "certain")
        assert phonenumbers.is_valid_number(phonenumbers.parse(str(reading.e164)))


@given(number=numbers, home=regions)
def test_e164_reads_as_itself_anywhere(
    number: tuple[str, phonenumbers.PhoneNumber], home: tuple[str, ...]
) -> None:
    assert read_phone(e164(number[1]), home).number == e164(number[1])


@settings(deadline=None)
@given(number=numbers)
def test_a_number_is_the_same_in_every_shape_or_none(number: tuple[str, phonenumbers.PhoneNumber]) -> None:
    region, truth = number
    read = {case: read_phone(case.raw, (region,)).number for case in cases_of(truth, region)}
    assert {case: got for case, got in read.items() if got not in {case.truth, None}} == {}


@given(number=numbers, abroad=st.sampled_from(REGIONS))
def test_a_foreign_region_does_not_bend_a_number_that_names_its_country(
    number: tuple[str, phonenumbers.PhoneNumber], abroad: str
) -> None:
    home, truth = number
    shapes = [shape(truth, home) for shape in ABROAD.values()]
    assert {read_phone(raw, (abroad,)).number for raw in shapes if raw} <= {e164(truth), None}


@given(raw=texts | numbers.map(lambda number: phonenumbers.format_number(number[1], 2)), where=regions)
def test_a_later_region_never_changes_a_number_only_holds_it(raw: str, where: tuple[str, ...]) -> None:
    read = [read_phone(raw, where[:length]).number for length in range(1, len(where) + 1)]
    for earlier, later in pairwise(read):
        assert later in {earlier, None} or earlier is None


@pytest.mark.parametrize("pattern", EXTENSIONS)
def test_an_extension_survives(pattern: str) -> None:
    for written in ("+1 212 570 8393", "(212) 570-8393"):
        assert read_phone(pattern.format(written), ("US",)).number == "+12125708393;ext=42"


def test_regions_are_countries_with_a_numbering_plan() -> None:
    assert is_region("DE")
    assert not is_region("ZZ")
    assert not is_region("Germany")
    assert not is_region("")


def test_no_number_shows_in_a_repr() -> None:
    held = read_phone("468123456", ("SE",))
    assert not re.search(r"\d", f"{read_phone('+49 30 8517545 x42')!r}{held!r}{held}")
