"""The commands `contact-sync retry …`: looking at the retry queue, working it off, deciding about dead letters.

What belongs here: options, and what is printed. What a retry does is `steps.retry`'s.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from contact_sync.console import (
    REFUSED,
    AllowDeletes,
    AsJson,
    Strict,
    leave,
    opened,
    out,
    print_json,
    stop,
)
from contact_sync.rendering import counts_table, queue_table
from contact_sync.state.retries import QueueState
from contact_sync.steps.context import SyncContext
from contact_sync.steps.retry import retry

app = typer.Typer(help="The retry queue: changes that could not be delivered.", no_args_is_help=True)

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="CRM ids, as `retry list` shows them.")]

_SHOWN = ("crm_id", "state", "attempts", "queued_at", "next_attempt_at", "last_error", "window_start")


def _words(reason: str) -> str:
    if not reason.strip():
        raise typer.BadParameter("say why")
    return reason


@app.command("list")
def list_(
    *,
    dead: Annotated[bool, typer.Option("--dead", help="Only dead letters: what is not tried again.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Changes to print, longest queued first.")] = 50,
    as_json: AsJson = False,
    strict: Strict = False,
) -> None:
    """Print what waits, since when, why, and until when."""
    with opened(read_only=True) as (_, context):
        source = context.source.name
        rows = context.store.retries(source, states=["dead"] if dead else None, limit=limit)
        depth = context.store.queue_depth(source)
        if as_json:
            counts = {name: getattr(depth, name) for name in ("waiting", "deferred", "dead", "oldest", "next_due")}
            print_json({**counts, "changes": [_shown(row) for row in rows]})
        else:
            out.print(queue_table(rows, depth))
        leave(depth.waiting + depth.dead, strict=strict)


@app.command("run")
def run(*, allow_deletes: AllowDeletes = False, as_json: AsJson = False, strict: Strict = False) -> None:
    """Try every change that is due once more: read again from the CRM, sent as it is there now."""
    with opened(allow_deletes=allow_deletes) as (_, context):
        done = retry(context, f"cli-{uuid.uuid4()}")
        depth = context.store.queue_depth(context.source.name)
        if as_json:
            more = {"requests": done.requests, "sent_as_queued": done.stored, "deletes_held": done.guarded}
            print_json({**done.counts, **more})
        else:
            out.print(counts_table("retry queue", sum(done.counts.values()), done.counts, "changes that were due"))
            if done.guarded:
                out.print(f"{done.guarded:,} deletes are too many at once: retry list says why")
            out.print(f"{depth.waiting:,} still wait, {depth.deferred:,} deletes in their grace period")
        leave(depth.waiting + depth.dead, strict=strict)


@app.command("replay")
def replay(ids: Ids, *, as_json: AsJson = False) -> None:
    """Make dead letters, or waiting changes, due at once, their attempts counted anew."""
    with opened() as (_, context):
        _require(context, ids, ["waiting", "dead"])
        done = context.store.replay(context.source.name, ids, context.clock())
        _report("replayed", done, as_json=as_json)


@app.command("discard")
def discard(
    ids: Ids,
    *,
    reason: Annotated[str, typer.Option(callback=_words, help="Why; kept in the audit table.")],
    as_json: AsJson = False,
) -> None:
    """Take changes off the queue for good. The next change of such a record is delivered as ever."""
    with opened() as (_, context):
        _require(context, ids)
        run_id = f"cli-{uuid.uuid4()}"
        done = context.store.discard(context.source.name, ids, reason, context.clock(), run_id)
        _report("discarded", done, as_json=as_json)


def _shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: row[name] for name in _SHOWN}


def _require(context: SyncContext, ids: list[str], states: Sequence[QueueState] | None = None) -> None:
    """Refuse all ids if one of them is not on the queue, in one of `states`: a typing error changes nothing."""
    found = {row["crm_id"] for row in context.store.retries(context.source.name, ids, states)}
    if missing := [crm_id for crm_id in dict.fromkeys(ids) if crm_id not in found]:
        where = f"not {' or '.join(states)}" if states else "not"
        stop(f"{where} on the retry queue: {', '.join(missing)}; see contact-sync retry list", REFUSED)


def _report(what: str, ids: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json({what: ids})
    else:
        out.print(f"{len(ids):,} {what}")
