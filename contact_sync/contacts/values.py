"""One CRM value to one canonical value: cleaned, coerced to its type, cut to its limit; or refused with a reason.

Pure functions of a text. What belongs here: what a value means by itself. Phones climb their own ladder; what is
redacted belongs to `redaction`; what a record makes of its values to `normalizing`. No reason quotes the value.
"""

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Literal
from urllib.parse import urlsplit

from contact_sync.contacts.fields import LARGEST_NUMBER, MAX_TAGS

Transform = Literal["lower", "upper", "strip_html", "first_line"]

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")
_MARKUP = re.compile(r"<(/?)([A-Za-z!][A-Za-z0-9!-]*)[^<>]*>")
_UNSEEN = frozenset({"script", "style"})
_BREAKS = frozenset({"br", "p", "div", "li", "tr", "ul", "ol", "table", "h1", "h2", "h3", "h4", "h5", "h6"})
_DOMAIN = re.compile(r"(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}(?:[/?#:].*)?")
_YES = frozenset({"true", "t", "yes", "y", "1", "on", "x"})
_NO = frozenset({"false", "f", "no", "n", "0", "off"})


class RefusedValueError(Exception):
    """A value cannot be made what its field takes; the message says what it is not, and not what it is."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A canonical text, empty for no value, and what was done to get it that somebody should know."""

    text: str
    notes: tuple[str, ...] = ()


Read = Callable[[str], Reading]


def clean(text: str) -> str:
    """Return `text` on one line: no control characters, single spaces, none at its ends."""
    return " ".join((text if text.isprintable() else _CONTROL.sub("", text)).split())


def clean_lines(text: str) -> str:
    """Return `text` with its line breaks kept, each line clean."""
    return "\n".join(clean(line) for line in text.splitlines()).strip()


def strip_html(text: str) -> str:
    """Return the words of `text`: no markup, no script, entities as the characters they stand for."""
    if "<" in text:
        text = "".join(_seen(text))
    return html.unescape(text) if "&" in text else text


def _seen(text: str) -> Iterator[str]:
    after, unseen = 0, ""
    for tag in _MARKUP.finditer(text):
        if not unseen:
            yield text[after : tag.start()]
        after, closing, name = tag.end(), tag[1], tag[2].lower()
        if not unseen and not closing and name in _UNSEEN:
            unseen = name
        elif closing and name == unseen:
            unseen = ""
        elif name in _BREAKS and not unseen:
            yield "\n"
    if not unseen:
        yield text[after:]


def first_line(text: str) -> str:
    """Return the first line of `text` that is not blank."""
    return next((line for line in text.splitlines() if line.strip()), "")


TRANSFORMS: Mapping[Transform, Callable[[str], str]] = {
    "lower": str.lower,
    "upper": str.upper,
    "strip_html": strip_html,
    "first_line": first_line,
}
"""What a line of the registry can do to a value before it is read, by name."""


def text_of(limit: int) -> Read:
    """Return the reader of a line of text of at most `limit` characters."""
    return lambda text: _cut(clean(text), limit)


def email(text: str) -> Reading:
    """Read an e-mail address.

    Raises:
        RefusedValueError: It is none.
    """
    found = clean(text).lower().removeprefix("mailto:").strip("<>;, ")
    if found and not (len(found) <= 256 and _EMAIL.fullmatch(found)):
        raise RefusedValueError("it is not an e-mail address")
    return Reading(found)


def words_of(limit: int) -> Read:
    """Return the reader of a line of text that may be HTML."""
    return lambda text: _without_html(text, lambda plain: _cut(clean(plain), limit))


def long_words_of(limit: int) -> Read:
    """Return the reader of lines of text that may be HTML."""
    return lambda text: _without_html(text, lambda plain: _cut(clean_lines(plain), limit))


def identifier_of(limit: int) -> Read:
    """Return the reader of an identifier, which means nothing once it is cut."""

    def read(text: str) -> Reading:
        if len(found := clean(text)) > limit:
            raise RefusedValueError(f"it is longer than {limit} characters")
        return Reading(found)

    return read


def url_of(limit: int) -> Read:
    """Return the reader of a web address; one without a scheme gets https."""

    def read(text: str) -> Reading:
        found = clean(text)
        if found and _DOMAIN.fullmatch(found):
            found = f"https://{found}"
        if found and not _is_url(found):
            raise RefusedValueError("it is not a web address")
        return identifier_of(limit)(found)

    return read


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and " " not in text
    except ValueError:
        return False


