"""The command `contact-sync`: running, planning, looking, trying.

What belongs here: options, and what is printed. How a command starts and ends is `console`'s.
"""

import json
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from dotenv import load_dotenv
from rich.progress import Progress as ProgressBar

from contact_sync.cli_identity import app as identity_app
from contact_sync.cli_retry import app as retry_app
from contact_sync.cli_windows import app as windows_app
from contact_sync.console import (
    FAILED,
    REFUSED,
    AllowDeletes,
    AsJson,
    Strict,
    err,
    exit_codes,
    leave,
    opened,
    out,
    print_json,
)
from contact_sync.contacts.schemas import OUTCOMES, records
from contact_sync.contacts.window import Window
from contact_sync.demo_crm import CrmKind
from contact_sync.rendering import (
    check_line,
    counts_table,
    fields_table,
    health_table,
    held_table,
    mirror_report,
    plan_table,
)
from contact_sync.settings import Settings
from contact_sync.steps.context import SyncContext, windows_of
from contact_sync.steps.doctor import examine
from contact_sync.steps.fields import listed_fields, unlisted_fields
from contact_sync.steps.lag import horizon_of, require_closed
from contact_sync.steps.mirror import mirror as scan
from contact_sync.steps.pipeline import cost, preview, sync
from contact_sync.steps.report import health

app = typer.Typer(
    help="Keeps Genesys Cloud External Contacts true to the CRM.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(retry_app, name="retry")
app.add_typer(identity_app)
app.add_typer(windows_app)

_TIMES = ["%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M", "%Y-%m-%d"]
From = Annotated[
    datetime | None, typer.Option("--from", formats=_TIMES, help="Start of the first window, UTC [the watermark].")
]
To = Annotated[
    datetime | None,
    typer.Option("--to", formats=_TIMES, help="End of the last window, UTC [the newest closed one]."),
]


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
    with opened(allow_deletes=allow_deletes) as (settings, context):
        windows = _windows(settings, context, since, until)
        client = context.genesys
        counts, reasons = Counter(dict.fromkeys(OUTCOMES, 0)), Counter[str]()
        with ProgressBar(console=err, transient=True, disable=as_json or not err.is_terminal) as bar:
            task = bar.add_task("windows", total=len(windows))
            piece = bar.add_task("rows", visible=False)

            def show(window: Window, ended: int, rows: int) -> None:
                bar.update(piece, description=str(window), completed=ended, total=rows, visible=True)

            for delivered in sync(context, windows, f"cli-{uuid.uuid4()}", show):
                counts.update(delivered.counts)
                reasons.update(delivered.held_because)
                bar.advance(task)
        read = counts.total()
        if as_json:
            sent = {"requests": client.requests_sent, "writes": client.writes_sent}
            print_json({"windows": len(windows), "read": read, **counts, "held_because": reasons, **sent})
        else:
            out.print(counts_table(f"{len(windows)} windows", read, counts))
            out.print(held_table(dict(reasons.most_common())))
            out.print(f"{client.requests_sent:,} API requests")
        leave(counts["held"] + counts["queued"], strict=strict)


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
    with opened(read_only=True, allow_deletes=allow_deletes) as (settings, context):
        plans = dict(preview(context, _windows(settings, context, since, until)))
        rows = [row for frame in plans.values() for row in records(frame)]
        counts = Counter(row["action"] for row in rows)
        requests = cost(context, plans.values())
        delivery = settings.delivery
        minutes = requests / (delivery.requests_per_minute * (1 - delivery.reserve))
        if as_json:
            changes = [_for_json(row) for row in rows if row["action"] != "unchanged"]
            print_json({"actions": counts, "requests": requests, "minutes": minutes, "plan": changes})
        else:
            if moving := [row for row in rows if row["action"] != "unchanged"]:
                out.print(plan_table(moving, limit))
            out.print(
                ", ".join(f"{count:,} {action}" for action, count in sorted(counts.items())) or "nothing to do"
            )
            out.print(f"cost: {requests:,} requests, {minutes:.1f} minutes of the budget")
        leave(counts["hold"], strict=strict)


@app.command()
def status(*, as_json: AsJson = False, strict: Strict = False) -> None:
    """Print the watermark, gaps, lag, retry queue and budget."""
    with opened() as (_, context):
        now = health(context)
        budget = asdict(context.pace.reading()) | {"wait": context.pace.wait()}
        if as_json:
            gaps = [str(gap) for gap in now.gaps]
            print_json(asdict(now) | {"lag": now.lag.total_seconds(), "gaps": gaps, "budget": budget})
        else:
            out.print(health_table(now, budget))
        leave(now.waiting + now.dead, strict=strict)


@app.command()
def mirror(*, as_json: AsJson = False) -> None:
    """Scan all contacts of Genesys, so that records find those that the sync did not create."""
    with opened() as (_, context), ProgressBar(console=err, transient=True, disable=as_json) as bar:
        task = bar.add_task("contacts", total=None)
        done = scan(context, lambda _, contacts: bar.update(task, completed=contacts))
    if as_json:
        print_json(asdict(done))
    else:
        out.print(mirror_report(done), highlight=False)


@app.command()
def fields(*, as_json: AsJson = False, strict: Strict = False) -> None:
    """Print which CRM fields are sent, and which carry values that nobody listed. No value is shown."""
    with opened(read_only=True) as (settings, context):
        listed, unlisted = listed_fields(settings.registry), unlisted_fields(context)
        if as_json:
            print_json({"mapped": listed, "unmapped": unlisted, "ignored": settings.registry.ignored})
        else:
            out.print(fields_table(listed, unlisted, settings.registry.ignored))
        leave(len(unlisted), strict=strict)


@app.command()
def doctor(*, as_json: AsJson = False) -> None:
    """Check that everything the sync needs is there, and say what to do if not. Changes nothing."""
    load_dotenv(".env")
    found = []
    for check in examine():
        found.append(check)
        if not as_json:  # as it is found: some checks take a while
            out.print(check_line(check))
    if as_json:
        print_json({"checks": [asdict(check) for check in found]})
    failed = [check for check in found if check.verdict == "fail"]
    if failed:
        raise typer.Exit(REFUSED if any(check.to_be_set_right for check in failed) else FAILED)


@app.command()
def demo(
    home: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of the demo; an older demo in it is replaced.")
    ] = Path(".demo"),
    contacts: Annotated[int, typer.Option(min=100, help="Contacts of the sample CRM.")] = 5000,
    crm: Annotated[
        CrmKind, typer.Option(help="Where they live: a database, or a twin of another CRM.")
    ] = CrmKind.SQL,
    *,
    as_json: AsJson = False,
    strict: Strict = False,
) -> None:
    """Sync a dirty sample CRM into a twin of Genesys Cloud, through Dagster."""
    from contact_sync.demo import run_demo  # noqa: PLC0415 (Dagster takes a second to load)

    with exit_codes():
        result = run_demo(home, contacts, err, crm)
        if as_json:
            print_json(result.as_dict())
        else:
            out.print(result.report())
        leave(result.counts["held"] + result.retry.counts["queued"], strict=strict)


