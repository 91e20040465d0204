"""The text of a phone field taken apart: the digits of the number, its extension, and the words around them.

What belongs here: everything that can be told without knowing any country. Which number the digits are belongs to
`phone_ladder`. Whatever might be part of the number, or another number, is never dropped: the text is refused,
with a reason that does not repeat it.
"""

import re
from typing import NamedTuple

from contact_sync.contacts.phone_cleaning import POWER, cleaned
from contact_sync.contacts.phone_words import BETWEEN, EXTENSION_WORDS, PHONE_WORDS, SOMETHING_ELSE, TIME, UNIT

_PLAIN = re.compile(r"\+?[ \xa0]?\(?[0-9][0-9 ().\xa0-]*")
_LISTED = re.compile(r"\A[1-9][.):]\s+(?=[0(])")
_SEPARATORS = {ord(sign): None for sign in " ().-\xa0"}
_DATE = re.compile(
    r"(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])|"
    r"(?:0?[1-9]|[12]\d|3[01])([-/.])(?:0?[1-9]|[12]\d|3[01])\1(?:19|20)\d\d"
)
_REMARK = re.compile(r"[(\[{<][^()\[\]{}<>]*[^\W\d_][^()\[\]{}<>]*[)\]}>]")
_NUMBERED = re.compile(r"\A[^\d+]*[^\W\d_]\s?[1-9]\s?[:)]\s*(?=[\d+(])")
_NUMBER = re.compile(r"[(\[]*\+?[(\[]*\d(?:.*\d)?[)\]]*", re.DOTALL)
_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[^\W\d_]+")
_WRONG_SIGN = re.compile(r"[?*#=%_~^|\\$\u00a2-\u00a5\u20a0-\u20bf\u00a7&+]")
_BODY = re.compile(r"[(\[]*\+?[\d\s()\[\]./~-]*")
_LAST_GROUP = re.compile(r"\s\d{1,2}\Z")
_KEYPAD = re.compile(r"\+?(?:1[\s().-]*)?\(?(?:8\d\d|900)\)?[\s.-]*[a-z\d](?:[\s.-]?[a-z\d])*", re.IGNORECASE)
_KEYS = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")
_LABEL = ("label",)
_NOT_DIGIT = re.compile(r"\D")

FEWEST, MOST = 4, 24
"""Digits of a text that can be a number, with its prefixes."""

LONGEST_TEXT = 250
"""Characters of a text that is looked at, as in phonenumbers."""

MOST_EXTENSION, MOST_PAUSED = 7, 5
"""Digits of an extension, and of one that only a comma or semicolon marks."""


class Written(NamedTuple):
    """A text taken apart.

    Attributes:
        digits: The digits of the number.
        body: The number as written, without words and extension.
        plus: Whether it is written with a plus.
        spelled: The digits, if letters may stand for some.
        shorter: The digits without the last ones, if those may belong to the words behind them.
        remark: Whether unknown words stand around the number.
        extension: The digits of the extension.
        parts: Texts of which each may be a number; `digits` are then all of them, if they can be one number.
        steps: What was done to the text.
        refused: Why it holds no number.
    """

    digits: str = ""
    body: str = ""
    plus: bool = False
    spelled: str = ""
    shorter: str = ""
    remark: bool = False
    extension: str = ""
    parts: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    refused: str | None = None

    def __repr__(self) -> str:
        """Return what was done, without any digit."""
        return f"Written({self.refused or '+'.join(self.steps) or 'as it is'})"


def take_apart(raw: str) -> Written:
    """Take the text of a phone field apart. Any text is allowed."""
    if _PLAIN.fullmatch(raw) and not (raw.endswith((".0", ".00")) or _DATE.fullmatch(raw) or _LISTED.match(raw)):
        digits = raw.translate(_SEPARATORS)
        plus = digits[0] == "+"
        return _sized(Written(digits[1:] if plus else digits, raw, plus))
    if len(raw) > LONGEST_TEXT:
        return Written(refused="it is a whole text")
    text, steps = cleaned(raw)
    if reason := _no_number(text):
        return Written(steps=steps, refused=reason)
    text, extension = _without_extension(text)
    if extension:
        steps = (*steps, "extension")
    written = _sized(_without_words(text))
    spelled = _spelled(text) if written.steps else ""
    return written._replace(extension=extension, spelled=spelled, steps=steps + written.steps)


def _sized(written: Written) -> Written:
    if FEWEST <= len(written.digits) <= MOST or written.refused or written.parts:
        return written
    return written._replace(
        refused="it is too short" if len(written.digits) < FEWEST else "it has too many digits"
    )


def _no_number(text: str) -> str | None:
    if "@" in text or "://" in text or "www." in text:
        return "it is an e-mail address or a link"
    if _DATE.fullmatch(text):
        return "it is a date"
    return "a spreadsheet has cut its digits" if POWER.fullmatch(text) else None


