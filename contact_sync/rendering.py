"""What the command line prints: tables for people, built from counts and plans.

What belongs here: words and layout. No value is computed here that `--json` would not show too. What the CRM wrote
is wrapped in `Text`, so that its brackets are not taken for markup.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from contact_sync.contacts.schemas import OUTCOMES
from contact_sync.state.retries import QueueDepth
from contact_sync.steps.diagnosis import Check
from contact_sync.steps.mirror import Mirrored
from contact_sync.steps.report import Health

_VERDICTS = {"ok": "green", "warn": "yellow", "fail": "bold red", "skipped": "dim"}
_READ = "CRM records"


def counts_table(title: str, read: int, counts: Mapping[str, int], what: str = _READ) -> Table:
    """Return the outcomes of one or many windows; `what` says what was read."""
    table = Table(
        title=title, title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False
    )
    table.add_column(justify="right", style="bold")
    table.add_column()
    table.add_column(style="dim")
    table.add_row(f"{read:,}", "read", what)
    for outcome, meaning in OUTCOMES.items():
        count = counts.get(outcome, 0)
        table.add_row(f"{count:,}", outcome, meaning, style="red" if count and outcome == "dead" else None)
    return table


def runs_table(runs: Sequence[tuple[str, Mapping[str, int], int, float]]) -> Table:
    """Return the outcomes of runs side by side: title, counts by outcome, API requests and seconds of each."""
    table = Table(box=None, pad_edge=False)
    table.add_column()
    for title, _, _, _ in runs:
        table.add_column(title, justify="right", style="bold")
    table.add_column(style="dim")
    table.add_row("read", *(f"{sum(counts.values()):,}" for _, counts, _, _ in runs), _READ)
    for outcome, meaning in OUTCOMES.items():
        table.add_row(outcome, *(f"{counts[outcome]:,}" for _, counts, _, _ in runs), meaning)
    table.add_row("API requests", *(f"{requests:,}" for _, _, requests, _ in runs), "ten contacts a request")
    table.add_row("seconds", *(f"{seconds:.1f}" for _, _, _, seconds in runs), "Dagster's own time included")
    return table


def mirror_report(done: Mirrored) -> Table:
    """Return what a scan of all contacts found."""
    table = Table(title="genesys_contacts", title_justify="left", title_style="bold", show_header=False, box=None)
    table.add_column(justify="right", style="bold")
    table.add_column()
    table.add_column(style="dim")
    went_on = f", {done.resumed:,} of them in an earlier run" if done.resumed else ""
    table.add_row(f"{done.contacts:,}", "contacts", f"on {done.pages:,} pages{went_on}")
    table.add_row(f"{done.merged:,}", "merged", "into others in Genesys; their records have followed")
    table.add_row(f"{done.gone:,}", "gone", "from Genesys, dropped here")
    table.add_row(
        f"{done.missing:,}", "missing", "though records are linked to them: their next change makes them again"
    )
    for rule, count in done.shared.items():
        table.add_row(f"{count:,}", f"shared by {rule}", "too many contacts have it: it links nobody")
    table.add_row(f"{done.requests:,}", "API requests", f"{done.seconds:.1f} seconds")
    return table


def held_table(reasons: Mapping[str, int]) -> RenderableType:
    """Return why rows were held."""
    if not reasons:
        return Text("")
    table = Table(title="held because", title_justify="left", title_style="bold", show_header=False, box=None)
    table.add_column(justify="right", style="bold")
    table.add_column()
    for reason, count in reasons.items():
        table.add_row(f"{count:,}", Text(reason))
    return table


def plan_table(rows: Sequence[Mapping[str, Any]], shown: int) -> RenderableType:
    """Return a plan: what is done for each record, field by field, old value → new value."""
    table = Table(title="plan", title_justify="left", title_style="bold")
    for column in ("record", "action", "why", "changes"):
        table.add_column(column, overflow="fold")
    for row in rows[:shown]:
        table.add_row(*map(Text, (row["crm_id"], row["action"], _why(row), _changes(row))))
    more = len(rows) - shown
    return Group(table, Text(f"… and {more:,} more; --limit shows them")) if more > 0 else table


def queue_table(rows: Sequence[Mapping[str, Any]], depth: QueueDepth) -> RenderableType:
    """Return the retry queue: a line for each change, and how many there are."""
    summary = f"{depth.waiting:,} waiting, {depth.deferred:,} deletes in their grace period, {depth.dead:,} dead"
    if not rows:
        return Text(f"retry queue: {summary}")
    table = Table(title="retry queue", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in ("record", "state", "attempts", "since", "next attempt", "why"):
        table.add_column(column, overflow="fold", justify="right" if column == "attempts" else "left")
    for row in rows:
        then = row["next_attempt_at"]
        table.add_row(
            Text(row["crm_id"]),
            Text(row["state"], style="red" if row["state"] == "dead" else ""),
            f"{row['attempts']:,}",
            minute(row["queued_at"]),
            minute(then) if then else "never",
            Text(row["last_error"]),
        )
    return Group(table, Text(summary))


def health_table(health: Health, budget: Mapping[str, Any]) -> Table:
    """Return how the sync stands."""
    table = Table(title="status", title_justify="left", title_style="bold", show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("watermark", f"{minute(health.watermark)}: every window before it is committed")
    table.add_row("lag", _span(health.lag))
    table.add_row("gaps", "; ".join(str(gap) for gap in health.gaps) or "none")
    table.add_row("retry queue", _queue(health))
    table.add_row("linked", f"{health.records:,} CRM records are {health.contacts:,} Genesys contacts")
    table.add_row("budget", _budget(budget))
    fields = ", ".join(f"{row['field']} ({int(row['records']):,})" for row in health.unmapped)
    table.add_row("not in the registry", Text(fields or "nothing"))
    return table


def fields_table(
    listed: Sequence[Mapping[str, str]], unlisted: Sequence[Mapping[str, Any]], ignored: Sequence[str]
) -> RenderableType:
    """Return the lines of the registry, and the fields with values that it does not list."""
    sent = Table(title="sent", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in ("CRM field", "Genesys field", "type", "rules"):
        sent.add_column(column, overflow="fold")
    for line in listed:
        sent.add_row(*(Text(line[name]) for name in ("crm", "genesys", "type", "rules")))
    left_out = Text(f"ignored: {', '.join(ignored) or 'none'}")
    if not unlisted:
        return Group(sent, left_out, Text("every other field that carries values: none"))
    seen = Table(title="\nnot in the registry", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in ("CRM field", "records", "since", "until", "looks like"):
        seen.add_column(column, overflow="fold", justify="right" if column == "records" else "left")
    for row in unlisted:
        days = (f"{row[name]:%Y-%m-%d}" for name in ("first_seen", "last_seen"))
        seen.add_row(Text(row["field"]), f"{int(row['records']):,}", *days, Text(row["shape"] or "not known"))
    return Group(sent, left_out, seen)


def check_line(check: Check) -> Table:
    """Return what one check of the doctor found; a long finding goes on below itself."""
    line = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    line.add_column(width=7, style=_VERDICTS[check.verdict])
    line.add_column(width=13)
    line.add_column(overflow="fold")
    line.add_row(check.verdict, check.name, Text(check.says))
    return line


def minute(at: datetime) -> str:
    """Return an instant as it is printed."""
    return f"{at:%Y-%m-%d %H:%M}Z"


def moved(change: Mapping[str, str | None]) -> str:
    """Return a field, and what it was and is."""
    return f"{change['field']}: {change['old'] or '∅'} → {change['new'] or '∅'}"


def _budget(budget: Mapping[str, Any]) -> str:
    spent = f"{budget['used']:,} of {budget['allowed']:,} requests of this minute used"
    others = f"others spend {budget['others_per_minute']:.0f} a minute"
    return f"{spent}, {others}; the next may go in {budget['wait']:.1f} s"


def _queue(health: Health) -> str:
    since = f" since {minute(health.oldest_waiting)}" if health.oldest_waiting else ""
    return f"{health.waiting:,} waiting{since}, {health.deferred:,} deletes in grace, {health.dead:,} dead"


def _why(row: Mapping[str, Any]) -> str:
    return "; ".join(str(row[name]) for name in ("rule", "reason", "candidates") if row.get(name))


def _changes(row: Mapping[str, Any]) -> str:
    changes = json.loads(row.get("changes") or "[]")
    return "\n".join(map(moved, changes))


def _span(lag: timedelta) -> str:
    hours, rest = divmod(int(lag.total_seconds()), 3600)
    return f"{hours} h {rest // 60} min" if lag else "none: every closed window is committed"
