from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from contact_sync.contacts.identity import Directory, Link, Match, identifiers
from contact_sync.contacts.planning import make_plan
from contact_sync.contacts.requests import external_ids
from contact_sync.contacts.rules import IdentityRules
from contact_sync.contacts.schemas import records
from contact_sync.contacts.seen import mark
from contact_sync.contacts.window import Window
from contact_sync.state.database import StateError
from contact_sync.state.store import Store
from contact_sync.state.tables import AUDIT, CONTACT_LINK, GENESYS_MIRROR, MIRROR_IDENTIFIER
from contact_sync_tests.contacts.builders import crm_ids, link, moment, normalized, person, record
from contact_sync_tests.state.stored import NOW, WINDOW, deliver, rows_of

ANA, EVA = person(1), person(2)
Row = dict[str, Any]


def wanted(fields: Mapping[str, str], crm_id: str = "new", account: str | None = None) -> Link:
    return link(crm_id, None, fields, account=account)


def filled(store: Store, *links: Link, shared_threshold: int = 3) -> Directory:
    directory = Directory(IdentityRules(shared_threshold=shared_threshold))
    store.fill(directory, links)
    return directory


def audit(run_id: str = "run 1", crm_id: str = "1") -> Row:
    return {
        "at": NOW,
        "run_id": run_id,
        "source": "crm",
        "window_start": WINDOW.start,
        "window_end": WINDOW.end,
        "crm_id": crm_id,
        "contact": "G1",
        "action": "update",
        "rule": "link",
        "changes": [{"field": "title", "old": None, "new": "Dr"}],
        "result": "done",
        "status": 200,
        "correlation_id": None,
    }


def ledger(source: str = "crm", window: Window = WINDOW, **values: object) -> Row:
    return {
        "source": source,
        "window_start": window.start,
        "window_end": window.end,
        "rows_read": 3,
        "outcomes": {"created": 3},
        "requests": 1,
        "writes": 1,
        "seconds": 0.5,
        "digest": "d",
        "newest_modified_at": None,
        "run_id": "run 1",
        "committed_at": NOW,
        "reopened_at": None,
        "reopened_because": None,
        "moved_by": 0,
        "unexplained": 0,
        **values,
    }


# --- links


def test_a_link_comes_back_as_it_went(store: Store) -> None:
    deliver(store, before := link("1", "G1", ANA, account="A-1"))
    assert filled(store, wanted({}, "1")).link(("crm", "1")) == before


def test_an_older_version_never_replaces_a_newer_one(store: Store) -> None:
    deliver(store, newer := link("1", "G1", EVA, at=2))
    deliver(store, link("1", "G1", ANA, at=1))
    assert filled(store, wanted({}, "1")).link(("crm", "1")) == newer


def test_a_tombstone_is_remembered(store: Store) -> None:
    deliver(store, link("1", "G1", ANA, at=1))
    deliver(store, gone := link("1", None, {}, at=2), touched={"G1"})
    assert filled(store, wanted({}, "1")).link(("crm", "1")) == gone
    assert filled(store, wanted(ANA)).find(wanted(ANA)) == Match()


def test_records_of_another_source_are_others(store: Store) -> None:
    deliver(store, link("1", "G1", ANA))
    assert filled(store).link(("crm", "1")) is None


def test_links_are_counted_by_source_and_contact(store: Store) -> None:
    assert store.link_counts("crm") == {"records": 0, "contacts": 0}
    deliver(store, link("1", "G1", ANA), link("2", "G1", ANA), link("3", "G2", EVA), link("4", None, {}))
    assert store.link_counts("crm") == {"records": 3, "contacts": 2}
    assert store.link_counts("other") == {"records": 0, "contacts": 0}


def test_what_a_plan_says_of_a_thousand_people_can_be_stored(store: Store) -> None:
    people = (record(str(n), {"workEmail": f"p{n}@example.com"}, at=n) for n in range(1_100))
    made = make_plan(normalized(*people), Directory(), source="crm")
    links = [
        Link(("crm", row["crm_id"]), f"G{row['crm_id']}", None, row["version"], row["modified_at"], row["read_at"])
        for row in records(made)
    ]
    deliver(store, *links)
    back = filled(store, *links)
    assert all(back.link(one.record) == one for one in links)
    assert store.link_counts("crm") == {"records": 1_100, "contacts": 1_100}


# --- requests without an answer


