"""The five assets, from the CRM to Genesys Cloud: the whole lineage on one screen.

Each is thin: it opens the sync, runs its step for the windows of the run, and reports. The work is in `steps`.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypedDict

import dagster as dg

from contact_sync.contacts.decisions import DELETE_GUARD
from contact_sync.contacts.window import Window
from contact_sync.orchestration import checks
from contact_sync.orchestration.metadata import (
    column_schema,
    health_metadata,
    held_metadata,
    numbers_of,
    report_numbers,
)
from contact_sync.orchestration.partitions import key_of, window_partitions, windows_of_run
from contact_sync.orchestration.resources import SyncResource
from contact_sync.settings import Settings
from contact_sync.steps.context import SyncContext
from contact_sync.steps.deliver import Progress, deliver
from contact_sync.steps.extract import extract
from contact_sync.steps.gone import follow_feed
from contact_sync.steps.lag import await_closed
from contact_sync.steps.match import match
from contact_sync.steps.normalize import normalize
from contact_sync.steps.report import health, report
from contact_sync.steps.tally import Tally
from contact_sync.steps.windows import windows_now

ASSETS = ("crm_delta", "normalized_contacts", "dedup_matches", "genesys_upserts", "sync_report")
GENESYS_POOL = "genesys"
GROUP = "contact_sync"  # one for all, so that the lineage opens unfolded
OWNERS = ["team:contact-sync"]

Step = Callable[..., dg.MaterializeResult]


class Catalogued(TypedDict):
    """How an asset of a code location is listed in the catalog."""

    group_name: str
    owners: list[str]
    tags: dict[str, str]


def catalogued(settings: Settings) -> Catalogued:
    """Return how every asset of a code location is listed."""
    return {"group_name": GROUP, "owners": OWNERS, "tags": {"crm": settings.crm.name}}


def build_assets(settings: Settings) -> Sequence[dg.AssetsDefinition | dg.AssetSpec]:
    """Return the five assets of a code location, and the external ones at both ends."""
    asset = partial(_windowed, settings)
    frequency = settings.sync.frequency
    crm = _external("crm_contacts", "crm", "The contacts of the CRM. Read, never written.", settings)

    @asset(deps=[crm], kinds={settings.crm.technology, "parquet"}, check_names=checks.OF_CRM_DELTA)
    def crm_delta(context: dg.AssetExecutionContext, sync: SyncResource) -> dg.MaterializeResult:
        """What changed in the CRM in the window: a row is one version of one record, as it is there."""
        with sync.open(settings) as opened:
            windows = windows_of_run(context, frequency)
            await_closed(opened, windows[-1])
            follow_feed(opened)
            for window in windows:
                extract(opened, window)
            standing = windows_now(opened, under_way=windows)
            found = (
                checks.fields_listed(opened),
                checks.records_dated(opened),
                checks.windows_complete(standing),
            )
            return _result(context, "crm_delta", _tallies(opened, "crm_delta", windows), *found)

    @asset(deps=[crm_delta], kinds={"pandas", "parquet"})
    def normalized_contacts(context: dg.AssetExecutionContext, sync: SyncResource) -> dg.MaterializeResult:
        """The same rows, clean and canonical: phones in E.164, e-mails in lower case; or held with a reason."""
        with sync.open(settings) as opened:
            windows = windows_of_run(context, frequency)
            for window in windows:
                normalize(opened, window)
            return _result(context, "normalized_contacts", _tallies(opened, "normalized_contacts", windows))

    @asset(deps=[normalized_contacts], kinds={"pandas", "parquet"}, check_names=[checks.NO_MASS_DELETE])
    def dedup_matches(context: dg.AssetExecutionContext, sync: SyncResource) -> dg.MaterializeResult:
        """The plan: who is who, what to do and why. Stopping here is the dry run."""
        with sync.open(settings, context.run.tags) as opened:
            windows = windows_of_run(context, frequency)
            match(opened, windows)
            tallies = _tallies(opened, "dedup_matches", windows)
            held = sum(tally.values["rule"][DELETE_GUARD] for tally in tallies.values())
            return _result(context, "dedup_matches", tallies, checks.no_mass_delete(held))

    @asset(deps=[dedup_matches], kinds={"genesys", "parquet"}, pool=GENESYS_POOL)
    def genesys_upserts(context: dg.AssetExecutionContext, sync: SyncResource) -> dg.MaterializeResult:
        """The plan carried out, the outcome of every row kept, and the window committed in the ledger."""
        with sync.open(settings, context.run.tags) as opened:
            windows = windows_of_run(context, frequency)
            reasons: Counter[str] = Counter()
            for delivered in deliver(opened, windows, context.run.run_id, _log_progress(context)):
                reasons.update(delivered.held_because)
            return _result(
                context, "genesys_upserts", _tallies(opened, "genesys_upserts", windows), **held_metadata(reasons)
            )

    @asset(deps=[genesys_upserts], kinds={"pandas", "parquet"}, check_names=[checks.NOTHING_DEAD, checks.KEEPS_UP])
    def sync_report(context: dg.AssetExecutionContext, sync: SyncResource) -> dg.MaterializeResult:
        """What happened in the window, and whether the sync is healthy."""
        with sync.open(settings) as opened:
            windows = windows_of_run(context, frequency)
            for window in windows:
                numbers = report_numbers(report(opened, window))
                context.add_asset_metadata(numbers, asset_key="sync_report", partition_key=key_of(window))
            now = health(opened)
            found = (checks.nothing_dead(now), checks.keeps_up(now))
            tallies = _tallies(opened, "sync_report", windows)
            return _result(context, "sync_report", tallies, *found, **health_metadata(now))

    genesys = _external(
        "genesys_external_contacts",
        "genesys",
        "The contacts that agents see when a customer calls.",
        settings,
        deps=[genesys_upserts, "retry_queue"],
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
                **catalogued(settings),
                kinds=kinds,
                pool=pool,
            )(step)

    return decorate


def _external(
    name: str, kind: str, description: str, settings: Settings, deps: Sequence[dg.AssetsDefinition | str] = ()
) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        description=description,
        deps=deps,
        **catalogued(settings),
        kinds={kind},
    )


def _tallies(opened: SyncContext, asset: str, windows: Sequence[Window]) -> Mapping[Window, Tally]:
    return {window: opened.tally(asset, window) for window in windows}


def _result(
    context: dg.AssetExecutionContext,
    asset: str,
    tallies: Mapping[Window, Tally],
    *found: dg.AssetCheckResult,
    **metadata: dg.MetadataValue[Any],
) -> dg.MaterializeResult:
    """Report each window's numbers under its own partition, and the checks of the run."""
    for window, tally in tallies.items():
        context.add_asset_metadata(numbers_of(tally), asset_key=asset, partition_key=key_of(window))
    return dg.MaterializeResult(metadata=metadata, check_results=[checks.contract(tallies), *found])


def _log_progress(context: dg.AssetExecutionContext) -> Progress:
    """Log delivery at every tenth of a window, so that a long window shows that it moves."""
    logged = 0

    def progress(window: Window, ended: int, rows: int) -> None:
        nonlocal logged
        tenth = ended * 10 // rows
        if rows >= 200 and tenth != logged:
            logged = tenth
            context.log.info("%s: %d of %d rows delivered", window, ended, rows)

    return progress
