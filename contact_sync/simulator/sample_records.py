"""Records of the sample CRM: a person at an account, and what the years make of one.

What belongs here: one record at a time, as a mapping of column to value. How many of which there are, and when
they change, belongs to `sample_crm`.
"""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from phonenumbers import PhoneNumberType

from contact_sync.simulator.sample_dirt import WRONG_EMAILS, WRONG_NUMBERS, other_case, typed_email, typed_number
from contact_sync.simulator.sample_people import Account, Country, account, ascii_of, number, record_id

Row = dict[str, Any]

TEXTS = (
    "id", "account_id", "account_name", "salutation", "first_name", "last_name", "job_title", "email",
    "work_phone", "mobile_phone", "home_phone", "other_phone", "street", "city", "state", "postal_code",
    "country", "tags", "favourite_colour", "merged_into",
)  # fmt: skip
"""The columns of text."""
COLUMNS = (*TEXTS, "lead_score", "created_at", "updated_at", "is_deleted")
LIFE = frozenset({"id", "created_at", "updated_at", "is_deleted", "merged_into"})
"""What is the record's own; every other column is business data, which a re-indexed record keeps."""

_TITLES = (
    *("Buyer", "Head of Sales", "CEO", "Engineer", "Office Manager", "Accountant", "IT Director", "Einkäuferin"),
    *("Geschäftsführer", "Responsable d'achats", "Analista", "Kierownik", "Nurse", "Intern", None),
)
_COLOURS = ("blue", "green", "red", "Ultramarin", "none of your business", None, None, None)
_TAGS = ("vip", "newsletter", "trade-fair", "partner", "do-not-call")
_PHONES = {
    "work_phone": (PhoneNumberType.FIXED_LINE, 0.7),
    "mobile_phone": (PhoneNumberType.MOBILE, 0.55),
    "home_phone": (PhoneNumberType.FIXED_LINE, 0.12),
    "other_phone": (PhoneNumberType.MOBILE, 0.05),
}
"""Each phone column with the kind of its numbers and the share of records that have one."""


def stored(moment: datetime) -> str:
    """Return an instant as SQLAlchemy's DateTime stores it in SQLite: UTC with microseconds."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def moment_between(start: datetime, end: datetime, rng: Random) -> datetime:
    """Return an instant of `[start, end)`."""
    return start + timedelta(microseconds=rng.randrange((end - start) // timedelta(microseconds=1)))


def person(company: Account, *, crowded: bool, rng: Random) -> Row:
    """Return somebody new at `company`; a crowded one shares its switchboard and its `info@` mailbox."""
    country = company.country
    index = rng.randrange(len(country.first_names))
    first, last = country.first_names[index], rng.choice(country.last_names)
    city, state, postal_code = rng.choice(country.places)
    row: Row = {
        **dict.fromkeys(COLUMNS),
        "id": record_id("003", rng),
        "account_id": company.id,
        "account_name": company.name,
        "salutation": country.salutations[index % 2],
        "first_name": first,
        "last_name": last,
        "job_title": rng.choice(_TITLES),
        "email": _email(f"{ascii_of(first)}.{ascii_of(last)}", company, crowded=crowded, rng=rng),
        "street": country.street.format(rng.randrange(1, 200)),
        "city": city,
        "state": state or None,
        "postal_code": postal_code,
        "country": country.code,
        "lead_score": rng.randrange(101),
        "tags": ";".join(rng.sample(_TAGS, rng.choice((0, 0, 1, 2)))) or None,
        "favourite_colour": rng.choice(_COLOURS),
        "is_deleted": 0,
    }
    for column, (_, share) in _PHONES.items():
        row[column] = phone(column, country, rng) if rng.random() < share else None
    if rng.random() < (0.6 if crowded else 0.02):
        row["work_phone"] = typed_number(company.switchboard, rng)
    return row


def phone(column: str, country: Country, rng: Random) -> str:
    """Return a number for a phone column as somebody typed it; one in thirty is none at all."""
    if rng.random() < 0.03:
        return rng.choice(WRONG_NUMBERS)
    return typed_number(number(country, _PHONES[column][0], rng), rng)


def colleague(row: Row, rng: Random) -> Row:
    """Return somebody new at the company of `row`."""
    return person(_account_of(row, rng), crowded=False, rng=rng)


def altered(row: Row, rng: Random) -> Row:
    """Return the record with another mobile number, title or e-mail address."""
    company = _account_of(row, rng)
    kind = rng.choice(("mobile_phone", "job_title", "email"))
    if kind == "mobile_phone":
        return {**row, kind: typed_number(number(company.country, PhoneNumberType.MOBILE, rng), rng)}
    if kind == "email" and row["last_name"]:
        return {**row, kind: f"{ascii_of(row['last_name'])}{rng.randrange(10_000)}@{company.domain}"}
    return {**row, "job_title": rng.choice([title for title in _TITLES if title != row["job_title"]])}


def twin(row: Row, rng: Random) -> Row:
    """Return a second record of the same person: another id, the e-mail in other case or else the same phones."""
    own = {
        "id": record_id("003", rng),
        "created_at": None,
        "job_title": rng.choice(_TITLES),
        "favourite_colour": None,
    }
    double = {**row, **own}
    if row["email"] and "@" in row["email"]:
        double["email"] = other_case(row["email"], rng)
        double.update(dict.fromkeys(rng.sample(sorted(_PHONES), 2)))
    return double


def reindexed(row: Row, rng: Random) -> Row:
    """Return the record that takes over the business data of `row` under a new id."""
    return {**row, "id": record_id("003", rng)}


def nobody(row: Row) -> Row:
    """Return the record without anything that would tell whose it is."""
    return {**row, **dict.fromkeys(("salutation", "first_name", "last_name", "email", *_PHONES))}


def is_identified(row: Row) -> bool:
    """Whether a twin of the record could be told to be the same person."""
    return bool(row["last_name"] and (row["email"] or row["mobile_phone"]))


def _account_of(row: Row, rng: Random) -> Account:
    return account(row["account_id"], row["account_name"], row["country"], rng)


def _email(local: str, company: Account, *, crowded: bool, rng: Random) -> str | None:
    kind = rng.random()
    if kind < 0.12:
        return None
    if kind < 0.14:
        return rng.choice(WRONG_EMAILS)
    if crowded and kind < 0.3:
        return f"info@{company.domain}"
    return typed_email(f"{local}@{company.domain}", rng)
