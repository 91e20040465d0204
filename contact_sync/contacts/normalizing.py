"""Raw CRM rows to canonical contacts: clean what can be cleaned, drop with a note what cannot, hold with a reason.

What belongs here: the meaning of one record's values. Who the record is belongs to `identity`.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from contact_sync.contacts.fields import ADDRESS, EMAILS, MAX_EXTERNAL_ID_LENGTH, MAX_LENGTH, NAMES, PHONES
from contact_sync.contacts.mapping import ACCOUNT, ACCOUNT_REGION, REGION, Registry
from contact_sync.contacts.phones import PhoneReading, is_region, read_phones
from contact_sync.contacts.schemas import CRM_PREFIX, NORMALIZED_CONTACTS, frame_of, records

_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")
_SPACE = re.compile(r"\s+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_REPAIRED = {
    "lost_plus": "its country code stood there without +",
    "lost_trunk": "its trunk prefix was missing",
    "area_code": "its area code was missing",
    "idd_abroad": "it was written as dialled from another country",
    "letters": "letters spelled it",
}
"""What is said of a number that is likely and not certain, by the step that made it so."""

Row = dict[str, Any]

Phones = Mapping[str, tuple[str | None, PhoneReading]]
"""The phones of a record by field: the number, and how it was read."""

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
    rows = list(records(delta))
    live = [row["kind"] == "upsert" and (row["crm_id"], row["version"]) not in older for row in rows]
    raws = [_cleaned(row, registry) if wanted else {} for row, wanted in zip(rows, live, strict=True)]
    phones = _read(raws, registry.default_region)
    return frame_of(
        NORMALIZED_CONTACTS,
        (
            _superseded(row) if (row["crm_id"], row["version"]) in older else _canonical(row, raw, read)
            for row, raw, read in zip(rows, raws, phones, strict=True)
        ),
    )


def _identity_columns(row: Row) -> Row:
    names = ("crm_id", "version", "modified_at", "read_at", "kind", "merged_into")
    return {name: row[name] for name in names if name in row}


def _superseded(row: Row) -> Row:
    return _identity_columns(row) | {"state": "superseded", "reason": "a newer version is in the same window"}


def _canonical(row: Row, raw: Mapping[str, str], phones: Phones) -> Row:
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
    notes: list[str] = []
    result |= _texts(raw, notes) | _emails(raw, notes) | _phones(phones, notes)
    if len(account := raw.get(ACCOUNT, "")) > MAX_EXTERNAL_ID_LENGTH:
        notes.append(f"{ACCOUNT} dropped: it is longer than {MAX_EXTERNAL_ID_LENGTH} characters")
    elif account:
        result[ACCOUNT] = account
    if notes:
        result["notes"] = "; ".join(notes)
    if reason := _reason_to_hold(result):
        result |= {"state": "held", "reason": reason}
    return result


def _cleaned(row: Row, registry: Registry) -> Mapping[str, str]:
    return {rule.genesys: _clean(row.get(CRM_PREFIX + rule.crm)) for rule in registry.fields}


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


def _read(raws: Sequence[Mapping[str, str]], default_region: str | None) -> list[Phones]:
    """Read all phones of all records at once."""
    asked = [(place, name, raw[name]) for place, raw in enumerate(raws) for name in PHONES if raw.get(name)]
    regions = [_regions(raw, default_region) for raw in raws]
    column = read_phones([text for *_, text in asked], [regions[place] for place, *_ in asked])
    phones: list[dict[str, tuple[str | None, PhoneReading]]] = [{} for _ in raws]
    for (place, name, _), read in zip(asked, column, strict=True):
        phones[place][name] = read
    return list(phones)


def _regions(raw: Mapping[str, str], default_region: str | None) -> tuple[str, ...]:
    """Return the countries that a record's phones may be of, the likeliest first.

    A country that is named but not understood ends the list: it is no reason to read numbers as another's.
    """
    regions: dict[str, None] = {}
    for named in (raw.get(REGION, "").upper(), raw.get(ACCOUNT_REGION, "").upper(), default_region):
        if named and not is_region(named):
            break
        if named:
            regions[named] = None
    return tuple(regions)


def _phones(read: Phones, notes: list[str]) -> Row:
    phones: Row = {}
    steps: dict[str, Row] = {}
    for name, (number, how) in read.items():
        if number:
            phones[name] = number
        if how.refused:
            notes.append(f"{name} dropped: {how.refused}")
        elif assumed := [_REPAIRED[step] for step in how.steps if step in _REPAIRED]:
            notes.append(f"{name} repaired: {', '.join(assumed)}")
        if how.steps or how.alternatives:
            steps[name] = _explained(how)
    if steps:
        phones["phone_steps"] = json.dumps(steps, separators=(",", ":"))
    return phones


def _explained(how: PhoneReading) -> Row:
    explained: Row = {"steps": how.steps}
    if how.confidence:
        explained["confidence"] = how.confidence
    if how.alternatives:
        explained["alternatives"] = how.alternatives
    return explained


def _reason_to_hold(row: Row) -> str | None:
    if any(name in row for name in (*PHONES, *EMAILS)):
        return None
    if "lastName" in row and ("firstName" in row or "account" in row):
        return None
    return "nothing identifies this person: no usable phone, no e-mail, no full name"
