"""The settings of a Dynamics 365 environment.

What belongs here: names, defaults and what is wrong with them. Secrets are environment variables.
"""

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from contact_sync.crm.http import origin_of


class Dynamics(BaseModel):
    """Contacts from the Dataverse Web API."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="The environment, such as https://acme.crm4.dynamics.com.")

    @field_validator("url")
    @classmethod
    def _origin(cls, url: str) -> str:
        return origin_of(url)

    @property
    def place(self) -> str:
        """What is read, for messages."""
        return f"the contacts of {urlsplit(self.url).hostname}"

    @property
    def connections(self) -> tuple[str, ...]:
        """The variables that it needs, by their names in `Connections`."""
        return ("dynamics_tenant_id", "dynamics_client_id", "dynamics_client_secret")