def test_what_was_sent_is_known_until_it_is_answered(store: Store) -> None:
    sent = [link("1", "new:1", ANA), link("2", "new:1", ANA), link("3", "G3", EVA)]
    store.send(sent)
    store.send(sent[:1])  # once more
    known = filled(store)
    assert sorted(crm_ids(known.unanswered("new:1"))) == ["1", "2"]
    assert known.unanswered("G3") == sent[2:]
    deliver(store, answered=["new:1"])
    known = filled(store)
    assert (known.unanswered("new:1"), known.unanswered("G3")) == ([], sent[2:])


def test_a_refusal_answers_for_the_version_that_was_refused(store: Store) -> None:
    first, second = link("1", "new:1", ANA), link("1", "new:1", EVA, at=1)
    store.send([first])
    store.send([second])
    deliver(store, refused=[second])
    assert filled(store).unanswered("new:1") == [first]


def test_the_records_of_a_contact_that_was_sent_to_come_with_it(store: Store) -> None:
    deliver(store, before := link("1", "G1", ANA))
    store.send([link("2", "G1", ANA)])
    assert filled(store).members("G1") == [before]


# --- recognising


@pytest.mark.parametrize(
    ("account", "fields", "rule"),
    [
        ("A-1", ANA, "business key"),
        (None, {"otherEmail": ANA["workEmail"]}, "email"),
        (None, {"firstName": "first1", "lastName": "Last1", "homePhone": ANA["workPhone"]}, "phone"),
        ("A-1", {"firstName": "FIRST1", "lastName": "Last1"}, "name"),
    ],
)
def test_a_stored_person_is_recognised_by_each_rule(
    store: Store, account: str | None, fields: dict[str, str], rule: str
) -> None:
    deliver(store, link("1", "G1", ANA, account="A-1"), link("2", "G2", EVA, account="A-1"))
    who = wanted(fields, account=account)
    assert filled(store, who).find(who) == Match(contact="G1", rule=rule)


def test_a_contact_comes_with_all_its_records(store: Store) -> None:
    deliver(store, link("1", "G1", ANA, at=1), link("2", "G1", {"title": "Dr"}, at=2), link("3", "G2", EVA))
    by_record, by_identifier = (filled(store, one) for one in (wanted({}, "1"), wanted(ANA)))
    for directory in (by_record, by_identifier):
        assert crm_ids(directory.members("G1")) == ["2", "1"]
        assert directory.members("G2") == []


def test_what_too_many_contacts_share_is_barred_without_loading_them(store: Store) -> None:
    switchboard = {"workPhone": "+12125708000"}
    deliver(
        store,
        *(link(str(n), f"G{n}", {"firstName": "Eva", "lastName": f"Name{n}"} | switchboard) for n in range(3)),
    )
    who = wanted({"firstName": "Eva", "lastName": "Name0", "workEmail": "a@example.com"} | switchboard)
    barred = filled(store, who)
    assert barred.find(who) == Match()
    assert [barred.members(f"G{n}") for n in range(3)] == [[], [], []]
    # One of them, known for another reason, does not look like the only one.
    assert filled(store, wanted({}, "0"), who).find(who) == Match()
    assert filled(store, who, shared_threshold=4).find(who) == Match(contact="G0", rule="phone")


# --- the mirror


def test_the_mirror_holds_what_the_records_make_together(store: Store, engine: Engine) -> None:
    deliver(store, link("1", "G1", ANA | {"title": "Dr"}, at=1), link("2", "G1", ANA | {"title": "Prof"}, at=1))
    assert [(row["contact"], row["fields"]) for row in rows_of(engine, GENESYS_MIRROR)] == [
        ("G1", ANA | {"title": "Prof"})
    ]
    known = {(row["rule"], row["value"]) for row in rows_of(engine, MIRROR_IDENTIFIER)}
    assert known == {
        *identifiers(None, ANA),
        *map(mark, external_ids([link("1", "G1", ANA), link("2", "G1", ANA)])),
    }


def test_the_mirror_follows_what_changes_and_forgets_what_is_gone(store: Store, engine: Engine) -> None:
    deliver(store, link("1", "G1", ANA), link("2", "G2", EVA))
    deliver(store, link("1", "G1", person(3), at=1))
    deliver(store, link("2", None, {}, at=1), touched={"G2"})
    assert [row["contact"] for row in rows_of(engine, GENESYS_MIRROR)] == ["G1"]
    known = {(row["contact"], row["rule"], row["value"]) for row in rows_of(engine, MIRROR_IDENTIFIER)}
    marks = map(mark, external_ids([link("1", "G1", person(3))]))
    assert known == {("G1", *one) for one in (*identifiers(None, person(3)), *marks)}


