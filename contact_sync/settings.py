"""Every setting: typed, described, read once.

`Settings` is the file `contact_sync.yaml`, each value of which the environment can override; `Connections` is the
addresses and secrets, which come from the environment only. What belongs here: names, types, defaults and the one
line that says what is wrong. What a setting does belongs to the room that uses it.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
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
from contact_sync.crm.sql_table import SqlTable
from contact_sync.genesys.regions import Routing
from contact_sync.registry_file import line_of, with_preset

CONFIG_VARIABLE = "CONTACT_SYNC_CONFIG"
DEFAULT_CONFIG = "contact_sync.yaml"
DEFAULT_STATE_URL = "sqlite:///.contact_sync/state.db"


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
    table: SqlTable = Field(description="The table of contacts and its key columns.")
    page_size: int = Field(default=2000, ge=1, le=50_000, description="Rows a query to the CRM returns.")


class Sync(BaseModel):
    """When windows close and how they are read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frequency: Frequency = Field(default=Frequency.THIRTY_MINUTES, description="How long a window is.")
    start: datetime = Field(description="The start of the first window: go-live less the history to backfill.")
    settle_seconds: int = Field(
        default=120, ge=0, le=3600, description="How long a window's end must be past before the window is read."
    )
    overlap_seconds: int = Field(
        default=600, ge=0, le=86_400, description="How far before its start a window is read, for late commits."
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
    def overlap(self) -> timedelta:
        """The overlap."""
        return timedelta(seconds=self.overlap_seconds)

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


class Connections(BaseSettings):
    """Addresses and secrets."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True)

    crm_url: SecretStr = Field(
        min_length=1,
        validation_alias="CONTACT_SYNC_CRM_URL",
        description="SQLAlchemy URL of the CRM, its driver named, such as postgresql+psycopg://user@host/crm",
    )
    state_url: SecretStr = Field(
        default=SecretStr(DEFAULT_STATE_URL),
        validation_alias="CONTACT_SYNC_STATE_URL",
        description="SQLAlchemy URL of the state database, SQLite or PostgreSQL",
    )
    genesys_region: str | None = Field(
        default=None,
        validation_alias="GENESYS_REGION",
        description="Region of the Genesys Cloud organisation, such as eu-central-1 or mypurecloud.de",
    )
    genesys_organization_id: str | None = Field(
        default=None,
        validation_alias="GENESYS_ORGANIZATION_ID",
        description="Id of the Genesys Cloud organisation that has to answer; any other is refused",
    )
    genesys_client_id: str = Field(
        min_length=1,
        validation_alias="GENESYS_CLIENT_ID",
        description="Id of an OAuth client of the kind Client Credentials",
    )
    genesys_client_secret: SecretStr = Field(
        min_length=1, validation_alias="GENESYS_CLIENT_SECRET", description="Secret of that client"
    )
    genesys_base_url: str | None = Field(
        default=None,
        validation_alias="GENESYS_BASE_URL",
        description="Address of a simulator on this machine; leave it unset for Genesys Cloud",
    )


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
        problem = "\n".join(_complaints(error, path))
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
        problem = "\n".join(_complaints(error, path))
    except (OSError, yaml.YAMLError, ValueError) as error:
        problem = _unreadable(path, error)
    raise ConfigurationError(problem)


def load_connections(**values: str | None) -> Connections:
    """Read addresses and secrets from the environment.

    Args:
        values: What is known already, by field; None or empty means unset.

    Raises:
        ConfigurationError: One is missing or wrong.
    """
    try:
        known: dict[str, Any] = {name: value for name, value in values.items() if value}
        return Connections(**known)
    except ValidationError as error:
        problems = "\n".join(_complaints(error))
    raise ConfigurationError(problems)  # after the handler: pydantic's error, its context, would quote the secrets


def _unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{path} cannot be read: {error.strerror}"
    if isinstance(error, SettingsError):  # its text names the setting, not the value
        return f"environment variables CONTACT_SYNC_*: {error}; a list or group of settings is written as JSON"
    if isinstance(error, yaml.YAMLError):
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        return f"{path} is not valid YAML{f': see line {mark.line + 1}' if mark else ''}"
    return f"{path} is not a YAML mapping in UTF-8"


def _complaints(error: ValidationError, path: Path | None = None) -> Iterator[str]:
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
            yield f"{name} is not set{where}{_hint(name)}"
        else:
            yield f"{name}{where}: {problem['msg'].removeprefix('Value error, ')}"


def _hint(name: str) -> str:
    hints = {field.validation_alias: field.description for field in Connections.model_fields.values()}
    return f": {hints[name]}" if name in hints else ""
