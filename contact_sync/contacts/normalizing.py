"""Raw CRM rows to canonical contacts: clean what can be cleaned, drop with a note what cannot, hold with a reason.

Column by column: nothing here looks at rows one at a time. What belongs here: what a record's values make of it.
What a value means by itself belongs to `columns` and `phone_columns`, who the record is to `identity`.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contact_sync.contacts.columns import each_distinct, joined, read_column, series_of, texts_of
from contact_sync.contacts.fields import EMAILS, MAX_EXTERNAL_ID_LENGTH, ORGANIZATION, PHONES
from contact_sync.contacts.mapping import ABOUT_RECORDS, ACCOUNT, ACCOUNT_REGION, REGION, FieldRule, Registry
from contact_sync.contacts.phone_columns import read_phone_columns
from contact_sync.contacts.phones import is_region
from contact_sync.contacts.redaction import Redactor
from contact_sync.contacts.schemas import CRM_PREFIX, NORMALIZED_CONTACTS
from contact_sync.contacts.values import clean

VERSION_COLUMNS = ("crm_id", "modified_at", "read_at", "version")
"""The columns of `crm_delta` that tell a record's versions apart and put them in order."""

Version = tuple[str, str]
"""A version of a record: its crm_id and version."""

_GIVEN = ("crm_id", "version", "modified_at", "read_at", "kind", "merged_into")

Mask = NDArray[np.bool_]

_NOBODY = "nothing identifies this person: no usable phone, no e-mail, no full name"
_TOO_LONG = f"longer than {MAX_EXTERNAL_ID_LENGTH} characters"


def superseded(versions: pd.DataFrame) -> set[Version]:
    """Return those of `versions`, a frame with `VERSION_COLUMNS`, that are not the newest of their record."""
    ordered = versions.sort_values(["modified_at", "read_at", "version"])
    older = ordered[ordered.duplicated("crm_id", keep="last")]
    return set(zip(older["crm_id"], older["version"], strict=True))


def normalize(delta: pd.DataFrame, registry: Registry, older: Collection[Version] | None = None) -> pd.DataFrame:
    """Return one canonical row for each row of `delta`, in the same order.

    Args:
        delta: A frame that keeps `schemas.CRM_DELTA`, or a piece of one.
        registry: Which CRM field fills which field of the contact.
        older: The versions that are superseded; found in `delta` unless given.

    Returns:
        A frame with the columns of `schemas.NORMALIZED_CONTACTS`, and one for each custom field of the registry.
        The newest version of each record is `ready` or `held`; older ones are `superseded`.
    """
    older = superseded(delta) if older is None else older
    state, reason = _states(delta, older)
    live = (state == "ready") & (delta["kind"] == "upsert").to_numpy(dtype=bool)
    contacts = _Contacts(delta.loc[live], registry)
    places = pa.array(np.cumsum(live) - 1, pa.int64(), mask=~live)
    columns = {name: array.take(places) for name, array in contacts.columns().items()}
    why = columns.pop("why")
    columns["state"] = pc.if_else(why.is_valid(), "held", pa.array(state, pa.string()))
    columns["reason"] = pc.coalesce(why, pa.array(reason, pa.string()))
    given = {name: delta[name].reset_index(drop=True) for name in _GIVEN if name in delta}
    fixed = [str(name) for name, column in NORMALIZED_CONTACTS.columns.items() if not column.regex]
    custom = [rule.field for rule in registry.fields if rule.custom]
    nothing = pa.nulls(len(delta), pa.string())
    return pd.DataFrame(
        {
            name: given[name] if name in given else series_of(columns.get(name, nothing))
            for name in (*fixed, *custom)
        }
    )


