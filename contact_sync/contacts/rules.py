"""Which rules recognise people, and when two names are one person's.

What belongs here: the settings of the ladder and the comparison of names, shared by everything that matches.
Looking candidates up belongs to `identity` and to set-based matching.
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contact_sync.contacts.fields import EMAILS, PHONES, Contact

Rule = Literal["email", "phone", "name"]

_WHOLE = ("firstName", "lastName")


class IdentityRules(BaseModel):
    """How people are recognised, after a record's own link and its business key, which always come first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...] = Field(
        default=("email", "phone", "name"),
        description="What recognises a person, strongest first; what is not listed is switched off.",
    )
    shared_threshold: int = Field(
        default=3, ge=2, description="From this many contacts on, a shared number or mailbox links nobody."
    )

    @model_validator(mode="after")
    def _each_rule_once(self) -> Self:
        if len(set(self.rules)) < len(self.rules):
            msg = f"rules: a rule is listed twice: {', '.join(self.rules)}"
            raise ValueError(msg)
        return self


@lru_cache(maxsize=100_000)
def folded(name: str) -> str:
    """Return what is compared of a name: no accents, case, spaces or punctuation.

    Only the accents of Latin, Greek and Cyrillic are dropped: in other scripts such marks are vowels.
    """
    plain = unicodedata.normalize("NFKD", name)
    return "".join(
        one
        for one in plain.casefold()
        if not ("\u0300" <= one <= "\u036f") and unicodedata.category(one)[0] not in "PZC"
    )


def contradict(one: Contact, other: Contact) -> bool:
    """Whether two contacts name different people: a first or last name, or a middle initial, differs."""
    for name in _WHOLE:
        left, right = folded(one.get(name, "")), folded(other.get(name, ""))
        if left and right and left != right:
            return True
    left, right = folded(one.get("middleName", "")), folded(other.get("middleName", ""))
    return bool(left and right and left[0] != right[0])


def same_name(one: Contact, other: Contact) -> bool:
    """Whether two contacts have the same first and last name; half a name may be anybody's of a family."""
    left, right = ([folded(fields.get(name, "")) for name in _WHOLE] for fields in (one, other))
    return all(left) and left == right


def may_be(rule: str, fields: Contact, known: Sequence[Contact]) -> bool:
    """Whether a contact that shares an e-mail, a number, or name and account with a record may be the same person.

    No name may contradict. One mailbox or number may serve a family, so that the whole name has to be the same;
    only a mailbox finds its owner where one side has no name at all. One company may have two people of one
    name: their other mailboxes or numbers tell them apart.

    Args:
        rule: By what they were found.
        fields: The record's fields.
        known: What is known of the contact: the fields of each of its records, or its own.
    """
    if any(contradict(fields, one) for one in known):
        return False
    if rule == "name":
        return not any(_reached_elsewhere(fields, known, names) for names in (EMAILS, PHONES))
    if any(same_name(fields, one) for one in known):
        return True
    return rule == "email" and (_is_nameless(fields) or all(map(_is_nameless, known)))


def _reached_elsewhere(fields: Contact, known: Sequence[Contact], names: Sequence[str]) -> bool:
    """Whether both sides have mailboxes, or numbers, and none in common."""
    own = {fields[name].lower() for name in names if name in fields}
    theirs = {one[name].lower() for one in known for name in names if name in one}
    return bool(own and theirs) and not own & theirs


def _is_nameless(fields: Contact) -> bool:
    return not any(folded(fields.get(name, "")) for name in _WHOLE)
