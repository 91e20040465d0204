"""What the command line prints of windows: their standing, an audit, a comparison of keys.

What belongs here: words and layout. No value is computed here that `--json` would not show too.
"""

from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from contact_sync.contacts.window import Window
from contact_sync.rendering import minute
from contact_sync.steps.audit import Audited
from contact_sync.steps.gone import Reconciled
from contact_sync.steps.seen import window_of
from contact_sync.steps.windows import Row, Standing

_GAPS = 10


def windows_table(now: Standing, shown: int) -> RenderableType:
    """Return how the windows stand, and the newest of them."""
    said = _facts("windows")
    said.add_row("gaps", _listed(list(map(str, now.gaps))))
    said.add_row("reopened", _listed([f"{window}: {why}" for window, why in now.reopened.items()]))
    behind = "the schedule keeps up" if now.keeps_up else "the schedule does not keep up"
    said.add_row("lag", f"{span(now.lag)} since the newest committed window ended: {behind}")
    late = f"{now.late_rows:,}, up to {span(now.lateness)} after their stamp" if now.late_rows else "none"
    said.add_row("late rows", late)
    said.add_row("bounds", f"settle delay {span(now.settle)}, overlap {span(now.overlap)}")
    table = Table(box=None, pad_edge=False)
    for column in ("window", "state", "rows", "late", "newest change", "committed", "last reopened because"):
        table.add_column(column, justify="right" if column in {"rows", "late"} else "left")
    rows = list(now.windows)[::-1]
    for row in rows[:shown]:
        table.add_row(*_cells(row))
    more = len(rows) - shown
    return Group(said, table, Text(f"… and {more:,} more; --limit shows them" if more > 0 else ""))


def audit_table(done: Audited) -> Table:
    """Return what an audit found."""
    said = _facts("audit")
    said.add_row("windows", f"{done.windows:,} counted again")
    said.add_row("reopened", _listed([f"{window}: {why}" for window, why in done.reopened.items()]))
    said.add_row("read", f"{done.read:,} rows that have changed since the newest window")
    if done.open:
        said.add_row("open", f"{_listed(list(map(str, done.open)))}: meanwhile fewer rows say nothing")
    return said


def keys_table(done: Reconciled) -> Table:
    """Return what a comparison of all keys found."""
    said = _facts("crm_keys")
    said.add_row("living", f"{done.living:,} records in the CRM")
    said.add_row("linked", f"{done.linked:,} records are a contact")
    said.add_row("gone", f"{done.gone:,} of them are gone from the CRM: the next window deletes them")
    if done.refused:
        said.add_row("refused", Text(done.refused, style="red"))
    return said


def span(time: timedelta) -> str:
    """Return a length of time as it is printed."""
    seconds = int(time.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    hours, rest = divmod(seconds, 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min"


def _facts(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    return table


def _listed(words: list[str]) -> str:
    more = len(words) - _GAPS
    return "; ".join(words[:_GAPS]) + (f"; and {more:,} more" if more > 0 else "") or "none"


def _cells(row: Row) -> list[Text | str]:
    window: Window = window_of(row)
    newest = row["newest_modified_at"]
    return [
        str(window),
        Text("reopened", style="yellow") if row["reopened_at"] else "committed",
        f"{row['rows_read']:,}",
        f"{row['late_rows']:,}" if row["late_rows"] else "",
        f"{newest:%Y-%m-%d %H:%M:%S}Z" if newest else "",
        f"{minute(row['committed_at'])}, {span(row['committed_at'] - window.end)} after its end",
        Text(row["reopened_because"] or ""),
    ]
