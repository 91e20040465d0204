from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contact_sync.contacts import phone_frames
from contact_sync.contacts.phones import read_phone, read_phones
from contact_sync_tests.contacts.phone_corpus import JUNK, REGIONS, cases, dirty_rows, seeded

Row = tuple[str, tuple[str, ...]]


def differences(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that a column answers otherwise than the ladder."""
    column = read_phones([raw for raw, _ in rows], [where for _, where in rows])
    read = [read_phone(raw, where) for raw, where in rows]
    return [
        row
        for row, (number, how), one in zip(rows, column, read, strict=True)
        if (number, tuple(how)) != (one.number, tuple(one.without_number()))
    ]


def test_a_column_is_read_as_the_ladder_reads_each() -> None:
    rng = seeded(4)
    rows: list[Row] = [(case.raw, (case.region,)) for region in REGIONS for case in cases(region)]
    rows += [(raw, (region,)) for raw, region in dirty_rows(12_000, rng)]
    rows += [(raw, ("DE", "US")) for raw, _ in dirty_rows(1_000, rng)]
    rows += [(raw, ("US", "AT")) for raw, _ in dirty_rows(1_000, rng)]
    rows += [(raw, ()) for raw, _ in dirty_rows(1_000, rng)]
    rows += [(raw, (region,)) for raw in JUNK for region in ("US", "DE", "FR", "IT", "DK")]
    rng.shuffle(rows)
    assert len(rows) > 100_000
    assert differences(rows) == []


@pytest.fixture
def _always_easy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone_frames, "FEWEST_TEXTS", 1)


digits = st.text(alphabet="0123456789", min_size=4, max_size=13)
written = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(
            ["", "+", "00", "0", "+49", "0049 ", "49", "+1 ", "1", "8", "011", "'", "Tel ", "Anna, ", "("]
        ),
        st.lists(st.sampled_from([" ", "-", "/", ".", "(0)", ")", ") ", ""]), max_size=3).flatmap(
            lambda signs: st.tuples(digits, *(st.tuples(st.just(sign), digits) for sign in signs)).map(
                lambda parts: "".join(str(part) if isinstance(part, str) else "".join(part) for part in parts)
            )
        ),
        st.sampled_from(
            ["", " ", ".0", " h", " x12", ",12", " (work)", " Mr Smith", " order", "#12", " dw 3", "'", " 2"]
        ),
    ),
)


@pytest.mark.usefixtures("_always_easy")
@settings(deadline=None, max_examples=100)
@given(
    raws=st.lists(written, max_size=6),
    where=st.lists(st.sampled_from(["DE", "US", "IT", "BR", "KR", "SE", "RU", "AU", "AG", "NL"]), max_size=2).map(
        tuple
    ),
)
def test_whatever_looks_easy_is_read_as_the_ladder_reads_it(raws: list[str], where: tuple[str, ...]) -> None:
    assert differences([(raw, where) for raw in raws]) == []


def test_an_empty_column_is_read() -> None:
    assert list(read_phones([], [])) == []


def test_no_number_is_kept_with_the_ways_of_reading() -> None:
    column = read_phones(["030 8517545 x42", "+49 30 8517545"], [("DE",), ("DE",)])
    assert column.numbers == ["+49308517545;ext=42", "+49308517545"]
    assert [(how.e164, how.extension) for how in column.readings] == [(None, "")] * 2
    assert "8517545" not in repr(column)
