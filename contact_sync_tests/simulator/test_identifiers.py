"""Who owns an identifier: over HTTP for the operations, against a model for any order of events."""

from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contact_sync.simulator.history import History
from contact_sync.simulator.identifiers import Identifier, external_ids_of, identifiers_of
from contact_sync.simulator.records import RecordStore
from contact_sync_tests.simulator.api import Api, Json

NO_LAG = History(lambda: 0.0, lambda: 0.0)
PHONE = {"display": "+1 704 298 4733"}
E164 = {"type": "Phone", "value": "+17042984733"}
EMAIL = {"type": "Email", "value": "ada@example.com"}


def owner(api: Api, identifier: Json) -> str | None:
    response = api.call("POST", "/identifierlookup/contacts", identifier)
    return str(response.json()["id"]) if response.ok else None


def create(api: Api, **fields: object) -> str:
    return str(api.ok("POST", "/contacts", fields)["id"])


def owned(api: Api, contact_id: str) -> list[str]:
    return [one["value"] for one in api.ok("GET", f"/contacts/{contact_id}/identifiers")["entities"]]


def test_the_first_contact_keeps_a_shared_number_and_the_next_inherits(api: Api) -> None:
    first, second, third = (create(api, workPhone=PHONE) for _ in range(3))
    assert owner(api, E164) == first
    assert [owned(api, one) for one in (first, second, third)] == [[E164["value"]], [], []]
    api.ok("DELETE", f"/contacts/{first}")
    assert owner(api, E164) == second
    api.ok("PUT", f"/contacts/{second}", {"firstName": "No number"})
    assert owner(api, E164) == third
    api.ok("DELETE", f"/contacts/{third}")
    assert owner(api, E164) is None


def test_an_external_id_stays_with_its_first_contact(api: Api) -> None:
    source = {"id": api.source()}
    held = {"externalSource": source, "value": "crm-1"}
    first = create(api, externalIds=[held])
    second = create(api, externalIds=[held])
    assert first != second
    assert owner(api, {"type": "ExternalId", "value": "crm-1", "externalSource": source}) == first
    assert owner(api, {"type": "ExternalId", "value": "crm-1", "externalSource": {"id": "other"}}) is None


def test_every_kind_of_identifier_is_found(api: Api) -> None:
    contact = create(
        api,
        personalEmail="Ada@Example.com",
        twitterId={"screenName": "@Ada"},
        whatsAppId={"phoneNumber": {"display": "447911123456"}},
        facebookId={"ids": [{"scopedId": "fb"}]},
        instagramId={"ids": [{"scopedId": "ig"}]},
        lineId={"ids": [{"userId": "ln"}]},
        appleOpaqueIds=[{"value": "ap"}],
    )
    wanted = [
        EMAIL,
        {"type": "SocialTwitter", "value": "ada"},
        {"type": "SocialWhatsapp", "value": "447911123456"},
        {"type": "SocialFacebook", "value": "fb"},
        {"type": "SocialInstagram", "value": "ig"},
        {"type": "SocialLine", "value": "ln"},
        {"type": "AppleOpaqueId", "value": "ap"},
    ]
    assert [owner(api, one) for one in wanted] == [contact] * len(wanted)


def test_a_number_that_is_not_e164_identifies_nobody(api: Api) -> None:
    assert owned(api, create(api, workPhone={"display": "ext. 12"})) == []


def test_only_an_explicit_claim_conflicts(api: Api) -> None:
    first = create(api, workEmail=EMAIL["value"])
    second = create(api, firstName="B")
    claim = {"operation": "Claim", "identifier": EMAIL}
    assert api.refused("PATCH", f"/contacts/{second}/identifiers", claim) == (409, "identifier.claim.conflict")
    assert api.ok("PATCH", f"/contacts/{first}/identifiers", claim) == EMAIL


