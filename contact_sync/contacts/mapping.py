"""The registry: which CRM field becomes which field of the canonical contact, and under which rules.

Only what is listed here is ever read into a contact or sent. The file that holds it belongs to `settings`, the
cleaning of values to `normalizing`.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from contact_sync.contacts.fields import (
    CONTACT_FIELDS,
    CUSTOM,
    EMAILS,
    MAX_CUSTOM_FIELDS,
    MAX_CUSTOM_LENGTH,
    MAX_FIELD_NAME,
    MAX_LENGTH,
    MAX_OPTIONS,
    ORGANIZATION,
    PHONES,
    CoreType,
    CustomField,
)
from contact_sync.contacts.phones import is_region
from contact_sync.contacts.redaction import KINDS, Kind
from contact_sync.contacts.values import Transform

ACCOUNT = "account"
"""The CRM id of the contact's account: a part of the business key and of the name rule; finds its organisation."""

REGION = "region"
"""The ISO 3166 country of the record: how its phones without a country code are read."""

ACCOUNT_REGION = "accountRegion"
"""The ISO 3166 country of the record's account: how its phones are read if the record names no country."""

ABOUT_RECORDS = (ACCOUNT, REGION, ACCOUNT_REGION)
TARGETS = (*CONTACT_FIELDS, *ABOUT_RECORDS)

_CUSTOM_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NOTES = re.compile(r"(?i)(?:^|[^a-z])(?:notes?|comments?|remarks?|memo)(?:[^a-z]|$)|description")


