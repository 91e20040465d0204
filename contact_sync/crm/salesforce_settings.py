"""The settings of a Salesforce organisation.

What belongs here: names, defaults and what is wrong with them. Secrets are environment variables.
"""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from contact_sync.crm.http import is_loopback, origin_of

Login = Literal["client_credentials", "jwt_bearer"]

_MY_DOMAIN = (".my.salesforce.com", ".my.salesforce.mil", ".my.sfcrmproducts.cn")
"""How the host of an organisation's My Domain ends; login.salesforce.com gives no tokens to apps."""


class Salesforce(BaseModel):
    """Contacts from Salesforce's REST and Bulk APIs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="The organisation's My Domain, such as https://acme.my.salesforce.com.")
    login: Login = Field(
        "client_credentials",
        description="How tokens are got: client_credentials or jwt_bearer (a key, no secret).",
    )
    audience: str = Field(
        "https://login.salesforce.com",
        description="Who a JWT is for: https://test.salesforce.com for a sandbox.",
        pattern=r"^https?://[a-zA-Z0-9.:-]+$",
    )
    object: str = Field(
        "Contact", pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$", description="The object whose records are read."
    )
    api_version: str = Field("62.0", pattern=r"^\d{2,3}\.0$", description="Version of the API.")
    account_changes: bool = Field(
        default=False,
        description="Whether a change of the account counts as a change of its contacts: they are read again.",
    )
    bulk_above: int = Field(
        default=50_000, ge=0, description="More rows than this are read by a Bulk API 2.0 query job."
    )
    daily_share: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="Reading stops at this share of the organisation's daily API requests.",
    )

    @field_validator("url")
    @classmethod
    def _my_domain(cls, url: str) -> str:
        origin = origin_of(url)
        host = urlsplit(origin).hostname or ""
        if not is_loopback(host) and not host.endswith(_MY_DOMAIN):
            raise ValueError("write the organisation's My Domain, such as https://acme.my.salesforce.com")
        return origin

    @property
    def place(self) -> str:
        """What is read, for messages."""
        return f"the object {self.object} of {urlsplit(self.url).hostname}"

    @property
    def connections(self) -> tuple[str, ...]:
        """The variables that the login needs, by their names in `Connections`."""
        if self.login == "jwt_bearer":
            return ("salesforce_client_id", "salesforce_username", "salesforce_private_key")
        return ("salesforce_client_id", "salesforce_client_secret")
