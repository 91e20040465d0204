from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_sync.contacts.identity import Directory, Link, Match, business_key, identifiers, newest_first
from contact_sync.contacts.rules import IdentityRules, Rule
from contact_sync_tests.contacts.builders import crm_ids, link

ANA = {"firstName": "Ana", "lastName": "Lopez"}
MAIL = {"workEmail": "ana@example.com"}
PHONE = {"cellPhone": "+12125708393"}


def directory(*links: Link, shared_threshold: int = 3) -> Directory:
    known = Directory(IdentityRules(shared_threshold=shared_threshold))
    for one in links:
        known.learn(one)
    return known


def ladder(*rules: Rule, known: Iterable[Link]) -> Directory:
    made = Directory(IdentityRules(rules=rules))
    for one in known:
        made.learn(one)
    return made


def find(known: Directory, fields: Mapping[str, str], account: str | None = None) -> Match:
    return known.find(link("new", None, fields, account=account))


# --- the business key


def test_the_business_key_is_account_number_and_hash() -> None:
    account, number, digest = str(business_key("A-1", ANA | PHONE | MAIL)).split("|")
    assert (account, number, len(digest)) == ("A-1", "+12125708393", 16)


def test_the_business_key_does_not_hang_on_upper_case() -> None:
    assert business_key("A-1", ANA | PHONE) == business_key(
        "A-1", {"firstName": "ANA", "lastName": "lopez"} | PHONE
    )


def test_two_people_behind_one_number_have_two_keys() -> None:
    assert business_key("A-1", ANA | PHONE) != business_key("A-1", ANA | PHONE | {"firstName": "Eva"})


def test_names_do_not_run_into_each_other() -> None:
    one, other = {"firstName": "Ana", "lastName": "Bel"}, {"firstName": "AnaBel"}
    assert business_key("A-1", one | PHONE) != business_key("A-1", other | PHONE)


@pytest.mark.parametrize(
    ("account", "fields"),
    [
        (None, ANA),
        ("A-1", {"lastName": "Lopez"}),
        ("A-1", PHONE),
        ("A-1", MAIL),
        (None, MAIL | PHONE),
    ],
)
def test_what_does_not_tell_one_person_from_another_is_no_key(account: str | None, fields: dict[str, str]) -> None:
    assert business_key(account, fields) is None


@pytest.mark.parametrize(
    ("account", "fields"),
    [("A-1", ANA), (None, ANA | PHONE), (None, {"lastName": "Lopez"} | MAIL), ("A-1", ANA | PHONE | MAIL)],
)
def test_a_name_and_something_that_reaches_it_is_a_key(account: str | None, fields: dict[str, str]) -> None:
    assert business_key(account, fields) is not None


@given(account=st.text(max_size=255))
def test_the_business_key_always_fits_an_external_id(account: str) -> None:
    assert 0 < len(str(business_key(account, ANA | MAIL))) <= 255


# --- the rules


def test_identifiers_come_strongest_first() -> None:
    fields = ANA | PHONE | MAIL | {"otherEmail": "a@example.com", "workPhone": "+12125708394"}
    assert [rule for rule, _ in identifiers("A-1", fields)] == ["email", "email", "phone", "phone", "name"]
    assert list(identifiers("A-1", {"lastName": "Lopez"})) == []
    assert list(identifiers(None, ANA)) == []


@pytest.mark.parametrize(
    ("account", "fields", "rule"),
    [
        ("A-1", ANA | MAIL | PHONE, "business key"),
        (None, {"personalEmail": "ana@example.com"}, "email"),
        (None, ANA | {"homePhone": "+12125708393"}, "phone"),
        ("A-1", ANA, "name"),
        ("A-1", {"firstName": "ANA", "lastName": "LOPEZ", "homePhone": "+12125708393"}, "phone"),
    ],
)
def test_each_rule_finds_the_person(account: str | None, fields: dict[str, str], rule: str) -> None:
    known = directory(link("1", "G1", ANA | MAIL | PHONE, account="A-1"))
    assert find(known, fields, account) == Match(contact="G1", rule=rule)


@pytest.mark.parametrize(
    ("account", "fields"),
    [
        (None, ANA),
        ("A-2", ANA),
        (None, {"firstName": "Eva", "lastName": "Lopez"} | MAIL),
        (None, {"firstName": "Ana", "lastName": "Perez"} | PHONE),
        (None, PHONE),
        (None, {"firstName": "Ana"} | PHONE),
        (None, {"workEmail": "other@example.com"}),
    ],
)
def test_nobody_is_found_by_less(account: str | None, fields: dict[str, str]) -> None:
    known = directory(link("1", "G1", ANA | MAIL | PHONE, account="A-1"))
    assert find(known, fields, account) == Match()


def test_the_first_rule_that_finds_exactly_one_wins() -> None:
    known = directory(link("1", "G1", ANA | MAIL), link("2", "G2", ANA | PHONE))
    assert find(known, ANA | MAIL | PHONE) == Match(contact="G1", rule="email")


def test_the_settings_say_which_rules_there_are_and_which_goes_first() -> None:
    known = [link("1", "G1", ANA | MAIL), link("2", "G2", ANA | PHONE)]
    assert find(ladder("phone", "email", known=known), ANA | MAIL | PHONE) == Match(contact="G2", rule="phone")
    assert find(ladder("phone", known=known), MAIL) == Match()
    assert find(ladder(known=known), ANA | PHONE) == Match(contact="G2", rule="business key")