def integer(text: str) -> Reading:
    """Read a whole number, also where the CRM wrote it with decimals that are zero.

    Raises:
        RefusedValueError: It is none, or larger than Genesys takes.
    """
    if not (found := clean(text)):
        return Reading("")
    value = _decimal(found)
    if value is None or value != value.to_integral_value():
        raise RefusedValueError("it is not a whole number")
    return Reading(str(int(_in_range(value))))


def number(text: str) -> Reading:
    """Read a number with a decimal point.

    Raises:
        RefusedValueError: It is none, or larger than Genesys takes.
    """
    if not (found := clean(text)):
        return Reading("")
    if (value := _decimal(found)) is None:
        raise RefusedValueError("it is not a number")
    # The shortest decimal of the double that JSON carries, so that what Genesys gives back is the same text.
    return Reading(f"{Decimal(repr(float(_in_range(value)))).normalize() + 0:f}")


def _decimal(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and "_" not in text else None


def _in_range(value: Decimal) -> Decimal:
    if abs(value) > LARGEST_NUMBER:
        raise RefusedValueError("it is larger than Genesys takes")
    return value


def checkbox(text: str) -> Reading:
    """Read yes or no as `true` or `false`.

    Raises:
        RefusedValueError: It is neither.
    """
    word = clean(text).lower()
    if word and word not in _YES | _NO:
        raise RefusedValueError("it is neither yes nor no")
    return Reading(("true" if word in _YES else "false") if word else "")


def day(text: str) -> Reading:
    """Read a date, or the date of a time, in ISO 8601.

    Raises:
        RefusedValueError: It is none.
    """
    found = clean(text)
    try:
        return Reading(
            date.fromisoformat(found[:10] if found[10:11] in {"T", " "} else found).isoformat() if found else ""
        )
    except ValueError:
        raise RefusedValueError("it is not a date as in 2026-01-31") from None


def moment(text: str) -> Reading:
    """Read a time in ISO 8601 as UTC with milliseconds; one without an offset is UTC.

    Raises:
        RefusedValueError: It is none.
    """
    if not (found := clean(text)):
        return Reading("")
    try:
        told = datetime.fromisoformat(found)
        utc = told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise RefusedValueError("it is not a time as in 2026-01-31T06:00:00Z") from None
    return Reading(utc.isoformat(timespec="milliseconds").replace("+00:00", "Z"))


def choice_of(options: tuple[str, ...]) -> Read:
    """Return the reader of one of `options`, in any case."""
    known = {option.casefold(): option for option in reversed(options)} | {option: option for option in options}

    def read(text: str) -> Reading:
        found = clean(text)
        option = known.get(found) or known.get(found.casefold())
        if found and option is None:
            raise RefusedValueError("it is none of its options")
        return Reading(option or "")

    return read


def tags_of(limit: int) -> Read:
    """Return the reader of tags, a JSON list, each once: split at semicolons, else commas, bars and line ends."""

    def read(text: str) -> Reading:
        notes: dict[str, None] = {}
        tags: dict[str, None] = {}
        for part in _parts(text):
            tag = _cut(clean(part), limit)
            notes |= dict.fromkeys(tag.notes)
            if tag.text:
                tags[tag.text] = None
        if len(tags) > MAX_TAGS:
            notes[f"cut to {MAX_TAGS} tags"] = None
        kept = list(tags)[:MAX_TAGS]
        return Reading(json.dumps(kept, ensure_ascii=False) if kept else "", tuple(notes))

    return read


def _parts(text: str) -> list[str]:
    if text.lstrip().startswith("["):
        try:
            return [str(one) for one in json.loads(text)]
        except ValueError:
            pass
    return text.split(";") if ";" in text else re.split(r"[,|\r\n]", text)


def _without_html(text: str, read: Read) -> Reading:
    plain = strip_html(text)
    reading = read(plain)
    return reading if plain == text else Reading(reading.text, ("HTML removed", *reading.notes))


def _cut(text: str, limit: int) -> Reading:
    if len(text) <= limit:
        return Reading(text)
    return Reading(text[:limit].rstrip(), (f"cut to {limit} characters",))
