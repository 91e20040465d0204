"""SOQL as text: words, and what a query asks for.

What belongs here: the grammar, as far as the twin knows it, and its strictness. What a query finds is `soql`'s.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from contact_sync.simulator.salesforce.errors import malformed

_WORD = re.compile(
    r"""\s*(?:
    (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?(?:Z|[+-]\d\d:\d\d))
    |(?P<date>\d{4}-\d\d-\d\d)
    |(?P<number>[+-]?\d+(?:\.\d+)?)
    |(?P<string>'(?:[^'\\\n\r]|\\.)*')
    |(?P<name>[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*)
    |(?P<sign><=|>=|!=|<>|[=<>(),])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}

Value = str | int | float | bool | date | datetime | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`path operator value`; the value of IN and NOT IN is a tuple."""

    path: str
    operator: str
    value: "Value | tuple[Value, ...]"


@dataclass(frozen=True, slots=True)
class Junction:
    """Conditions joined by AND or OR, or one that NOT turns around."""

    word: Literal["AND", "OR", "NOT"]
    parts: "tuple[Condition, ...]"


Condition = Comparison | Junction


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is selected: a field, or a COUNT of one; the path of COUNT() is empty."""

    path: str
    counts: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for; `order` is paths, each with whether it falls."""

    items: tuple[Item, ...]
    object: str
    where: Condition | None
    order: tuple[tuple[str, bool], ...]
    limit: int | None


class _Words:
    """The words of a query, read from the left."""

    def __init__(self, text: str) -> None:
        self._words: list[tuple[str, str]] = []
        position, text = 0, text.rstrip()
        while position < len(text):
            found = _WORD.match(text, position)
            if not found or found.lastgroup is None:
                raise malformed(f"unexpected token at column {position}")
            self._words.append((found.lastgroup, found[found.lastgroup]))
            position = found.end()
        self._next = 0

    def peek(self) -> tuple[str, str]:
        return self._words[self._next] if self._next < len(self._words) else ("end", "")

    def take(self, *kinds: str) -> str:
        kind, word = self.peek()
        if kind not in kinds:
            raise malformed(f"unexpected token: '{word}'")
        self._next += 1
        return word

    def skip(self, *words: str) -> bool:
        """Pass over `words` if they come next."""
        coming = self._words[self._next : self._next + len(words)]
        if [word.upper() for kind, word in coming if kind in {"name", "sign"}] != list(words):
            return False
        self._next += len(words)
        return True

    def expect(self, *words: str) -> None:
        if not self.skip(*words):
            raise malformed(f"expecting {' '.join(words)}, found '{self.peek()[1]}'")


def parse(text: str) -> Query:
    """Return what a query asks for.

    Raises:
        ApiError: MALFORMED_QUERY.
    """
    words = _Words(text)
    words.expect("SELECT")
    items = _items(words)
    words.expect("FROM")
    name = words.take("name")
    where = _condition(words) if words.skip("WHERE") else None
    order = _order(words) if words.skip("ORDER", "BY") else ()
    limit = int(words.take("number")) if words.skip("LIMIT") else None
    words.take("end")
    return Query(items, name, where, order, limit)


def _items(words: _Words) -> tuple[Item, ...]:
    items = [_item(words)]
    while words.skip(","):
        items.append(_item(words))
    return tuple(items)


def _item(words: _Words) -> Item:
    name = words.take("name")
    if name.upper() != "COUNT" or not words.skip("("):
        return Item(name)
    path = "" if words.peek()[1] == ")" else words.take("name")
    words.expect(")")
    return Item(path, counts=True)


def _condition(words: _Words) -> Condition:
    first = _part(words)
    word = words.peek()[1].upper()
    if word not in {"AND", "OR"}:
        return first
    parts = [first]
    while words.skip(word):
        parts.append(_part(words))
    if words.peek()[1].upper() in {"AND", "OR"}:  # Salesforce wants parentheses where both are used
        raise malformed(f"unexpected token: '{words.peek()[1]}'")
    return Junction("AND" if word == "AND" else "OR", tuple(parts))


def _part(words: _Words) -> Condition:
    if words.skip("("):
        inner = _condition(words)
        words.expect(")")
        return inner
    if words.skip("NOT"):
        return Junction("NOT", (_part(words),))
    path = words.take("name")
    if words.skip("NOT", "IN"):
        return Comparison(path, "NOT IN", _list(words))
    if words.skip("IN"):
        return Comparison(path, "IN", _list(words))
    operator = words.take("sign")
    return Comparison(path, "!=" if operator == "<>" else operator, _value(words))


def _list(words: _Words) -> tuple[Value, ...]:
    words.expect("(")
    values = [_value(words)]
    while words.skip(","):
        values.append(_value(words))
    words.expect(")")
    return tuple(values)


def _value(words: _Words) -> Value:
    kind, _ = words.peek()
    word = words.take("datetime", "date", "number", "string", "name")
    if kind == "datetime":
        return datetime.fromisoformat(word).astimezone(UTC)
    if kind == "date":
        return date.fromisoformat(word)
    if kind == "number":
        return float(word)
    if kind == "string":
        return _unescaped(word[1:-1])
    constants: dict[str, Value] = {"NULL": None, "TRUE": True, "FALSE": False}
    if word.upper() not in constants:
        raise malformed(f"unexpected token: '{word}'")
    return constants[word.upper()]


def _unescaped(text: str) -> str:
    def character(found: re.Match[str]) -> str:
        if found[1] not in _ESCAPES:
            raise malformed(f"Illegal string escape '\\{found[1]}'")
        return _ESCAPES[found[1]]

    return re.sub(r"\\(.)", character, text, flags=re.DOTALL)


def _order(words: _Words) -> tuple[tuple[str, bool], ...]:
    order: list[tuple[str, bool]] = []
    while True:
        path = words.take("name")
        falls = words.skip("DESC")
        if not falls:
            words.skip("ASC")
        order.append((path, falls))
        if not words.skip(","):
            return tuple(order)
