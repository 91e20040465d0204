"""What all commands share: the terminal, exit codes, and opening the sync.

What belongs here: how a command starts and how it ends. What it does belongs to its module. Exit codes: 0 done;
1 done, but records are held or queued (with --strict); 2 refused, a setting or an argument is wrong; 3 failed.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from dotenv import load_dotenv
from rich.console import Console

from contact_sync.connections import load_connections
from contact_sync.contacts.schemas import ContractError
from contact_sync.crm.source import CrmConfigurationError, CrmError
from contact_sync.genesys.errors import GenesysError
from contact_sync.settings import ConfigurationError, Settings, load_settings
from contact_sync.state.database import StateError, database_exists
from contact_sync.steps.context import SyncContext, open_sync
from contact_sync.steps.deliver import AccountingError
from contact_sync.steps.lag import WindowNotClosedError

DONE_WITH_HELD, REFUSED, FAILED = 1, 2, 3

_REFUSALS = (ConfigurationError, CrmConfigurationError, WindowNotClosedError)
_FAILURES = (ContractError, CrmError, GenesysError, StateError, AccountingError)

out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
AllowDeletes = Annotated[
    bool, typer.Option("--allow-deletes", help="Remove more contacts than delivery.max_deletes allows.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if records are held or queued.")]


@contextmanager
def opened(*, read_only: bool = False, allow_deletes: bool = False) -> Iterator[tuple[Settings, SyncContext]]:
    """Open the sync as the settings say; its errors end the command with their exit code."""
    with exit_codes():
        load_dotenv(".env")
        settings = load_settings()
        connections = load_connections(settings.crm)
        if read_only and not database_exists(connections.state_url.get_secret_value()):
            connections = load_connections(settings.crm, state_url="sqlite://")
        with open_sync(settings, connections, allow_deletes=allow_deletes) as context:
            yield settings, context


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn the errors that speak to an operator into a line each and an exit code."""
    try:
        yield
    except _REFUSALS as error:
        stop(str(error), REFUSED)
    except _FAILURES as error:
        stop(str(error), FAILED)


def stop(message: str, code: int) -> NoReturn:
    """End the command with a message."""
    for line in message.splitlines():
        err.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object."""
    out.print_json(json.dumps(value, default=str, ensure_ascii=False))


def leave(held: int, *, strict: bool) -> None:
    """End with `DONE_WITH_HELD` if that was asked for and records are held."""
    if strict and held:
        raise typer.Exit(DONE_WITH_HELD)
