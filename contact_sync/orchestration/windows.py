"""Windows that miss nothing, in Dagster: the audit and the comparison of keys, their jobs and their schedules.

What belongs here: when they run and what is shown of them. What they do is `steps.audit`'s and `steps.gone`'s.
"""

import math
from datetime import timedelta

import dagster as dg

from contact_sync.contacts.window import Frequency
from contact_sync.orchestration import checks
from contact_sync.orchestration.assets import catalogued
from contact_sync.orchestration.resources import SyncResource
from contact_sync.setting_groups import Sync
from contact_sync.settings import Settings
from contact_sync.steps.audit import audit
from contact_sync.steps.gone import reconcile

AUDIT, KEYS = "window_audit", "crm_keys"

_SHOWN = 20
_AFTER_WINDOW = timedelta(minutes=5)
"""How long the newest window is given before the audit looks at what has changed since."""

audit_windows = dg.define_asset_job(
    "audit_windows",
    selection=dg.AssetSelection.assets(AUDIT),
    description="Counts committed windows again in the CRM, and reopens those whose count moved.",
)
reconcile_keys = dg.define_asset_job(
    "reconcile_keys",
    selection=dg.AssetSelection.assets(KEYS),
    description="Compares all ids of the CRM with the linked records, to find those that are gone for good.",
)


def build_window_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the assets: one materialization is one audit, or one comparison of all keys."""

    @dg.asset(name=AUDIT, deps=["crm_contacts", "crm_delta"], **catalogued(settings), kinds={"crm"})
    def window_audit(context: dg.AssetExecutionContext, sync: SyncResource) -> dg.MaterializeResult:
        """Whether the CRM still has what was read in each window; one that is not whole is reopened."""
        with sync.open(settings) as opened:
            done = audit(opened)
        for window, why in done.reopened.items():
            context.log.warning("%s is reopened: %s", window, why)
        return dg.MaterializeResult(
            metadata={
                "windows": done.windows,
                "reopened": len(done.reopened),
                "rows_read": done.read,
                "open_spans": len(done.open),
                "why": dg.MetadataValue.json({str(at): why for at, why in list(done.reopened.items())[:_SHOWN]}),
            }
        )

    @dg.asset(
        name=KEYS,
        deps=["crm_contacts"],
        check_specs=[checks.spec(KEYS, checks.NO_MASS_DELETE)],
        **catalogued(settings),
        kinds={"crm"},
    )
    def crm_keys(context: dg.AssetExecutionContext, sync: SyncResource) -> dg.MaterializeResult:
        """Which records are in the CRM: linked ones that are not get deleted by the window of that moment."""
        with sync.open(settings, context.run.tags) as opened:
            done = reconcile(opened)
        if done.refused:
            context.log.warning(done.refused)
        return dg.MaterializeResult(
            metadata={"living": done.living, "linked": done.linked, "gone": done.gone},
            check_results=[checks.keys_believed(done)],
        )

    return [window_audit, crm_keys]


def build_window_schedules(sync: Sync) -> list[dg.ScheduleDefinition]:
    """Return the schedules, without those that the settings switch off; they start switched off."""
    return [
        *([_audits(sync)] if sync.audit_hours else []),
        *([_comparisons(sync.reconcile_days)] if sync.reconcile_days else []),
    ]


def _audits(sync: Sync) -> dg.ScheduleDefinition:
    after = math.ceil((sync.settle + _AFTER_WINDOW) / timedelta(minutes=1))
    hours = [after // 60] if sync.frequency is Frequency.DAILY else [after // 60, after // 60 + 12]
    return dg.ScheduleDefinition(
        name="window_audits",
        job=audit_windows,
        cron_schedule=f"{after % 60} {','.join(map(str, hours))} * * *",
        execution_timezone="UTC",
        description=f"Counts the windows of the last {sync.audit_hours} hours again, soon after one has closed.",
    )


def _comparisons(days: int) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="key_comparisons",
        job=reconcile_keys,
        cron_schedule="40 2 * * *",
        execution_timezone="UTC",
        description=f"Compares all ids of the CRM every {days} days."
        if days > 1
        else "Compares all ids once a day.",
    )
    def key_comparisons(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        day = context.scheduled_execution_time.toordinal()
        return dg.SkipReason(f"not today: sync.reconcile_days is {days}") if day % days else dg.RunRequest()

    return key_comparisons
