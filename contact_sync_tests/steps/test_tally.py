from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from contact_sync.contacts.decisions import DELETE_GUARD
from contact_sync.contacts.schemas import DEDUP_MATCHES, GENESYS_UPSERTS, SYNC_REPORT, ContractError, frame_of
from contact_sync.steps.tally import FEW_ROWS, Tally, tally_of
from contact_sync_tests.contacts.builders import moment, normalized, person, record

NORMALIZED = "normalized_contacts"


def people(*numbers: int, **columns: Any) -> pd.DataFrame:  # noqa: ANN401 -- columns of any type
    return normalized(*(record(str(number), person(number), **columns) for number in numbers))


def held(*numbers: int) -> pd.DataFrame:
    return people(*numbers, state="held", reason="nobody")


def tally(*pieces: pd.DataFrame, limit: float = 0.5, asset: str = NORMALIZED) -> Tally:
    return tally_of(asset, pieces, limit)


def plan(rule: str | None, count: int, first: int = 0) -> pd.DataFrame:
    """Return plan rows that are held by a rule."""
    at = {"modified_at": moment(0), "read_at": moment(0)}
    return frame_of(
        DEDUP_MATCHES,
        [
            {
                **at,
                "crm_id": str(first + number),
                "version": "v0",
                "kind": "delete",
                "action": "hold",
                "accepted": False,
                "rule": rule,
            }
            for number in range(count)
        ],
    )


def test_rows_are_counted_by_kind_over_all_pieces() -> None:
    found = tally(people(1, 2, notes="title cut"), held(3), people(4), people())
    assert found.broken is None
    assert found.rows == 4
    assert found.values["state"] == {"ready": 3, "held": 1}
    assert found.values["kind"] == {"upsert": 4}
    assert found.filled["notes"] == 2
    assert found.held_share == 0.25
    assert found.require() is found


def test_reasons_are_those_of_rows_that_ended_held() -> None:
    rows = [
        ("held", "nobody"),
        ("held", "nobody"),
        ("held", "two contacts"),
        ("queued", "no answer"),
        ("created", None),
    ]
    frame = frame_of(
        GENESYS_UPSERTS,
        [
            {"crm_id": str(number), "version": "v0", "outcome": outcome, "reason": reason}
            for number, (outcome, reason) in enumerate(rows)
        ],
    )
    found = tally(frame.head(2), frame.tail(3), asset="genesys_upserts")
    assert found.held_because == {"nobody": 2, "two contacts": 1}
    assert found.values["outcome"] == {"held": 3, "queued": 1, "created": 1}


def test_of_nothing_everything_is_none() -> None:
    found = tally(people())
    assert (found.rows, found.held_share, found.broken) == (0, 0.0, None)
    assert found.digest == tally().digest == "0" * 64


def test_the_digest_is_of_the_versions_whatever_their_order_and_pieces() -> None:
    whole = tally(people(1, 2, 3)).digest
    assert whole == tally(people(3, 1), people(2)).digest == tally(people(2), people(), people(1, 3)).digest
    assert whole not in {
        tally(people(1, 2)).digest,
        tally(people(1, 2, 3, 4)).digest,
        tally(people(1, 2, 4)).digest,
    }


def test_the_digest_tells_versions_apart() -> None:
    one, other = (tally(normalized(record("1", person(1), at=at))) for at in (0, 1))
    assert one.digest != other.digest
    shifted = [
        normalized(record(crm_id, person(1)) | {"version": version})
        for crm_id, version in (("1", "2v"), ("12", "v"))
    ]
    assert tally(shifted[0]).digest != tally(shifted[1]).digest


@pytest.mark.parametrize("pieces", [(people(1, 2), people(2, 3)), (people(1), people(2), people(1))])
def test_a_version_that_is_in_two_pieces_breaks_the_contract(pieces: Sequence[pd.DataFrame]) -> None:
    assert tally(*pieces).broken == "normalized_contacts breaks its contract: crm_id, version: repeated (1)"


def test_a_piece_that_breaks_the_contract_is_told_without_values() -> None:
    found = tally(people(1), people(2).assign(state="Last2"), people(3))
    assert found.broken is not None
    assert found.broken.startswith("normalized_contacts breaks its contract: state: isin(")
    assert found.broken.endswith(" (1)")
    assert "Last2" not in found.broken
    with pytest.raises(ContractError) as refused:
        found.require()
    assert str(refused.value) == found.broken


@pytest.mark.parametrize(("bad", "good", "breaks"), [(11, 9, True), (10, 10, False), (11, 8, False)])
def test_more_held_rows_than_allowed_break_it_but_a_share_of_few_says_nothing(
    bad: int, good: int, *, breaks: bool
) -> None:
    assert FEW_ROWS == 20
    found = tally(held(*range(bad)), people(*range(100, 100 + good)))
    assert bool(found.broken) == breaks


def test_deletes_that_the_guard_holds_are_neither_bad_nor_unclear() -> None:
    assert tally(plan(DELETE_GUARD, 30), asset="dedup_matches").broken is None
    assert tally(plan("email", 30), asset="dedup_matches").broken == (
        "dedup_matches holds 100% of 30 rows, over sync.max_held_share (50%): "
        "look at the reasons in its frame, or raise the setting"
    )
    mixed = tally(plan(DELETE_GUARD, 30), plan("email", 10, first=30), asset="dedup_matches")
    assert mixed.held_share == 0.25


def test_a_frame_without_records_is_counted_too() -> None:
    numbers = dict.fromkeys(SYNC_REPORT.columns, 0) | {"seconds": 0.0}
    report = frame_of(SYNC_REPORT, [numbers | {"window_start": moment(0), "window_end": moment(30)}])
    assert tally(report, asset="sync_report").rows == 1
