"""The asset checks: broken contracts block, everything else warns.

A check speaks for all windows of its run: Dagster 1.13 loses the results of partitioned checks in a run of many
windows. A blocking check holds only inside its run, so each step refuses a frame that breaks its contract again.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import dagster as dg

from contact_sync.contacts.window import Window
from contact_sync.state.retries import QueueDepth
from contact_sync.steps.context import SyncContext
from contact_sync.steps.fields import unlisted_fields
from contact_sync.steps.gone import Reconciled
from contact_sync.steps.report import Health
from contact_sync.steps.tally import Tally
from contact_sync.steps.windows import Standing

CONTRACT = "contract"
FIELDS_LISTED = "fields_listed"
RECORDS_DATED = "records_dated"
NO_MASS_DELETE = "no_mass_delete"
NOTHING_DEAD = "nothing_dead"
KEEPS_UP = "keeps_up"
QUEUE_MOVES = "queue_moves"
WINDOWS_COMPLETE = "windows_complete"

OF_CRM_DELTA = (FIELDS_LISTED, RECORDS_DATED, WINDOWS_COMPLETE)

LONGEST_WAIT = timedelta(days=1)

_ABOUT = {
    CONTRACT: "Columns, types, keys and the share of rows held are as agreed; a broken contract stops the run.",
    FIELDS_LISTED: "Every CRM field that carries values is in the registry.",
    RECORDS_DATED: "Every CRM record has an id and a time of change, without which no window can hold it.",
    NO_MASS_DELETE: "No window or retry would remove more than delivery.max_deletes and max_delete_share allow.",
    NOTHING_DEAD: "No change was refused for good.",
    KEEPS_UP: "Every window that has closed is committed.",
    WINDOWS_COMPLETE: "No window before those of the run is missing or reopened, and the schedule keeps up.",
    QUEUE_MOVES: "No change in the retry queue has waited for more than a day.",
}


def specs(asset: str, *names: str) -> list[dg.AssetCheckSpec]:
    """Return the check specs of an asset; the contract blocks."""
    return [spec(asset, name) for name in (CONTRACT, *names)]


def spec(asset: str, name: str) -> dg.AssetCheckSpec:
    """Return one check spec of an asset."""
    return dg.AssetCheckSpec(name, asset=asset, blocking=name == CONTRACT, description=_ABOUT[name])


def contract(tallies: Mapping[Window, Tally]) -> dg.AssetCheckResult:
    """Check the contract of every frame of a run."""
    broken = {str(window): tally.broken for window, tally in tallies.items() if tally.broken}
    metadata = {"windows": len(tallies), "broken": len(broken)} | dict(list(broken.items())[:5])
    return dg.AssetCheckResult(passed=not broken, check_name=CONTRACT, metadata=metadata)


def fields_listed(opened: SyncContext) -> dg.AssetCheckResult:
    """Warn of CRM fields that the registry does not list: they are not sent."""
    fields = {row["field"]: int(row["records"]) for row in unlisted_fields(opened)}
    return _warning(FIELDS_LISTED, metadata={"fields": len(fields)} | fields, passed=not fields)


def records_dated(opened: SyncContext) -> dg.AssetCheckResult:
    """Warn of CRM records that no window can hold."""
    undated = opened.source.undated()
    return _warning(RECORDS_DATED, metadata={"undated": undated}, passed=not undated)


def no_mass_delete(held: int) -> dg.AssetCheckResult:
    """Warn of deletes that the guard holds: they wait for a run whose tag allows them."""
    return _warning(NO_MASS_DELETE, metadata={"deletes_held": held}, passed=not held)


def nothing_dead(queue: Health | QueueDepth) -> dg.AssetCheckResult:
    """Warn of changes that were refused for good."""
    return _warning(NOTHING_DEAD, metadata={"dead": queue.dead, "waiting": queue.waiting}, passed=not queue.dead)


def keeps_up(health: Health) -> dg.AssetCheckResult:
    """Warn of windows that have closed and are not committed."""
    metadata = {"gaps": len(health.gaps), "lag_minutes": health.lag.total_seconds() / 60}
    return _warning(KEEPS_UP, metadata=metadata, passed=not health.gaps)


def keys_believed(done: Reconciled) -> dg.AssetCheckResult:
    """Warn of so many missing records that none is taken for deleted."""
    metadata = {"living": done.living, "linked": done.linked}
    return _warning(NO_MASS_DELETE, metadata=metadata, passed=done.refused is None)


def windows_complete(standing: Standing) -> dg.AssetCheckResult:
    """Warn of windows that are missing or reopened, and of a schedule that falls behind."""
    metadata: dict[str, float] = {
        "gaps": len(standing.gaps),
        "reopened": len(standing.reopened),
        "lag_minutes": _minutes(standing.lag),
        "late_rows": standing.late_rows,
        "latest_row_minutes": _minutes(standing.lateness),
        "settle_seconds": standing.settle.total_seconds(),
        "overlap_seconds": standing.overlap.total_seconds(),
    }
    passed = standing.keeps_up and not standing.gaps and not standing.reopened
    return _warning(WINDOWS_COMPLETE, metadata=metadata | {"keeps_up": standing.keeps_up}, passed=passed)


def queue_moves(depth: QueueDepth, now: datetime) -> dg.AssetCheckResult:
    """Warn of changes that have been undelivered for long."""
    waited = now - depth.oldest if depth.oldest else timedelta(0)
    metadata = {"waiting": depth.waiting, "oldest_minutes": _minutes(waited)}
    return _warning(QUEUE_MOVES, metadata=metadata, passed=waited <= LONGEST_WAIT)


def _minutes(span: timedelta) -> float:
    return round(span.total_seconds() / 60, 1)


def _warning(name: str, *, metadata: Mapping[str, int | float], passed: bool) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed, check_name=name, severity=dg.AssetCheckSeverity.WARN, metadata=dict(metadata)
    )
