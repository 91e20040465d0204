"""Rows that stand alone, planned in bulk: no other row of the run and no other stored contact has to do with them.

The plan is the one that `planning` makes of them, at a tenth of its time: most rows of a large run are such. What
belongs here: upserts that are ready. Which rows stand alone is found by `matching`, and what is asked of their
links is `state.lookup`'s.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from contact_sync.contacts.columns import series_of, texts_of
from contact_sync.contacts.decisions import HIDDEN, STALE
from contact_sync.contacts.fields import Contact, is_field
from contact_sync.contacts.identity import NEW, Link, RecordId, business_key
from contact_sync.contacts.requests import ContactRequest, changes_of, contact_of, encoded
from contact_sync.contacts.schemas import DEDUP_MATCHES
from contact_sync.contacts.seen import KEY

_VERSION = ("crm_id", "version", "modified_at", "read_at", "kind")
_DECIDED = (
    "action",
    "accepted",
    "contact",
    "rule",
    "reason",
    "account",
    "business_key",
    "fields",
    "request",
    "changes",
)
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

Decided = tuple[str, bool, str, str | None, str | None, str | None, str | None, str | None, str | None, str | None]
"""The columns of `_DECIDED`."""


def plan_alone(
    normalized: pd.DataFrame, links: Mapping[str, Link], *, source: str, kept: Collection[str] = ()
) -> pd.DataFrame:
    """Plan rows that stand alone.

    Args:
        normalized: Rows of `schemas.NORMALIZED_CONTACTS`, all of them upserts that are ready.
        links: The links of those that are a contact, by CRM id: each the only record of its contact, without an
            unanswered request. The others are new.
        source: The CRM source's name.
        kept: Fields that a record keeps as delivered when the CRM has emptied them.

    Returns:
        A frame with the columns of `schemas.DEDUP_MATCHES`, one row for each row of `normalized`, same order.
    """
    decided = [
        _changed(link, ages, account, fields, kept)
        if (link := links.get(crm_id))
        else _new(source, crm_id, account, fields)
        for crm_id, ages, account, fields in _rows(normalized)
    ]
    frame = normalized[[*_VERSION]].reset_index(drop=True)
    columns = zip(*decided, strict=True) if decided else [()] * len(_DECIDED)
    for name, values in zip(_DECIDED, columns, strict=True):
        frame[name] = (
            np.array(values, dtype=bool) if name == "accepted" else series_of(pa.array(values, pa.string()))
        )
    frame["candidates"] = series_of(pa.nulls(len(frame), pa.string()))
    return frame[[*DEDUP_MATCHES.columns]]


def _rows(normalized: pd.DataFrame) -> Iterator[tuple[str, tuple[int, int], str | None, dict[str, str]]]:
    """Yield the CRM id, the age (microseconds), the account and the canonical fields of each row."""
    names = [str(name) for name in normalized.columns if is_field(str(name)) and normalized[name].notna().any()]
    columns = [texts_of(normalized[name]).to_pylist() for name in names]
    texts = zip(*columns, strict=True) if columns else [()] * len(normalized)
    ages = (normalized[name].dt.as_unit("us").astype("int64").tolist() for name in ("modified_at", "read_at"))
    ids, accounts = (texts_of(normalized[name]).to_pylist() for name in ("crm_id", "account"))
    fields = ({name: text for name, text in zip(names, row, strict=True) if text is not None} for row in texts)
    yield from zip(ids, zip(*ages, strict=True), accounts, fields, strict=True)


def _new(source: str, crm_id: str, account: str | None, fields: Contact) -> Decided:
    key = business_key(account, fields)
    request, changes = _request((source, crm_id), key, {}, contact_of(source, fields))
    return "create", True, NEW + crm_id, None, None, account, key, encoded(fields), request, changes


def _changed(
    old: Link, age: tuple[int, int], account: str | None, fields: dict[str, str], kept: Collection[str]
) -> Decided:
    contact = str(old.contact)
    if ((old.modified_at - _EPOCH) // _MICROSECOND, (old.read_at - _EPOCH) // _MICROSECOND) > age:
        return "unchanged", False, contact, None, STALE, None, None, None, None, None
    fields = {name: old.fields[name] for name in kept if name in old.fields} | fields
    if (old.fields, old.account) == (fields, account):
        said = encoded(fields)
        return "unchanged", True, contact, "link", None, account, old.business_key, said, None, None
    key = old.business_key or business_key(account, fields)
    before, after = (contact_of(old.record[0], one) for one in (old.fields, fields))
    said = encoded(fields)
    if before == after and key == old.business_key:
        return "unchanged", True, contact, "link", HIDDEN, account, key, said, None, None
    request, changes = _request(old.record, key, before, after)
    return "update", True, contact, "link", None, account, key, said, request, changes


def _request(record: RecordId, key: str | None, before: Contact, after: Contact) -> tuple[str, str | None]:
    ids = (record, (KEY, key)) if key else (record,)
    clear = tuple(name for name in before if name not in after)
    changes = changes_of(before, after)
    request = ContactRequest("upsert", matching=ids, external_ids=ids, contact=after, clear=clear)
    return request.to_json(), encoded(changes) if changes else None