def _without_extension(text: str) -> tuple[str, str]:
    """Return the text without the extension at its end, and that extension."""
    tail = text.rstrip(" .)];")
    closed = tail.endswith("#")
    tail = tail[:-1] if closed else tail
    head = tail.rstrip("0123456789")
    extension, before = tail[len(head) :], head.rstrip(" .:=#(-")
    if not 1 <= len(extension) <= MOST_EXTENSION or not before:
        return text, ""
    number = _before_mark(before, head[len(before) :], extension, closed=closed)
    return (text, "") if number is None else (number.rstrip(" ([,;:/-"), extension)


def _before_mark(before: str, signs: str, extension: str, *, closed: bool) -> str | None:
    """Return what stands before the mark of an extension: a word, a #, the commas of a pause; None without one."""
    letters = len(before)
    while letters and before[letters - 1].isalpha():
        letters -= 1
    if before[letters:].casefold() in EXTENSION_WORDS:
        return before[:letters]
    if "#" in signs or (closed and signs[:1] in ("-", " ")):
        return before
    number = before.rstrip(",; ")
    pause = before[len(number) :]
    is_pause = pause.strip(" ") == ";" or pause in (",", ",,", ",,,")
    return number if is_pause and not signs and len(extension) <= MOST_PAUSED and number[-1:].isdigit() else None


def _without_words(text: str) -> Written:
    """Return the number between the words of a text."""
    said = [word.casefold() for word in _WORD.findall(text)]
    bare = _LISTED.sub("", text)
    if said:
        bare = _NUMBERED.sub("", TIME.sub(" ", _REMARK.sub(_short, bare)))
    found = _NUMBER.search(bare)
    if not found:
        return Written(refused="it holds no digits")
    before, after = bare[: found.start()], bare[found.end() :]
    if reason := _misleading(before, after, said):
        return Written(refused=reason, steps=_LABEL if said else ())
    written = _numbers(found.group())
    if not said:
        return written
    written = written._replace(remark=not PHONE_WORDS.issuperset(said), steps=_LABEL)
    counted = UNIT.match(after) and _LAST_GROUP.search(written.body)
    return written._replace(shorter=written.digits[: 1 - len(counted.group())]) if counted else written


def _short(remark: re.Match[str]) -> str:
    """Drop a remark in brackets, unless it holds an extension or more digits than a time or a count has.

    Between two halves that can be numbers it parts them.
    """
    text = remark.group()
    digits = _NOT_DIGIT.sub("", text)
    if len(digits) > 2 or (digits and not EXTENSION_WORDS.isdisjoint(_WORD.findall(text.casefold()))):
        return text
    before, after = remark.string[: remark.start()], remark.string[remark.end() :]
    return " | " if min(len(_NOT_DIGIT.sub("", side)) for side in (before, after)) >= 6 else " "


def _misleading(before: str, after: str, said: list[str]) -> str | None:
    if said and not SOMETHING_ELSE.isdisjoint(said):
        return "it is labelled as something else"
    if (before and _WRONG_SIGN.search(before)) or (after and _WRONG_SIGN.search(after)):
        return "it holds signs that no number has"
    return "it holds letters" if _attached(before, after) else None


def _attached(before: str, after: str) -> bool:
    """Tell whether letters touch the number that are no word for a phone."""
    touching = []
    if before[-1:].isalpha():
        touching.append(_WORD.findall(before)[-1])
    if after[:1].isalpha():
        touching.append(_WORD.findall(after)[0])
    return any(word.casefold() not in PHONE_WORDS for word in touching)


def _numbers(body: str) -> Written:
    if _BODY.fullmatch(body):
        written = Written(_NOT_DIGIT.sub("", body), body, "+" in body)
        return _slashed(written) if "/" in body else written
    parts = tuple(part for part in BETWEEN.split(body) if part.strip())
    if len(parts) > 1:
        return Written(body=body, parts=parts)
    return Written(refused="it holds letters" if _LETTER.search(body) else "it holds signs that no number has")


def _slashed(written: Written) -> Written:
    """Tell a slash that joins the parts of a number from one that parts numbers, or endings of one."""
    parts = written.body.split("/")
    sizes = [len(_NOT_DIGIT.sub("", part)) for part in parts]
    if len(parts) == 2 and sizes[0] >= 6 and 0 < sizes[1] <= 3:
        return Written(refused="it holds two endings of one number")
    return written._replace(parts=tuple(parts)) if min(sizes) >= 6 else written


def _spelled(text: str) -> str:
    """Return the digits of a number that the letters of the keypad may spell, such as 1-800-FLOWERS."""
    letters = _LETTER.findall(text)
    if len(letters) < 3 or not _KEYPAD.fullmatch(text):
        return ""
    joined = not re.search(r"\s", text[text.index(letters[0]) - 1 :])
    digits = _NOT_DIGIT.sub("", text.upper().translate(_KEYS))
    return digits if (joined or text.isupper()) and len(digits) == 10 + digits.startswith("1") else ""
