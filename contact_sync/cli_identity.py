"""The commands that say who is who and why: `contact-sync explain` and `contact-sync identity simulate`.

What belongs here: options, and what is printed. What is found belongs to `steps.explain` and `steps.simulate`.
"""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from contact_sync.console import REFUSED, AsJson, opened, out, print_json, stop
from contact_sync.rendering_lives import explained, explanation_tables, simulation_table
from contact_sync.settings import load_identity
from contact_sync.steps.explain import explain as explain_it
from contact_sync.steps.simulate import simulate as replay

app = typer.Typer()
identity = typer.Typer(help="How people are recognised: what other rules would change.", no_args_is_help=True)
app.add_typer(identity, name="identity")

_A_WHILE = timedelta(days=30)


@app.command()
def explain(
    who: Annotated[str, typer.Argument(help="A CRM id, a Genesys contact's id, an e-mail address, or a number.")],
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%MZ", "%Y-%m-%d"],
            help="Look through the windows from here on, UTC [30 days ago].",
        ),
    ] = None,
    *,
    values: Annotated[bool, typer.Option("--values", help="Show names, numbers and addresses, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell the life of a record: windows, versions, rule, candidates, reason, what was sent, what came back."""
    with opened(read_only=True) as (_, context):
        start = since.replace(tzinfo=UTC) if since else context.clock() - _A_WHILE
        committed = context.store.ledger.committed(context.source.name)
        found = explain_it(context, who, sorted(one for one in committed if one.end > start))
        if not (found.records or found.contacts):
            stop(
                "nothing is known of that: no record, contact, e-mail or number, delivered or read since "
                f"{start:%Y-%m-%dT%H:%MZ}; look further back with --since",
                REFUSED,
            )
        if as_json:
            print_json(explained(found, values=values))
        else:
            out.print(explanation_tables(found, values=values))


@identity.command()
def simulate(
    registry: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="A settings file; its group `identity` is tried.")
    ],
    limit: Annotated[int, typer.Option(min=0, help="CRM ids to name of records that would move.")] = 10,
    *,
    as_json: AsJson = False,
) -> None:
    """Count what other identity rules would re-link, merge, split or hold. Changes nothing, sends nothing."""
    with opened(read_only=True) as (settings, context):
        rules = load_identity(registry)
        now, then = (replay(context, one, examples=limit) for one in (settings.identity, rules))
        if as_json:
            print_json({"today": asdict(now), "then": asdict(then)})
        else:
            out.print(simulation_table(now, then))
