"""What is sent for a contact when answers to earlier requests are missing; the rest is tested through plans."""

from contact_sync.contacts.requests import ContactRequest, Known, request_for
from contact_sync.contacts.seen import KEY
from contact_sync_tests.contacts.builders import link, person

ANA = person(1)
RECORD = link("1", "G1", ANA)
KEY_OF_ANA = (KEY, str(RECORD.business_key))


def test_what_did_not_change_is_sent_whole_once_an_answer_is_missing() -> None:
    assert request_for(Known("G1", [RECORD]), [RECORD]) == (None, [])
    ids = (("crm", "1"), KEY_OF_ANA)
    assert request_for(Known("G1", [RECORD], [RECORD]), [RECORD]) == (ContactRequest("upsert", ids, ids, ANA), [])


def test_whatever_may_have_arrived_is_overwritten() -> None:
    titled = link("1", "G1", ANA | {"title": "Dr"}, at=1)
    request, changes = request_for(Known("G1", [RECORD], [titled]), [RECORD])
    assert request is not None
    assert (request.clear, changes) == (("title",), [])


def test_a_record_that_may_have_arrived_is_looked_for_and_released() -> None:
    request, _ = request_for(Known("G1", [RECORD], [link("2", "G1", ANA)]), [RECORD])
    assert request is not None
    assert request.matching == (("crm", "1"), ("crm", "2"), KEY_OF_ANA)
    assert (request.external_ids, request.release) == ((("crm", "1"), KEY_OF_ANA), True)


def test_a_contact_that_may_be_there_is_removed_by_what_it_was_sent_with() -> None:
    request, changes = request_for(Known("new:1", [], [link("1", "new:1", ANA)]), [])
    assert request == ContactRequest("remove", matching=(("crm", "1"), KEY_OF_ANA))
    assert (changes, request_for(Known(), [])) == ([], (None, []))
