import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console, RenderableType

from contact_sync.contacts.schemas import OUTCOMES
from contact_sync.contacts.window import Window
from contact_sync.rendering import (
    check_line,
    counts_table,
    health_table,
    held_table,
    plan_table,
    queue_table,
    runs_table,
)
from contact_sync.state.retries import QueueDepth
from contact_sync.steps.diagnosis import Check
from contact_sync.steps.report import Health

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def shown(renderable: RenderableType) -> list[str]:
    """Return what a wide terminal shows, line by line, each with single spaces."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(renderable)
    return [" ".join(line.split()) for line in capture.get().splitlines() if line.strip()]


def health(**changes: Any) -> Health:  # noqa: ANN401 -- fields of any type
    fields: dict[str, Any] = {
        "watermark": NOON,
        "lag": timedelta(0),
        "gaps": [],
        "waiting": 0,
        "oldest_waiting": None,
        "deferred": 0,
        "dead": 0,
        "records": 1_234,
        "contacts": 1_200,
        "unmapped": [],
    }
    return Health(**fields | changes)


def test_counts_show_every_outcome_and_what_it_means() -> None:
    title, read, *rows = shown(counts_table("3 windows", 1_240, {"created": 1_200, "held": 40}))
    assert (title, read) == ("3 windows", "1,240 read CRM records")
    counts = {"created": "1,200", "held": "40"}
    assert rows == [f"{counts.get(outcome, '0')} {outcome} {meaning}" for outcome, meaning in OUTCOMES.items()]


def test_runs_stand_side_by_side() -> None:
    first, second = dict.fromkeys(OUTCOMES, 0) | {"created": 2_000}, dict.fromkeys(OUTCOMES, 1)
    head, read, created, *rest = shown(runs_table([("backfill", first, 200, 9.96), ("12:00Z", second, 3, 0.5)]))
    assert head == "backfill 12:00Z"
    assert read == "read 2,000 8 CRM records"
    assert created == "created 2,000 1 new in Genesys"
    assert rest[-2:] == [
        "API requests 200 3 ten contacts a request",
        "seconds 10.0 0.5 Dagster's own time included",
    ]


def test_reasons_are_listed_in_the_order_given_and_no_reason_takes_no_room() -> None:
    assert shown(held_table({"no phone": 1_001, "two contacts": 2})) == [
        "held because",
        "1,001 no phone",
        "2 two contacts",
    ]
    assert shown(held_table({})) == []


def plan_row(**changes: Any) -> Mapping[str, Any]:  # noqa: ANN401
    return {"crm_id": "003A", "action": "update"} | changes


def test_a_plan_shows_old_and_new_values_field_by_field() -> None:
    changes = [
        {"field": "title", "old": "Buyer", "new": "CEO"},
        {"field": "cellPhone", "old": None, "new": "+4930123456"},
        {"field": "workEmail", "old": "a@example.org", "new": None},
    ]
    text = "\n".join(shown(plan_table([plan_row(rule="link", changes=json.dumps(changes))], 10)))
    assert "003A │ update │ link │ title: Buyer → CEO" in text
    assert "cellPhone: ∅ → +4930123456" in text
    assert "workEmail: a@example.org → ∅" in text


def test_a_plan_shows_why() -> None:
    row = plan_row(action="hold", rule="e-mail", reason="two contacts", candidates='["1", "2"]')
    assert '│ e-mail; two contacts; ["1", "2"] │' in "\n".join(shown(plan_table([row], 10)))


@pytest.mark.parametrize(("limit", "rows", "more"), [(0, 0, 12), (5, 5, 7), (12, 12, 0), (50, 12, 0)])
def test_a_plan_is_cut_at_the_limit_and_says_so(limit: int, rows: int, more: int) -> None:
    lines = shown(plan_table([plan_row(crm_id=f"id{number}") for number in range(12)], limit))
    assert sum("│ id" in line for line in lines) == rows
    assert ("; --limit shows them" in lines[-1]) == bool(more)
    if more:
        assert lines[-1] == f"… and {more} more; --limit shows them"


def test_values_that_look_like_markup_are_shown_as_they_are() -> None:
    changes = json.dumps([{"field": "title", "old": "[bold]", "new": "[/] [red]CEO[/red]"}])
    text = "\n".join(shown(plan_table([plan_row(crm_id="[link]", changes=changes)], 10)))
    assert "title: [bold] → [/] [red]CEO[/red]" in text
    assert "[link]" in text
    assert "[dim]odd[/dim]" in "\n".join(shown(held_table({"[dim]odd[/dim]": 1})))


def budget(wait: float) -> dict[str, float]:
    return {"used": 120, "allowed": 300, "others_per_minute": 40.2, "wait": wait}


def test_health_when_all_is_well() -> None:
    assert shown(health_table(health(), budget(0.0))) == [
        "status",
        "watermark 2026-03-02 12:00Z: every window before it is committed",
        "lag none: every closed window is committed",
        "gaps none",
        "retry queue 0 waiting, 0 deletes in grace, 0 dead",
        "linked 1,234 CRM records are 1,200 Genesys contacts",
        "budget 120 of 300 requests of this minute used, others spend 40 a minute; the next may go in 0.0 s",
        "not in the registry nothing",
    ]


def test_health_when_something_is_behind() -> None:
    behind = health(
        lag=timedelta(hours=26, minutes=30),
        gaps=[Window(NOON, NOON + HOUR), Window(NOON + 2 * HOUR, NOON + 3 * HOUR)],
        waiting=3,
        oldest_waiting=NOON - HOUR,
        deferred=1_200,
        dead=1,
        unmapped=[{"field": "shoe_size", "records": 1_500}, {"field": "[hat]", "records": 1}],
    )
    lines = shown(health_table(behind, budget(12.34)))
    assert lines[2:5] == [
        "lag 26 h 30 min",
        "gaps 2026-03-02T12:00Z/2026-03-02T13:00Z; 2026-03-02T14:00Z/2026-03-02T15:00Z",
        "retry queue 3 waiting since 2026-03-02 11:00Z, 1,200 deletes in grace, 1 dead",
    ]
    assert lines[-2:] == [
        "budget 120 of 300 requests of this minute used, others spend 40 a minute; the next may go in 12.3 s",
        "not in the registry shoe_size (1,500), [hat] (1)",
    ]


def queued(**changes: Any) -> Mapping[str, Any]:  # noqa: ANN401
    row: dict[str, Any] = {
        "crm_id": "003A",
        "state": "waiting",
        "attempts": 2,
        "queued_at": NOON,
        "next_attempt_at": NOON + HOUR,
        "last_error": "service.unavailable",
    }
    return row | changes


def test_the_retry_queue_shows_a_line_for_each_change_and_the_sums() -> None:
    rows = [queued(), queued(crm_id="[/]", state="dead", next_attempt_at=None, last_error="[bold]refused")]
    assert shown(queue_table(rows, QueueDepth(waiting=1, deferred=1_200, dead=1, oldest=NOON))) == [
        "retry queue",
        "record state attempts since next attempt why",
        "003A waiting 2 2026-03-02 12:00Z 2026-03-02 13:00Z service.unavailable",
        "[/] dead 2 2026-03-02 12:00Z never [bold]refused",
        "1 waiting, 1,200 deletes in their grace period, 1 dead",
    ]


def test_an_empty_retry_queue_is_one_line() -> None:
    assert shown(queue_table([], QueueDepth())) == [
        "retry queue: 0 waiting, 0 deletes in their grace period, 0 dead"
    ]


def test_counts_say_what_was_read() -> None:
    assert shown(counts_table("retry queue", 2, {}, "changes that were due"))[1] == "2 read changes that were due"


def test_a_check_is_one_line_that_fits_a_small_terminal() -> None:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(check_line(Check("region", "ok", "mypurecloud.de, from GENESYS_REGION")))
        console.print(check_line(Check("custom fields", "skipped", "[/] " + "needs words " * 6)))
    first, second, third = capture.get().splitlines()
    assert first.rstrip() == "ok      region        mypurecloud.de, from GENESYS_REGION"
    assert second.startswith("skipped custom fields [/] needs words needs")
    assert third.startswith(" " * 22 + "words ")
