"""What recognises the rows of `normalized_contacts`, by column: the very values that `identity` gives row by row.

What belongs here: whole columns of keys and names for set-based matching. What an identifier or a business key is
belongs to `identity`, joining to `matching`.
"""

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from contact_sync.contacts.fields import EMAILS, PHONES
from contact_sync.contacts.identity import NUMBER, key_of, name_of
from contact_sync.contacts.matching import EXTERNAL, KEY, PEOPLE, RECORD, ROWS
from contact_sync.contacts.rules import folded
from contact_sync.contacts.seen import mark

COLUMNS = ["crm_id", "kind", "state", "merged_into", "account", "firstName", "lastName", *PHONES, *EMAILS]
"""The columns of `normalized_contacts` that tell who a row is."""

Texts = Sequence[str | None]


def recognised(source: str, normalized: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return what recognises the rows that are ready (`ROWS`), and whom they name (`PEOPLE`).

    Args:
        source: The CRM source's name.
        normalized: At least `COLUMNS` of `normalized_contacts`; the rows are numbered from 0.
    """
    numbered = normalized.select(COLUMNS).append_column("row", pa.array(range(len(normalized)), pa.int64()))
    ready = numbered.filter(pc.equal(numbered["state"], "ready"))
    upserts = ready.filter(pc.equal(ready["kind"], "upsert"))
    keys = pa.concat_tables([*_ids(source, ready), *_keys(upserts)])
    return keys, pa.table([ready["row"], _folded(ready["firstName"]), _folded(ready["lastName"])], schema=PEOPLE)


def business_keys(upserts: pa.Table) -> list[str | None]:
    """Return the business key of each row, as `identity.business_key` gives it."""
    size = len(upserts)
    phones, emails = (_first([upserts[name] for name in names], size) for names in (PHONES, EMAILS))
    columns = (*(upserts[name].to_pylist() for name in ("account", "firstName", "lastName")), phones, emails)
    return list(map(key_of, *columns))


def _ids(source: str, ready: pa.Table) -> Iterator[pa.Table]:
    """Yield the CRM ids of rows and of the records that they were merged into, and these as external ids."""
    losers = ready.filter(pc.fill_null(pc.not_equal(ready["merged_into"], ready["crm_id"]), fill_value=False))
    for rows, ids in ((ready["row"], ready["crm_id"]), (losers["row"], losers["merged_into"])):
        yield _of(RECORD, rows, ids)
        yield _of(EXTERNAL, rows, pa.array([mark((source, one))[1] for one in ids.to_pylist()], pa.string()))


def _keys(upserts: pa.Table) -> Iterator[pa.Table]:
    rows = upserts["row"]
    yield _of(KEY, rows, pa.array(business_keys(upserts), pa.string()))
    for names, rule, read in ((EMAILS, "email", str.lower), (PHONES, "phone", _number)):
        before: list[Texts] = []
        for name in names:
            texts = [value and read(value) for value in upserts[name].to_pylist()]
            yield _of(rule, rows, pa.array(_without(texts, before), pa.string()))
            before.append(texts)
    columns = (_folded(upserts["firstName"]), _folded(upserts["lastName"]), upserts["account"])
    yield _of("name", rows, pa.array(map(name_of, *(column.to_pylist() for column in columns)), pa.string()))


def _of(rule: str, rows: pa.ChunkedArray, values: pa.Array) -> pa.Table:
    return pa.table([rows, pa.repeat(pa.scalar(rule), len(rows)), values], schema=ROWS).filter(pc.is_valid(values))


def _number(value: str) -> str | None:
    return value if NUMBER.fullmatch(value) else None


def _without(texts: Texts, before: Sequence[Texts]) -> Texts:
    """Return the texts that no earlier column of their row has: a value recognises a row once."""
    for others in before:
        texts = [None if one == other else one for one, other in zip(texts, others, strict=True)]
    return texts


def _first(columns: Sequence[pa.ChunkedArray], size: int) -> Texts:
    told = [column for column in columns if column.null_count < size]
    return pc.coalesce(*told).to_pylist() if told else [None] * size


def _folded(names: pa.ChunkedArray) -> pa.Array:
    """Return what is compared of names, each distinct one read once; null where nothing is left."""
    return _by_value(names, lambda name: folded(name) or None)


def _by_value(column: pa.ChunkedArray, read: Callable[[str], str | None]) -> pa.Array:
    encoded = column.combine_chunks().dictionary_encode()
    values = pa.array([read(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return values.take(encoded.indices)
