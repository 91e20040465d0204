"""The contract of every hand-off: one pandera model for each asset's frame.

A frame that breaks its model stops the window (`ContractError`); a bad row never does: it is held with a reason
inside a frame that keeps its model. Columns and their meaning belong here, and nothing that computes them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera import dtypes
from pandera.api.pandas.components import Column
from pandera.engines import pandas_engine

from contact_sync.contacts.fields import CONTACT_FIELDS, CUSTOM

CRM_PREFIX = "crm."
"""Marks the columns of `crm_delta` that hold raw CRM fields."""

OUTCOMES: Mapping[str, str] = {
    "created": "new in Genesys",
    "updated": "changed in Genesys",
    "unchanged": "already true, nothing sent",
    "deleted": "gone from the CRM",
    "merged": "joined another record's contact",
    "held": "not sent, for a reason",
    "queued": "kept for a retry",
    "dead": "refused for good, kept",
}
"""How a row can end, and what that means; each row that was read ends in exactly one."""

ACTIONS = ("create", "update", "unchanged", "delete", "merge", "hold")
"""What a plan can ask for a row."""

Rows = Iterable[Mapping[str, Any]]


class ContractError(Exception):
    """A frame breaks its contract: the message names the frame, the columns and the checks, and no value."""


@dtypes.immutable
class Text(pandas_engine.DataType):
    """pandas' text type, told by the column's type alone: pandera's own looks at every value, ten times slower."""

    type = pd.StringDtype(na_value=np.nan)

    def __init__(self) -> None:
        super().__init__(self.type)

    def check(
        self,
        pandera_dtype: dtypes.DataType,  # noqa: ARG002 (pandera's signature)
        data_container: pd.Series | pd.DataFrame | None = None,
    ) -> bool:
        """Tell whether a column is of this type."""
        return isinstance(data_container, pd.Series) and data_container.dtype == self.type

    def __str__(self) -> str:
        return "text"


def _text(description: str, *, nullable: bool = False, isin: tuple[str, ...] = ()) -> Column:
    checks = [pa.Check.isin(isin)] if isin else []
    if not nullable:
        checks.append(pa.Check.str_length(min_value=1))
    return Column(Text(), checks, nullable=nullable, description=description)


def _instant(description: str) -> Column:
    return Column(pd.DatetimeTZDtype("us", "UTC"), description=description)


def _count(description: str) -> Column:
    return Column(int, pa.Check.ge(0), description=description)


_VERSION = {
    "crm_id": Column(Text(), description="The record's id in the CRM; a blank one is held."),
    "version": _text("What tells this version of the record from the others."),
    "modified_at": _instant("When the CRM recorded the change (UTC)."),
    "read_at": _instant("When the change was read (UTC); orders versions of one timestamp."),
}

_KIND = _text("upsert, delete, or merge for the loser of a merge.", isin=("upsert", "delete", "merge"))

CRM_DELTA = pa.DataFrameSchema(
    {
        **_VERSION,
        "kind": _KIND,
        "merged_into": _text("The id of the record that won the merge.", nullable=True),
        r"^crm\..+$": Column(
            Text(),
            nullable=True,
            regex=True,
            required=False,
            description="A CRM field that the registry lists, as read.",
        ),
    },
    name="crm_delta",
    unique=["crm_id", "version"],
    strict=True,
    description="What changed in the CRM in the window: a row is one version of one record.",
)

NORMALIZED_CONTACTS = pa.DataFrameSchema(
    {
        **_VERSION,
        "kind": _KIND,
        "merged_into": _text("The id of the record that won the merge.", nullable=True),
        "state": _text(
            "ready; held for a reason; superseded by a newer version in the window.",
            isin=("ready", "held", "superseded"),
        ),
        "reason": _text("Why the row is held or superseded.", nullable=True),
        "notes": _text("What was dropped from the record, or repaired, and why, one per field.", nullable=True),
        "phone_steps": _text(
            "How each phone was read (JSON: field to steps and confidence, or to the alternatives of a held one).",
            nullable=True,
        ),
        "account": _text("The CRM id of the account.", nullable=True),
        **{name: _text(f"{name}, canonical.", nullable=True) for name in CONTACT_FIELDS},
        rf"^{re.escape(CUSTOM)}.+$": Column(
            Text(), nullable=True, regex=True, required=False, description="A custom field, canonical."
        ),
    },
    name="normalized_contacts",
    unique=["crm_id", "version"],
    strict=True,
    description="The same rows as crm_delta, clean and canonical, or held with a reason.",
)

