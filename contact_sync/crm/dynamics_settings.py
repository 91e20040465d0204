"""The settings of a Dynamics 365 environment.

What belongs here: names, defaults and what is wrong with them. Secrets are environment variables.
"""

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from contact_sync.crm.http import is_loopback, origin_of

_ENVIRONMENTS = (".dynamics.com", ".dynamics.cn", ".microsoftdynamics.us", ".appsplatform.us")
"""How the host of an environment ends: the public cloud, China, US Government, US Department of Defense."""

_LOGIN_HOSTS = frozenset(
    {"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"}
)


class Dynamics(BaseModel):
    """Contacts from the Dataverse Web API."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="The environment, such as https://acme.crm4.dynamics.com.")
    login_url: str = Field(
        "https://login.microsoftonline.com",
        description="Where tokens come from; another one for US Government (https://login.microsoftonline.us) or "
        "China (https://login.partner.microsoftonline.cn).",
    )

    @field_validator("url")
    @classmethod
    def _environment(cls, url: str) -> str:
        origin = origin_of(url)
        host = urlsplit(origin).hostname or ""
        if not is_loopback(host) and not host.endswith(_ENVIRONMENTS):
            raise ValueError("write the environment's address, such as https://acme.crm4.dynamics.com")
        return origin

    @field_validator("login_url")
    @classmethod
    def _login_host(cls, url: str) -> str:
        origin = origin_of(url)
        host = urlsplit(origin).hostname or ""
        if not is_loopback(host) and host not in _LOGIN_HOSTS:
            raise ValueError(f"the secret goes to Microsoft only: {', '.join(sorted(_LOGIN_HOSTS))}")
        return origin

    @property
    def place(self) -> str:
        """What is read, for messages."""
        return f"the contact table of {urlsplit(self.url).hostname}"

    @property
    def connections(self) -> tuple[str, ...]:
        """The variables that it needs, by their names in `Connections`."""
        return ("dynamics_tenant_id", "dynamics_client_id", "dynamics_client_secret")
