"""The objects of the organisation and their fields, as describe tells of them.

What belongs here: names, types, and what may be done with a field of a type. Records are `records`'.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from contact_sync.simulator.salesforce.errors import Json

_NOT_AGGREGATABLE = frozenset({"boolean", "multipicklist", "textarea", "address"})
_NOT_FILTERABLE = frozenset({"textarea"})  # the long ones; ours are


@dataclass(frozen=True, slots=True)
class Field:
    """One field."""

    name: str
    type: str = "string"

    @property
    def filterable(self) -> bool:
        """Whether a condition may name it."""
        return self.type not in _NOT_FILTERABLE

    @property
    def aggregatable(self) -> bool:
        """Whether COUNT may name it."""
        return self.type not in _NOT_AGGREGATABLE

    def describe(self) -> Json:
        """Return what describe tells of it."""
        return {
            "name": self.name,
            "label": self.name,
            "type": self.type,
            "filterable": self.filterable,
            "aggregatable": self.aggregatable,
            "custom": self.name.endswith("__c"),
        }


@dataclass(frozen=True)
class ObjectType:
    """One object; `parents` is the object that a relationship leads to, with the field that holds its id."""

    name: str
    prefix: str
    fields: Mapping[str, Field]
    parents: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def find(self, name: str) -> Field | None:
        """Return a field, in whatever case it is written."""
        return self._by_lower.get(name.lower())

    @cached_property
    def _by_lower(self) -> Mapping[str, Field]:
        return {name.lower(): one for name, one in self.fields.items()}


def _fields(text: str = "", **types: str) -> dict[str, Field]:
    named = dict.fromkeys(text.split(), "string") | {
        name: kind for kind, names in types.items() for name in names.split()
    }
    return {name: Field(name, kind) for name, kind in named.items()}


_SYSTEM = {"boolean": "IsDeleted", "datetime": "CreatedDate LastModifiedDate SystemModstamp"}

ACCOUNT = ObjectType(
    "Account", "001", _fields("Name Phone", id="Id", reference="OwnerId MasterRecordId", **_SYSTEM)
)
CONTACT = ObjectType(
    "Contact",
    "003",
    _fields(
        "Name FirstName LastName Salutation Title Department MailingStreet MailingCity MailingState "
        "MailingPostalCode MailingCountry FavouriteColour__c Nickname__c",
        id="Id",
        reference="AccountId MasterRecordId OwnerId",
        email="Email",
        phone="Phone MobilePhone HomePhone OtherPhone Fax",
        address="MailingAddress",
        textarea="Description",
        double="LeadScore__c",
        multipicklist="Tags__c",
        boolean="IsDeleted HasOptedOutOfEmail",
        date="Birthdate",
        datetime=_SYSTEM["datetime"],
    ),
    {"Account": ("Account", "AccountId")},
)
OBJECTS: Mapping[str, ObjectType] = {one.name: one for one in (ACCOUNT, CONTACT)}
