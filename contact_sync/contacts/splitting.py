"""When records that were one person no longer are: a duplicate that was corrected in the CRM.

What belongs here: the judgement. What becomes of the record and of the contact that it leaves is `planning`'s.
"""

from collections.abc import Callable, Sequence

from contact_sync.contacts.fields import Contact
from contact_sync.contacts.identity import Link, identifiers
from contact_sync.contacts.rules import contradict

IsShared = Callable[[str, str], bool]
"""Whether an identifier (rule, value) is shared by too many contacts to say anything."""


def has_become_another(link: Link, old: Link, rest: Sequence[Link], is_shared: IsShared) -> bool:
    """Whether a record has ceased to be the same person as the other records of its contact.

    It was one with at least one of them before, and is with none of them now. Two records are one person while
    their names do not contradict, or while they have an e-mail, a number, or name and account in common: so
    neither a new e-mail nor a new surname at marriage splits a contact, and a contact of one record never
    splits. Contacts that a person merged in Genesys although nothing connects them stay merged.

    Args:
        link: The record as it is now.
        old: The record as it was delivered.
        rest: The contact's other records.
        is_shared: Tells identifiers that connect nobody.
    """
    return _is_one_of(old, rest, is_shared) and bool(rest) and not _is_one_of(link, rest, is_shared)


def _is_one_of(link: Link, rest: Sequence[Link], is_shared: IsShared) -> bool:
    own = _telling(link.account, link.fields, is_shared)
    return any(
        not contradict(link.fields, other.fields) or own & _telling(other.account, other.fields, is_shared)
        for other in rest
    )


def _telling(account: str | None, fields: Contact, is_shared: IsShared) -> set[tuple[str, str]]:
    return {(rule, value) for rule, value in identifiers(account, fields) if not is_shared(rule, value)}
