"""The fields that an object has beyond those of the registry, and whether they hold anything.

What belongs here: describe, COUNT of fields, and some of their values for their shape. Values are not read to be
counted. A field that no condition may name, such as a long text, cannot be counted and is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from contact_sync.crm.salesforce_api import SalesforceApi
from contact_sync.crm.salesforce_query import Queries
from contact_sync.crm.salesforce_rows import rows_of_json
from contact_sync.crm.salesforce_soql import Soql, any_of
from contact_sync.crm.source import CrmUnavailableError

EXAMPLES = 50
"""Rows that are looked at for a value of each field."""

_FIELDS = 50  # of one query: its address must not grow too long
_IN_PARTS = frozenset({"address", "location", "base64"})  # compound fields, whose parts are fields, too; and files


class Description:
    """An object's fields, asked for once.

    Args:
        api: The organisation.
        object_name: The object.
    """

    def __init__(self, api: SalesforceApi, object_name: str) -> None:
        self._api = api
        self._object = object_name

    @cached_property
    def fields(self) -> Mapping[str, Mapping[str, Any]]:
        """What Salesforce tells of each field that the user may see, by its name.

        Raises:
            CrmError: It does not.
        """
        told = self._api.get(f"/sobjects/{self._object}/describe").get("fields")
        if not isinstance(told, list):
            raise CrmUnavailableError(f"Salesforce described {self._object} without its fields")
        return {str(one["name"]): one for one in told if isinstance(one, dict) and "name" in one}

    def missing(self, paths: Sequence[str]) -> list[str]:
        """Return the paths that are not there, or not for the user.

        Of the object's own fields it is known which; else it is one of those over a relationship.
        """
        there = {name.lower() for name in self.fields}
        own = [path for path in paths if "." not in path and path.lower() not in there]
        return own or [path for path in paths if "." in path]


class Unlisted:
    """The fields of an object that nobody lists.

    Args:
        description: The object's fields.
        queries: Where they are counted.
        listed: The fields that are listed.
    """

    def __init__(self, description: Description, queries: Queries, listed: Sequence[str]) -> None:
        self._description = description
        self._queries = queries
        self._listed = frozenset(name.lower() for name in listed)

    def counts(self, slice_: Soql) -> Mapping[str, int]:
        """Count the rows of a query that carry a value, by field; of a yes or no, those with a yes."""
        counted = [name for name, one in self._fields.items() if one.get("aggregatable")]
        asked = {name: _condition(name, one) for name, one in self._fields.items() if name not in counted}
        return {**self._aggregated(slice_, counted), **self._asked(slice_, asked)}

    def examples(self, slice_: Soql) -> Mapping[str, Any]:
        """Return a value for each field that has one in some rows of a query."""
        examples: dict[str, Any] = {}
        for names in _portions(list(self._fields)):
            some = Soql(names, slice_.object, slice_.where, limit=EXAMPLES)
            for row in rows_of_json(self._queries.first(some, deleted=True).get("records"), names):
                for name, value in row.items():
                    if value is not None and value != "false":
                        examples.setdefault(name, value)
        return examples

    @cached_property
    def _fields(self) -> Mapping[str, Mapping[str, Any]]:
        return {
            name: one
            for name, one in self._description.fields.items()
            if name.lower() not in self._listed and one.get("type") not in _IN_PARTS and one.get("filterable")
        }

    def _aggregated(self, slice_: Soql, names: Sequence[str]) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        for portion in _portions(names):
            query = Soql([f"COUNT({name})" for name in portion], slice_.object, slice_.where)
            [row] = self._queries.first(query, deleted=True).get("records") or [{}]
            found = {name: row.get(f"expr{place}") for place, name in enumerate(portion)}
            counts |= {name: count for name, count in found.items() if isinstance(count, int) and count}
        return counts

    def _asked(self, slice_: Soql, conditions: Mapping[str, str]) -> Mapping[str, int]:
        """Count one by one what cannot be aggregated, if there is any of a portion at all."""
        counts: dict[str, int] = {}
        for portion in _portions(list(conditions)):
            if self._queries.count(slice_.narrowed(any_of(conditions[name] for name in portion))):
                found = {name: self._queries.count(slice_.narrowed(conditions[name])) for name in portion}
                counts |= {name: count for name, count in found.items() if count}
        return counts


def _condition(name: str, field: Mapping[str, Any]) -> str:
    return f"{name} = TRUE" if field.get("type") == "boolean" else f"{name} != NULL"


def _portions(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _FIELDS):
        yield names[start : start + _FIELDS]
