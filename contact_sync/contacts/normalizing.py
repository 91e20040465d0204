"""Raw CRM rows to canonical contacts: clean what can be cleaned, drop with a note what cannot, hold with a reason.

What belongs here: the meaning of one record's values. Who the record is belongs to `identity`.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from contact_sync.contacts.fields import ADDRESS, EMAILS, MAX_EXTERNAL_ID_LENGTH, MAX_LENGTH, NAMES, PHONES
from contact_sync.contacts.mapping import ACCOUNT, REGION, Registry
from contact_sync.contacts.phones import is_region, read_phone
from contact_sync.contacts.schemas import CRM_PREFIX, NORMALIZED_CONTACTS, frame_of, records

_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")
_SPACE = re.compile(r"\s+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

Row = dict[str, Any]


VERSION_COLUMNS = ("crm_id", "modified_at", "read_at", "version")
"""The columns of `crm_delta` that tell a record's versions apart and put them in order."""

Version = tuple[str, str]
"""A version of a record: its crm_id and version."""


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
        A frame with the columns of `schemas.NORMALIZED_CONTACTS`. The newest version of each record is `ready` or
        `held`; older ones are `superseded`.
    """
    older = superseded(delta) if older is None else older
    rows = (
        _superseded(row) if (row["crm_id"], row["version"]) in older else _canonical(row, registry)
        for row in records(delta)
    )
    return frame_of(NORMALIZED_CONTACTS, rows)


def _identity_columns(row: Row) -> Row:
    names = ("crm_id", "version", "modified_at", "read_at", "kind", "merged_into")
    return {name: row[name] for name in names if name in row}


def _superseded(row: Row) -> Row:
    return _identity_columns(row) | {"state": "superseded", "reason": "a newer version is in the same window"}


def _canonical(row: Row, registry: Registry) -> Row:
    result = _identity_columns(row) | {"state": "ready"}
    if not result["crm_id"].strip():
        return result | {"state": "held", "reason": "the record has no CRM id"}
    if len(result["crm_id"]) > MAX_EXTERNAL_ID_LENGTH:
        return result | {
            "state": "held",
            "reason": f"the CRM id is longer than {MAX_EXTERNAL_ID_LENGTH} characters",
        }
    if row["kind"] != "upsert":
        return result
    raw = {rule.genesys: _clean(row.get(CRM_PREFIX + rule.crm)) for rule in registry.fields}
    notes: list[str] = []
    result |= _texts(raw, notes) | _emails(raw, notes) | _phones(raw, registry.default_region, notes)
    if len(account := raw.get(ACCOUNT, "")) > MAX_EXTERNAL_ID_LENGTH:
        notes.append(f"{ACCOUNT} dropped: it is longer than {MAX_EXTERNAL_ID_LENGTH} characters")
    elif account:
        result[ACCOUNT] = account
    if notes:
        result["notes"] = "; ".join(notes)
    if reason := _reason_to_hold(result):
        result |= {"state": "held", "reason": reason}
    return result


def _clean(value: object) -> str:
    return _SPACE.sub(" ", _CONTROL.sub("", str(value))).strip() if value is not None else ""


def _texts(raw: Mapping[str, str], notes: list[str]) -> Row:
    texts: Row = {}
    for name in (*NAMES, *ADDRESS):
        value = raw.get(name, "")
        if len(value) > MAX_LENGTH[name]:
            notes.append(f"{name} cut to {MAX_LENGTH[name]} characters")
            value = value[: MAX_LENGTH[name]].rstrip()
        if value:
            texts[name] = value
    return texts


def _emails(raw: Mapping[str, str], notes: list[str]) -> Row:
    emails: Row = {}
    for name in EMAILS:
        value = raw.get(name, "").lower().removeprefix("mailto:").strip("<>;, ")
        if not value:
            continue
        if len(value) <= MAX_LENGTH[name] and _EMAIL.fullmatch(value):
            emails[name] = value
        else:
            notes.append(f"{name} dropped: it is not an e-mail address")
    return emails


def _phones(raw: Mapping[str, str], default_region: str | None, notes: list[str]) -> Row:
    region = raw.get(REGION, "").upper() or default_region
    if region and not is_region(region):
        region = None  # a country that is named but not understood is no reason to read its numbers as another's
    phones: Row = {}
    for name in PHONES:
        if not (value := raw.get(name, "")):
            continue
        reading = read_phone(value, region)
        if reading.number:
            phones[name] = reading.number
        else:
            notes.append(f"{name} dropped: {reading.refused}")
    return phones


def _reason_to_hold(row: Row) -> str | None:
    if any(name in row for name in (*PHONES, *EMAILS)):
        return None
    if "lastName" in row and ("firstName" in row or "account" in row):
        return None
    return "nothing identifies this person: no usable phone, no e-mail, no full name"
