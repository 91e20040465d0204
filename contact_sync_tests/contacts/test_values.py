import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_sync.contacts import values
from contact_sync.contacts.fields import LARGEST_NUMBER, MAX_TAGS
from contact_sync.contacts.values import Read, Reading, RefusedValueError, clean, strip_html
from contact_sync.simulator import coretypes

LIMIT = 100
READERS: dict[str, Read] = {
    "text": values.words_of(LIMIT),
    "longtext": values.long_words_of(1000),
    "url": values.url_of(200),
    "identifier": values.identifier_of(LIMIT),
    "enum": values.choice_of(("Gold", "silver")),
    "date": values.day,
    "datetime": values.moment,
    "integer": values.integer,
    "number": values.number,
    "checkbox": values.checkbox,
    "tag": values.tags_of(LIMIT),
}
AS_JSON: dict[str, Callable[[str], object]] = {
    "integer": int,
    "number": float,
    "checkbox": "true".__eq__,
    "tag": json.loads,
}


@pytest.mark.parametrize(
    ("type_", "raw", "text"),
    [
        ("text", "  two\n words\u00a0", "two words"),
        ("text", "<p>Fish &amp; <b>chips</b></p>", "Fish & chips"),
        ("text", "a < b and c > d", "a < b and c > d"),
        ("longtext", " one \r\n\r\n two\t2 ", "one\n\ntwo 2"),
        ("longtext", "one<br/>two<script>alert('<p>')</script>", "one\ntwo"),
        ("url", "www.example.com/a?b", "https://www.example.com/a?b"),
        ("url", "http://example.com", "http://example.com"),
        ("identifier", " K-17 ", "K-17"),
        ("enum", "GOLD", "Gold"),
        ("enum", "silver", "silver"),
        ("date", "2026-01-31", "2026-01-31"),
        ("date", "2026-01-31 23:59:59+02:00", "2026-01-31"),
        ("datetime", "2026-01-31T06:00:00+02:00", "2026-01-31T04:00:00.000Z"),
        ("datetime", "2026-01-31 06:00:00.123456", "2026-01-31T06:00:00.123Z"),
        ("datetime", "2026-01-31", "2026-01-31T00:00:00.000Z"),
        ("integer", "42", "42"),
        ("integer", "-7.000", "-7"),
        ("integer", "1E3", "1000"),
        ("number", "12.50", "12.5"),
        ("number", "-0.0", "0"),
        ("number", "0.1234567890123456789", "0.12345678901234568"),
        ("checkbox", "Yes", "true"),
        ("checkbox", "0", "false"),
        ("tag", "vip; trade fair;vip;", '["vip", "trade fair"]'),
        ("tag", "a,b|c\nd", '["a", "b", "c", "d"]'),
        ("tag", "Smith, John; Müller", '["Smith, John", "Müller"]'),
        ("tag", '["a;b", "c"]', '["a;b", "c"]'),
    ],
)
def test_a_value_becomes_what_its_type_takes(type_: str, raw: str, text: str) -> None:
    assert READERS[type_](raw).text == text


@pytest.mark.parametrize(
    ("type_", "raw", "why"),
    [
        ("url", "secret", "it is not a web address"),
        ("url", "ftp://secret.example", "it is not a web address"),
        ("url", "https://secret.example/" + "x" * 200, "it is longer than 200 characters"),
        ("identifier", "secret" * 20, "it is longer than 100 characters"),
        ("enum", "secret", "it is none of its options"),
        ("date", "31.01.2026", "it is not a date as in 2026-01-31"),
        ("date", "2026-02-30", "it is not a date as in 2026-01-31"),
        ("datetime", "secret", "it is not a time as in 2026-01-31T06:00:00Z"),
        ("datetime", "0001-01-01T00:00:00+14:00", "it is not a time as in 2026-01-31T06:00:00Z"),
        ("integer", "4.5", "it is not a whole number"),
        ("integer", "1,234", "it is not a whole number"),
        ("integer", "NaN", "it is not a whole number"),
        ("integer", "1_000", "it is not a whole number"),
        ("integer", str(LARGEST_NUMBER + 1), "it is larger than Genesys takes"),
        ("number", "secret", "it is not a number"),
        ("number", "Infinity", "it is not a number"),
        ("number", "1e400", "it is larger than Genesys takes"),
        ("checkbox", "secret", "it is neither yes nor no"),
    ],
)
def test_a_value_that_its_type_does_not_take_is_refused_without_being_told(type_: str, raw: str, why: str) -> None:
    with pytest.raises(RefusedValueError) as refused:
        READERS[type_](raw)
    assert str(refused.value) == why


