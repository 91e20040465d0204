"""Every setting: typed, described, read once.

`Settings` is the file `contact_sync.yaml`, each value of which the environment can override. What belongs here:
names, types, defaults and the one line that says what is wrong. What a setting does belongs to the room that uses
it, addresses and secrets, which come from the environment only, to `connections`.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    YamlConfigSettingsSource,
)

from contact_sync.contacts.mapping import Registry
from contact_sync.contacts.rules import IdentityRules
from contact_sync.contacts.window import Frequency
from contact_sync.crm.dynamics_settings import Dynamics
from contact_sync.crm.salesforce_settings import Salesforce
from contact_sync.crm.sql_table import SqlTable
from contact_sync.genesys.regions import Routing
from contact_sync.registry_file import line_of, with_preset

CONFIG_VARIABLE = "CONTACT_SYNC_CONFIG"
DEFAULT_CONFIG = "contact_sync.yaml"


class ConfigurationError(Exception):
    """A setting is missing or wrong. The message is one line for each, and holds no secret."""


class Crm(BaseModel):
    """Where contacts come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        default="crm",
        pattern="^[a-z][a-z0-9_]{0,30}$",
        description="Names this CRM in the state database, and its external source in Genesys.",
    )
    table: SqlTable | None = Field(None, description="The table of contacts of a SQL database.")
    salesforce: Salesforce | None = Field(None, description="A Salesforce organisation.")
    dynamics: Dynamics | None = Field(None, description="A Dynamics 365 environment.")
    page_size: int = Field(default=2000, ge=1, le=50_000, description="Rows a query to the CRM returns.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(map(bool, (self.table, self.salesforce, self.dynamics))) != 1:
            raise ValueError("set exactly one of table, salesforce and dynamics")
        return self

    @property
    def kind(self) -> SqlTable | Salesforce | Dynamics:
        """What is set of table, salesforce and dynamics."""
        [kind] = (kind for kind in (self.table, self.salesforce, self.dynamics) if kind)
        return kind


class Sync(BaseModel):
    """When windows close and how they are read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frequency: Frequency = Field(default=Frequency.THIRTY_MINUTES, description="How long a window is.")
    start: datetime = Field(description="The start of the first window: go-live less the history to backfill.")
    settle_seconds: int = Field(
        default=120, ge=0, le=3600, description="How long a window's end must be past before the window is read."
    )
    max_settle_seconds: int = Field(
        default=600, ge=0, le=3600, description="How far this grows with the lateness of rows that is measured."
    )
    overlap_seconds: int = Field(
        default=600,
        ge=0,
        le=86_400,
        description="How far before its start a window looks for rows committed late.",
    )
    max_overlap_seconds: int = Field(
        default=10_800, ge=0, le=86_400, description="How far this grows with the lateness that is measured."
    )
    audit_hours: int = Field(
        default=48,
        ge=0,
        le=8_784,
        description="How long the audit counts committed windows again; 0 switches it off.",
    )
    reconcile_days: int = Field(
        default=1,
        ge=0,
        le=366,
        description="How often all ids of the CRM are compared with what is linked; 0: never.",
    )
    max_held_share: float = Field(
        default=0.5, gt=0, le=1, description="A window of 20 rows or more that holds a larger share of them stops."
    )

    @field_validator("start", mode="before")
    @classmethod
    def _utc_unless_said(cls, value: object) -> object:
        text = value.isoformat() if hasattr(value, "isoformat") else str(value)
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            msg = "write a date such as 2026-01-31 or a time such as 2026-01-31T06:00Z"
            raise ValueError(msg) from None
        return instant if instant.tzinfo else instant.replace(tzinfo=UTC)

    @property
    def settle(self) -> timedelta:
        """The settle delay."""
        return timedelta(seconds=self.settle_seconds)

    @property
    def max_settle(self) -> timedelta:
        """The longest settle delay."""
        return timedelta(seconds=max(self.settle_seconds, self.max_settle_seconds))

    @property
    def overlap(self) -> timedelta:
        """The overlap."""
        return timedelta(seconds=self.overlap_seconds)

    @property
    def max_overlap(self) -> timedelta:
        """The longest overlap."""
        return timedelta(seconds=max(self.overlap_seconds, self.max_overlap_seconds))

    @property
    def audited(self) -> timedelta:
        """How far back the audit counts."""
        return timedelta(hours=self.audit_hours)

    @property
    def first_window_start(self) -> datetime:
        """The start date, moved back to a boundary of the frequency."""
        return self.frequency.floor(self.start)


class Delivery(BaseModel):
    """How Genesys is written to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: int = Field(
        default=300,
        ge=1,
        le=100_000,
        description="What Genesys allows the OAuth client; its answers correct this.",
    )
    reserve: float = Field(
        default=0.1, ge=0, le=0.95, description="Share of it that is left to the client's other users at any time."
    )
    concurrency: int = Field(
        default=8, ge=1, le=100, description="Requests under way at once; they share the one pace."
    )
    max_attempts: int = Field(
        default=10, ge=1, le=100, description="After so many a change that Genesys does not take is a dead letter."
    )
    delete_grace_minutes: int = Field(
        default=60,
        ge=0,
        le=10_080,
        description="How long a delete waits, so that the same person under a new CRM id keeps the contact.",
    )
    max_deletes: int = Field(
        default=1000, ge=0, description="A window that would remove more contacts removes none: it holds them."
    )
    max_delete_share: float = Field(
        default=0.1, ge=0, le=1, description="The same, as a share of the linked contacts, from 20 deletes on."
    )

    @property
    def delete_grace(self) -> timedelta:
        """The grace period of deletes."""
        return timedelta(minutes=self.delete_grace_minutes)


class Settings(BaseSettings):
    """One code location: one CRM into one Genesys organisation."""

    model_config = SettingsConfigDict(
        env_prefix="CONTACT_SYNC_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
    )

    crm: Crm
    registry: Registry
    sync: Sync
    identity: IdentityRules = IdentityRules()
    delivery: Delivery = Delivery()
    genesys: Routing = Routing()
    frames: str = Field(
        default=".contact_sync/frames",
        description="Folder, or fsspec URL such as s3://bucket/folder, of the frames.",
    )

    @field_validator("registry", mode="before")
    @classmethod
    def _with_preset(cls, registry: object) -> object:
        return with_preset(registry) if isinstance(registry, dict) else registry

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (pydantic's signature)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment before the file."""
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=config_path())


def config_path() -> Path:
    """Return the settings file: `CONTACT_SYNC_CONFIG`, else `contact_sync.yaml` of the current folder."""
    return Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG))


