"""The five assets, from the CRM to Genesys Cloud: the whole lineage on one screen.

Each is thin: it opens the sync, runs its step for the windows of the run, and reports. The work is in `steps`.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import dagster as dg
import pandas as pd

from contact_sync.contacts.window import Window
from contact_sync.orchestration import checks
from contact_sync.orchestration.metadata import column_schema, health_metadata, held_metadata, numbers_of
from contact_sync.orchestration.partitions import key_of, window_partitions, windows_of_run
from contact_sync.orchestration.resources import SyncResource
from contact_sync.settings import Settings
from contact_sync.steps.deliver import Progress, deliver
from contact_sync.steps.extract import extract
from contact_sync.steps.match import match
from contact_sync.steps.normalize import normalize
from contact_sync.steps.report import health, held_reasons, report

ASSETS = ("crm_delta", "normalized_contacts", "dedup_matches", "genesys_upserts", "sync_report")
GENESYS_POOL = "genesys"
GROUP = "contact_sync"  # one for all, so that the lineage opens unfolded
OWNERS = ["team:contact-sync"]

Frames = Mapping[Window, pd.DataFrame]
Step = Callable[..., dg.MaterializeResult]


def build_assets(settings: Settings) -> Sequence[dg.AssetsDefinition | dg.AssetSpec]:
    """Return the five assets of a code location, and the external ones at both ends."""
    asset = partial(_windowed, settings)
    frequency = settings.sync.frequency
    crm = _external("crm_contacts", "crm", "The contacts of the CRM. Read, never written.", settings)

    @asset(deps=[crm], kinds={"sql", "parquet"}, check_names=[checks.FIELDS_LISTED, checks.RECORDS_DATED])
    def crm_delta(context: dg.AssetExecutionContext, sync: SyncResource) -> dg.MaterializeResult:
        """What changed in the CRM in the window: a row is one version of one record, as it is there."""
        with sync.open(settings) as opened:
            frames = {window: extract(opened, window) for window in windows_of_run(context, frequency)}
            return _result(
                context, "crm_delta", frames, settings, checks.fields_listed(opened), checks.records_dated(opened)
            )

    @asset(deps=[crm_delta], kinds={"pandas", "parquet"})
    def normalized_contacts(context: dg.AssetExecutionContext, sync: SyncResource) -> dg.MaterializeResult:
        """The same rows, clean and canonical: phones in E.164, e-mails in lower case; or held with a reason."""
        with sync.open(settings) as opened:
            frames = {window: normalize(opened, window) for window in windows_of_run(context, frequency)}
            return _result(context, "normalized_contacts", frames, settings)

    @asset(deps=[normalized_contacts], kinds={"pandas", "parquet"}, check_names=[checks.NO_MASS_DELETE])
    def dedup_matches(context: dg.AssetExecutionContext, sync: SyncResource) -> dg.MaterializeResult:
        """The plan: who is who, what to do and why. Stopping here is the dry run."""
        with sync.open(settings, context.run.tags) as opened:
            frames = match(opened, windows_of_run(context, frequency))
            return _result(context, "dedup_matches", frames, settings, checks.no_mass_delete(frames))

    @asset(deps=[dedup_matches], kinds={"genesys", "parquet"}, pool=GENESYS_POOL)
    def genesys_upserts(context: dg.AssetExecutionContext, sync: SyncResource) -> dg.MaterializeResult:
        """The plan carried out, the outcome of every row kept, and the window committed in the ledger."""
        with sync.open(settings, context.run.tags) as opened:
            windows = windows_of_run(context, frequency)
            delivered = deliver(opened, windows, context.run.run_id, _log_progress(context))
            frames = {one.window: one.frame for one in delivered}
            return _result(
                context, "genesys_upserts", frames, settings, **held_metadata(held_reasons(frames.values()))
            )

    @asset(deps=[genesys_upserts], kinds={"pandas", "parquet"}, check_names=[checks.NOTHING_DEAD, checks.KEEPS_UP])
    def sync_report(context: dg.AssetExecutionContext, sync: SyncResource) -> dg.MaterializeResult:
        """What happened in the window, and whether the sync is healthy."""
        with sync.open(settings) as opened:
            frames = {window: report(opened, window) for window in windows_of_run(context, frequency)}
            now = health(opened)
            found = (checks.nothing_dead(now), checks.keeps_up(now))
            return _result(context, "sync_report", frames, settings, *found, **health_metadata(now))

    genesys = _external(
        "genesys_external_contacts",
        "genesys",
        "The contacts that agents see when a customer calls.",
        settings,
        deps=[genesys_upserts],
    )
    return [crm, crm_delta, normalized_contacts, dedup_matches, genesys_upserts, sync_report, genesys]


def _windowed(
    settings: Settings,
    *,
    deps: Sequence[dg.AssetsDefinition | dg.AssetSpec],
    kinds: set[str],
    check_names: Sequence[str] = (),
    pool: str | None = None,
) -> Callable[[Step], dg.AssetsDefinition]:
    """Return the decorator of the five: one partitions definition and one backfill policy, as Dagster needs."""

    def decorate(step: Step) -> dg.AssetsDefinition:
        name = step.__name__
        with warnings.catch_warnings():
            # Beta in Dagster 1.13, and what lets one run carry a day of windows.
            warnings.filterwarnings("ignore", "Parameter `backfill_policy`", dg.BetaWarning)
            return dg.asset(
                name=name,
                deps=deps,
                partitions_def=window_partitions(settings.sync),
                backfill_policy=dg.BackfillPolicy.multi_run(settings.sync.frequency.a_day),
                retry_policy=dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL),
                check_specs=checks.specs(name, *check_names),
                metadata={"dagster/column_schema": column_schema(name)},
                group_name=GROUP,
                owners=OWNERS,
                tags={"crm": settings.crm.name},
                kinds=kinds,
                pool=pool,
            )(step)

    return decorate


def _external(
    name: str, kind: str, description: str, settings: Settings, deps: Sequence[dg.AssetsDefinition] = ()
) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        description=description,
        deps=deps,
        group_name=GROUP,
        owners=OWNERS,
        tags={"crm": settings.crm.name},
        kinds={kind},
    )


def _result(
    context: dg.AssetExecutionContext,
    asset: str,
    frames: Frames,
    settings: Settings,
    *found: dg.AssetCheckResult,
    **metadata: dg.MetadataValue[Any],
) -> dg.MaterializeResult:
    """Report each window's numbers under its own partition, and the checks of the run."""
    for window, frame in frames.items():
        context.add_asset_metadata(numbers_of(asset, frame), asset_key=asset, partition_key=key_of(window))
    contract = checks.contract(asset, frames, settings.sync.max_held_share)
    return dg.MaterializeResult(metadata=metadata, check_results=[contract, *found])


def _log_progress(context: dg.AssetExecutionContext) -> Progress:
    """Log delivery at every tenth of a window, so that a long window shows that it moves."""

    def progress(window: Window, done: int, total: int) -> None:
        tenth = max(1, total // 10)
        if total >= 200 and (done // tenth > (done - 10) // tenth or done == total):
            context.log.info("%s: %d of %d contacts sent", window, done, total)

    return progress
