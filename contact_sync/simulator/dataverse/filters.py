"""`$filter`: from text to a condition on rows.

What belongs here: the grammar of the conditions that Dataverse takes, as far as it is needed: comparisons, `and`,
`or`, `not`, parentheses, null, and the query function In. Text is compared without case, as the database does.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from operator import eq, ge, gt, le, lt, ne
from typing import Any, NamedTuple

from contact_sync.simulator.dataverse.columns import Attribute
from contact_sync.simulator.dataverse.errors import ODataError, no_property, not_parsed
from contact_sync.simulator.dataverse.table import Row

Condition = Callable[[Row], bool]

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^']|'')*')
    |(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,7})?)?(?:Z|[+-]\d\d:\d\d))
    |(?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<word>[A-Za-z_][A-Za-z0-9_.]*)
    |(?P<mark>[(),=\[\]])
    )""",
    re.VERBOSE,
)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {"eq": eq, "ne": ne, "ge": ge, "gt": gt, "le": le, "lt": lt}
_CONSTANTS = {"null": None, "true": True, "false": False}
_READ: Mapping[str, Callable[[str], Any]] = {
    "text": lambda text: text[1:-1].replace("''", "'").lower(),
    "time": datetime.fromisoformat,
    "guid": lambda text: str(uuid.UUID(text)),
    "number": float,
}
_FITTING = {"DateTime": "time", "Uniqueidentifier": "guid", "Lookup": "guid", "Customer": "guid", "Owner": "guid",
            "Integer": "number", "Decimal": "number", "BigInt": "number", "State": "number",
            "Status": "number", "Picklist": "number", "String": "text", "Memo": "text"}  # fmt: skip


class Token(NamedTuple):
    """A piece of the text; `kind` is a group of the pattern."""

    kind: str
    text: str


def condition_of(text: str, properties: Mapping[str, Attribute]) -> Condition:
    """Return the condition that a `$filter` states.

    Raises:
        ODataError: 400: its syntax, a property or a value is wrong.
    """
    parser = _Parser(_tokens(text), properties)
    condition = parser.either()
    if parser.left:
        raise _syntax()
    return condition


def _tokens(text: str) -> list[Token]:
    tokens, place, text = [], 0, text.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            raise _syntax()
        tokens.append(Token(found.lastgroup, found[found.lastgroup]))
        place = found.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[Token], properties: Mapping[str, Attribute]) -> None:
        self.left = tokens
        self._properties = properties

    def either(self) -> Condition:
        return self._joined("or", self._both, any)

    def _both(self) -> Condition:
        return self._joined("and", self._one, all)

    def _joined(self, word: str, part: Callable[[], Condition], how: Callable[[Any], bool]) -> Condition:
        parts = [part()]
        while self._takes(word):
            parts.append(part())
        return lambda row: how(one(row) for one in parts)

    def _one(self) -> Condition:
        if self._takes("not"):
            inner = self._one()
            return lambda row: not inner(row)
        if self._takes("("):
            inner = self.either()
            self._require(")")
            return inner
        if self._takes("Microsoft.Dynamics.CRM.In"):
            return self._in()
        return self._comparison()

    def _comparison(self) -> Condition:
        name = self._next("word").text
        compare = _COMPARE.get(self._next("word").text)
        if compare is None:
            raise _syntax()
        wanted = self._value(name)

        def holds(row: Row) -> bool:
            value = _comparable(row[name])
            if wanted is None or value is None:
                return compare in {eq, ne} and compare(value, wanted)
            return compare(value, wanted)

        return holds

    def _in(self) -> Condition:
        self._require("(")
        self._require("PropertyName")
        self._require("=")
        name = _READ["text"](self._next("text").text)
        self._property(name)
        self._require(",")
        self._require("PropertyValues")
        self._require("=")
        self._require("[")
        values = {_READ["text"](self._next("text").text)}
        while self._takes(","):
            values.add(_READ["text"](self._next("text").text))
        self._require("]")
        self._require(")")
        return lambda row: _comparable(row[name]) in values

    def _value(self, name: str) -> object:
        token = self._next()
        attribute = self._property(name)
        if token.kind == "word" and token.text in _CONSTANTS:
            return _CONSTANTS[token.text]
        if _FITTING.get(attribute.type) != token.kind:
            raise not_parsed("A binary operator with incompatible types was detected.")
        return _READ[token.kind](token.text)

    def _property(self, name: str) -> Attribute:
        if name not in self._properties:
            raise no_property(name)
        return self._properties[name]

    def _takes(self, text: str) -> bool:
        if self.left and self.left[0].kind in {"word", "mark"} and self.left[0].text == text:
            del self.left[0]
            return True
        return False

    def _require(self, text: str) -> None:
        if not self._takes(text):
            raise _syntax()

    def _next(self, kind: str | None = None) -> Token:
        if not self.left or (kind and self.left[0].kind != kind):
            raise _syntax()
        return self.left.pop(0)


def _comparable(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _syntax() -> ODataError:
    return not_parsed("There is a syntax error in the query expression.")
