"""The registry: which CRM field becomes which field of the canonical contact.

Only what is listed here is ever read into a contact or sent. The file that holds it belongs to `settings`, the
cleaning of values to `normalizing`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from contact_sync.contacts.fields import CONTACT_FIELDS, EMAILS, PHONES
from contact_sync.contacts.phones import is_region

ACCOUNT = "account"
"""The CRM id of the contact's account: a part of the business key, and of the name rule."""

REGION = "region"
"""The ISO 3166 country of the record: how its phones without a country code are read."""

ACCOUNT_REGION = "accountRegion"
"""The ISO 3166 country of the record's account: how its phones are read if the record names no country."""

TARGETS = (*CONTACT_FIELDS, ACCOUNT, REGION, ACCOUNT_REGION)


class FieldRule(BaseModel):
    """One line of the registry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    crm: str = Field(min_length=1, description="The field's name in the CRM.")
    genesys: str = Field(description="The field of the contact that it fills.")

    @field_validator("genesys")
    @classmethod
    def _known(cls, target: str) -> str:
        if target.startswith("customFields"):
            msg = f"'{target}': custom fields are not supported yet; remove the line"
            raise ValueError(msg)
        if target not in TARGETS:
            msg = f"'{target}' is no field of a contact; known are {', '.join(TARGETS)}"
            raise ValueError(msg)
        return target


class Registry(BaseModel):
    """The CRM fields that the sync reads, and where each goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fields: tuple[FieldRule, ...]
    ignored: tuple[str, ...] = Field(default=(), description="CRM fields left out on purpose, not reported.")
    default_region: str | None = Field(
        default=None,
        pattern="^[A-Z]{2}$",
        description="ISO 3166 country of phones where neither record nor account names one; unset: they need a +.",
    )

    @field_validator("default_region")
    @classmethod
    def _has_phones(cls, region: str | None) -> str | None:
        if region and not is_region(region):
            msg = f"'{region}' is no ISO 3166 country that has phones"
            raise ValueError(msg)
        return region

    @model_validator(mode="after")
    def _each_target_once(self) -> Self:
        counted = Counter(rule.genesys for rule in self.fields)
        if twice := [target for target, count in counted.items() if count > 1]:
            msg = f"filled by more than one CRM field: {', '.join(twice)}"
            raise ValueError(msg)
        if not counted.keys() & {*PHONES, *EMAILS, "lastName"}:
            msg = "no line fills a phone, an e-mail or lastName, so nobody could be recognised"
            raise ValueError(msg)
        return self

    @property
    def crm_fields(self) -> Sequence[str]:
        """The CRM fields to read, each once, in the registry's order."""
        return tuple(dict.fromkeys(rule.crm for rule in self.fields))