def load_settings() -> Settings:
    """Read the settings file and its overrides.

    Raises:
        ConfigurationError: The file is missing, unreadable, no YAML, or a setting is missing or wrong.
    """
    path = config_path()
    if not path.is_file():
        raise ConfigurationError(
            f"there is no settings file {path}: run from the project's folder or set {CONFIG_VARIABLE}"
        )
    try:
        return Settings()
    except ValidationError as error:
        problem = "\n".join(complaints(error, path))
    except (OSError, SettingsError, yaml.YAMLError, ValueError, TypeError) as error:
        problem = _unreadable(path, error)
    raise ConfigurationError(problem)


class _OfPeople(BaseModel):
    """The part of a settings file that says how people are recognised."""

    identity: IdentityRules = IdentityRules()


def load_identity(path: Path) -> IdentityRules:
    """Read only how people are recognised from a settings file.

    Raises:
        ConfigurationError: The file is missing, unreadable, no YAML, or the setting is wrong.
    """
    try:
        return _OfPeople.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {}).identity
    except ValidationError as error:
        problem = "\n".join(complaints(error, path))
    except (OSError, yaml.YAMLError, ValueError) as error:
        problem = _unreadable(path, error)
    raise ConfigurationError(problem)


def _unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{path} cannot be read: {error.strerror}"
    if isinstance(error, SettingsError):  # its text names the setting, not the value
        return f"environment variables CONTACT_SYNC_*: {error}; a list or group of settings is written as JSON"
    if isinstance(error, yaml.YAMLError):
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        return f"{path} is not valid YAML{f': see line {mark.line + 1}' if mark else ''}"
    return f"{path} is not a YAML mapping in UTF-8"


def complaints(
    error: ValidationError, path: Path | None = None, hints: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Yield a line for each thing that is wrong, without the values.

    Args:
        error: Pydantic's.
        path: The settings file, if it is about one.
        hints: What may be said of a name that is not set.
    """
    text = path.read_text(encoding="utf-8") if path else ""
    for problem in error.errors(include_input=False, include_url=False):
        place = (*problem["loc"], *problem.get("ctx", {}).get("at", ()))
        name, where = ".".join(str(part) for part in place), ""
        if path:
            line = line_of(text, place)
            if line is None and (problem["type"] == "missing" or place != problem["loc"]):
                line = line_of(text, place[:-1])  # what would hold it
            where = f" in {path}{f', line {line}' if line else ''}"
        if problem["type"] == "missing" or name.isupper():
            yield f"{name} is not set{where}{(hints or {}).get(name, '')}"
        else:
            yield f"{name}{where}: {problem['msg'].removeprefix('Value error, ')}"
