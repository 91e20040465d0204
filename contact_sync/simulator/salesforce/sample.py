"""The people of the sample CRM as contacts and accounts of the organisation.

What belongs here: which column is which field.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from contact_sync.simulator.salesforce.records import Records

_FIELDS = {
    "id": "Id",
    "account_id": "AccountId",
    "salutation": "Salutation",
    "first_name": "FirstName",
    "last_name": "LastName",
    "job_title": "Title",
    "email": "Email",
    "work_phone": "Phone",
    "mobile_phone": "MobilePhone",
    "home_phone": "HomePhone",
    "other_phone": "OtherPhone",
    "street": "MailingStreet",
    "city": "MailingCity",
    "state": "MailingState",
    "postal_code": "MailingPostalCode",
    "country": "MailingCountry",
    "tags": "Tags__c",
    "favourite_colour": "FavouriteColour__c",
    "lead_score": "LeadScore__c",
    "merged_into": "MasterRecordId",
}


def load(records: Records, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows of the sample CRM, each as of its own last change."""
    for row in rows:
        at = _moment(row["updated_at"])
        account = {"Id": row["account_id"], "Name": row["account_name"]}
        old = records.get("Account", account["Id"])
        if old is None or old["Name"] != account["Name"]:
            records.put("Account", account, at=at)
        values = {field: row[column] or None for column, field in _FIELDS.items()}
        lasting = {"IsDeleted": bool(row["is_deleted"]), "CreatedDate": _moment(row["created_at"])}
        records.put("Contact", {**values, **lasting}, at=at)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
