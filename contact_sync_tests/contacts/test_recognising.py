"""Columns tell of rows what `identity` tells of each."""

from collections import Counter
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from contact_sync.contacts.identity import business_key, identifiers
from contact_sync.contacts.recognising import recognised
from contact_sync.contacts.rules import folded
from contact_sync.contacts.seen import mark
from contact_sync_tests.contacts.builders import SOURCE, normalized, record

said = st.fixed_dictionaries(
    {},
    optional={
        "firstName": st.sampled_from(["Ána", "eva", "-"]),
        "lastName": st.sampled_from(["López", "Perez"]),
        "workEmail": st.sampled_from(["A@example.com", "a@example.com"]),
        "personalEmail": st.sampled_from(["a@example.com", "İ@example.com"]),
        "workPhone": st.sampled_from(["+12125708393", "x", "+12125708393;ext=7"]),
        "otherPhone": st.sampled_from(["+12125708393", "+12125708394"]),
        "account": st.sampled_from(["A-1", "a-1"]),
    },
)
kinds = st.sampled_from([("upsert", "ready"), ("upsert", "held"), ("delete", "ready"), ("merge", "ready")])


@st.composite
def rows(draw: st.DrawFn, crm_id: str) -> dict[str, Any]:
    (kind, state), values = draw(kinds), draw(said)
    more = {"merged_into": draw(st.sampled_from(["0", "9"]))} if kind == "merge" else {}
    return record(crm_id, (values if kind == "upsert" else {}) | more, kind=kind, state=state)


def expected(row: dict[str, Any]) -> set[tuple[str, str]]:
    if row["state"] != "ready":
        return set()
    ids = {row["crm_id"], row.get("merged_into", row["crm_id"])}
    keys = {("record", one) for one in ids} | {("external", mark((SOURCE, one))[1]) for one in ids}
    if row["kind"] == "upsert":
        account = row.get("account")
        key = business_key(account, row)
        keys |= {*identifiers(account, row), *([("key", key)] if key else [])}
    return keys


@settings(deadline=None)
@given(data=st.data(), size=st.integers(0, 4))
def test_columns_tell_what_rows_tell(data: st.DataObject, size: int) -> None:
    told = [data.draw(rows(str(number))) for number in range(size)]
    keys, names = recognised(SOURCE, pa.Table.from_pandas(normalized(*told), preserve_index=False))
    lines = Counter((one["row"], one["rule"], one["value"]) for one in keys.to_pylist())
    assert lines == Counter((number, *key) for number, row in enumerate(told) for key in expected(row))
    assert names.to_pylist() == [
        {
            "row": number,
            "first": folded(row.get("firstName", "")) or None,
            "last": folded(row.get("lastName", "")) or None,
        }
        for number, row in enumerate(told)
        if row["state"] == "ready"
    ]