def test_a_number_needs_the_same_name_and_a_mailbox_none() -> None:
    known = directory(link("1", "G1", ANA | MAIL | PHONE))
    assert find(known, PHONE | {"lastName": "Lopez"}) == Match()  # whoever of the family that is
    assert find(known, MAIL | {"lastName": "Lopez"}) == Match()
    assert find(known, MAIL).contact == "G1"
    assert find(known, PHONE | {"firstName": "ána", "lastName": "LÓPEZ"}).contact == "G1"


def test_two_candidates_under_one_rule_are_not_guessed_between() -> None:
    known = directory(link("1", "G2", ANA | MAIL), link("2", "G1", ANA | MAIL | {"middleName": "B"}))
    assert find(known, MAIL) == Match(rule="email", candidates=("G1", "G2"))


def test_a_name_that_disagrees_with_one_record_of_a_contact_rules_it_out() -> None:
    known = directory(link("1", "G1", MAIL), link("2", "G1", ANA | MAIL))
    assert find(known, MAIL | {"firstName": "Eva"}) == Match()
    assert find(known, MAIL | {"firstName": "ana", "lastName": "lopez"}).contact == "G1"


def test_two_records_of_one_contact_are_one_candidate() -> None:
    known = directory(link("1", "G1", ANA | MAIL), link("2", "G1", ANA | MAIL))
    assert find(known, MAIL).contact == "G1"


def test_a_shared_identifier_links_nobody() -> None:
    switchboard = [link(str(n), f"G{n}", PHONE | {"firstName": "Eva", "lastName": f"Name{n}"}) for n in range(3)]
    newcomer = PHONE | {"firstName": "Eva", "lastName": "Name0", "workEmail": "a@example.com"}
    assert find(directory(*switchboard[:2]), newcomer).contact == "G0"
    assert find(directory(*switchboard), newcomer) == Match()


def test_a_nameless_record_of_a_shared_mailbox_is_not_another() -> None:
    info = [link(str(n), f"G{n}", {"workEmail": "info@example.com"}) for n in range(3)]
    assert find(directory(*info), {"workEmail": "info@example.com"}) == Match()


def test_a_barred_identifier_links_nobody() -> None:
    known = directory(link("1", "G1", ANA | MAIL | PHONE))
    known.bar("email", "ana@example.com")
    assert find(known, MAIL | {"lastName": "Lopez"}) == Match()
    assert (
        find(known, ANA | PHONE | {"workEmail": "a@example.com", "otherEmail": MAIL["workEmail"]}).rule == "phone"
    )


# --- what the directory remembers


def test_members_come_newest_first_and_ties_have_one_order() -> None:
    links = [link("1", "G1", MAIL, at=1), link("3", "G1", MAIL, at=2), link("2", "G1", MAIL, at=2)]
    assert crm_ids(directory(*links).members("G1")) == ["3", "2", "1"]
    assert newest_first(links) == newest_first(reversed(links))


def test_a_replaced_link_is_found_by_its_new_values_only() -> None:
    known = directory(link("1", "G1", ANA | MAIL))
    known.put(link("1", "G1", ANA | {"workEmail": "new@example.com"}))
    assert find(known, MAIL) == Match()
    assert find(known, {"workEmail": "new@example.com"}).contact == "G1"


def test_a_tombstone_is_remembered_and_finds_nobody() -> None:
    known = directory(link("1", "G1", ANA | MAIL))
    known.put(link("1", None, {}))
    assert find(known, ANA | MAIL) == Match()
    assert known.members("G1") == []
    assert known.link(("crm", "1")) == link("1", None, {})


def test_what_is_stored_does_not_replace_what_the_run_has_planned() -> None:
    planned = link("1", "G1", ANA | MAIL, at=2)
    known = directory(planned)
    known.learn(link("1", "G1", ANA, at=1))
    assert known.link(("crm", "1")) is planned


# --- requests without an answer


def unanswered(*links: Link) -> Directory:
    known = directory()
    for one in links:
        known.learn_unanswered(one)
    return known


def test_a_record_that_was_sent_is_what_it_was_sent_as_whatever_it_says_now() -> None:
    known = unanswered(link("1", "new:1", ANA | MAIL))
    known.learn(link("2", "G2", {"firstName": "Eva"} | PHONE))
    assert known.find(link("1", None, {"firstName": "Eva"} | PHONE)).contact == "new:1"


def test_another_record_is_found_to_be_what_was_sent_unless_its_name_disagrees() -> None:
    known = unanswered(link("1", "new:1", ANA | MAIL))
    assert find(known, MAIL | ANA) == Match(contact="new:1", rule="business key")
    assert find(known, MAIL) == Match(contact="new:1", rule="email")
    assert find(known, MAIL | {"firstName": "Eva"}) == Match()


def test_what_was_sent_is_no_link() -> None:
    sent = link("1", "new:1", ANA | MAIL)
    known = unanswered(sent)
    assert (known.link(("crm", "1")), known.members("new:1")) == (None, [])
    assert (known.sent(("crm", "1")), known.unanswered("new:1")) == (sent, [sent])
    assert (known.sent(("crm", "2")), known.unanswered("G2")) == (None, [])
