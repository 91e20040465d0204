"""The asset checks: broken contracts block, everything else warns.

A check speaks for all windows of its run: Dagster 1.13 loses the results of partitioned checks in a run of many
windows. A blocking check holds only inside its run, so each step refuses a frame that breaks its contract again.
"""

from collections.abc import Mapping

import dagster as dg
import pandas as pd

from contact_sync.contacts.planning import DELETE_GUARD
from contact_sync.contacts.schemas import ContractError
from contact_sync.contacts.window import Window
from contact_sync.steps.context import SyncContext, check_frame
from contact_sync.steps.report import Health

CONTRACT = "contract"
FIELDS_LISTED = "fields_listed"
RECORDS_DATED = "records_dated"
NO_MASS_DELETE = "no_mass_delete"
NOTHING_DEAD = "nothing_dead"
KEEPS_UP = "keeps_up"

_ABOUT = {
    CONTRACT: "Columns, types, keys and the share of rows held are as agreed; a broken contract stops the run.",
    FIELDS_LISTED: "Every CRM field that carries values is in the registry.",
    RECORDS_DATED: "Every CRM record has an id and a time of change, without which no window can hold it.",
    NO_MASS_DELETE: "No window would remove more contacts than delivery.max_deletes and max_delete_share allow.",
    NOTHING_DEAD: "No change was refused for good.",
    KEEPS_UP: "Every window that has closed is committed.",
}


def specs(asset: str, *names: str) -> list[dg.AssetCheckSpec]:
    """Return the check specs of an asset; the contract blocks."""
    return [
        dg.AssetCheckSpec(name, asset=asset, blocking=name == CONTRACT, description=_ABOUT[name])
        for name in (CONTRACT, *names)
    ]


def contract(asset: str, frames: Mapping[Window, pd.DataFrame], max_held_share: float) -> dg.AssetCheckResult:
    """Check the contract of every frame of a run."""
    broken: dict[str, str] = {}
    for window, frame in frames.items():
        try:
            check_frame(asset, frame, max_held_share)
        except ContractError as error:
            broken[str(window)] = str(error)
    metadata = {"windows": len(frames), "broken": len(broken)} | dict(list(broken.items())[:5])
    return dg.AssetCheckResult(passed=not broken, check_name=CONTRACT, metadata=metadata)


def fields_listed(opened: SyncContext) -> dg.AssetCheckResult:
    """Warn of CRM fields that the registry does not list: they are not sent."""
    fields = {row["field"]: int(row["records"]) for row in opened.store.unmapped(opened.source.name)}
    return _warning(FIELDS_LISTED, metadata={"fields": len(fields)} | fields, passed=not fields)


def records_dated(opened: SyncContext) -> dg.AssetCheckResult:
    """Warn of CRM records that no window can hold."""
    undated = opened.source.undated()
    return _warning(RECORDS_DATED, metadata={"undated": undated}, passed=not undated)


def no_mass_delete(plans: Mapping[Window, pd.DataFrame]) -> dg.AssetCheckResult:
    """Warn of deletes that are held: they wait for a run whose tag allows them."""
    held = sum(int((plan["rule"] == DELETE_GUARD).sum()) for plan in plans.values())
    return _warning(NO_MASS_DELETE, metadata={"deletes_held": held}, passed=not held)


def nothing_dead(health: Health) -> dg.AssetCheckResult:
    """Warn of changes that were refused for good."""
    return _warning(
        NOTHING_DEAD, metadata={"dead": health.dead, "waiting": health.waiting}, passed=not health.dead
    )


def keeps_up(health: Health) -> dg.AssetCheckResult:
    """Warn of windows that have closed and are not committed."""
    metadata = {"gaps": len(health.gaps), "lag_minutes": health.lag.total_seconds() / 60}
    return _warning(KEEPS_UP, metadata=metadata, passed=not health.gaps)


def _warning(name: str, *, metadata: Mapping[str, int | float], passed: bool) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed, check_name=name, severity=dg.AssetCheckSeverity.WARN, metadata=dict(metadata)
    )
