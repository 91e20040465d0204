"""A column of raw CRM texts to a column of canonical ones, each distinct text read once.

What belongs here: which reader a line of the registry has, and carrying its answers back to the rows. What a text
means is `values`', what is blotted out of it `redaction`'s, how columns become a frame `normalizing`'s.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from contact_sync.contacts import values
from contact_sync.contacts.fields import EMAILS, CoreType
from contact_sync.contacts.mapping import FieldRule
from contact_sync.contacts.redaction import Redactor
from contact_sync.contacts.values import Read, Reading, RefusedValueError

_SIZED: Mapping[CoreType, Callable[[int], Read]] = {
    "text": values.words_of,
    "longtext": values.long_words_of,
    "url": values.url_of,
    "identifier": values.identifier_of,
    "tag": values.tags_of,
}
_UNSIZED: Mapping[CoreType, Read] = {
    "integer": values.integer,
    "number": values.number,
    "checkbox": values.checkbox,
    "date": values.day,
    "datetime": values.moment,
}

_CLEAN = r"^[^\pZ\pC]+(?: [^\pZ\pC]+)*$"
"""What `values.clean` leaves as it is: words between single spaces, nothing that cannot be seen."""

_EASY_EMAIL = r"^[a-z0-9][a-z0-9._+-]*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$"


@dataclass(frozen=True, slots=True)
class Column:
    """What became of a column, row by row, null where there is nothing.

    Attributes:
        values: The canonical texts.
        notes: What was dropped or done, the field named.
        refusals: Why the record cannot be sent, the field named.
    """

    values: pa.Array
    notes: pa.Array
    refusals: pa.Array


def texts_of(column: pd.Series) -> pa.Array:
    """Return a column of text as an Arrow array."""
    array = pa.array(column.array, from_pandas=True)
    whole = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    return whole.cast(pa.string())


def series_of(array: pa.Array) -> pd.Series:
    """Return an Arrow array as a column of text."""
    return pd.Series(pd.StringDtype(na_value=float("nan")).__from_arrow__(array))  # type: ignore[attr-defined]


def joined(arrays: Sequence[pa.Array], between: str, size: int) -> pa.Array:
    """Return the texts of each row joined, leaving out nulls; null where all are."""
    telling = [array for array in arrays if array.null_count < size]
    if len(telling) < 2:
        return telling[0] if telling else pa.nulls(size, pa.string())
    # Arrow's own way to leave out nulls loses rows, so every text brings what stands before it.
    parts = [pc.binary_join_element_wise(between, array, "") for array in telling]
    texts = pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="")
    return pc.if_else(
        pc.equal(texts, ""), pa.scalar(None, pa.string()), pc.utf8_slice_codeunits(texts, len(between))
    )


def each_distinct(texts: pa.Array, read: Callable[[str], str | None]) -> pa.Array:
    """Return `read` of every text, asked once for each distinct one; null for null and for empty."""
    encoded = texts.dictionary_encode()
    answers = pa.array([read(text) or None for text in encoded.dictionary.to_pylist()], pa.string())
    return answers.take(encoded.indices)


def cleaned(texts: pa.Array) -> pa.Array:
    """Return `values.clean` of every text; null for null and for empty."""
    unclean = pc.invert(pc.match_substring_regex(texts, _CLEAN)).fill_null(False)  # noqa: FBT003 (pyarrow)
    answers = [values.clean(text) or None for text in texts.filter(unclean).to_pylist()]
    return pc.replace_with_mask(texts, unclean, pa.array(answers, pa.string()))


def read_column(rule: FieldRule, texts: pa.Array, redactor: Redactor) -> Column:
    """Read the column of a line of the registry that fills a text, an e-mail or a custom field."""
    encoded = texts.dictionary_encode()
    distinct = encoded.dictionary
    looked_at = _looked_at(rule, distinct, redactor)
    easy, easily_read = _easy(rule, distinct)
    others = pc.or_(pc.invert(easy), looked_at)
    read = _reader(rule)
    answers = [
        _answer(rule, read, text, redactor if look else None)
        for text, look in zip(
            distinct.filter(others).to_pylist(), looked_at.filter(others).to_pylist(), strict=True
        )
    ]
    parts = [pa.array([answer[part] for answer in answers], pa.string()) for part in range(3)]
    nothing = pa.nulls(len(distinct), pa.string())
    return Column(
        pc.replace_with_mask(easily_read, others, parts[0]).take(encoded.indices),
        *(
            pc.replace_with_mask(nothing, others, part).take(encoded.indices)
            if part.null_count < len(part)
            else pa.nulls(len(texts), pa.string())
            for part in parts[1:]
        ),
    )


def _easy(rule: FieldRule, distinct: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Tell which texts Arrow can read as the reader would, and what they become; every other text is nobody's."""
    if rule.type is None and not rule.transform:
        texts = pc.utf8_lower(distinct) if rule.genesys in EMAILS else distinct
        pattern = _EASY_EMAIL if rule.genesys in EMAILS else _CLEAN
        short = pc.less_equal(pc.utf8_length(texts), rule.limit)
        return pc.and_(pc.match_substring_regex(texts, pattern), short), texts
    return pa.array(np.zeros(len(distinct), dtype=bool)), distinct


def _answer(
    rule: FieldRule, read: Read, text: str, redactor: Redactor | None
) -> tuple[str | None, str | None, str | None]:
    """Return the value, the notes and the refusal of one text."""
    try:
        reading = read(text)
        found: Sequence[str] = ()
        if redactor and reading.text:
            reading, found = _redacted(read, text, reading, redactor)
    except RefusedValueError as refused:
        why = f"{rule.genesys} dropped: {refused}"
        if rule.custom is None or rule.invalid == "drop":
            return None, why, None
        return None, None, f"{rule.genesys}: {refused}"
    notes = [f"{rule.genesys}: {what} redacted" for what in found] + [
        f"{rule.genesys} {one}" for one in reading.notes
    ]
    return reading.text or None, "; ".join(notes) or None, None


def _redacted(read: Read, text: str, reading: Reading, redactor: Redactor) -> tuple[Reading, Sequence[str]]:
    """Blot out before anything is cut, as half a card number is found no more; then again for what markup hid."""
    blotted, found = redactor.redact(text)
    reading = read(blotted) if found else reading
    plain, more = redactor.redact(reading.text)
    return Reading(plain, reading.notes), tuple(dict.fromkeys([*found, *more]))


def _looked_at(rule: FieldRule, distinct: pa.Array, redactor: Redactor) -> pa.Array:
    """Tell which texts may hold something to blot out."""
    if not rule.redact or rule.genesys in EMAILS or rule.type in _UNSIZED or rule.type == "enum":
        return pa.array(np.zeros(len(distinct), dtype=bool))
    if redactor.suspicious is None:
        return pa.array(np.ones(len(distinct), dtype=bool))
    return pc.match_substring_regex(distinct, redactor.suspicious)


def _reader(rule: FieldRule) -> Read:
    read = _plain_reader(rule)
    transforms = [values.TRANSFORMS[name] for name in rule.transform]
    if not transforms:
        return read

    def transformed(text: str) -> Reading:
        for transform in transforms:
            text = transform(text)
        return read(text)

    return transformed


def _plain_reader(rule: FieldRule) -> Read:
    if rule.genesys in EMAILS:
        return values.email
    if rule.type is None:
        return values.text_of(rule.limit)
    if rule.type == "enum":
        return values.choice_of(rule.options)
    return _SIZED[rule.type](rule.limit) if rule.type in _SIZED else _UNSIZED[rule.type]
