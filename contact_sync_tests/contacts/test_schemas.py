from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
import pytest

from contact_sync.contacts.schemas import (
    ACTIONS,
    CRM_DELTA,
    DEDUP_MATCHES,
    GENESYS_UPSERTS,
    NORMALIZED_CONTACTS,
    OUTCOMES,
    SCHEMAS,
    SYNC_REPORT,
    ContractError,
    check,
    frame_of,
    records,
)
from contact_sync_tests.contacts.builders import moment, normalized, record

VERSION = {"crm_id": "1", "version": "v1", "modified_at": moment(1), "read_at": moment(2)}
ROWS: dict[str, dict[str, Any]] = {
    "crm_delta": {**VERSION, "kind": "upsert", "crm.mail": "a@example.com"},
    "normalized_contacts": {**VERSION, "kind": "upsert", "state": "ready", "workEmail": "a@example.com"},
    "dedup_matches": {**VERSION, "kind": "upsert", "action": "create", "accepted": True},
    "genesys_upserts": {"crm_id": "1", "version": "v1", "outcome": "created", "status": 201},
    "sync_report": {
        "window_start": moment(0),
        "window_end": moment(30),
        "read": 1,
        **dict.fromkeys(OUTCOMES, 0),
        "requests": 1,
        "writes": 1,
        "seconds": 0.5,
    },
}


def example(name: str, count: int = 1) -> pd.DataFrame:
    schema = SCHEMAS[name]
    extra = ["crm.mail"] if name == "crm_delta" else []
    return frame_of(schema, [ROWS[name]] * count, extra)


def refusal(schema: pa.DataFrameSchema, frame: pd.DataFrame) -> str:
    with pytest.raises(ContractError) as refused:
        check(schema, frame)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_schemas_are_the_five_assets_in_the_order_of_the_lineage() -> None:
    assert list(SCHEMAS) == list(ROWS)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("count", [0, 1])
def test_frame_of_has_the_types_of_the_contract(name: str, count: int) -> None:
    frame = example(name, count)
    checked = check(SCHEMAS[name], frame)
    assert len(checked) == count
    assert checked.dtypes.to_dict() == frame.dtypes.to_dict()


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("count", [0, 1])
def test_parquet_keeps_the_contract(name: str, count: int, tmp_path: Path) -> None:
    frame = example(name, count)
    frame.to_parquet(tmp_path / "frame.parquet", index=False)
    back = pd.read_parquet(tmp_path / "frame.parquet")
    pd.testing.assert_frame_equal(check(SCHEMAS[name], back), frame)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_column_says_what_it_means(name: str) -> None:
    assert all(column.description for column in SCHEMAS[name].columns.values())
    assert SCHEMAS[name].description


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_missing_column_is_named(name: str) -> None:
    first = next(iter(SCHEMAS[name].columns))
    assert refusal(SCHEMAS[name], example(name).drop(columns=first)) == (
        f"{name} breaks its contract: {first}: missing (1)"
    )


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_column_too_many_is_named(name: str) -> None:
    frame = example(name).assign(surprise="x")
    assert "surprise: not expected (1)" in refusal(SCHEMAS[name], frame)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_repeated_key_is_named_without_its_value(name: str) -> None:
    message = refusal(SCHEMAS[name], example(name, 2))
    assert "repeated (2)" in message
    assert "v1" not in message
    assert "2026" not in message


@pytest.mark.parametrize(
    ("schema", "column", "value", "rule"),
    [
        (CRM_DELTA, "kind", "secret", "kind: isin"),
        (CRM_DELTA, "crm_id", None, "crm_id: not_nullable"),
        (CRM_DELTA, "version", "", "version: str_length(1, None)"),
        (CRM_DELTA, "modified_at", "secret", "modified_at: dtype("),
        (NORMALIZED_CONTACTS, "state", "secret", "state: isin"),
        (DEDUP_MATCHES, "action", "secret", "action: isin"),
        (GENESYS_UPSERTS, "outcome", "secret", "outcome: isin"),
        (GENESYS_UPSERTS, "status", "secret", "status: dtype("),
        (SYNC_REPORT, "held", -1, "held: greater_than_or_equal_to(0)"),
    ],
)
def test_a_broken_rule_is_named_without_the_value(
    schema: pa.DataFrameSchema, column: str, value: object, rule: str
) -> None:
    frame = example(str(schema.name)).astype({column: "object"})
    frame[column] = pd.Series([value], dtype="object")
    message = refusal(schema, frame)
    assert rule in message
    assert "secret" not in message


def test_every_complaint_is_listed() -> None:
    frame = example("genesys_upserts").drop(columns="contact").assign(outcome="x")
    message = refusal(GENESYS_UPSERTS, frame)
    assert "contact: missing (1)" in message
    assert "outcome: isin" in message


def test_a_row_ends_as_what_a_plan_can_ask_or_as_a_failure() -> None:
    assert len(ACTIONS) == 6
    assert set(OUTCOMES) - {"queued", "dead"} == {
        {"create": "created", "update": "updated", "delete": "deleted", "merge": "merged", "hold": "held"}.get(
            action, action
        )
        for action in ACTIONS
    }


def test_records_leave_nulls_out() -> None:
    (row,) = records(normalized(record("1", at=1, workEmail="a@example.com")))
    assert row == {
        "crm_id": "1",
        "version": "v1",
        "modified_at": moment(1),
        "read_at": moment(0),
        "kind": "upsert",
        "state": "ready",
        "workEmail": "a@example.com",
    }
