"""A row that stands alone has the very plan that the planner makes of it."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contact_sync.contacts.alone import plan_alone
from contact_sync.contacts.identity import Directory
from contact_sync.contacts.planning import make_plan
from contact_sync.contacts.schemas import DEDUP_MATCHES, check
from contact_sync_tests.contacts.builders import SOURCE, column, link, moment, normalized, person, record

said = st.fixed_dictionaries(
    {},
    optional={
        "firstName": st.sampled_from(["Ana", "Żółw"]),
        "lastName": st.just('Lo"pez'),
        "workEmail": st.sampled_from(["a@example.com", "b@example.com"]),
        "cellPhone": st.sampled_from(["+12125708393", "+12125708394;ext=7"]),
        "address.city": st.sampled_from(["Köln", "京都"]),
        "externalOrganization": st.sampled_from([json.dumps(["A-1", "Söhne"]), '["A-2", "Co"]']),
        "customFields.score_integer": st.just("7"),
        "account": st.sampled_from(["A-1", "A-2"]),
    },
)
kept = st.sets(st.sampled_from(["cellPhone", "customFields.score_integer"]))


@settings(deadline=None)
@given(before=st.none() | said, at=st.integers(0, 2), now=said, kept=kept)
def test_a_row_alone_is_planned_as_the_planner_does(
    before: dict[str, str] | None, at: int, now: dict[str, str], kept: set[str]
) -> None:
    frame, directory, links = normalized(record("1", now, at=1)), Directory(), {}
    if before is not None:
        fields = {name: value for name, value in before.items() if name != "account"}
        links["1"] = link("1", "G1", fields, account=before.get("account"), at=at)
        directory.learn(links["1"])
    expected = make_plan(frame, directory, source=SOURCE, kept=kept)
    pd.testing.assert_frame_equal(plan_alone(frame, links, source=SOURCE, kept=kept), expected)


@pytest.mark.parametrize("rows", [0, 3])
def test_rows_keep_their_order(rows: int) -> None:
    frame = normalized(*(record(str(number), person(number)) for number in reversed(range(rows))))
    plan = check(DEDUP_MATCHES, plan_alone(frame, {}, source=SOURCE))
    assert column(plan, "crm_id") == column(frame, "crm_id")
    assert set(column(plan, "action")) == ({"create"} if rows else set())


def test_microseconds_decide_which_version_is_newer() -> None:
    stored = link("1", "G1", person(1), at=0)
    row = record("1", person(2)) | {"modified_at": moment(0), "read_at": moment(-1 / 60_000_000)}
    plan = plan_alone(normalized(row), {"1": stored}, source=SOURCE)
    assert column(plan, "accepted") == [False]
