"""Explanations as an operator reads them: plain data for `--json`, tables for people.

What belongs here: words and layout. Names, numbers and addresses are left out unless they are asked for, so that
an explanation can be pasted into a ticket. What is explained was found by `steps.explain`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from contact_sync.contacts.simulating import Simulation
from contact_sync.rendering import minute, moved
from contact_sync.steps.explain import ContactLife, Explanation, RecordLife, Row, Sighting

_DELIVERED = ("action", "rule", "reason")
_ENDED = ("outcome", "status", "correlation_id")
_QUEUED = ("state", "attempts", "next_attempt_at", "last_error")
_WRITTEN = ("at", "run_id", "contact", "action", "rule", "result", "status", "correlation_id", "reason")

_SIMULATED = {
    "records": "records replayed, in the order of the CRM",
    "contacts": "contacts that they are now",
    "people": "contacts that they would be",
    "relinked": "records that would be of another contact than now",
    "merged": "contacts whose records would all be of others",
    "split": "contacts that would fall apart",
    "adopted": "contacts of others that records would take over",
}


def explained(explanation: Explanation, *, values: bool) -> Mapping[str, Any]:
    """Return an explanation as plain data; what fields hold only with `values`."""
    return {
        "records": [_record(life, values=values) for life in explanation.records],
        "contacts": [_contact(life) for life in explanation.contacts],
    }


def explanation_tables(explanation: Explanation, *, values: bool) -> RenderableType:
    """Return an explanation for people; what fields hold only with `values`."""
    told = explained(explanation, values=values)
    parts = [part for record in told["records"] for part in _of_record(record)]
    return Group(*parts, *map(_of_contact, told["contacts"]))


def simulation_table(now: Simulation, then: Simulation) -> RenderableType:
    """Return what today's identity rules and others make of the stored records, side by side."""
    table = Table(title="who would be who", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for title in ("", "today's rules", "then"):
        table.add_column(title, justify="right" if title else "left")
    table.add_column(style="dim")
    for name, meaning in _SIMULATED.items():
        table.add_row(name, f"{getattr(now, name):,}", f"{getattr(then, name):,}", meaning)
    for rule in sorted({*now.held, *then.held}):
        counts = (f"{one.held.get(rule, 0):,}" for one in (now, then))
        table.add_row(f"held by {rule}", *counts, "records that several contacts fit")
    named = Text(f"such as {', '.join(then.examples)}" if then.examples else "")
    return Group(table, named)


def _record(life: RecordLife, *, values: bool) -> Mapping[str, Any]:
    source, crm_id = life.record
    link = life.link
    return {
        "source": source,
        "crm_id": crm_id,
        "contact": link.contact if link else None,
        "delivered_version": link.version if link else None,
        "fields": (dict(link.fields) if values else sorted(link.fields)) if link else [],
        "queue": {name: life.queued[name] for name in _QUEUED} if life.queued else None,
        "unanswered": life.unanswered,
        "windows": [_sighting(one) for one in life.sightings],
        "writes": [_write(row, values=values) for row in life.writes],
    }


def _sighting(one: Sighting) -> Mapping[str, Any]:
    names = ("kind", "version", "modified_at", "state", "notes")
    decided = {name: one.plan[name] for name in _DELIVERED if name in one.plan}
    return {
        "window": str(one.window),
        **{name: one.read[name] for name in names if name in one.read},
        **decided,
        "candidates": json.loads(one.plan.get("candidates", "[]")),
        "phones": {name: how.get("steps") for name, how in json.loads(one.read.get("phone_steps", "{}")).items()},
        **{name: one.outcome[name] for name in _ENDED if name in one.outcome},
    }


def _write(row: Row, *, values: bool) -> Mapping[str, Any]:
    changes = row["changes"] or []
    return {
        **{name: row[name] for name in _WRITTEN if row[name] is not None},
        "changes": changes if values else [change["field"] for change in changes],
    }


def _contact(life: ContactLife) -> Mapping[str, Any]:
    return {
        "contact": life.contact,
        "records": [{"source": source, "crm_id": crm_id} for source, crm_id in life.members],
        "seen_at": life.seen_at,
        "shared": life.shared,
    }


def _of_record(told: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield Text(f"record {told['crm_id']} of {told['source']}", style="bold")
    yield _facts(told)
    if told["windows"]:
        yield _table(
            "windows", ("window", "changed in the CRM", "was", "decided", "ended"), map(_seen, told["windows"])
        )
    if told["writes"]:
        yield _table("sent", ("at", "what", "fields", "came back", "run"), map(_sent, told["writes"]))
    yield Text("")


def _facts(told: Mapping[str, Any]) -> RenderableType:
    lines = [_standing(told)]
    if told["unanswered"]:
        lines.append("a request that carried it has no answer yet: it is sent whole the next time")
    if queue := told["queue"]:
        then = f", next attempt {minute(queue['next_attempt_at'])}" if queue["next_attempt_at"] else ""
        lines.append(
            f"in the retry queue: {queue['state']}, {queue['attempts']} attempts{then}: {queue['last_error']}"
        )
    if isinstance(told["fields"], Mapping):
        lines += [f"{name}: {value}" for name, value in sorted(told["fields"].items())]
    return Text("\n".join(f"  {line}" for line in lines))


def _standing(told: Mapping[str, Any]) -> str:
    if told["contact"]:
        return f"is the Genesys contact {told['contact']}"
    if told["fields"]:
        return "has left its contact to be another one, which is not delivered yet"
    return "was deleted" if told["delivered_version"] else "was never delivered"


def _of_contact(told: Mapping[str, Any]) -> RenderableType:
    records = ", ".join(one["crm_id"] for one in told["records"]) or "no record"
    seen = f"last seen in Genesys {minute(told['seen_at'])}" if told["seen_at"] else "not known to be in Genesys"
    shared = f"; links nobody by {', '.join(told['shared'])}: too many share it" if told["shared"] else ""
    return Text(f"contact {told['contact']}: {records}; {seen}{shared}")


def _seen(told: Mapping[str, Any]) -> tuple[str, ...]:
    was = [told["kind"], told["state"] if told["state"] != "ready" else "", told.get("notes", "")]
    phones = [f"{name} read by {', '.join(steps)}" for name, steps in told["phones"].items() if steps]
    decided = [
        told.get("action", "not planned"),
        f"by {told['rule']}" if "rule" in told else "",
        told.get("reason", ""),
    ]
    candidates = f"between {', '.join(told['candidates'])}" if told["candidates"] else ""
    ended = [told.get("outcome", "not delivered"), told.get("status"), told.get("correlation_id")]
    return (
        told["window"],
        minute(told["modified_at"]),
        _said(*was, *phones),
        _said(*decided, candidates),
        _said(*ended),
    )


def _sent(told: Mapping[str, Any]) -> tuple[str, ...]:
    back = _said(told["result"], told.get("status"), told.get("reason"), told.get("correlation_id"))
    what = _said(told["action"], told.get("rule"))
    return (minute(told["at"]), what, _changes(told["changes"]), back, told["run_id"])


def _changes(changes: Sequence[str | Mapping[str, str | None]]) -> str:
    names = [one for one in changes if isinstance(one, str)]
    values = [moved(one) for one in changes if isinstance(one, Mapping)]
    return "\n".join([*values, ", ".join(names)] if names else values)


def _said(*parts: object) -> str:
    return "; ".join(str(part) for part in parts if part)


def _table(title: str, columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
