"""The mirror on both databases: pages against writes, what is dropped, renamed and shared, how far a scan is."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Engine

from contact_sync.contacts.identity import Directory, Match
from contact_sync.contacts.seen import KEY, Seen
from contact_sync.state.delivery import Delivery
from contact_sync.state.mirror import Scan
from contact_sync.state.store import Store
from contact_sync.state.tables import CONTACT_LINK, GENESYS_MIRROR, MIRROR_IDENTIFIER
from contact_sync_tests.contacts.builders import link, person
from contact_sync_tests.state.stored import NOW, deliver, rows_of

ANA, EVA = person(1), person(2)
AFTER = NOW + timedelta(minutes=1)


def scanned(store: Store, *contacts: Seen, at: timedelta = timedelta(minutes=1), **renamed: str) -> int:
    scan = Scan(NOW + at, cursor="next", cursor_at=NOW + at, pages=1, contacts=len(contacts))
    return store.mirror_page(contacts, list(renamed.items()), scan)


def contacts(engine: Engine) -> dict[str, dict[str, str]]:
    return {row["contact"]: row["fields"] for row in rows_of(engine, GENESYS_MIRROR)}


def test_a_later_page_replaces_what_was_written_and_an_earlier_one_does_not(store: Store, engine: Engine) -> None:
    deliver(store, link("1", "G1", ANA))
    scanned(store, Seen("G1", EVA), at=-timedelta(minutes=1))
    assert contacts(engine) == {"G1": ANA}
    scanned(store, Seen("G1", ANA | {"title": "Dr"}, (("@other", "x"),)))
    assert contacts(engine) == {"G1": ANA | {"title": "Dr"}}


def test_a_record_recognises_its_contact_whatever_somebody_made_of_it(store: Store) -> None:
    deliver(store, link("1", "G1", ANA))
    scanned(store, Seen("G1", EVA))
    directory = Directory()
    who = link("2", None, {name: ANA[name] for name in ("firstName", "lastName", "workEmail")})
    store.fill(directory, [who])
    assert directory.find(who) == Match(contact="G1", rule="email")


def test_what_others_filled_stays_when_we_write_and_what_we_cleared_goes(store: Store, engine: Engine) -> None:
    scanned(store, Seen("G1", ANA | {"salutation": "Ms"}, (("@other", "x"),)), at=-timedelta(minutes=1))
    deliver(store, link("1", "G1", ANA | {"title": "Dr"}), adopted=["G1"])
    deliver(store, link("1", "G1", ANA, at=1))
    (row,) = rows_of(engine, GENESYS_MIRROR)
    assert row["fields"] == ANA | {"salutation": "Ms"}
    assert (row["adopted"], row["external_ids"][-1]) == (True, ["@other", "x"])
    assert ["crm", "1"] in row["external_ids"]


def test_a_contact_that_is_left_is_as_it_was_but_for_our_external_ids(store: Store, engine: Engine) -> None:
    scanned(store, Seen("G1", ANA, (("@other", "x"),)), at=-timedelta(minutes=1))
    deliver(store, link("1", "G1", ANA), adopted=["G1"])
    deliver(store, link("1", None, {}, at=1), touched={"G1"})
    (row,) = rows_of(engine, GENESYS_MIRROR)
    assert (row["fields"], row["adopted"], row["external_ids"]) == (ANA, False, [["@other", "x"]])


def test_a_merge_moves_links_and_keeps_what_was_adopted_marked(store: Store, engine: Engine) -> None:
    deliver(store, link("1", "G1", ANA), adopted=["G1"])
    deliver(store, link("2", "G2", EVA))
    assert scanned(store, G1="G9", G2="G9", G7="G9") == 2
    assert {row["contact"] for row in rows_of(engine, CONTACT_LINK)} == {"G9"}
    scanned(store, Seen("G9", ANA))
    assert [(row["contact"], row["adopted"]) for row in rows_of(engine, GENESYS_MIRROR)] == [("G9", True)]
    assert {row["contact"] for row in rows_of(engine, MIRROR_IDENTIFIER)} == {"G9"}


def test_a_complete_scan_drops_what_it_has_not_seen(store: Store, engine: Engine) -> None:
    scanned(store, Seen("G1", ANA), Seen("G2", EVA), at=-timedelta(minutes=1))
    deliver(store, link("3", "G3", person(3)))
    scanned(store, Seen("G2", EVA))
    scan = store.scan_under_way()
    assert scan == replace(Scan(AFTER), cursor="next", cursor_at=AFTER, pages=1, contacts=1)
    assert store.finish_scan(scan) == (1, 1)
    assert contacts(engine).keys() == {"G2", "G3"}
    assert "G1" not in {row["contact"] for row in rows_of(engine, MIRROR_IDENTIFIER)}
    assert store.scan_under_way() is None


def test_what_is_found_to_be_gone_is_forgotten_unless_it_is_linked(store: Store, engine: Engine) -> None:
    scanned(store, Seen("G1", ANA))
    deliver(store, link("2", "G2", EVA))
    store.record(Delivery(missing=["G1", "G2"]), NOW)
    assert contacts(engine).keys() == {"G2"}


def test_shared_identifiers_are_counted_by_rule(store: Store) -> None:
    info = {"workEmail": "Info@example.com"}
    scanned(store, *(Seen(f"G{n}", info | {"lastName": f"L{n}"}, ((KEY, "k"),)) for n in range(3)))
    assert store.mirrored(3) == (3, {"email": 1})
    assert store.mirrored(4) == (3, {})


def test_a_record_finds_the_contact_that_carries_its_external_id(store: Store) -> None:
    scanned(
        store, Seen("G1", EVA, (("crm", "1"),)), Seen("G2", {}, ((KEY, str(link("9", None, ANA).business_key)),))
    )
    for who, match in (
        (link("1", None, ANA), Match(contact="G1", rule="external id")),
        (link("2", None, ANA), Match(contact="G2", rule="business key")),
    ):
        directory = Directory()
        store.fill(directory, [who])
        assert directory.find(who) == match
        assert directory.seen(str(match.contact)) is not None


def test_the_name_rule_finds_a_contact_by_the_account_that_its_organization_is(store: Store) -> None:
    named = {name: ANA[name] for name in ("firstName", "lastName")}
    organization = {"source": "crm", "account": "A-1", "organization": "O1", "name": "Acme"}
    store.note_organizations([organization])
    scanned(store, Seen("G1", named, organization="O1"), Seen("G2", named, organization="O2"))
    for account, match in (("A-1", Match(contact="G1", rule="name")), ("A-2", Match())):
        directory = Directory()
        who = link("1", None, named, account=account)
        store.fill(directory, [who])
        assert directory.find(who) == match
