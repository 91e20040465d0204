import re

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_sync.contacts.redaction import _PATTERNS, BLOT, KINDS, SUSPICIOUS, Redactor

ALL = Redactor(KINDS, {})
SEEN = [
    ("payment_card", "4111 1111 1111 1111", "a payment card number"),
    ("payment_card", "5500-0000-0000-0004", "a payment card number"),
    ("payment_card", "378282246310005", "a payment card number"),
    ("payment_card", "30569309025904", "a payment card number"),
    ("iban", "DE89 3704 0044 0532 0130 00", "a bank account number"),
    ("iban", "gb29nwbk60161331926819", "a bank account number"),
    ("us_ssn", "078-05-1120", "a national id (us_ssn)"),
    ("uk_nino", "AB 12 34 56 C", "a national id (uk_nino)"),
    ("fr_nir", "2 55 08 14 168 025 38", "a national id (fr_nir)"),
    ("es_nif", "12345678Z", "a national id (es_nif)"),
    ("es_nif", "X1234567L", "a national id (es_nif)"),
    ("it_codice_fiscale", "RSSMRA85T10A562S", "a national id (it_codice_fiscale)"),
    ("br_cpf", "111.444.777-35", "a national id (br_cpf)"),
    ("secret", "Password: hunter22", "a secret"),
    ("secret", "PIN is 4711", "a secret"),
    ("secret", "api-key=abcdef", "a secret"),
    ("secret", "AKIAIOSFODNN7EXAMPLE", "a secret"),
    ("secret", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "a secret"),
    ("secret", "Bearer abcdefghijklmnop1234", "a secret"),
    ("secret", "-----BEGIN RSA PRIVATE KEY-----\nMIIE", "a secret"),
]


@pytest.mark.parametrize(("kind", "text", "what"), SEEN)
def test_what_must_not_be_seen_is_blotted_out_and_named(kind: str, text: str, what: str) -> None:
    assert ALL.redact(f"note {text}") == (f"note {BLOT}", [what])
    assert pc.match_substring_regex(pa.array([text]), SUSPICIOUS).to_pylist() == [True]
    others = Redactor([one for one in KINDS if one != kind], {})
    assert what not in others.redact(text)[1]


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",  # no card: the check digit is wrong
        "1111 1111 1111 1111",
        "0000000000000000",
        "+49 30 8517545",
        "Order 2026-01-31 12345",
        "DE88 3704 0044 0532 0130 00",
        "000-12-3456",
        "12345678A",
        "111.444.777-36",
        "the password was changed",
        "Unter den Linden 77, 10117 Berlin",
    ],
)
def test_other_numbers_and_words_stay(text: str) -> None:
    assert ALL.redact(text) == (text, [])


def test_a_card_is_found_among_other_numbers() -> None:
    text = "4111 1111 1111 1111 12 27, 5500 0000 0000 0004 and 20260131 4111-1111-1111-1111"
    assert ALL.redact(text) == (f"{BLOT} 12 27, {BLOT} and 20260131 {BLOT}", ["a payment card number"])


def test_only_what_is_asked_for_is_looked_for() -> None:
    assert Redactor([], {}).redact("4111 1111 1111 1111") == ("4111 1111 1111 1111", [])
    own = Redactor([], {"staff number": r"\bS-\d{4}\b"})
    assert own.redact("call S-1234") == (f"call {BLOT}", ["a staff number"])
    assert own.suspicious is None


@given(data=st.data(), kind=st.sampled_from(list(_PATTERNS)))
def test_whatever_a_pattern_matches_is_looked_at(data: st.DataObject, kind: str) -> None:
    ascii_only = st.characters(max_codepoint=126)
    text = data.draw(st.from_regex(_PATTERNS[kind].regex, fullmatch=True, alphabet=ascii_only))
    assert pc.match_substring_regex(pa.array([text]), SUSPICIOUS).to_pylist() == [True]


@given(st.lists(st.sampled_from([text for _, text, _ in SEEN] + ["x", "12", "Tel."]), max_size=4).map("; ".join))
def test_nothing_is_left_to_be_seen(text: str) -> None:
    blotted, found = ALL.redact(text)
    assert ALL.redact(blotted) == (blotted, [])
    assert bool(found) == (blotted != text)


def test_a_very_long_run_of_numbers_is_read_in_no_time() -> None:
    text = "1 " * 50_000
    assert ALL.redact(text) == (text, [])
    assert len(re.findall("1", text)) == 50_000
