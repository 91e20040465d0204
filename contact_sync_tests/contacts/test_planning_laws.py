"""What holds of every plan, whatever the history: accounting, idempotence, no going back."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from contact_sync.contacts.decisions import DELETE_GRACE
from contact_sync.contacts.identity import Directory, Link
from contact_sync.contacts.planning import make_plan
from contact_sync.contacts.requests import ContactRequest
from contact_sync.contacts.rules import IdentityRules
from contact_sync.contacts.schemas import DEDUP_MATCHES, NORMALIZED_CONTACTS, check, frame_of
from contact_sync_tests.contacts.builders import SOURCE, column, record

IDS = [str(number) for number in range(5)]
Row = dict[str, Any]
History = list[list[Row]]

values = st.fixed_dictionaries(
    {},
    optional={
        "firstName": st.sampled_from(["Ana", "Eva"]),
        "lastName": st.sampled_from(["Lopez", "Perez"]),
        "workEmail": st.sampled_from(["a@example.com", "b@example.com"]),
        "cellPhone": st.sampled_from(["+12125708393", "+12125708394"]),
        "title": st.sampled_from(["Dr", "Prof"]),
        "account": st.just("A-1"),
    },
)


@st.composite
def versions(draw: st.DrawFn, read: int) -> Row:
    """Draw one version of a record, as a window that was read as the `read`th holds it."""
    crm_id, at = draw(st.sampled_from(IDS)), draw(st.integers(0, 8))
    kind = draw(st.sampled_from(["upsert", "upsert", "upsert", "delete", "merge"]))
    if kind != "upsert":
        return record(crm_id, {"merged_into": "9"} if kind == "merge" else {}, at=at, read=read, kind=kind)
    if draw(st.integers(0, 9)) == 0:
        return record(crm_id, at=at, read=read, state="held", reason="nobody")
    return record(crm_id, draw(values), at=at, read=read)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw up to four windows, each record at most once in a window: older versions would be superseded."""
    return [
        draw(st.lists(versions(read), max_size=5, unique_by=lambda row: row["crm_id"]))
        for read in range(draw(st.integers(1, 4)))
    ]


def plan(known: Directory, rows: list[Row], earned: Callable[[datetime], bool] = lambda _at: True) -> pd.DataFrame:
    return make_plan(frame_of(NORMALIZED_CONTACTS, rows), known, source=SOURCE, earned=earned)


def known_of(known: Directory) -> dict[str, Link | None]:
    return {crm_id: known.link((SOURCE, crm_id)) for crm_id in IDS}


@settings(deadline=None, max_examples=30)
@given(history=histories())
def test_every_row_has_one_plan_row_in_its_place(history: History) -> None:
    known = Directory()
    for rows in history:
        made = check(DEDUP_MATCHES, plan(known, rows))
        assert column(made, "crm_id") == [row["crm_id"] for row in rows]
        assert column(made, "version") == [row["version"] for row in rows]
        refused = made.loc[~made["accepted"]]
        assert set(refused["action"]) <= {"hold", "unchanged"}
        assert refused["request"].isna().all()
        assert made.loc[made["action"] == "unchanged", "request"].isna().all()


@settings(deadline=None, max_examples=35)
@given(history=histories())
def test_each_contact_has_at_most_one_request_and_it_says_what_the_contact_now_is(history: History) -> None:
    known = Directory()
    for rows in history:
        made = plan(known, rows)
        sent = made.loc[made["request"].notna()]
        assert sent["contact"].is_unique
        for contact, text in zip(sent["contact"], sent["request"], strict=True):
            request = ContactRequest.from_json(text)
            members = {one.record for one in known.members(contact)}
            assert (request.kind == "remove") == (not members)
            assert {name for name in request.external_ids if name[0] == SOURCE} == members
            assert not request.contact.keys() & set(request.clear)


@settings(deadline=None, max_examples=35)
@given(history=histories())
def test_while_no_delete_is_earned_no_contact_goes_and_what_waits_is_as_if_it_had_not_been_read(
    history: History,
) -> None:
    known = Directory()
    for rows in history:
        before = known_of(known)
        made = check(DEDUP_MATCHES, plan(known, rows, earned=lambda _at: False))
        assert not made["request"].str.startswith('{"kind":"remove"').any()
        waiting = made.loc[made["rule"] == DELETE_GRACE]
        assert set(waiting["action"]) <= {"delete"}
        assert not waiting["accepted"].any()
        assert waiting["contact"].notna().all()
        for crm_id in waiting["crm_id"]:
            assert known_of(known)[crm_id] == before[crm_id]
        lost = {one.contact for one in before.values() if one and one.contact}
        assert lost <= {one.contact for one in known_of(known).values() if one}


@settings(deadline=None, max_examples=35)
@given(history=histories())
def test_planning_again_asks_for_nothing(history: History) -> None:
    known = Directory()
    for rows in history:
        # A row that is held between two people is decided again, and may be clear once one of them is gone.
        settled = set(column(plan(known, rows).query("action != 'hold'"), "crm_id"))
        again = plan(known, [row for row in rows if row["crm_id"] in settled])
        assert again["request"].isna().all()
        assert set(again["action"]) <= {"unchanged"}


@settings(deadline=None, max_examples=35)
@given(history=histories(), data=st.data())
def test_no_order_of_windows_takes_a_record_back(history: History, data: st.DataObject) -> None:
    known = Directory()
    for rows in data.draw(st.permutations([*history, *history])):
        before = known_of(known)
        made = plan(known, rows)
        accepted = dict(zip(made["crm_id"], made["accepted"], strict=True))
        for crm_id, now in known_of(known).items():
            was = before[crm_id]
            if not accepted.get(crm_id):
                assert now == was
            elif was is not None:
                assert now is not None
                assert now.age >= was.age
                assert now.business_key == (was.business_key or now.business_key)


@settings(deadline=None, max_examples=35)
@given(history=histories(), data=st.data())
def test_whatever_the_order_of_windows_the_newest_versions_are_what_is_known(
    history: History, data: st.DataObject
) -> None:
    known = Directory(IdentityRules(shared_threshold=99))
    held: set[str] = set()
    for rows in data.draw(st.permutations(history)):
        made = plan(known, rows)
        held |= set(made.loc[made["action"] == "hold", "crm_id"])
    known_versions = {crm_id: one.version for crm_id, one in known_of(known).items() if one}
    for crm_id in {row["crm_id"] for rows in history for row in rows} - held:
        versions_of = [row for rows in history for row in rows if row["crm_id"] == crm_id]
        newest = max(versions_of, key=lambda row: (row["modified_at"], row["read_at"]))
        assert known_versions[crm_id] == newest["version"]