def _states(delta: pd.DataFrame, older: Collection[Version]) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Return what every row is before its values are looked at, and why."""
    state = np.full(len(delta), "ready", dtype=object)
    reason = np.full(len(delta), None, dtype=object)
    ids = delta["crm_id"].str
    for name, mask, why in (
        ("held", ids.strip() == "", "the record has no CRM id"),
        ("held", ids.len() > MAX_EXTERNAL_ID_LENGTH, f"the CRM id is {_TOO_LONG}"),
        ("superseded", _among(delta, older), "a newer version is in the same window"),
    ):
        where = np.asarray(mask, dtype=bool)
        state[where], reason[where] = name, why
    return state, reason


def _among(delta: pd.DataFrame, versions: Collection[Version]) -> Mask:
    if not versions:
        return np.zeros(len(delta), dtype=bool)
    keys = zip(delta["crm_id"].tolist(), delta["version"].tolist(), strict=True)
    return np.fromiter((key in versions for key in keys), dtype=bool, count=len(delta))


class _Contacts:
    """The contacts that rows of upserts are."""

    def __init__(self, rows: pd.DataFrame, registry: Registry) -> None:
        self._size = len(rows)
        self._registry = registry
        self._redactor = Redactor(registry.redact, registry.redact_patterns)
        crm = {
            name: texts_of(rows[CRM_PREFIX + name]) for name in registry.crm_fields if CRM_PREFIX + name in rows
        }
        nothing = pa.nulls(self._size, pa.string())
        self._texts = [crm.get(rule.crm, nothing) for rule in registry.fields]

    def columns(self) -> dict[str, pa.Array]:
        """Return the canonical columns, the notes, and, as `why`, the reasons to hold."""
        account, account_notes = self._account()
        lines = self._lines(lambda rule: rule.genesys not in {*PHONES, *ABOUT_RECORDS})
        read = {rule.field: read_column(rule, texts, self._redactor) for rule, texts in lines}
        phones = read_phone_columns(self._lines(lambda rule: rule.genesys in PHONES), self._regions())
        columns = {name: column.values for name, column in read.items()} | dict(phones.numbers)
        columns |= {ACCOUNT: account, "phone_steps": phones.steps}
        if ORGANIZATION in columns:
            columns[ORGANIZATION] = _organizations(account, columns[ORGANIZATION])
        notes = [*(column.notes for column in read.values()), *phones.notes, account_notes]
        columns["notes"] = joined(notes, "; ", self._size)
        refusals = joined([column.refusals for column in read.values()], "; ", self._size)
        columns["why"] = pc.coalesce(refusals, self._nobody(columns))
        return columns

    def _lines(self, wanted: Callable[[FieldRule], bool]) -> list[tuple[FieldRule, pa.Array]]:
        lines = zip(self._registry.fields, self._texts, strict=True)
        return [(rule, texts) for rule, texts in lines if wanted(rule)]

    def _about(self, name: str, read: Callable[[str], str]) -> pa.Array:
        """Return what a line says about the record; nulls if there is none."""
        found = self._lines(lambda rule: rule.genesys == name)
        return each_distinct(found[0][1], read) if found else pa.nulls(self._size, pa.string())

    def _account(self) -> tuple[pa.Array, pa.Array]:
        account = self._about(ACCOUNT, clean)
        long = pc.greater(pc.utf8_length(account), MAX_EXTERNAL_ID_LENGTH).fill_null(False)  # noqa: FBT003 (pyarrow)
        nothing = pa.scalar(None, pa.string())
        return pc.if_else(long, nothing, account), pc.if_else(
            long, f"{ACCOUNT} dropped: it is {_TOO_LONG}", nothing
        )

    def _regions(self) -> list[tuple[str, ...]]:
        """Return the countries that each record's phones may be of."""
        named = [self._about(name, _upper).to_pylist() for name in (REGION, ACCOUNT_REGION)]
        pairs = list(zip(*named, strict=True))
        regions = {pair: _regions_of((*pair, self._registry.default_region)) for pair in set(pairs)}
        return [regions[pair] for pair in pairs]

    def _nobody(self, columns: Mapping[str, pa.Array]) -> pa.Array:
        """Return why rows are held that nobody could be recognised by."""
        has = {name: _is_there(column) for name, column in columns.items()}
        nothing = np.zeros(self._size, dtype=bool)
        reached = np.logical_or.reduce([nothing, *(has[name] for name in (*PHONES, *EMAILS) if name in has)])
        first, last = has.get("firstName", nothing), has.get("lastName", nothing)
        known = reached | (last & (first | has[ACCOUNT]))
        return pc.if_else(pa.array(known), pa.scalar(None, pa.string()), _NOBODY)


def _upper(text: str) -> str:
    return clean(text).upper()


def _regions_of(named: Iterable[str | None]) -> tuple[str, ...]:
    """Return the countries that are named, the likeliest first.

    A country that is named but not understood ends the list: it is no reason to read numbers as another's.
    """
    regions: dict[str, None] = {}
    for region in filter(None, named):
        if not is_region(region):
            break
        regions[region] = None
    return tuple(regions)


def _organizations(accounts: pa.Array, names: pa.Array) -> pa.Array:
    """Return the organisations of accounts, as JSON; null where the account has no id, or no name to go by."""
    sides = [array.dictionary_encode() for array in (accounts, names)]
    ids, words = (side.dictionary.to_pylist() for side in sides)
    pairs = pc.add(pc.multiply(sides[0].indices.cast(pa.int64()), len(words)), sides[1].indices)
    encoded = pairs.dictionary_encode()
    texts = [
        json.dumps((ids[pair // len(words)], words[pair % len(words)]), ensure_ascii=False)
        for pair in encoded.dictionary.to_pylist()
    ]
    return pa.array(texts, pa.string()).take(encoded.indices)


def _is_there(array: pa.Array) -> Mask:
    there: Mask = array.is_valid().to_numpy(zero_copy_only=False)
    return there
