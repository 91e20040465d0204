"""Addresses and secrets, which come from the environment only.

What belongs here: the variables, what each is, and which of them a kind of CRM cannot do without. Settings that
are no secret belong to `settings`.
"""

from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from contact_sync.setting_groups import Crm
from contact_sync.settings import ConfigurationError, complaints

DEFAULT_STATE_URL = "sqlite:///.contact_sync/state.db"


class CrmConnections(BaseSettings):
    """Addresses and secrets of every kind of CRM; each kind needs its own ones."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True)

    crm_url: SecretStr | None = Field(
        default=None,
        validation_alias="CONTACT_SYNC_CRM_URL",
        description="SQLAlchemy URL of the CRM, its driver named, such as postgresql+psycopg://user@host/crm",
    )
    salesforce_client_id: str | None = Field(
        default=None,
        validation_alias="SALESFORCE_CLIENT_ID",
        description="Consumer key of the external client app",
    )
    salesforce_client_secret: SecretStr | None = Field(
        default=None,
        validation_alias="SALESFORCE_CLIENT_SECRET",
        description="Consumer secret of that app, for the login client_credentials",
    )
    salesforce_username: str | None = Field(
        default=None,
        validation_alias="SALESFORCE_USERNAME",
        description="User name of the integration user, for the login jwt_bearer",
    )
    salesforce_private_key: SecretStr | None = Field(
        default=None,
        validation_alias="SALESFORCE_PRIVATE_KEY",
        description="Private key (PEM) of the app's certificate, for the login jwt_bearer",
    )
    dynamics_tenant_id: str | None = Field(
        default=None, validation_alias="DYNAMICS_TENANT_ID", description="Id of the Microsoft Entra tenant"
    )
    dynamics_client_id: str | None = Field(
        default=None, validation_alias="DYNAMICS_CLIENT_ID", description="Id of the app registration"
    )
    dynamics_client_secret: SecretStr | None = Field(
        default=None, validation_alias="DYNAMICS_CLIENT_SECRET", description="Secret of that app registration"
    )

    def text(self, name: str) -> str:
        """Return the value of the field `name`.

        Raises:
            ConfigurationError: It is not set.
        """
        value = getattr(self, name)
        if value is None:
            raise ConfigurationError(_not_set(name))
        return str(value.get_secret_value() if isinstance(value, SecretStr) else value)


class Connections(CrmConnections):
    """Addresses and secrets."""

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


def load_connections(crm: Crm | None = None, /, **values: str | None) -> Connections:
    """Read addresses and secrets from the environment.

    Args:
        crm: The CRM whose own ones have to be there; None asks for none of them.
        values: What is known already, by field; None or empty means unset.

    Raises:
        ConfigurationError: One is missing or wrong.
    """
    known: dict[str, Any] = {name: value for name, value in values.items() if value}
    of_crm = CrmConnections(**known)
    problems = [_not_set(name) for name in (crm.kind.connections if crm else ()) if getattr(of_crm, name) is None]
    try:
        connections = Connections(**known)
    except ValidationError as error:
        problems += complaints(error, hints=_HINTS)
    if problems:  # after the handler: pydantic's error, its context, would quote the secrets
        raise ConfigurationError("\n".join(problems))
    return connections


_HINTS = {str(field.validation_alias): f": {field.description}" for field in Connections.model_fields.values()}


def _not_set(name: str) -> str:
    variable = str(Connections.model_fields[name].validation_alias)
    return f"{variable} is not set{_HINTS[variable]}"
