"""FetchXML: aggregations over contacts.

What belongs here: counting rows and the values of columns under conditions that all hold. Other FetchXML is
refused.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from operator import ge, lt
from typing import Any
from xml.etree import ElementTree as ET

from contact_sync.simulator.dataverse.errors import (
    TOO_MANY_AGGREGATED,
    Json,
    ODataError,
    no_property,
    not_parsed,
)
from contact_sync.simulator.dataverse.table import ContactTable, Row

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {"ge": ge, "lt": lt}


def aggregated(text: str, table: ContactTable, most: int) -> Json:
    """Return the one row of counts that a FetchXML aggregation asks for.

    Raises:
        ODataError: 400: it is not understood, or more than `most` rows would be looked at.
    """
    try:
        fetch = ET.fromstring(text)  # noqa: S314 -- on loopback, from tests and the demo
    except ET.ParseError:
        raise not_parsed("Invalid XML.") from None
    entity = fetch.find("entity")
    if fetch.get("aggregate") != "true" or entity is None or entity.get("name") != "contact":
        raise not_parsed("Only aggregations of contacts are served.")
    rows = [row for row in table.rows.values() if all(_holds(one, row, table) for one in _conditions(entity))]
    if len(rows) > most:
        message = "AggregateQueryRecordLimit exceeded. Cannot perform this operation."
        raise ODataError(400, TOO_MANY_AGGREGATED, message)
    return {"value": [dict(_counted(one, rows, table) for one in entity.findall("attribute"))]}


def _conditions(entity: ET.Element) -> list[ET.Element]:
    return entity.findall("filter/condition")


def _holds(condition: ET.Element, row: Row, table: ContactTable) -> bool:
    value = row[_property(condition, "attribute", table)]
    operator = condition.get("operator", "")
    if operator == "null":
        return value is None
    if operator not in _OPERATORS:
        raise not_parsed(f"Invalid operator: {operator}")
    return value is not None and _OPERATORS[operator](value, datetime.fromisoformat(condition.get("value", "")))


def _counted(attribute: ET.Element, rows: list[Row], table: ContactTable) -> tuple[str, int]:
    name = _property(attribute, "name", table)
    how, alias = attribute.get("aggregate"), attribute.get("alias")
    if alias is None or how not in {"count", "countcolumn"}:
        raise not_parsed("Attribute needs an alias and a known aggregate.")
    return alias, len(rows) if how == "count" else sum(row[name] is not None for row in rows)


def _property(element: ET.Element, key: str, table: ContactTable) -> str:
    name = element.get(key, "")
    if name not in table.columns:
        raise no_property(name)
    return table.columns[name].property
