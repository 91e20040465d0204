"""OData and FetchXML for contacts, built from allow-listed names and values of known form only.

What belongs here: text of queries. Sending them belongs to `dynamics_api`.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from contact_sync.contacts.window import Window
from contact_sync.crm.source import CrmConfigurationError

FORMATTED = "@OData.Community.Display.V1.FormattedValue"
"""Ends the name of a field that is a column as Dynamics shows it, such as the name of a contact's account."""

_SECOND = timedelta(seconds=1)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def column_of(field: str) -> str:
    """Return the OData property that a registry's field is read from.

    Raises:
        CrmConfigurationError: It is no name of a column.
    """
    name = field.removesuffix(FORMATTED)
    if not _NAME.fullmatch(name):
        raise CrmConfigurationError(
            "the field registry lists a CRM field that cannot be a Dataverse column: write column names such as "
            f"emailaddress1, or a lookup's name followed by {FORMATTED}"
        )
    return name


def seconds_of(window: Window) -> tuple[datetime, datetime]:
    """Return a window's ends in whole seconds, which is what Dataverse keeps: what is before each stays before."""
    return _next_second(window.start), _next_second(window.end)


def within(start: datetime, end: datetime) -> str:
    """Return the `$filter` of the contacts that changed in `[start, end)`, whole seconds."""
    return f"modifiedon ge {stamp(start)} and modifiedon lt {stamp(end)}"


def among(ids: Iterable[str]) -> str:
    """Return the `$filter` of the contacts with one of `ids`, which are GUIDs."""
    values = ",".join(f"'{UUID(one)}'" for one in ids)
    return f"Microsoft.Dynamics.CRM.In(PropertyName='contactid',PropertyValues=[{values}])"


def is_id(text: str) -> bool:
    """Whether `text` is a contactid as Dataverse writes it: a GUID in lower case with hyphens."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def counting(conditions: Sequence[str], columns: Sequence[str] = ()) -> str:
    """Return the FetchXML that counts contacts as `n`, and the values of each of `columns` as `c` and a number.

    Args:
        conditions: `UNDATED`, or what `since` and `before` give; all hold.
        columns: Logical names, from the table's metadata.

    Raises:
        CrmConfigurationError: One is no name of a column.
    """
    values = "".join(
        f"<attribute name='{column_of(name)}' alias='c{number}' aggregate='countcolumn'/>"
        for number, name in enumerate(columns)
    )
    return (
        "<fetch aggregate='true'><entity name='contact'>"
        f"<attribute name='contactid' alias='n' aggregate='count'/>{values}"
        f"<filter>{''.join(conditions)}</filter></entity></fetch>"
    )


def since(start: datetime) -> str:
    """Return the FetchXML condition of what changed at `start` or later."""
    return f"<condition attribute='modifiedon' operator='ge' value='{stamp(start)}'/>"


def before(end: datetime) -> str:
    """Return the FetchXML condition of what changed before `end`."""
    return f"<condition attribute='modifiedon' operator='lt' value='{stamp(end)}'/>"


UNDATED = "<condition attribute='modifiedon' operator='null'/>"
"""The FetchXML condition of what has no time of change."""


def stamp(instant: datetime) -> str:
    """Return a literal."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _next_second(instant: datetime) -> datetime:
    whole = instant.replace(microsecond=0)
    return whole if whole == instant else whole + _SECOND
