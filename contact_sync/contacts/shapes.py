"""What a value looks like, told without the value: enough to map a field, too little to know a person.

Pure. What belongs here: words for a shape. Where shapes are kept and shown belongs to the steps.
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

_LOOKED_AT = 500  # characters; who writes more writes text
_FORMS: tuple[tuple[str, str], ...] = (
    ("yes or no", r"(?i)true|false|yes|no"),
    ("a whole number", r"[+-]?\d+"),
    ("a number with decimals", r"[+-]?\d+[.,]\d+"),
    ("a date", r"\d{4}-\d\d-\d\d"),
    ("a date and time", r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*"),
    ("an e-mail address", r"\S+@\S+\.\S+"),
    ("a web address", r"(?i)(?:https?://|www\.)\S+"),
)
_COUNTED: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("letter", "letters", str.isalpha),
    ("digit", "digits", str.isdigit),
    ("space", "spaces", str.isspace),
)


def shape_of(value: object) -> str:
    """Return what `value` looks like, such as "text: 12 letters, 1 space"."""
    if isinstance(value, bool):
        return "yes or no"
    if isinstance(value, int | float | Decimal):
        return "a whole number" if value == value // 1 else "a number with decimals"
    if isinstance(value, datetime):
        return "a date and time"
    if isinstance(value, date):
        return "a date"
    if not isinstance(value, str):
        return "neither text nor number"
    text = value.strip()
    form = next((name for name, pattern in _FORMS if re.fullmatch(pattern, text[:_LOOKED_AT])), None)
    return form or f"text: {_counts(text)}"


def _counts(text: str) -> str:
    parts, left = [], len(text)
    for one, many, is_one in _COUNTED:
        if count := sum(map(is_one, text)):
            parts.append(f"{count} {one if count == 1 else many}")
            left -= count
    if left:
        parts.append(f"{left} other")
    return ", ".join(parts) or "blank"
