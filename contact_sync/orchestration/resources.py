"""The resource that opens the sync: the CRM, the state database and the rate-limited Genesys client.

What belongs here: handing addresses and secrets over from the environment, and failures to the operator in one
line.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from contact_sync.contacts.schemas import ContractError
from contact_sync.crm.source import CrmError, CrmUnavailableError
from contact_sync.genesys.errors import GenesysError, GenesysRetryableError
from contact_sync.settings import ConfigurationError, Connections, Settings, load_connections
from contact_sync.state.database import StateError
from contact_sync.steps.context import SyncContext, open_sync
from contact_sync.steps.deliver import AccountingError
from contact_sync.steps.extract import WindowNotClosedError

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

_VARIABLES = {
    name: str(field.validation_alias) for name, field in Connections.model_fields.items() if field.validation_alias
}


class SyncResource(dg.ConfigurableResource[SyncContext]):
    """Addresses and secrets of one code location; empty where the environment has none."""

    crm_url: str
    state_url: str
    genesys_region: str
    genesys_client_id: str
    genesys_client_secret: str
    genesys_base_url: str

    @contextmanager
    def open(self, settings: Settings) -> Iterator[SyncContext]:
        """Open the sync for one asset.

        Raises:
            dagster.Failure: With one line for each thing that is wrong; retried only where that can help.
        """
        with failures_in_one_line():
            connections = load_connections(**{name: getattr(self, name) for name in _VARIABLES})
            with open_sync(settings, connections) as opened:
                yield opened


def sync_resource() -> SyncResource:
    """Return the resource, an `EnvVar` for each variable that is set; opening it names the missing ones."""
    return SyncResource(
        **{name: dg.EnvVar(variable) if os.environ.get(variable) else "" for name, variable in _VARIABLES.items()}
    )


@contextmanager
def failures_in_one_line() -> Iterator[None]:
    """Turn the errors that speak to an operator into failures without a stack trace."""
    try:
        yield
    except _OPERATOR_ERRORS as error:
        raise dg.Failure(description=str(error), allow_retries=isinstance(error, _WORTH_RETRYING)) from None