class FieldRule(BaseModel):
    """One line of the registry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    crm: str = Field(min_length=1, description="The field's name in the CRM.")
    genesys: str = Field(description="The field of the contact that it fills, or customFields. and a name.")
    type: CoreType | None = Field(None, description="The core type of a custom field.")
    options: tuple[str, ...] = Field((), description="The options of an enum.")
    direction: str = Field("to_genesys", description="Which way values go; there is one.")
    owner: str = Field("crm", description="Whose value counts: crm; genesys: filled only where Genesys has none.")
    null: Literal["clear", "keep"] = Field(
        "clear", description="What a value that the CRM emptied does in Genesys."
    )
    transform: tuple[Transform, ...] = Field((), description="What is done to the value before it is read.")
    max_length: int | None = Field(None, ge=1, description="Characters kept; at most what Genesys takes.")
    invalid: Literal["hold", "drop"] = Field(
        "hold", description="What a value that a custom field does not take does: hold the record, or drop itself."
    )
    free_text: bool = Field(default=False, description="Whether what people wrote freely may be sent.")
    redact: bool = Field(default=True, description="Whether secrets and national ids are blotted out.")

    @field_validator("transform", mode="before")
    @classmethod
    def _one_or_many(cls, names: object) -> object:
        return (names,) if isinstance(names, str) else names

    @field_validator("genesys")
    @classmethod
    def _known(cls, target: str) -> str:
        name = target.removeprefix(CUSTOM)
        if name == target and target not in TARGETS:
            msg = f"'{target}' is no field of a contact; known are {', '.join(TARGETS)} and {CUSTOM}<name>"
            raise ValueError(msg)
        if name != target and not _CUSTOM_NAME.fullmatch(name):
            raise ValueError(f"'{name}': name a custom field with letters, digits and _, such as lead_score")
        return target

    @field_validator("direction", "owner")
    @classmethod
    def _one_way(cls, value: str, info: ValidationInfo) -> str:
        done = {"direction": ("to_genesys",), "owner": ("crm", "genesys")}[str(info.field_name)]
        if value not in done:
            raise ValueError(f"'{value}' needs two-way sync, which is not there yet: use {' or '.join(done)}")
        return value

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.custom is None:
            self._check_fixed()
        else:
            self._check_custom(self.custom)
        limit = self._genesys_limit
        if self.max_length and (limit is None or self.max_length > limit):
            _refuse(
                f"max_length: {self.genesys} takes {f'{limit} characters' if limit else 'no length'}", "max_length"
            )
        if _NOTES.search(self.crm) and self.type in {"text", "longtext"} and not self.free_text:
            _refuse(f"{self.crm} looks like notes that people write freely: add free_text: true to send it", "crm")
        return self

    def _check_fixed(self) -> None:
        for name in ("type", "options"):
            if getattr(self, name):
                _refuse(f"{name} is for custom fields; {self.genesys} has its own", name)
        if self.transform and self.genesys in EMAILS:
            _refuse(f"{self.genesys} needs no transform: it is read as an e-mail address", "transform")

    def _check_custom(self, custom: CustomField) -> None:
        if len(custom.key) > MAX_FIELD_NAME:
            _refuse(f"'{custom.key}' is longer than the {MAX_FIELD_NAME} characters that Genesys takes", "genesys")
        if self.type == "longtext" and not self.free_text:
            _refuse("longtext is text that people write freely: add free_text: true to send it", "type")
        if (self.type == "enum") != bool(self.options):
            _refuse("an enum needs options, and only an enum has them", "options")
        if len(self.options) > MAX_OPTIONS or len(set(self.options)) < len(self.options):
            _refuse(f"an enum has at most {MAX_OPTIONS} options, each once", "options")
        if any(not 1 <= len(option) <= MAX_CUSTOM_LENGTH["enum"] for option in self.options):
            _refuse(f"an option has 1 to {MAX_CUSTOM_LENGTH['enum']} characters", "options")

    @property
    def custom(self) -> CustomField | None:
        """The custom field that the line fills, if it fills one."""
        name = self.genesys.removeprefix(CUSTOM)
        if name == self.genesys:
            return None
        if self.type is None:
            _refuse(f"{self.genesys} needs a type, such as text, integer or tag", "type")
        return CustomField(name, self.type, self.options)

    @property
    def field(self) -> str:
        """The name of the canonical field, or of what is about the record, that the line fills."""
        return f"{CUSTOM}{self.custom.key}" if self.custom else self.genesys

    @property
    def limit(self) -> int:
        """Characters of the value that are kept."""
        return self.max_length or self._genesys_limit or 0

    @property
    def _genesys_limit(self) -> int | None:
        return MAX_CUSTOM_LENGTH.get(self.type) if self.type else MAX_LENGTH.get(self.genesys)


class Registry(BaseModel):
    """The CRM fields that the sync reads, and where each goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str | None = Field(
        default=None, description="A shipped registry, whose lines follow those of the file."
    )
    fields: tuple[FieldRule, ...]
    ignored: tuple[str, ...] = Field(default=(), description="CRM fields left out on purpose, not reported.")
    default_region: str | None = Field(
        default=None,
        pattern="^[A-Z]{2}$",
        description="ISO 3166 country of phones where neither record nor account names one; unset: they need a +.",
    )
    custom_schema: str = Field(
        default="contact_sync",
        min_length=1,
        max_length=50,
        description="The title of the contact type in Genesys that has the custom fields.",
    )
    redact: tuple[Kind, ...] = Field(default=KINDS, description="What is blotted out of texts.")
    redact_patterns: dict[str, str] = Field(default_factory=dict, description="More of it: name to pattern.")

    @field_validator("default_region")
    @classmethod
    def _has_phones(cls, region: str | None) -> str | None:
        if region and not is_region(region):
            msg = f"'{region}' is no ISO 3166 country that has phones"
            raise ValueError(msg)
        return region

    @field_validator("redact_patterns")
    @classmethod
    def _are_patterns(cls, patterns: dict[str, str]) -> dict[str, str]:
        for name, pattern in patterns.items():
            try:
                empty = re.compile(pattern).search("")
            except re.error:
                empty = None
                _refuse(f"{name} is no regular expression", name)
            if empty:
                _refuse(f"{name} finds something in an empty text", name)
        return patterns

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        places: dict[str, list[int]] = defaultdict(list)
        for place, rule in enumerate(self.fields):
            places[rule.field].append(place)
        for field, found in places.items():
            if len(found) > 1 and field not in PHONES:
                _refuse(f"{field} is filled by more than one CRM field", "fields", found[1])
        if len(self.custom_fields) > MAX_CUSTOM_FIELDS:
            last = [place for place, rule in enumerate(self.fields) if rule.custom][MAX_CUSTOM_FIELDS]
            _refuse(f"a schema takes at most {MAX_CUSTOM_FIELDS} custom fields", "fields", last)
        if ORGANIZATION in places and ACCOUNT not in places:
            msg = f"{ORGANIZATION} needs a line that fills {ACCOUNT}: the account's id finds its organisation"
            _refuse(msg, "fields", places[ORGANIZATION][0])
        if not places.keys() & {*PHONES, *EMAILS, "lastName"}:
            _refuse("no line fills a phone, an e-mail or lastName, so nobody could be recognised")
        return self

    @property
    def crm_fields(self) -> Sequence[str]:
        """The CRM fields to read, each once, in the registry's order."""
        return tuple(dict.fromkeys(rule.crm for rule in self.fields))

    @property
    def custom_fields(self) -> tuple[CustomField, ...]:
        """The custom fields that the lines fill, in the registry's order."""
        return tuple(rule.custom for rule in self.fields if rule.custom)

    @property
    def has_organizations(self) -> bool:
        """Whether contacts are linked to external organisations."""
        return any(rule.field == ORGANIZATION for rule in self.fields)

    @property
    def kept(self) -> frozenset[str]:
        """The fields that Genesys keeps when the CRM empties them."""
        return frozenset(rule.field for rule in self.fields if rule.null == "keep" or rule.owner == "genesys")

    @property
    def only_filled(self) -> frozenset[str]:
        """The fields that are filled only where Genesys has nothing."""
        return frozenset(rule.field for rule in self.fields if rule.owner == "genesys")


def _refuse(says: str, *at: str | int) -> NoReturn:
    """Refuse the registry because of what is at `at`, counted from what is being validated."""
    context: dict[str, Any] = {"says": says, "at": at}
    raise PydanticCustomError("registry", "{says}", context)
