"""SOQL as it is written: names that are checked, values that are escaped.

What belongs here: text. What is asked, and when, belongs to the source and its parts.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from contact_sync.contacts.window import Window
from contact_sync.crm.source import CrmConfigurationError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}(\.[A-Za-z][A-Za-z0-9_]{0,79}){0,5}")
_ID = re.compile(r"[A-Za-z0-9]{15}([A-Za-z0-9]{3})?")
_ESCAPED = {"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Soql:
    """One query: fields, object, conditions that all hold, and the fields that it is ordered by."""

    fields: Sequence[str]
    object: str
    where: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    limit: int | None = None

    def __str__(self) -> str:
        where = f" WHERE {' AND '.join(self.where)}" if self.where else ""
        order = f" ORDER BY {', '.join(self.order)}" if self.order else ""
        limit = f" LIMIT {self.limit}" if self.limit else ""
        return f"SELECT {', '.join(self.fields)} FROM {self.object}{where}{order}{limit}"  # noqa: S608 -- names

    def narrowed(self, *conditions: str) -> "Soql":
        """Return the query with further conditions."""
        return replace(self, where=(*self.where, *conditions))

    def selecting(self, fields: Sequence[str]) -> "Soql":
        """Return the query of other fields."""
        return replace(self, fields=fields)

    def unordered(self) -> "Soql":
        """Return the query without an order."""
        return replace(self, order=())

    def counting(self) -> "Soql":
        """Return the query of how many rows there are."""
        return replace(self, fields=("COUNT()",), order=())


def name(path: str) -> str:
    """Return a field's name, or a path over relationships such as `Account.Name`.

    Raises:
        CrmConfigurationError: It is none.
    """
    if not _NAME.fullmatch(path):
        raise CrmConfigurationError(
            "the field registry lists a CRM field that is no name of a Salesforce field, such as LastName or "
            "Account.Name: correct the registry"
        )
    return path


def text(value: str) -> str:
    """Return a string literal."""
    return "'" + "".join(_ESCAPED.get(character, character) for character in value) + "'"


def instant(moment: datetime) -> str:
    """Return a datetime literal: the first millisecond that is not before `moment`.

    For stamps in whole milliseconds, comparing with it by >= and < is as exact as comparing with `moment`.
    """
    moment = moment.astimezone(UTC)
    late = timedelta(microseconds=moment.microsecond % 1000)
    if late:
        moment += _MILLISECOND - late
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def within(path: str, window: Window) -> tuple[str, str]:
    """Return the conditions that a datetime field lies in a window."""
    return (f"{path} >= {instant(window.start)}", f"{path} < {instant(window.end)}")


def one_of(path: str, values: Iterable[str]) -> str:
    """Return the condition that a text or id field has one of some values."""
    return f"{path} IN ({', '.join(map(text, values))})"


def is_id(value: str) -> bool:
    """Whether a text can be the id of a record; Salesforce refuses a whole query for one that cannot."""
    return bool(_ID.fullmatch(value))


def any_of(conditions: Iterable[str]) -> str:
    """Return the condition that one of several holds."""
    return f"({' OR '.join(conditions)})"
