"""What programs did to a phone number, undone: other scripts' digits, quotes, decimals, URIs.

What belongs here: changes that need no knowledge of countries or words. Each has a name, which is kept beside the
number. What people write around numbers belongs to `phone_text`.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence

_QUOTES = "\"'`\u00b4\u2018\u2019\u201a\u201c\u201d\u201e"
_FORMULAS = ('="', "='", "=+")
_FLOAT = re.compile(r"(\+?\d+)\.0+")
POWER = re.compile(r"\+?(\d)[.,]?(\d*)e\+?(\d\d?)", re.IGNORECASE)
"""A number as a power of ten, such as 4.91709291197E+11."""

_CONTEXT = re.compile(r";phone-context=([^;]*)", re.IGNORECASE)
_CARRIER = re.compile(r"\b0xx(?=\W?\d)", re.IGNORECASE)


def cleaned(raw: str) -> tuple[str, tuple[str, ...]]:
    """Return a text without what programs did to it, and the names of what was undone, in order."""
    text = raw.strip()
    steps: list[str] = []
    for name, repair in _REPAIRS:
        if (repaired := repair(text)) != text:
            text = repaired
            steps.append(name)
    return text, tuple(steps)


class _Characters(dict[int, str]):
    """What each character becomes: digits of any script ASCII digits, marks without width nothing."""

    def __missing__(self, code: int) -> str:
        self[code] = became = _character(chr(code))
        return became


_OTHERS = {"\ufe62": "+", "\u2795": "+", "\u2044": "/", "\u2215": "/", "\u00b7": ".", "\u2022": ".", "\u2212": "-"}
_OTHERS |= {"\u30fc": "-", "\u2043": "-"}


def _character(char: str) -> str:
    if "\uff01" <= char <= "\uff5e":
        return chr(ord(char) - 0xFEE0)
    category = unicodedata.category(char)
    if category == "Nd":
        return str(unicodedata.decimal(char))
    return {"Cf": "", "Zs": " ", "Pd": "-"}.get(category, _OTHERS.get(char, char))


_CHARACTERS = _Characters()


def _in_ascii(text: str) -> str:
    return text if text.isascii() else text.translate(_CHARACTERS).strip()


def _unquoted(text: str) -> str:
    quoted = text[:1] in _QUOTES or text[-1:] in _QUOTES or text[:2] in _FORMULAS
    return text.lstrip("=").strip(_QUOTES).strip() if quoted else text


def _from_spreadsheet(text: str) -> str:
    """Undo that a spreadsheet took the number for a decimal, if no digit is lost."""
    if text.endswith("0") and (found := _FLOAT.fullmatch(text)):
        return found.group(1)
    found = POWER.fullmatch(text)
    return found.group(1) + found.group(2) if found and len(found.group(2)) == int(found.group(3)) else text


def _from_uri(text: str) -> str:
    """Undo RFC 3966: put the context before a local number."""
    if text[:4].lower() == "tel:" and not text[4:5].isspace():
        text = text[4:]
    if found := _CONTEXT.search(text):
        text = text[: found.start()] + text[found.end() :]
        text = found.group(1) + text if found.group(1).startswith("+") else text
    return text


def _without_carrier(text: str) -> str:
    """Undo the Brazilian habit to write 0xx for the trunk prefix and whatever carrier one likes."""
    return _CARRIER.sub("0", text)


_REPAIRS: Sequence[tuple[str, Callable[[str], str]]] = (
    ("characters", _in_ascii),
    ("quotes", _unquoted),
    ("spreadsheet", _from_spreadsheet),
    ("uri", _from_uri),
    ("carrier", _without_carrier),
)
