from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_sync.contacts.shapes import shape_of


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("Ultramarin blue", "text: 14 letters, 1 space"),
        ("A-1", "text: 1 letter, 1 digit, 1 other"),
        ("", "text: blank"),
        ("4711", "a whole number"),
        ("-3,5", "a number with decimals"),
        ("2026-01-31", "a date"),
        ("2026-01-31T06:00:00Z", "a date and time"),
        ("a@example.com", "an e-mail address"),
        ("www.example.com", "a web address"),
        ("True", "yes or no"),
        (True, "yes or no"),
        (7, "a whole number"),
        (7.5, "a number with decimals"),
        (Decimal("7.00"), "a whole number"),
        (datetime(2026, 1, 31, tzinfo=UTC), "a date and time"),
        (date(2026, 1, 31), "a date"),
        (b"x", "neither text nor number"),
    ],
)
def test_a_shape_in_words(value: object, shape: str) -> None:
    assert shape_of(value) == shape


@given(st.text(alphabet="xyzqXYZQ0 9@.-", min_size=4))
def test_a_shape_never_tells_the_value(text: str) -> None:
    assert len(shape_of(text)) < 80
    assert "x" not in shape_of(text).replace("text", "")
    assert not {"z", "q", "X", "Y", "Z", "Q"} & set(shape_of(text))
