"""The command `contact-sync`.

What belongs here: options, exit codes and where output goes. Exit codes: 0 done; 1 done, but records are held or
queued (with --strict); 2 refused, a setting or an argument is wrong; 3 failed.
"""

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import pandas as pd
import typer
from dotenv import load_dotenv
from rich.console import Console
from rich.progress import Progress as ProgressBar

from contact_sync.contacts.schemas import OUTCOMES, ContractError, records
from contact_sync.contacts.window import Window
from contact_sync.crm.source import CrmConfigurationError, CrmError
from contact_sync.genesys.errors import GenesysError
from contact_sync.rendering import counts_table, health_table, held_table, plan_table
from contact_sync.settings import ConfigurationError, Settings, load_connections, load_settings
from contact_sync.state.database import StateError, database_exists
from contact_sync.steps.context import SyncContext, open_sync, windows_of
from contact_sync.steps.deliver import AccountingError
from contact_sync.steps.extract import WindowNotClosedError, require_closed
from contact_sync.steps.pipeline import cost, preview, sync
from contact_sync.steps.report import health, held_reasons

DONE_WITH_HELD, REFUSED, FAILED = 1, 2, 3

_REFUSALS = (ConfigurationError, CrmConfigurationError, WindowNotClosedError)
_FAILURES = (ContractError, CrmError, GenesysError, StateError, AccountingError)