def test_a_claim_fills_a_free_field_and_a_release_empties_it(api: Api) -> None:
    contact = create(api, workPhone={"display": "+1 704 298 4700"})
    path = f"/contacts/{contact}/identifiers"
    source = {"id": api.source()}
    external_id = {"type": "ExternalId", "value": "crm-1", "externalSource": source}
    for identifier in (E164, EMAIL, external_id):
        assert api.ok("PATCH", path, {"operation": "Claim", "identifier": identifier}) == identifier
    shown = api.ok("GET", f"/contacts/{contact}")
    assert (shown["cellPhone"]["e164"], shown["workEmail"]) == (E164["value"], EMAIL["value"])
    assert shown["externalIds"] == [{"externalSource": source, "value": "crm-1"}]
    for identifier in (E164, EMAIL, external_id):
        api.ok("PATCH", path, {"operation": "Release", "identifier": identifier})
    shown = api.ok("GET", f"/contacts/{contact}")
    assert not {"cellPhone", "workEmail"} & shown.keys()
    assert owned(api, contact) == ["+17042984700"]


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"operation": "Release", "identifier": EMAIL}, (404, "identifier.cannot.be.released")),
        ({"operation": "Grab", "identifier": EMAIL}, (400, "invalid.operation.type")),
        (
            {"operation": "Claim", "identifier": {"type": "Cookie", "value": "x"}},
            (422, "identifier.cannot.be.claimed"),
        ),
        ({"operation": "Claim", "identifier": {"type": "Fax", "value": "x"}}, (422, "validation.failed")),
        (
            {"operation": "Claim", "identifier": {"type": "Phone", "value": "7042984733"}},
            (422, "validation.failed"),
        ),
        ({"operation": "Claim", "identifier": {"type": "ExternalId", "value": "x"}}, (422, "validation.failed")),
        ({"operation": "Claim", "identifier": {"type": "Email", "value": "x" * 256}}, (422, "validation.failed")),
        ({"operation": "Claim"}, (422, "validation.failed")),
    ],
)
def test_claims_that_cannot_be(api: Api, body: Json, refusal: tuple[int, str]) -> None:
    assert api.refused("PATCH", f"/contacts/{create(api, firstName='A')}/identifiers", body) == refusal


def test_a_full_contact_takes_no_further_identifier(api: Api) -> None:
    emails = {"workEmail": "a@a.example", "personalEmail": "b@a.example", "otherEmail": "c@a.example"}
    path = f"/contacts/{create(api, **emails)}/identifiers"
    claim = {"operation": "Claim", "identifier": EMAIL}
    assert api.refused("PATCH", path, claim) == (422, "identifier.cannot.be.claimed")


class Event(NamedTuple):
    record_id: str
    values: frozenset[str] | None


EVENTS = st.lists(
    st.builds(Event, st.sampled_from("abcd"), st.none() | st.frozensets(st.sampled_from(["x", "y", "z"]))),
    max_size=40,
)


def queues_after(events: Iterable[Event]) -> dict[str, list[str]]:
    """Play the events by the rule in its plainest form: a queue for each value."""
    queues: dict[str, list[str]] = {"x": [], "y": [], "z": []}
    for record_id, values in events:
        for value, queue in queues.items():
            if record_id in queue and value not in (values or ()):
                queue.remove(record_id)
            elif record_id not in queue and value in (values or ()):
                queue.append(record_id)
    return queues


def happen(store: RecordStore, events: Iterable[Event]) -> None:
    for record_id, values in events:
        if values is None:
            store.remove(record_id)
        else:
            held = [{"externalSource": {"id": "s"}, "value": value} for value in sorted(values)]
            store.put(record_id, {"externalIds": held})


@given(EVENTS)
def test_ownership_is_a_queue_whatever_happens(events: list[Event]) -> None:
    store = RecordStore(external_ids_of, NO_LAG)
    happen(store, events)
    restored = RecordStore.restored(external_ids_of, NO_LAG, store.dump())
    for value, queue in queues_after(events).items():
        identifier = Identifier("ExternalId", value, "s")
        assert store.identifiers.holders(identifier) == queue
        assert restored.identifiers.holders(identifier) == queue


X: frozenset[str] = frozenset({"x"})


@given(EVENTS, EVENTS, EVENTS)
@example([Event("a", X), Event("b", X), Event("a", None), Event("a", X)], [Event("b", None)], [])
@example([Event("b", X), Event("c", X)], [Event("b", None), Event("b", X)], [])
def test_a_rehearsal_leaves_no_trace(before: list[Event], rehearsed: list[Event], after: list[Event]) -> None:
    store, other = (RecordStore(external_ids_of, NO_LAG) for _ in range(2))
    happen(store, before)
    happen(other, before)
    with store.rehearsal():
        happen(store, rehearsed)
        store.redirect("a", "b")
    for events in ((), after):
        happen(store, events)
        happen(other, events)
        assert (list(store), store.dump()) == (list(other), other.dump())
        assert store.canonical("a") == "a"


def test_the_same_value_in_two_fields_is_one_identifier() -> None:
    store = RecordStore(identifiers_of, NO_LAG)
    both = {"workEmail": "a@a.example", "otherEmail": "A@A.example"}
    store.put("1", both)
    store.put("1", {"otherEmail": "a@a.example"})
    assert store.identifiers.owner(Identifier("Email", "a@a.example")) == "1"
    assert store.carried(both) == [Identifier("Email", "a@a.example")]