def test_a_contact_that_genesys_put_in_anothers_place_takes_its_records(store: Store, engine: Engine) -> None:
    deliver(store, link("1", "G1", ANA, at=1), link("2", "G1", {"title": "Dr"}, at=1))
    deliver(store, link("1", "G9", ANA, at=2), renamed=[("G1", "G9")])
    assert {row["contact"] for row in rows_of(engine, CONTACT_LINK)} == {"G9"}
    assert [(row["contact"], row["fields"]) for row in rows_of(engine, GENESYS_MIRROR)] == [
        ("G9", ANA | {"title": "Dr"})
    ]
    assert {row["contact"] for row in rows_of(engine, MIRROR_IDENTIFIER)} == {"G9"}


# --- one transaction, the audit


def test_a_delivery_is_stored_whole_or_not_at_all(store: Store, engine: Engine) -> None:
    broken = audit() | {"run_id": None}
    with pytest.raises(StateError) as failed:
        deliver(store, link("1", "G1", ANA), audit=[broken])
    assert "Dr" not in str(failed.value)
    assert [rows_of(engine, table) for table in (CONTACT_LINK, GENESYS_MIRROR, AUDIT)] == [[], [], []]


def test_an_audit_entry_keeps_what_was_before_and_after(store: Store, engine: Engine) -> None:
    deliver(store, audit=[audit()])
    (row,) = rows_of(engine, AUDIT)
    assert {name: row[name] for name in audit()} == audit()


# --- the ledger


def test_a_window_is_open_until_it_is_committed(store: Store) -> None:
    assert store.ledger.row("crm", WINDOW) is None
    store.ledger.commit(ledger())
    assert store.ledger.row("crm", WINDOW) == ledger()
    assert store.ledger.committed("crm") == [WINDOW]
    assert store.ledger.row("other", WINDOW) is None
    assert store.ledger.committed("other") == []


def test_a_window_that_is_committed_again_has_one_row(store: Store) -> None:
    later = Window(WINDOW.end, WINDOW.end + timedelta(minutes=30))
    for row in (ledger(), ledger(window=later), ledger(run_id="run 2", newest_modified_at=moment(5))):
        store.ledger.commit(row)
    assert sorted(store.ledger.committed("crm")) == [WINDOW, later]
    assert (store.ledger.row("crm", WINDOW) or {})["run_id"] == "run 2"


# --- unmapped fields


def test_unmapped_fields_are_counted_over_windows_and_a_rerun_counts_once(store: Store) -> None:
    later = Window(WINDOW.end, WINDOW.end + timedelta(minutes=30))
    store.note_unmapped("crm", WINDOW, {"shoe_size": 2, "empty": 0}, {"shoe_size": "a whole number"})
    store.note_unmapped("crm", later, {"shoe_size": 4, "hat_size": 1})
    store.note_unmapped("crm", later, {"shoe_size": 3, "hat_size": 1})
    store.note_unmapped("other", WINDOW, {"glove_size": 1})
    assert store.unmapped("crm") == [
        {"field": "hat_size", "first_seen": later.start, "last_seen": later.end, "records": 1, "shape": None},
        {
            "field": "shoe_size",
            "first_seen": WINDOW.start,
            "last_seen": later.end,
            "records": 5,
            "shape": "a whole number",
        },
    ]


# --- organisations


def test_organisations_are_remembered_by_account_and_renamed(store: Store) -> None:
    rows = [
        {
            "source": source,
            "account": f"A{number}",
            "organization": f"{source}-{number}",
            "name": f"Company {number}",
        }
        for source in ("crm", "other")
        for number in range(1_200)
    ]
    store.note_organizations(rows)
    store.note_organizations([rows[0] | {"name": "Renamed"}])
    asked = [f"A{number}" for number in range(0, 1_300, 2)]
    found = store.organizations("crm", asked)
    assert len(found) == 600
    assert (found["A0"], found["A1198"]) == (("crm-0", "Renamed"), ("crm-1198", "Company 1198"))
    assert store.organizations("crm", []) == {}
