"""The resource that opens the sync: the CRM, the state database and the rate-limited Genesys client.

What belongs here: handing addresses and secrets over from the environment, and failures to the operator in one
line.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg

from contact_sync.connections import Connections, load_connections
from contact_sync.contacts.schemas import ContractError
from contact_sync.crm.source import CrmError, CrmExhaustedError, CrmUnavailableError
from contact_sync.genesys.errors import GenesysError, GenesysRetryableError
from contact_sync.settings import ConfigurationError, Settings
from contact_sync.state.database import StateError
from contact_sync.steps.context import SyncContext, open_sync
from contact_sync.steps.deliver import AccountingError
from contact_sync.steps.lag import WindowNotClosedError

_OPERATOR_ERRORS = (
    ConfigurationError,
    ContractError,
    CrmError,
    GenesysError,
    StateError,
    AccountingError,
    WindowNotClosedError,
)
_WORTH_RETRYING = (CrmUnavailableError, GenesysRetryableError)

ALLOW_DELETES = "contact_sync/allow_deletes"
"""The run tag that lets a run, or the runs of a backfill, remove more contacts than the settings allow."""

_VARIABLES = {
    name: str(field.validation_alias) for name, field in Connections.model_fields.items() if field.validation_alias
}


class SyncResource(dg.ConfigurableResource[SyncContext]):
    """Addresses and secrets of one code location; empty where the environment has none."""

    crm_url: str
    salesforce_client_id: str
    salesforce_client_secret: str
    salesforce_username: str
    salesforce_private_key: str
    dynamics_tenant_id: str
    dynamics_client_id: str
    dynamics_client_secret: str
    state_url: str
    genesys_region: str
    genesys_organization_id: str
    genesys_client_id: str
    genesys_client_secret: str
    genesys_base_url: str

    @contextmanager
    def open(self, settings: Settings, run_tags: Mapping[str, str] | None = None) -> Iterator[SyncContext]:
        """Open the sync for one asset.

        Args:
            settings: The settings.
            run_tags: The tags of the run; `ALLOW_DELETES` among them, set to true, lifts the delete guard.

        Raises:
            dagster.Failure: With one line for each thing that is wrong; retried only where that can help.
        """
        with failures_in_one_line():
            connections = load_connections(settings.crm, **{name: getattr(self, name) for name in _VARIABLES})
            with open_sync(
                settings, connections, allow_deletes=(run_tags or {}).get(ALLOW_DELETES) == "true"
            ) as opened:
                yield opened


def sync_resource() -> SyncResource:
    """Return the resource, an `EnvVar` for each variable that is set; opening it names the missing ones."""
    environment: dict[str, Any] = {
        name: dg.EnvVar(variable) if os.environ.get(variable) else "" for name, variable in _VARIABLES.items()
    }
    return SyncResource(**environment)


@contextmanager
def failures_in_one_line() -> Iterator[None]:
    """Turn the errors that speak to an operator into failures without a stack trace."""
    try:
        yield
    except _OPERATOR_ERRORS as error:
        soon = isinstance(error, _WORTH_RETRYING) and not isinstance(error, CrmExhaustedError)
        raise dg.Failure(description=str(error), allow_retries=soon) from None
