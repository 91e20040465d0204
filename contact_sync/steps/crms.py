"""The CRM that the settings name, of whichever kind it is.

What belongs here: handing settings, addresses and secrets to a source. What it does with them belongs to `crm`.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import TypedDict

from contact_sync.connections import Connections
from contact_sync.crm.dynamics import DynamicsSource
from contact_sync.crm.dynamics_settings import Dynamics
from contact_sync.crm.dynamics_tokens import AppCredentials
from contact_sync.crm.salesforce import SalesforceSource
from contact_sync.crm.salesforce_auth import SalesforceCredentials
from contact_sync.crm.source import CrmSource
from contact_sync.crm.sql import SqlSource
from contact_sync.crm.sql_table import SqlTable
from contact_sync.settings import Settings


class _Common(TypedDict):
    """What every kind of source is told."""

    fields: Sequence[str]
    name: str
    settle: timedelta
    page_size: int


def open_source(settings: Settings, connections: Connections) -> CrmSource:
    """Return the CRM, not connected to yet.

    Raises:
        ConfigurationError: One of its addresses or secrets is missing.
        CrmConfigurationError: One of them is wrong.
    """
    crm, kind = settings.crm, settings.crm.kind
    common = _Common(
        fields=settings.registry.crm_fields, name=crm.name, settle=settings.sync.settle, page_size=crm.page_size
    )
    secrets = {name: connections.text(name) for name in kind.connections}
    if isinstance(kind, SqlTable):
        return SqlSource(secrets["crm_url"], kind, **common)
    if isinstance(kind, Dynamics):
        return DynamicsSource(kind, AppCredentials(*secrets.values()), **common)
    named = {name.removeprefix("salesforce_"): value for name, value in secrets.items()}
    return SalesforceSource(kind, SalesforceCredentials(**named), **common)
