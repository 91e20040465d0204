"""Columns of the contact table that the registry does not list: whether they carry values, and one for its shape.

What belongs here: the table's metadata. What is told is for a report on columns, so a column that cannot be
counted is left out rather than a window.
"""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from contact_sync.contacts.window import Window
from contact_sync.crm.dynamics_api import DataverseApi, DataverseRefusedError, rows_of
from contact_sync.crm.dynamics_counts import DataverseCounts
from contact_sync.crm.dynamics_odata import column_of, seconds_of, within

_log = logging.getLogger(__name__)

EXAMPLES = 50
"""Rows that are looked at for a value of each column."""

_AT_ONCE = 40
"""Columns of one query: its address stays below the 8 KB that proxies let pass."""

_LOOKUPS = frozenset({"Lookup", "Customer", "Owner"})
_WITHOUT_VALUES = frozenset({"Virtual", "ManagedProperty", "CalendarRules", "PartyList", "EntityName"})


@dataclass(frozen=True, slots=True)
class _Column:
    """A column by its names in FetchXML and in OData."""

    name: str
    property: str


class UnlistedColumns:
    """Looks at the columns that are not `listed`, which are properties of OData."""

    def __init__(self, api: DataverseApi, listed: Collection[str]) -> None:
        self._api = api
        self._listed = listed
        self._counts = DataverseCounts(api)
        self._refused: set[str] = set()

    def counts(self, window: Window) -> Mapping[str, int]:
        """Return how many changes of the window carry a value, by property; those without one are left out.

        Raises:
            CrmUnavailableError: Dataverse cannot be reached.
        """
        found: dict[str, int] = {}
        for some in self._portions():
            counts = self._counted(window, [column.name for column in some])
            if not counts.get("n"):
                break
            found |= {column.property: counts[column.name] for column in some if counts.get(column.name)}
        return found

    def examples(self, window: Window) -> Mapping[str, Any]:
        """Return a value by property, from some rows of the window.

        Raises:
            CrmUnavailableError: Dataverse cannot be reached.
        """
        found: dict[str, Any] = {}
        start, end = seconds_of(window)
        for some in self._portions() if start < end else ():
            names = [column.property for column in some]
            options = {"$select": ",".join(names), "$filter": within(start, end), "$top": str(EXAMPLES)}
            for row in rows_of(self._api.get(self._api.url("contacts", options))):
                found = {name: row[name] for name in names if row.get(name) is not None} | found
        return found

    def _counted(self, window: Window, names: Sequence[str]) -> Mapping[str, int]:
        """Count columns; where Dataverse refuses some, find which, and leave them out from now on."""
        names = [name for name in names if name not in self._refused]
        try:
            return self._counts.within(window, names)
        except DataverseRefusedError as refused:
            if refused.status != 400 or not names:
                raise
            if len(names) == 1:
                _log.warning(
                    "the column %s, which the registry does not list, is not counted: %s", names[0], refused
                )
                self._refused.add(names[0])
        half = len(names) // 2
        return {**self._counted(window, names[:half]), **self._counted(window, names[half:])}

    def _portions(self) -> Iterator[Sequence[_Column]]:
        for start in range(0, len(self._columns), _AT_ONCE):
            yield self._columns[start : start + _AT_ONCE]

    @cached_property
    def _columns(self) -> Sequence[_Column]:
        options = {"$select": "LogicalName,AttributeType,AttributeOf,IsValidForRead"}
        url = self._api.url("EntityDefinitions(LogicalName='contact')/Attributes", options)
        try:
            attributes = rows_of(self._api.get(url))
        except DataverseRefusedError as refused:
            _log.warning("columns that the registry does not list are not looked for: %s", refused)
            return ()
        columns = map(_column, filter(_holds_values, attributes))
        return [column for column in columns if column.property not in self._listed]


def _holds_values(attribute: Mapping[str, Any]) -> bool:
    """Whether a query can have the column; a shadow shows another one, such as a lookup's name."""
    kind = attribute.get("AttributeType")
    return (
        bool(attribute.get("IsValidForRead")) and not attribute.get("AttributeOf") and kind not in _WITHOUT_VALUES
    )


def _column(attribute: Mapping[str, Any]) -> _Column:
    name = column_of(str(attribute.get("LogicalName")))
    return _Column(name, f"_{name}_value" if attribute.get("AttributeType") in _LOOKUPS else name)
