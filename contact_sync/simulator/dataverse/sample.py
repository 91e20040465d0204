"""The people of the sample CRM as contacts of the environment.

What belongs here: which column is which, and ids as Dataverse has them.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from contact_sync.simulator.dataverse.table import ContactTable

ADDED = {"new_leadscore": "Integer", "new_tags": "String", "new_favouritecolour": "String"}
"""The columns that the company has added to the table: logical name to type."""

_COLUMNS = {
    "salutation": "salutation",
    "first_name": "firstname",
    "last_name": "lastname",
    "job_title": "jobtitle",
    "email": "emailaddress1",
    "work_phone": "telephone1",
    "mobile_phone": "mobilephone",
    "home_phone": "telephone2",
    "other_phone": "telephone3",
    "street": "address1_line1",
    "city": "address1_city",
    "state": "address1_stateorprovince",
    "postal_code": "address1_postalcode",
    "country": "address1_country",
    "lead_score": "new_leadscore",
    "tags": "new_tags",
    "favourite_colour": "new_favouritecolour",
}


def load(table: ContactTable, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows of the sample CRM, each as of its own last change; those marked deleted become inactive."""
    for row in rows:
        account = _guid(row["account_id"])
        table.accounts[account] = row["account_name"]
        state = int(bool(row["is_deleted"]))
        lasting = {
            "_parentcustomerid_value": account,
            "_masterid_value": row["merged_into"] and _guid(row["merged_into"]),
            "merged": bool(row["merged_into"]),
            "statecode": state,
            "statuscode": state + 1,
            "createdon": _moment(row["created_at"]),
        }
        values = {name: row[column] for column, name in _COLUMNS.items()}
        table.put(values | lasting, contact_id=_guid(row["id"]), modified_at=_moment(row["updated_at"]))


def _guid(sample_id: str) -> str:
    return str(uuid5(NAMESPACE_OID, sample_id))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
