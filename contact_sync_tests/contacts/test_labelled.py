"""A set of records with known truth: nobody is taken for somebody else, and how many are found is stated.

People have two or three records each, as a CRM comes to have them: typed again by another hand, with typing
errors, in other spellings, with other numbers and mailboxes, without a name or without all of it. Families share
a landline and a mailbox, namesakes a company, companies a switchboard and `info@`. The planner sees them in any
order, as it would see them in windows.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import mean

import pytest

from contact_sync.contacts.identity import Directory
from contact_sync.contacts.planning import make_plan
from contact_sync.contacts.rules import same_name
from contact_sync_tests.contacts.builders import SOURCE, column, normalized, record
from contact_sync_tests.thorough import thorough

PEOPLE = 9_000
SIZE = 20_000
WINDOW = 5_000

FIRST = ["Ana", "Zoë", "Jürgen", "François", "Łukasz", "Siân", "Björn", "Noël", "Chloé", "Anna-Lena", "Mary Jane"]
FIRST += [
    f"{one}{two}"
    for one in ("Ka", "Mi", "Ro", "Sa", "Te", "Vi", "Lo", "Hel", "Ger")
    for two in ("rin", "bert", "ga")
]
LAST = ["López", "O'Brien", "Müller", "Sørensen", "Núñez", "Dvořák", "Smith", "García", "Lefèvre", "St. John"]
_SYLLABLES = ("Ber", "Hol", "Win", "Mar", "Stan", "Gold", "Ash", "Kel", "Ros", "Tor")
LAST += [
    f"{one}{two.lower()}{three}" for one in _SYLLABLES for two in _SYLLABLES for three in ("ger", "mann", "ton")
]


@dataclass
class Person:
    number: int
    first: str
    last: str
    account: str
    landline: str
    mailbox: str
    mobile: str
    email: str


def people(rng: random.Random) -> Iterator[Person]:
    """Yield people, in families of up to four behind one number and sometimes one mailbox."""
    number = 0
    while number < PEOPLE:
        size, last = rng.choice([1, 1, 2, 3, 4]), rng.choice(LAST)
        firsts = rng.sample(FIRST, size)
        family = f"{number}"
        account = f"A-{rng.randrange(PEOPLE // 12)}"
        for first in firsts:
            yield Person(
                number,
                first,
                last if rng.random() < 0.9 else rng.choice(LAST),
                account if rng.random() < 0.5 else f"A-{rng.randrange(PEOPLE // 12)}",
                landline=f"+1212{family:0>7}",
                mailbox=f"family{family}@example.org",
                mobile=f"+49151{number:08}",
                email=f"person{number}@example.com",
            )
            number += 1


def spelled(rng: random.Random, name: str) -> str:
    """Return a name as another hand types it: without accents, in capitals, with a hyphen; or with an error."""
    how = rng.random()
    plain = {"ë": "e", "ü": "u", "ç": "c", "â": "a", "ö": "o", "é": "e", "ó": "o", "ñ": "n", "ú": "u", "í": "i"}
    if how < 0.2:
        return "".join(plain.get(one, one) for one in name)
    if how < 0.3:
        return name.upper()
    if how < 0.35:
        return name.replace("-", " ").replace("'", "\u2019")
    if how < 0.41:
        at = rng.randrange(len(name))
        return name[:at] + name[at + 1 :] or name
    return name


def typed(rng: random.Random, person: Person) -> dict[str, str]:
    """Return a record of a person."""
    row = {"firstName": spelled(rng, person.first), "lastName": spelled(rng, person.last)}
    if rng.random() < 0.7:
        row["workEmail"] = person.email if rng.random() < 0.95 else person.email.replace("e", "", 1)
    if rng.random() < 0.3:
        row["personalEmail"] = person.mailbox
    if rng.random() < 0.6:
        row["cellPhone"] = person.mobile
    if rng.random() < 0.4:
        row["homePhone"] = person.landline
    if rng.random() < 0.3:
        row["workPhone"] = f"+4930{person.account.removeprefix('A-'):0>7}"
    if rng.random() < 0.2:
        row["otherEmail"] = f"info@{person.account.lower()}.example"
    if rng.random() < 0.04:
        row.pop("firstName")
    if not {"workEmail", "cellPhone", "homePhone", "personalEmail"} & row.keys():
        row["workEmail"] = person.email
    return row


def labelled(seed: int) -> list[tuple[Person, dict[str, str]]]:
    rng = random.Random(seed)  # noqa: S311 (no secrets)
    everybody = list(people(rng))
    rows = [(one, typed(rng, one)) for one in everybody]
    rows += [(one, typed(rng, one)) for one in rng.choices(everybody, k=SIZE - len(rows))]
    rng.shuffle(rows)
    return rows


def linked(rows: list[tuple[Person, dict[str, str]]]) -> list[str]:
    """Return the contact of each row; a row that is held is its own."""
    directory, contacts = Directory(), []
    for start in range(0, len(rows), WINDOW):
        window = enumerate(rows[start : start + WINDOW], start)
        frame = normalized(*(record(str(n), row, at=n, account=one.account) for n, (one, row) in window))
        plan = make_plan(frame, directory, source=SOURCE)
        columns = zip(column(plan, "crm_id"), column(plan, "action"), column(plan, "contact"), strict=True)
        contacts += [f"held {crm_id}" if action == "hold" else contact for crm_id, action, contact in columns]
    return contacts


def can_be_found(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two records of one person have the whole name, and a mailbox or number, in common."""
    reached = {*one.values()} & {*other.values()} - {one.get("firstName", ""), one.get("lastName", "")}
    return bool(reached) and same_name(one, other)


@pytest.mark.parametrize("seed", thorough([1, 2], quick=1))
def test_nobody_is_taken_for_somebody_else_and_most_are_found(seed: int) -> None:
    rows = labelled(seed)
    contacts = linked(rows)
    owners, records = defaultdict(set), defaultdict(list)
    for contact, (one, row) in zip(contacts, rows, strict=True):
        owners[contact].add(one.number)
        records[one.number].append((contact, row))
    assert [contact for contact, people in owners.items() if len(people) > 1] == []
    pairs = [pair for of_one in records.values() for pair in combinations(of_one, 2)]
    found = [left[0] == right[0] for left, right in pairs]
    likely = [left[0] == right[0] for left, right in pairs if can_be_found(left[1], right[1])]
    assert (len(rows), len(pairs)) > (SIZE - 1, 17_000)
    assert mean(found) > 0.6  # a fifth of the pairs has a typing error in a name, a quarter nothing in common
    assert mean(likely) > 0.95