DEDUP_MATCHES = pa.DataFrameSchema(
    {
        **_VERSION,
        "kind": _KIND,
        "action": _text("What will be done for the record.", isin=ACTIONS),
        "accepted": Column(bool, description="Whether this version becomes what is known of the record."),
        "contact": _text("The Genesys contact (its id, or new: and the record that creates it).", nullable=True),
        "rule": _text("The rule that decided who it is.", nullable=True),
        "candidates": _text("The contacts between which it was not guessed (JSON list).", nullable=True),
        "reason": _text("Why, in words.", nullable=True),
        "account": _text("The CRM id of the account.", nullable=True),
        "business_key": _text("account|E.164|hash, fixed when first assigned.", nullable=True),
        "fields": _text("The record's canonical fields (JSON).", nullable=True),
        "request": _text("What is sent for the contact (JSON); on one of its rows.", nullable=True),
        "changes": _text("Field, old and new value of what is sent (JSON); on the same row.", nullable=True),
    },
    name="dedup_matches",
    unique=["crm_id", "version"],
    strict=True,
    description="The plan: who is who, what to do, and why. Stopping here is the dry run.",
)

GENESYS_UPSERTS = pa.DataFrameSchema(
    {
        "crm_id": _VERSION["crm_id"],
        "version": _VERSION["version"],
        "outcome": _text("How the row ended.", isin=tuple(OUTCOMES)),
        "contact": _text("The Genesys contact's id.", nullable=True),
        "reason": _text("Why it was held, queued, dead or left unchanged.", nullable=True),
        "status": Column("Int64", nullable=True, description="The HTTP status that Genesys gave the item."),
        "correlation_id": _text("ININ-Correlation-Id of the request, for Genesys' support.", nullable=True),
    },
    name="genesys_upserts",
    unique=["crm_id", "version"],
    strict=True,
    description="The plan carried out: the outcome of every row that was read.",
)

SYNC_REPORT = pa.DataFrameSchema(
    {
        "window_start": _instant("Start of the window (UTC)."),
        "window_end": _instant("End of the window (UTC), not part of it."),
        "read": _count("Rows read from the CRM."),
        **{outcome: _count(f"Rows {meaning}.") for outcome, meaning in OUTCOMES.items()},
        "requests": _count("API requests sent."),
        "writes": _count("API requests that change contacts."),
        "seconds": Column(float, pa.Check.ge(0), description="Seconds that delivery took."),
    },
    name="sync_report",
    unique=["window_start", "window_end"],
    strict=True,
    description="What happened in the window: one row of counts.",
)

SCHEMAS: Mapping[str, pa.DataFrameSchema] = {
    str(schema.name): schema
    for schema in (CRM_DELTA, NORMALIZED_CONTACTS, DEDUP_MATCHES, GENESYS_UPSERTS, SYNC_REPORT)
}
"""The schema of each asset's frame, by the asset's name, in the order of the lineage."""


def frame_of(schema: pa.DataFrameSchema, rows: Rows, extra: Iterable[str] = ()) -> pd.DataFrame:
    """Build a frame with the columns and types of `schema` from `rows`, without checking its values.

    Args:
        schema: The contract.
        rows: Mappings of column to value; a missing column is null.
        extra: Text columns beyond the fixed ones (the raw CRM fields of `crm_delta`).
    """
    extra = tuple(extra)
    fixed = [name for name, column in schema.columns.items() if not column.regex]
    types = {name: schema.columns[name].dtype.type for name in fixed} | dict.fromkeys(extra, Text.type)
    rows = list(rows)
    return pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=type_) for name, type_ in types.items()}
    )


def records(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the rows of a frame as dictionaries without their null values."""
    names = [str(name) for name in frame.columns]
    for row in zip(*(frame[name].tolist() for name in names), strict=True):
        # A null is None, pd.NA, or a value that does not equal itself (NaN, NaT).
        yield {
            name: value
            for name, value in zip(names, row, strict=True)
            if value is not None and value is not pd.NA and value == value  # noqa: PLR0124
        }


def check(schema: pa.DataFrameSchema, frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame`, or say which columns break which rules of the contract.

    Raises:
        ContractError: With columns, rules and counts, and no value.
    """
    try:
        return schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as broken:
        rules = _listed(broken.failure_cases)
    # After the handler: pandera's error, which tells the values, would be the context.
    raise ContractError(f"{schema.name} breaks its contract: {rules}")


def _listed(cases: pd.DataFrame) -> str:
    about_columns = cases["check"].isin(["column_in_dataframe", "column_in_schema"])
    columns = cases["column"].where(~about_columns, cases["failure_case"]).astype(str)
    counts = cases.groupby([columns, cases["check"].astype(str)]).size()
    broken = zip(counts.index.to_frame().itertuples(index=False), counts, strict=True)
    return "; ".join(f"{column}: {_RULES.get(rule, rule)} ({count})" for (column, rule), count in broken)


_RULES = {
    "column_in_dataframe": "missing",
    "column_in_schema": "not expected",
    "multiple_fields_uniqueness": "repeated",
}
