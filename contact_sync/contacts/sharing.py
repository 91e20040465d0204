"""Shared identifiers, such as a switchboard or `info@`: known by how many people carry it, and barred from links.

The people of all windows of a run and of the stock are counted before anything is planned, so that it does not
matter in which order they come. What belongs here: the counting. What an identifier is belongs to `identity`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from contact_sync.contacts.fields import Contact
from contact_sync.contacts.identity import Directory, Link, identifiers, names_agree

Identifier = tuple[str, str]
"""A rule and a value, such as `("email", "info@example.org")`."""


def people(known: Collection[str], its_names: Iterable[Contact], others: Iterable[Contact]) -> int:
    """Return how many people carry an identifier: at least so many, where names leave it open.

    Args:
        known: The contacts that carry it: stored ones, and those of records that a window changes.
        its_names: The names of their records, as they are and as they will be.
        others: The names of a window's records that are no contact yet. One named like a known contact, or like
            another, may be the same person; a name that lacks a part may be any that has it.
    """
    named = list(its_names)
    strangers = {
        (one.get("firstName", "").casefold(), one.get("lastName", "").casefold())
        for one in others
        if not any(names_agree(one, name) for name in named)
    }
    firsts, lasts = ({name[part] for name in strangers} - {""} for part in (0, 1))
    full = {name for name in strangers if all(name)}
    return len(known) + max(len(firsts), len(lasts), len(full), min(len(strangers), 1))


def bar_shared(links: Iterable[Link], directory: Directory) -> None:
    """Bar the identifiers of records that too many people share, these and those that `directory` knows.

    Args:
        links: The records of a run as they will be; their contacts are looked up.
        directory: What is stored of them, and of every contact that carries one of their identifiers.
    """
    carried: dict[Identifier, list[Link]] = defaultdict(list)
    for link in links:
        for identifier in set(identifiers(link.account, link.fields)):
            carried[identifier].append(link)
    for identifier, carriers in carried.items():
        if _people(identifier, carriers, directory) >= directory.shared_threshold:
            directory.bar(*identifier)


def _people(identifier: Identifier, carriers: Sequence[Link], directory: Directory) -> int:
    known = set(directory.carriers(*identifier))
    most = len(known) + len(carriers)
    if len(known) >= directory.shared_threshold or most < directory.shared_threshold:
        return most  # whoever they are
    members = (link for contact in known for link in (*directory.members(contact), *directory.unanswered(contact)))
    names, others = [link.fields for link in members], list[Contact]()
    for link in carriers:
        contact = directory.contact_of(link.record)
        known |= {contact} if contact else set()
        (names if contact else others).append(link.fields)
    return people(known, names, others)
