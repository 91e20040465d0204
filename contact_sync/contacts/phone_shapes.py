"""Easy texts of a column: those whose digits can be told by a pattern, as `phone_text` would tell them.

What belongs here: the shapes, and the few operations on Arrow arrays that they need. RE2 runs the patterns, which
knows no look-around. Which numbers the digits are belongs to `phone_frames`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contact_sync.contacts.phone_ladder import MOST_DIGITS
from contact_sync.contacts.phone_words import EXTENSION_WORDS, SOMETHING_ELSE, UNIT_WORDS

Mask = NDArray[np.bool_]
Places = NDArray[np.int64]

FEWEST_DIGITS = 9
"""Digits of an easy number; with fewer, letters may spell it, and it may be a short code or a date."""

_FEW = 1_000

_SEPARATORS = "[ \xa0()./-]+"
_NUMBER = "\\+?\\(?[0-9][0-9 \xa0().-]*"
_BODY = f"({_NUMBER}[0-9])"
_WORD = r"[a-z]+(?:[ .]+[a-z]+)?"
_EXTENSION = "|".join(sorted(EXTENSION_WORDS))
_SHAPES: Sequence[tuple[tuple[str, ...], str]] = (
    ((), f"({_NUMBER})"),
    ((), r"(\+?[0-9]{1,5}(?:/[0-9]{1,5}){2,}|(?:[ ().+-]*[0-9]){1,5}[ ().-]*/[0-9 ().-]*[0-9])"),
    (("label",), rf"(?i)(?:[a-z]+\.?[:,]? )?{_BODY}(?: [(\[]?{_WORD}[)\]]?)?"),
    (("extension",), rf"(?i){_BODY}(?:[ ,;(-]*(?:{_EXTENSION})[ .:=#(-]*|[ -]*#[ .:]*)([0-9]{{1,7}})[ .)]*"),
    (("extension",), f"{_BODY},{{1,3}}([0-9]{{1,5}})"),
    (("quotes",), f"[\"']{_BODY}[\"']?"),
)
"""What the ladder does to texts of a shape, and the shape: around the number, and around the extension."""

_ELSE = rf"(?i)\b(?:{'|'.join(sorted(SOMETHING_ELSE | UNIT_WORDS))})\b"
_NO_NUMBER = r"^(?:[0-9][.)] |\+?[0-9]+\.0+$|[0-9]{1,4}[-./][0-9]{1,2}[-./][0-9]{1,4}$)"
_RUNS = [*(str(digit) * 6 for digit in range(10)), *("012345678901234"[n : n + 6] for n in range(10))]
_PLACEHOLDER = "(?:" + "|".join([*_RUNS, *(one[::-1] for one in _RUNS)]) + ")$"
"""The end of every placeholder, and of some numbers."""


@dataclass(frozen=True, slots=True, repr=False)
class Easy:
    """Easy texts: their places in the column, the number in them as written, its digits, and what was done."""

    places: Places
    body: pa.Array
    digits: pa.Array
    extension: pa.Array | None = None
    steps: tuple[str, ...] = ()

    def where(self, mask: Mask) -> "Easy":
        """Return those for which `mask` is true."""
        extension = None if self.extension is None else select(self.extension, mask)
        return Easy(self.places[mask], select(self.body, mask), select(self.digits, mask), extension, self.steps)


def easy_texts(texts: pa.Array, places: Places) -> Iterator[Easy]:
    """Yield the easy ones of the texts at some places of a column, those of a shape together."""
    texts = texts.take(pa.array(places))
    for steps, shape in _SHAPES:
        shaped = whole(texts, shape)
        mine = select(texts, shaped)
        body = mine if steps == () else pc.replace_substring_regex(mine, f"^{shape}$", r"\1")
        digits = pc.replace_substring_regex(body, _SEPARATORS, "")
        extension = pc.replace_substring_regex(mine, f"^{shape}$", r"\2") if steps == ("extension",) else None
        yield Easy(places[shaped], body, digits, extension, steps).where(_clear(mine, body, digits))
        texts, places = select(texts, ~shaped), places[~shaped]


def _clear(texts: pa.Array, body: pa.Array, digits: pa.Array) -> Mask:
    """Tell which texts can be nothing but numbers."""
    clear = (sizes(digits) >= FEWEST_DIGITS) & (sizes(digits) <= MOST_DIGITS)
    for array, pattern in ((texts, _ELSE), (body, _NO_NUMBER), (digits, _PLACEHOLDER)):
        clear &= ~mask_of(pc.match_substring_regex(array, pattern))
    return clear


def matches(digits: pa.Array, pattern: str) -> Mask:
    """Tell in which texts of ASCII digits a pattern is found.

    Arrow compiles a pattern anew each time: for a few texts one that Python has compiled before is faster.
    """
    if len(digits) > _FEW:
        return mask_of(pc.match_substring_regex(digits, pattern))
    search = _compiled(pattern).search
    return np.fromiter((search(one) is not None for one in digits.to_pylist()), bool, len(digits))


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def whole(array: pa.Array, pattern: str) -> Mask:
    """Tell which texts a pattern matches from end to end."""
    return mask_of(pc.match_substring_regex(array, f"^(?:{pattern})$"))


def mask_of(array: pa.Array) -> Mask:
    """Return an Arrow array of truths as a mask."""
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=bool)


def select(array: pa.Array, mask: Mask) -> pa.Array:
    """Return the values for which `mask` is true."""
    return array.filter(pa.array(mask))


def sizes(array: pa.Array) -> NDArray[np.int32]:
    """Return the lengths of texts of ASCII digits."""
    return np.asarray(pc.binary_length(array).to_numpy(zero_copy_only=False), dtype=np.int32)


def joined(*parts: pa.Array) -> pa.Array:
    """Return texts put together from constants and arrays."""
    return pc.binary_join_element_wise(*parts, "")
