"""Canaries: a person and secrets that nobody could mistake, and the search for them in all that was told or kept.

What belongs here: who the canaries are and how they are recognised, in any form. Making things fail, and what may
hold them, belongs to the tests.
"""

import re
import sqlite3
import traceback
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import unquote

PERSON: Mapping[str, str] = {
    "account_id": "Kontokanari-7",
    "first_name": "Quetzalina",
    "last_name": "Vogelsäng-Zilpzalp",
    "job_title": "Zwitscherin",
    "email": "flatter@piepmatz.example",
    "work_phone": "+49 (30) 555-01234",
    "mobile_phone": "+49 151/777.00123",
    "city": "Nesthausen",
}
"""As the CRM has it; every column is one that each CRM of the tests has."""

WORDS = ("kontokanari", "quetzalina", "zilpzalp", "zwitscherin", "flatter", "piepmatz", "nesthausen")
NUMBERS = ("3055501234", "15177700123")
"""As they are dialled inside the country, whatever stands around and between the digits."""

CLIENT_SECRET, CRM_PASSWORD, STATE_PASSWORD = "s3cret-ca9ary", "crm-passw0rd-ca9ary", "state-passw0rd-ca9ary"

_SEPARATORS = re.compile(r"[\s()./+-]")


def told(text: str, *secrets: str) -> list[str]:
    """Return the canaries, and the secrets, plain or in base64, that a text tells."""
    found = set()
    for form in (text, unquote(text)):
        folded, dense = form.casefold(), _SEPARATORS.sub("", form)
        found |= {word for word in (*WORDS, *secrets) if word.casefold() in folded}
        found |= {number for number in NUMBERS if number in dense}
    return sorted(found | {secret for secret in secrets if b64encode(secret.encode()).decode() in text})


def spoken(error: BaseException | None) -> str:
    """Return all that an exception says, and those that it came of or that were at hand, suppressed ones too."""
    parts: list[str] = []
    queue, seen = [error], set()
    while queue:
        one = queue.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            queue += [one.__cause__, one.__context__]
            parts += [*traceback.format_exception(one), repr(one), *map(repr, one.args)]
    return "\n".join(parts)


def written(folder: Path) -> str:
    """Return all that is in the files of a folder, their names included, what SQLite keeps packed unpacked."""
    return "\n".join(text for path in sorted(folder.rglob("*")) for text in _written(path))


def _written(path: Path) -> Iterator[str]:
    yield path.name
    if not path.is_file():
        return
    yield path.read_bytes().decode(errors="replace")
    if path.suffix == ".db":
        with closing(sqlite3.connect(path)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
            for (table,) in tables:
                for row in connection.execute(f"SELECT * FROM '{table}'"):  # noqa: S608 -- the database's own names
                    yield from map(_unpacked, row)


def _unpacked(value: object) -> str:
    if isinstance(value, bytes):
        with suppress(zlib.error):
            value = zlib.decompress(value)
        return value.decode(errors="replace")
    return str(value)
