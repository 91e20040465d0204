"""What the UI shows of a window: numbers under stable keys, which plot over time, and column schemas.

Numbers, hashes and reasons only: Dagster keeps metadata for ever, so nothing of a person may enter it.
"""

import re
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd

from contact_sync.contacts.fields import CUSTOM
from contact_sync.contacts.schemas import ACTIONS, CRM_PREFIX, OUTCOMES, SCHEMAS
from contact_sync.steps.report import Health
from contact_sync.steps.tally import Tally

Numbers = dict[str, int | float]

_PATTERNS: Mapping[str, str] = {
    str(name): f"{prefix}*"
    for schema in SCHEMAS.values()
    for name, column in schema.columns.items()
    for prefix in (CRM_PREFIX, CUSTOM)
    if column.regex and re.match(str(name), f"{prefix}x")
}

_COUNTED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "crm_delta": ("kind", ("upsert", "delete", "merge")),
    "normalized_contacts": ("state", ("ready", "held", "superseded")),
    "dedup_matches": ("action", ACTIONS),
    "genesys_upserts": ("outcome", tuple(OUTCOMES)),
}


def numbers_of(tally: Tally) -> Numbers:
    """Return what is counted of an asset's frame: its rows, and how many of each kind."""
    numbers: Numbers = {"dagster/row_count": tally.rows}
    if tally.asset in _COUNTED:
        column, values = _COUNTED[tally.asset]
        numbers |= {value: tally.values[column][value] for value in values}
    if tally.asset == "normalized_contacts":
        numbers["cleaned"] = tally.filled["notes"]
    if tally.asset == "dedup_matches":
        numbers["contacts_to_send"] = tally.filled["request"]
        numbers["split"] = tally.split
        numbers["without_room_for_external_id"] = tally.without_room
    return numbers


def report_numbers(report: pd.DataFrame) -> Numbers:
    """Return the counts of a `sync_report`."""
    row = report.iloc[0]
    return {name: row[name].item() for name in ("read", *OUTCOMES, "requests", "writes", "seconds")}


def column_schema(asset: str) -> dg.TableSchema:
    """Return the columns of an asset's frame for the catalog."""
    columns = []
    for name, column in SCHEMAS[asset].columns.items():
        columns.append(
            dg.TableColumn(
                name=_PATTERNS.get(str(name), str(name)),
                type=str(column.dtype),
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=column.unique),
            )
        )
    return dg.TableSchema(columns=columns)


def held_metadata(reasons: Mapping[str, int]) -> dict[str, dg.MetadataValue[Any]]:
    """Return why rows of a run were held, as a table; nothing where none were."""
    if not reasons:
        return {}
    rows = [dg.TableRecord({"reason": reason, "rows": count}) for reason, count in reasons.items()]
    return {"held_because": dg.MetadataValue.table(records=rows)}


def health_metadata(health: Health) -> dict[str, dg.MetadataValue[Any]]:
    """Return how the sync stands now."""
    metadata: dict[str, dg.MetadataValue[Any]] = {
        "watermark": dg.MetadataValue.timestamp(health.watermark),
        "lag_minutes": dg.MetadataValue.float(health.lag.total_seconds() / 60),
        "gaps": dg.MetadataValue.int(len(health.gaps)),
        "retry_queue": dg.MetadataValue.int(health.waiting),
        "deletes_in_grace": dg.MetadataValue.int(health.deferred),
        "dead_letters": dg.MetadataValue.int(health.dead),
        "linked_records": dg.MetadataValue.int(health.records),
        "contacts": dg.MetadataValue.int(health.contacts),
    }
    if health.unmapped:
        rows = [
            dg.TableRecord(
                {
                    "field": row["field"],
                    "first_seen": f"{row['first_seen']:%Y-%m-%d}",
                    "last_seen": f"{row['last_seen']:%Y-%m-%d}",
                    "records": int(row["records"]),
                    "shape": row["shape"] or "",
                }
            )
            for row in health.unmapped
        ]
        metadata["fields_not_in_the_registry"] = dg.MetadataValue.table(records=rows)
    return metadata
