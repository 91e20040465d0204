"""The retry queue in Dagster: an asset that shows it and works it off, its job, and the sensor that starts it.

What belongs here: when a retry runs and what is shown of it. What it does is `steps.retry`'s.
"""

from datetime import UTC, datetime

import dagster as dg

from contact_sync.orchestration import checks
from contact_sync.orchestration.assets import GENESYS_POOL, catalogued
from contact_sync.orchestration.resources import SyncResource
from contact_sync.orchestration.sensors import UNDER_WAY
from contact_sync.settings import Settings
from contact_sync.steps.retry import retry

RETRY_QUEUE = "retry_queue"
CHECKS = (checks.QUEUE_MOVES, checks.NOTHING_DEAD, checks.NO_MASS_DELETE)

retry_changes = dg.define_asset_job(
    "retry_changes",
    selection=dg.AssetSelection.assets(RETRY_QUEUE),
    description="Tries the changes again that could not be delivered and are due.",
)


def build_retry_queue(settings: Settings) -> dg.AssetsDefinition:
    """Return the asset: one materialization is one attempt at everything that is due."""

    @dg.asset(
        name=RETRY_QUEUE,
        deps=["genesys_upserts"],
        check_specs=[checks.spec(RETRY_QUEUE, name) for name in CHECKS],
        **catalogued(settings),
        kinds={"genesys"},
        pool=GENESYS_POOL,
    )
    def retry_queue(context: dg.AssetExecutionContext, sync: SyncResource) -> dg.MaterializeResult:
        """Changes that could not be delivered, and deletes in their grace period; due ones are tried again."""
        with sync.open(settings, context.run.tags) as opened:
            done = retry(opened, context.run.run_id)
            depth = opened.store.queue_depth(opened.source.name)
            now = opened.clock()
        return dg.MaterializeResult(
            metadata={
                **done.counts,
                "due": sum(done.counts.values()),
                "sent_as_queued": done.stored,
                "requests": done.requests,
                "seconds": done.seconds,
                "waiting": depth.waiting,
                "deletes_in_grace": depth.deferred,
                "dead_letters": depth.dead,
                "oldest_age_minutes": (now - depth.oldest).total_seconds() / 60 if depth.oldest else 0.0,
            },
            check_results=[
                checks.queue_moves(depth, now),
                checks.nothing_dead(depth),
                checks.no_mass_delete(done.guarded),
            ],
        )

    return retry_queue


def build_retry_sensor(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor; it starts switched off."""

    @dg.sensor(
        name="due_retries",
        job=retry_changes,
        minimum_interval_seconds=60,
        description="Requests a retry when a change on the queue is due and no retry is under way.",
    )
    def due_retries(context: dg.SensorEvaluationContext, sync: SyncResource) -> dg.RunRequest | dg.SkipReason:
        now = datetime.now(UTC)
        with sync.open(settings) as opened:
            depth = opened.store.queue_depth(opened.source.name)
        if depth.next_due is None or depth.next_due > now:
            return dg.SkipReason(
                f"nothing is due before {depth.next_due:%H:%M}Z" if depth.next_due else "nothing waits"
            )
        if context.instance.get_runs(dg.RunsFilter(job_name=retry_changes.name, statuses=UNDER_WAY), limit=1):
            return dg.SkipReason("a retry is under way")
        # A retry that failed, because Genesys was away, is requested again after five minutes, not at every tick.
        return dg.RunRequest(run_key=f"{now:%Y-%m-%dT%H}:{now.minute // 5 * 5:02}")

    return due_retries
