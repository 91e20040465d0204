"""The columns of the contact table: the standard ones that matter here, and those that somebody added.

What belongs here: names and types, as the metadata tells them. Values belong to `table`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from contact_sync.simulator.dataverse.errors import Json

LOOKUPS = frozenset({"Lookup", "Customer", "Owner"})
"""Types whose property is `_name_value` and holds an id."""

_TEXTS = (
    "salutation", "firstname", "middlename", "lastname", "nickname", "jobtitle", "fullname",
    "emailaddress1", "emailaddress2", "emailaddress3", "telephone1", "telephone2", "telephone3", "mobilephone",
    "address1_line1", "address1_line2", "address1_city", "address1_stateorprovince", "address1_postalcode",
    "address1_country",
)  # fmt: skip
_OTHERS = {
    "contactid": "Uniqueidentifier",
    "parentcustomerid": "Customer",
    "masterid": "Lookup",
    "ownerid": "Owner",
    "merged": "Boolean",
    "statecode": "State",
    "statuscode": "Status",
    "createdon": "DateTime",
    "modifiedon": "DateTime",
    "versionnumber": "BigInt",
}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One column; `of` names the column of which it is a shadow, such as the name beside a lookup."""

    name: str
    type: str
    of: str | None = None
    readable: bool = True

    @property
    def property(self) -> str:
        """Its name in OData."""
        return f"_{self.name}_value" if self.type in LOOKUPS else self.name

    def metadata(self) -> Json:
        """Return it as the metadata has it."""
        return {
            "LogicalName": self.name,
            "AttributeType": self.type,
            "AttributeOf": self.of,
            "IsValidForRead": self.readable,
        }


SHADOWS = (
    Attribute("parentcustomeridname", "String", of="parentcustomerid"),
    Attribute("merged_name", "Virtual", of="merged"),
    Attribute("entityimage_url", "String", of="entityimageid"),
    Attribute("isprivate", "Boolean", readable=False),
)
"""What the metadata lists though a query for contacts cannot have it, or not under this name."""


def columns_of(added: Mapping[str, str]) -> dict[str, Attribute]:
    """Return the columns that hold values, by logical name."""
    types = dict.fromkeys(_TEXTS, "String") | _OTHERS | dict(added)
    return {name: Attribute(name, type_) for name, type_ in types.items()}
