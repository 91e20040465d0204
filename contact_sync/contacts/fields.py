"""The canonical contact: its fields, and the limits that Genesys Cloud puts on them.

A canonical contact is a mapping of field name to non-empty text. Phones are E.164, optionally followed by
`;ext=` and digits; e-mails are lower case; a custom field is named `customFields.` and its key in Genesys, which
ends with its core type. What belongs here: names and limits. How CRM values become canonical ones belongs to
`normalizing`, how canonical ones become a request to `genesys.payloads`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

NAMES = ("firstName", "middleName", "lastName", "salutation", "title")
PHONES = ("workPhone", "cellPhone", "homePhone", "otherPhone")
EMAILS = ("workEmail", "personalEmail", "otherEmail")
ADDRESS = (
    "address.address1",
    "address.address2",
    "address.city",
    "address.state",
    "address.postalCode",
    "address.countryCode",
)
ORGANIZATION = "externalOrganization"
"""The organisation of the contact, as JSON: the account's CRM id and its name."""

CONTACT_FIELDS = (*NAMES, *PHONES, *EMAILS, *ADDRESS, ORGANIZATION)
CUSTOM = "customFields."
"""Starts the name of a custom field."""

MAX_LENGTH: Mapping[str, int] = {
    **dict.fromkeys(NAMES, 1000),
    **dict.fromkeys(EMAILS, 256),
    "address.address1": 200,
    "address.address2": 200,
    "address.city": 100,
    "address.state": 50,
    "address.postalCode": 25,
    "address.countryCode": 25,
    ORGANIZATION: 1000,
}
"""Characters that Genesys Cloud accepts in a field (published contract, `ExternalContact`)."""

MAX_EXTERNAL_IDS = 10
"""External ids that one Genesys contact can carry."""

MAX_EXTERNAL_ID_LENGTH = 255

CoreType = Literal[
    "text", "longtext", "url", "identifier", "enum", "date", "datetime", "integer", "number", "checkbox", "tag"
]
CORE_TYPES: tuple[CoreType, ...] = get_args(CoreType)

MAX_CUSTOM_LENGTH: Mapping[CoreType, int] = {
    "text": 100,
    "longtext": 1000,
    "url": 200,
    "identifier": 100,
    "enum": 100,
    "tag": 100,
}
"""Characters that Genesys Cloud accepts in a custom field of a type; of a tag, in each."""

MAX_CUSTOM_FIELDS = 25
"""Custom fields of one schema."""

MAX_FIELD_NAME = 100
"""Characters of a custom field's key."""

MAX_OPTIONS = 50
MAX_TAGS = 10
LARGEST_NUMBER = 9_007_199_254_740_991

Contact = Mapping[str, str]
"""A canonical contact: field of `CONTACT_FIELDS`, or custom field, to non-empty text."""

_FIXED = frozenset(CONTACT_FIELDS)


@dataclass(frozen=True, slots=True)
class CustomField:
    """A custom field of the Genesys schema; `options` are those of an enum."""

    name: str
    type: CoreType
    options: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its key in a contact's `customFields`."""
        return f"{self.name}_{self.type}"


def is_field(name: str) -> bool:
    """Tell whether a canonical contact may have a field of this name."""
    return name in _FIXED or name.startswith(CUSTOM)


def fields_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the canonical fields of a row of `normalized_contacts` without its nulls."""
    return {name: value for name, value in row.items() if is_field(name)}


def field_names(*contacts: Contact) -> tuple[str, ...]:
    """Return every fixed field, then the custom ones that any of `contacts` has."""
    custom = set().union(*contacts) - _FIXED
    return (*CONTACT_FIELDS, *sorted(custom)) if custom else CONTACT_FIELDS