app = typer.Typer(
    help="Keeps Genesys Cloud External Contacts true to the CRM.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out = Console()
err = Console(stderr=True)

_TIMES = ["%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M", "%Y-%m-%d"]
From = Annotated[
    datetime | None, typer.Option("--from", formats=_TIMES, help="Start of the first window, UTC [the watermark].")
]
To = Annotated[
    datetime | None,
    typer.Option("--to", formats=_TIMES, help="End of the last window, UTC [the newest closed one]."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
AllowDeletes = Annotated[
    bool, typer.Option("--allow-deletes", help="Remove more contacts than delivery.max_deletes allows.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if records are held or queued.")]


@app.command()
def run(
    since: From = None,
    until: To = None,
    *,
    allow_deletes: AllowDeletes = False,
    as_json: AsJson = False,
    strict: Strict = False,
) -> None:
    """Sync windows: the same steps as the Dagster assets, without Dagster."""
    with _opened(allow_deletes=allow_deletes) as (settings, opened):
        windows = _windows(settings, opened, since, until)
        client, frames = opened.genesys, []
        with ProgressBar(console=err, transient=True, disable=as_json or not err.is_terminal) as bar:
            task = bar.add_task("windows", total=len(windows))
            for frame in sync(opened, windows, f"cli-{uuid.uuid4()}"):
                frames.append(frame)
                bar.advance(task)
        counts, reasons, read = _outcomes(frames), held_reasons(frames), sum(len(frame) for frame in frames)
        if as_json:
            sent = {"requests": client.requests_sent, "writes": client.writes_sent}
            _print_json({"windows": len(windows), "read": read, **counts, "held_because": reasons, **sent})
        else:
            out.print(counts_table(f"{len(windows)} windows", read, counts))
            out.print(held_table(reasons))
            out.print(f"{client.requests_sent:,} API requests")
        _leave(counts["held"] + counts["queued"], strict=strict)


@app.command()
def plan(
    since: From = None,
    until: To = None,
    *,
    limit: Annotated[int, typer.Option(min=0, help="Rows of the plan to print.")] = 50,
    allow_deletes: AllowDeletes = False,
    as_json: AsJson = False,
    strict: Strict = False,
) -> None:
    """Print what a run would do and what it would cost. Writes nothing, here or in Genesys."""
    with _opened(read_only=True, allow_deletes=allow_deletes) as (settings, opened):
        plans = dict(preview(opened, _windows(settings, opened, since, until)))
        rows = [row for frame in plans.values() for row in records(frame)]
        counts = Counter(row["action"] for row in rows)
        requests = sum(cost(frame) for frame in plans.values())
        minutes = requests / settings.delivery.requests_per_minute
        if as_json:
            changes = [_for_json(row) for row in rows if row["action"] != "unchanged"]
            _print_json({"actions": counts, "requests": requests, "minutes": minutes, "plan": changes})
        else:
            if moving := [row for row in rows if row["action"] != "unchanged"]:
                out.print(plan_table(moving, limit))
            out.print(
                ", ".join(f"{count:,} {action}" for action, count in sorted(counts.items())) or "nothing to do"
            )
            out.print(f"cost: {requests:,} requests, {minutes:.1f} minutes of the budget")
        _leave(counts["hold"], strict=strict)


@app.command()
def status(*, as_json: AsJson = False, strict: Strict = False) -> None:
    """Print the watermark, gaps, lag, retry queue and budget."""
    with _opened() as (settings, opened):
        now = health(opened)
        budget = {"requests_per_minute": settings.delivery.requests_per_minute, "wait": opened.pace.wait()}
        if as_json:
            gaps = [str(gap) for gap in now.gaps]
            _print_json(asdict(now) | {"lag": now.lag.total_seconds(), "gaps": gaps, "budget": budget})
        else:
            out.print(health_table(now, budget))
        _leave(now.waiting, strict=strict)


@app.command()
def demo(
    home: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of the demo; an older demo in it is replaced.")
    ] = Path(".demo"),
    contacts: Annotated[int, typer.Option(min=100, help="Contacts of the sample CRM.")] = 5000,
    *,
    as_json: AsJson = False,
    strict: Strict = False,
) -> None:
    """Sync a dirty sample CRM into a twin of Genesys Cloud, through Dagster."""
    from contact_sync.demo import run_demo  # noqa: PLC0415 (Dagster takes a second to load)

    with _exit_codes():
        result = run_demo(home, contacts, err)
        if as_json:
            _print_json(result.as_dict())
        else:
            out.print(result.report())
        _leave(result.counts["held"] + result.counts["queued"], strict=strict)


@app.command()
def ui(
    home: Annotated[Path, typer.Option(file_okay=False, help="Folder of the demo.")] = Path(".demo"),
    port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
) -> None:
    """Open the demo in the Dagster UI: twin, sample CRM, webserver and daemon, until interrupted."""
    from contact_sync.demo import serve_ui  # noqa: PLC0415

    with _exit_codes():
        serve_ui(home, port, err)


@app.command()
def simulator(
    port: Annotated[int, typer.Option(help="Port on the loopback address.")] = 8080,
    requests_per_minute: Annotated[int, typer.Option(min=1, help="Requests a minute for a token.")] = 300,
    store: Annotated[Path | None, typer.Option(help="File that keeps the contacts between runs.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Serve a twin of Genesys Cloud on this machine until interrupted, and print how it is reached."""
    from contact_sync.simulator.server import serve  # noqa: PLC0415
    from contact_sync.simulator.settings import TwinSettings  # noqa: PLC0415

    settings = TwinSettings(requests_per_minute=requests_per_minute)
    client, secret = next(iter(settings.clients.items()))
    reached = {
        "GENESYS_BASE_URL": f"http://127.0.0.1:{port}",
        "GENESYS_CLIENT_ID": client,
        "GENESYS_CLIENT_SECRET": secret,
    }
    if as_json:
        _print_json(reached)
    else:
        out.print("\n".join(f"{name}={value}" for name, value in reached.items()), soft_wrap=True, highlight=False)
    serve(settings, port, store)


@contextmanager
def _opened(*, read_only: bool = False, allow_deletes: bool = False) -> Iterator[tuple[Settings, SyncContext]]:
    with _exit_codes():
        load_dotenv(".env")
        settings = load_settings()
        connections = load_connections()
        if read_only and not database_exists(connections.state_url.get_secret_value()):
            connections = load_connections(state_url="sqlite://")
        with open_sync(settings, connections, allow_deletes=allow_deletes) as opened:
            yield settings, opened


@contextmanager
def _exit_codes() -> Iterator[None]:
    try:
        yield
    except _REFUSALS as error:
        _stop(str(error), REFUSED)
    except _FAILURES as error:
        _stop(str(error), FAILED)


def _stop(message: str, code: int) -> NoReturn:
    for line in message.splitlines():
        err.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def _windows(
    settings: Settings, opened: SyncContext, since: datetime | None, until: datetime | None
) -> list[Window]:
    sync_settings = settings.sync
    start = since.replace(tzinfo=UTC) if since else sync_settings.frequency.floor(health(opened).watermark)
    end = until.replace(tzinfo=UTC) if until else sync_settings.frequency.floor(opened.source.horizon())
    windows = list(windows_of(settings, start, end)) if since or until or start < end else []
    if windows:
        require_closed(opened, windows[-1])
    return windows


def _outcomes(frames: list[pd.DataFrame]) -> dict[str, int]:
    total = Counter(str(outcome) for frame in frames for outcome in frame["outcome"])
    return {outcome: total[outcome] for outcome in OUTCOMES}


def _for_json(row: Mapping[str, Any]) -> Mapping[str, Any]:
    shown = ("crm_id", "action", "contact", "rule", "reason")
    parsed = {name: json.loads(row[name]) for name in ("candidates", "changes") if name in row}
    return {name: row[name] for name in shown if name in row} | parsed


def _print_json(value: Mapping[str, Any]) -> None:
    out.print_json(json.dumps(value, default=str, ensure_ascii=False))


def _leave(held: int, *, strict: bool) -> None:
    if strict and held:
        raise typer.Exit(DONE_WITH_HELD)


def main() -> None:
    """Run the command."""
    app()
