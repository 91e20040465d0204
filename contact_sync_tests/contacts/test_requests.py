"""What is sent for a contact when answers to earlier requests are missing; the rest is tested through plans."""

from contact_sync.contacts.requests import KEY, ContactRequest, request_for
from contact_sync_tests.contacts.builders import link, person

ANA = person(1)
RECORD = link("1", "G1", ANA)
KEY_OF_ANA = (KEY, str(RECORD.business_key))


def test_what_did_not_change_is_sent_whole_once_an_answer_is_missing() -> None:
    assert request_for([RECORD], [RECORD]) == (None, [])
    ids = (("crm", "1"), KEY_OF_ANA)
    assert request_for([RECORD], [RECORD], [RECORD]) == (ContactRequest("upsert", ids, ids, ANA), [])


def test_whatever_may_have_arrived_is_overwritten() -> None:
    titled = link("1", "G1", ANA | {"title": "Dr"}, at=1)
    request, changes = request_for([RECORD], [RECORD], [titled])
    assert request is not None
    assert (request.clear, changes) == (("title",), [])


def test_a_record_that_may_have_arrived_is_looked_for_and_released() -> None:
    request, _ = request_for([RECORD], [RECORD], [link("2", "G1", ANA)])
    assert request is not None
    assert request.matching == (("crm", "1"), ("crm", "2"), KEY_OF_ANA)
    assert (request.external_ids, request.release) == ((("crm", "1"), KEY_OF_ANA), True)


def test_a_contact_that_may_be_there_is_removed_by_what_it_was_sent_with() -> None:
    request, changes = request_for([], [], [link("1", "new:1", ANA)])
    assert request == ContactRequest("remove", matching=(("crm", "1"), KEY_OF_ANA))
    assert (changes, request_for([], [])) == ([], (None, []))
