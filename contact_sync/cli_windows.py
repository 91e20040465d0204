"""The commands `contact-sync windows`, `audit` and `reconcile`: whether every window is whole, and who is gone.

What belongs here: options, and what is printed. What is found belongs to `steps.windows`, `audit` and `gone`.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from contact_sync.console import AllowDeletes, AsJson, Strict, leave, opened, out, print_json
from contact_sync.rendering_windows import audit_table, keys_table, windows_table
from contact_sync.steps.audit import audit as count_again
from contact_sync.steps.gone import reconcile as compare_keys
from contact_sync.steps.windows import Row, windows_now

app = typer.Typer()

_SHOWN = (
    "window_start",
    "window_end",
    "rows_read",
    "digest",
    "newest_modified_at",
    "committed_at",
    "late_rows",
    "late_seconds",
    "reopened_at",
    "reopened_because",
)


@app.command()
def windows(
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%MZ", "%Y-%m-%d"],
            help="Show the windows from here on, UTC [those that the audit counts].",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Windows to print, newest first.")] = 20,
    *,
    as_json: AsJson = False,
    strict: Strict = False,
) -> None:
    """Print which windows are committed, missing or reopened, how late rows were, and whether it keeps up."""
    with opened(read_only=True) as (_, context):
        now = windows_now(context, since.replace(tzinfo=UTC) if since else None)
        if as_json:
            print_json(
                {
                    "windows": [_for_json(row) for row in now.windows],
                    "gaps": list(map(str, now.gaps)),
                    "reopened": {str(window): why for window, why in now.reopened.items()},
                    "lag_seconds": now.lag.total_seconds(),
                    "keeps_up": now.keeps_up,
                    "settle_seconds": now.settle.total_seconds(),
                    "overlap_seconds": now.overlap.total_seconds(),
                    "late_rows": now.late_rows,
                    "late_seconds": now.lateness.total_seconds(),
                }
            )
        else:
            out.print(windows_table(now, limit))
        leave(len(now.gaps) + len(now.reopened), strict=strict)


@app.command()
def audit(*, as_json: AsJson = False, strict: Strict = False) -> None:
    """Count committed windows again in the CRM; one whose count moved is reopened: the next run reads it again."""
    with opened() as (_, context):
        done = count_again(context)
        if as_json:
            reopened = {str(window): why for window, why in done.reopened.items()}
            spans = list(map(str, done.open))
            print_json({"windows": done.windows, "reopened": reopened, "read": done.read, "open": spans})
        else:
            out.print(audit_table(done))
        leave(len(done.reopened), strict=strict)


@app.command()
def reconcile(*, allow_deletes: AllowDeletes = False, as_json: AsJson = False, strict: Strict = False) -> None:
    """Compare all ids of the CRM with the linked records: the next window deletes those that are gone for good."""
    with opened(allow_deletes=allow_deletes) as (_, context):
        done = compare_keys(context)
        if as_json:
            print_json(asdict(done))
        else:
            out.print(keys_table(done))
        leave(int(done.refused is not None), strict=strict)


def _for_json(row: Row) -> dict[str, Any]:
    return {"state": "reopened" if row["reopened_at"] else "committed"} | {name: row[name] for name in _SHOWN}
