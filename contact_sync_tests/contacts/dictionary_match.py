"""Matching as a plain loop over dictionaries: the oracle of `contacts.matching`. It shares nothing with it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Values = Mapping[str, Sequence[str]]
"""What recognises a record or contact: rule to values."""


@dataclass(frozen=True)
class Someone:
    """A row, or a stored contact, with one record: who it is and what recognises it; names are case-folded."""

    name: str
    values: Values
    first: str | None = None
    last: str | None = None


def links(
    rows: Iterable[Someone], stored: Sequence[Someone], rules: Sequence[str], threshold: int
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield row, rule and candidates of each row that is a stored contact, or may be several."""
    rows = list(rows)
    known: dict[tuple[str, str], list[Someone]] = defaultdict(list)
    for contact in stored:
        for rule, values in contact.values.items():
            for value in values:
                known[rule, value].append(contact)
    carriers = _carriers(rows)
    for row in rows:
        for rule in ("record", "key", *rules):
            candidates = set[str]()
            for value in row.values.get(rule, ()):
                its = known.get((rule, value), [])
                if rule in ("record", "key"):
                    candidates.update(one.name for one in its)
                elif _people(carriers[rule, value], its, known) < threshold:
                    candidates.update(one.name for one in its if _agree(row, one, rule))
            if candidates:
                yield row.name, rule, sorted(candidates)
                break


def _carriers(rows: Iterable[Someone]) -> Mapping[tuple[str, str], list[Someone]]:
    found: dict[tuple[str, str], list[Someone]] = defaultdict(list)
    for row in rows:
        for rule, values in row.values.items():
            for value in values:
                found[rule, value].append(row)
    return found


def _people(
    carriers: Sequence[Someone], its: Sequence[Someone], known: Mapping[tuple[str, str], Sequence[Someone]]
) -> int:
    """Return how many people carry a value at least: stored contacts, and rows that are none of them by name."""
    contacts, named = {one.name for one in its}, list(its)
    strangers: list[Someone] = []
    for row in carriers:
        linked = [one for value in row.values.get("record", ()) for one in known.get(("record", value), ())]
        contacts.update(one.name for one in linked)
        (named if linked else strangers).append(row)
    names = {(one.first, one.last) for one in strangers if not any(_agree(one, other, "email") for other in named)}
    firsts, lasts = {first for first, _ in names if first}, {last for _, last in names if last}
    return len(contacts) + max(len(firsts), len(lasts), len({name for name in names if all(name)}), bool(names))


def _agree(one: Someone, other: Someone, rule: str) -> bool:
    if rule == "phone" and not (one.last and other.last):
        return False
    pairs = ((one.first, other.first), (one.last, other.last))
    return not any(left and right and left != right for left, right in pairs)
