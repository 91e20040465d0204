"""The canonical contact: its fields, and the limits that Genesys Cloud puts on them.

A canonical contact is a mapping of field name to non-empty text. Phones are E.164, optionally followed by
`;ext=` and digits; e-mails are lower case. What belongs here: names and limits. How CRM values become canonical
ones belongs to `normalizing`, how canonical ones become a request to `genesys.payloads`.
"""

from collections.abc import Mapping

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
CONTACT_FIELDS = (*NAMES, *PHONES, *EMAILS, *ADDRESS)

MAX_LENGTH: Mapping[str, int] = {
    **dict.fromkeys(NAMES, 1000),
    **dict.fromkeys(EMAILS, 256),
    "address.address1": 200,
    "address.address2": 200,
    "address.city": 100,
    "address.state": 50,
    "address.postalCode": 25,
    "address.countryCode": 25,
}
"""Characters that Genesys Cloud accepts in a field (published contract, `ExternalContact`)."""

MAX_EXTERNAL_IDS = 10
"""External ids that one Genesys contact can carry."""

MAX_EXTERNAL_ID_LENGTH = 255

Contact = Mapping[str, str]
"""A canonical contact: field of `CONTACT_FIELDS` to non-empty text."""
