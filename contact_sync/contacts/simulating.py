"""What other identity rules would make of the people that are known: the stored keys replayed, nothing changed.

What belongs here: replaying records in the CRM's order through the ladder, and comparing who then is one person
with who is. Reading what is stored, and telling an operator, belongs to `steps` and the command line.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from contact_sync.contacts.identity import NEW, Directory, Link, RecordId
from contact_sync.contacts.rules import IdentityRules
from contact_sync.contacts.seen import Seen
from contact_sync.contacts.sharing import bar_shared

Replayed = Mapping[RecordId, str | None]
"""For each record the person that it is by the rules; None for one that is held."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """How people by some rules differ from the contacts that there are.

    Attributes:
        records: Records replayed.
        contacts: Contacts that they are now.
        people: Contacts that they would be.
        relinked: Records that would be of another contact than they are of.
        merged: Contacts whose records would all be of others.
        split: Contacts that would fall apart.
        adopted: Contacts of others that records would take over.
        held: Records that would be held, by the rule that finds several contacts.
        examples: Some of the records that would move or be held.
    """

    records: int
    contacts: int
    people: int
    relinked: int
    merged: int
    split: int
    adopted: int
    held: Mapping[str, int]
    examples: Sequence[str] = field(default=(), repr=False)


def simulate(
    links: Iterable[Link], others: Iterable[Seen], rules: IdentityRules, *, examples: int = 10
) -> Simulation:
    """Replay records by `rules` and compare the people whom that makes with the contacts that there are.

    Args:
        links: The records that are contacts.
        others: Contacts in Genesys that no record is linked to.
        rules: What recognises people.
        examples: How many records to name.
    """
    known = sorted((link for link in links if link.contact), key=lambda link: (link.modified_at, link.record))
    held: Counter[str] = Counter()
    then = replay(known, others, rules, held)
    now = {link.record: str(link.contact) for link in known}
    groups = _groups(then)
    kept = _kept(groups, now)
    moved = [record for record, group in then.items() if group is not None and kept[group] != now[record]]
    waiting = [record for record, group in then.items() if group is None]
    return Simulation(
        records=len(known),
        contacts=len(set(now.values())),
        people=len(groups),
        relinked=len(moved),
        merged=len({now[record] for record, group in then.items() if group} - set(kept.values())),
        split=_split(then, now),
        adopted=sum(not group.startswith(NEW) for group in groups),
        held=dict(held),
        examples=[crm_id for _, crm_id in sorted([*moved, *waiting])[:examples]],
    )


def replay(
    links: Sequence[Link], others: Iterable[Seen], rules: IdentityRules, held: Counter[str] | None = None
) -> Replayed:
    """Return who each record would be, had the rules been these from the start.

    Args:
        links: The records, in the order in which they come.
        others: Contacts in Genesys that no record is linked to.
        rules: What recognises people.
        held: Counts the records that are held, by rule.
    """
    directory = Directory(rules)
    for other in others:
        directory.learn_seen(other)
    bar_shared(links, directory)
    found: dict[RecordId, str | None] = {}
    for link in links:
        match = directory.find(link)
        if match.candidates:
            found[link.record] = None
            if held is not None:
                held[str(match.rule)] += 1
            continue
        found[link.record] = contact = match.contact or f"{NEW}{link.record[0]}\x1f{link.record[1]}"
        directory.put(replace(link, contact=contact))
    return found


def _groups(then: Replayed) -> Mapping[str, Sequence[RecordId]]:
    groups: dict[str, list[RecordId]] = defaultdict(list)
    for record, group in then.items():
        if group is not None:
            groups[group].append(record)
    return groups


def _kept(groups: Mapping[str, Sequence[RecordId]], now: Mapping[RecordId, str]) -> Mapping[str, str | None]:
    """Return the contact that each group goes on as: that of most of its records, for the largest group of it."""
    kept: dict[str, str | None] = dict.fromkeys(groups)
    taken: set[str] = set()
    claims = (
        (count, contact, group)
        for group, records in groups.items()
        for contact, count in Counter(now[record] for record in records).items()
    )
    for _, contact, group in sorted(claims, key=lambda claim: (-claim[0], claim[1:])):
        if kept[group] is None and contact not in taken:
            kept[group] = contact
            taken.add(contact)
    return kept


def _split(then: Replayed, now: Mapping[RecordId, str]) -> int:
    parts: dict[str, set[str]] = defaultdict(set)
    for record, group in then.items():
        if group is not None:
            parts[now[record]].add(group)
    return sum(len(groups) > 1 for groups in parts.values())