@app.command()
def ui(
    home: Annotated[Path, typer.Option(file_okay=False, help="Folder of the demo.")] = Path(".demo"),
    port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
) -> None:
    """Open the demo in the Dagster UI: twin, sample CRM, webserver and daemon, until interrupted."""
    from contact_sync.demo import serve_ui  # noqa: PLC0415

    with exit_codes():
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
        print_json(reached)
    else:
        out.print("\n".join(f"{name}={value}" for name, value in reached.items()), soft_wrap=True, highlight=False)
    serve(settings, port, store)


def _windows(
    settings: Settings, context: SyncContext, since: datetime | None, until: datetime | None
) -> list[Window]:
    sync_settings = settings.sync
    start = since.replace(tzinfo=UTC) if since else sync_settings.frequency.floor(health(context).watermark)
    end = until.replace(tzinfo=UTC) if until else sync_settings.frequency.floor(horizon_of(context))
    windows = list(windows_of(settings, start, end)) if since or until or start < end else []
    if not since:  # behind the watermark lies what is missing or reopened, and much that is neither
        committed = frozenset(context.store.ledger.committed(context.source.name))
        windows = [window for window in windows if window not in committed]
    if windows:
        require_closed(context, windows[-1])
    return windows


def _for_json(row: Mapping[str, Any]) -> Mapping[str, Any]:
    shown = ("crm_id", "action", "contact", "rule", "reason")
    parsed = {name: json.loads(row[name]) for name in ("candidates", "changes") if name in row}
    return {name: row[name] for name in shown if name in row} | parsed


def main() -> None:
    """Run the command."""
    app()