@pytest.mark.parametrize("type_", READERS)
@pytest.mark.parametrize("raw", ["", "  ", "\x00\n"])
def test_nothing_is_no_value_of_any_type(type_: str, raw: str) -> None:
    assert READERS[type_](raw).text == ""


@pytest.mark.parametrize(
    ("read", "raw", "reading"),
    [
        (values.words_of(5), "<i>one two</i>", Reading("one t", ("HTML removed", "cut to 5 characters"))),
        (values.text_of(4), "one two", Reading("one", ("cut to 4 characters",))),
        (values.long_words_of(9), "one\ntwo\nthree", Reading("one\ntwo\nt", ("cut to 9 characters",))),
        (values.tags_of(3), "long; lonely", Reading('["lon"]', ("cut to 3 characters",))),
    ],
)
def test_what_is_taken_away_is_told(read: Read, raw: str, reading: Reading) -> None:
    assert read(raw) == reading


def test_a_contact_has_ten_tags_at_most() -> None:
    reading = READERS["tag"](";".join(f"t{one}" for one in range(MAX_TAGS + 3)))
    assert json.loads(reading.text) == [f"t{one}" for one in range(MAX_TAGS)]
    assert reading.notes == ("cut to 10 tags",)


@pytest.mark.parametrize(
    ("name", "raw", "text"),
    [
        ("lower", "ABC", "abc"),
        ("upper", "abc", "ABC"),
        ("first_line", "\n one\ntwo", " one"),
        ("strip_html", "<b>x", "x"),
    ],
)
def test_transforms(name: values.Transform, raw: str, text: str) -> None:
    assert values.TRANSFORMS[name](raw) == text


TEXTS = st.text(max_size=40) | st.from_regex(r"[-+]?[0-9]{1,18}(\.[0-9]{1,9})?(e[0-9])?", fullmatch=True)
MOMENTS = st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
OPTIONS = st.sampled_from(["gold", "Silver", "yes", "www.example.com", "a;b", "<b>x</b>"])


@given(raw=TEXTS | MOMENTS | OPTIONS)
@pytest.mark.parametrize("type_", READERS)
def test_whatever_the_crm_holds_genesys_takes_what_is_not_refused(type_: str, raw: str) -> None:
    try:
        text = READERS[type_](raw).text
    except RefusedValueError:
        return
    if text:
        definition = {"allOf": [{"$ref": f"#/definitions/{type_}"}], "enum": ["Gold", "silver"]}
        value = AS_JSON.get(type_, str)(text)
        assert coretypes.faults({"x": value}, {"x": definition}) == []
        assert READERS[type_](text).text == text  # what was delivered is as it is when it is read again


@given(st.text())
def test_clean_text_is_one_line_and_stays(text: str) -> None:
    assert clean(clean(text)) == clean(text)
    assert clean(text) == " ".join(clean(text).split())
    assert "\x00" not in clean(text)


@given(st.text(alphabet="<>/!- abcsript&;#39", max_size=200))
def test_markup_of_any_kind_is_read_to_its_end(text: str) -> None:
    strip_html(text)
    if "<" not in text and "&" not in text:
        assert strip_html(text) == text
