"""Every setting: typed, described, read once.

`Settings` is the file `contact_sync.yaml`, each value of which the environment can override. What belongs here:
reading it, and the one line that says what is wrong. The groups of settings are `setting_groups`'; addresses and
secrets, which come from the environment only, belong to `connections`.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    YamlConfigSettingsSource,
)

from contact_sync.contacts.mapping import Registry
from contact_sync.contacts.rules import IdentityRules
from contact_sync.genesys.regions import Routing
from contact_sync.registry_file import line_of, with_preset
from contact_sync.setting_groups import Crm, Delivery, Sync

CONFIG_VARIABLE = "CONTACT_SYNC_CONFIG"
DEFAULT_CONFIG = "contact_sync.yaml"


class ConfigurationError(Exception):
    """A setting is missing or wrong. The message is one line for each, and holds no secret."""


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
