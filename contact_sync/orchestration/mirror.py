"""The Genesys mirror in Dagster: an asset that holds all contacts as last seen, its job and its schedule.

What belongs here: when a scan runs and what is shown of it. What it does is `steps.mirror`'s. The asset does not
take the pool of delivery: a scan of a million contacts takes a quarter of an hour, in which windows must go on.
Both share one budget, in which a scan has one request in line at a time.
"""

import dagster as dg

from contact_sync.orchestration.assets import catalogued
from contact_sync.orchestration.resources import SyncResource
from contact_sync.settings import Settings
from contact_sync.steps.mirror import Progress, mirror

GENESYS_CONTACTS = "genesys_contacts"
MIRROR_POOL = "genesys_mirror"
LOG_EVERY = 100  # pages

mirror_contacts = dg.define_asset_job(
    "mirror_contacts",
    selection=dg.AssetSelection.assets(GENESYS_CONTACTS),
    description="Scans all contacts of Genesys, so that records find those that the sync did not create.",
)

every_night = dg.ScheduleDefinition(
    name="every_night",
    job=mirror_contacts,
    cron_schedule="30 1 * * *",
    execution_timezone="UTC",
    description="Scans all contacts of Genesys once a day.",
)


def build_mirror(settings: Settings) -> dg.AssetsDefinition:
    """Return the asset: one materialization is one complete scan."""

    @dg.asset(
        name=GENESYS_CONTACTS,
        deps=["genesys_external_contacts"],
        **catalogued(settings),
        kinds={"genesys"},
        pool=MIRROR_POOL,
    )
    def genesys_contacts(context: dg.AssetExecutionContext, sync: SyncResource) -> dg.MaterializeResult:
        """All contacts of Genesys as last seen, whoever made them: what matching looks people up in."""
        with sync.open(settings, context.run.tags) as opened:
            done = mirror(opened, _log_progress(context))
        numbers = {
            name: getattr(done, name)
            for name in (
                "contacts",
                "pages",
                "merged",
                "gone",
                "missing",
                "held",
                "resumed",
                "requests",
                "seconds",
            )
        }
        return dg.MaterializeResult(
            metadata=numbers | {f"shared_{rule}": count for rule, count in done.shared.items()}
        )

    return genesys_contacts


def _log_progress(context: dg.AssetExecutionContext) -> Progress:
    """Log the scan now and then, so that a long one shows that it moves."""

    def progress(pages: int, contacts: int) -> None:
        if pages % LOG_EVERY == 0:
            context.log.info("%d contacts scanned, on %d pages", contacts, pages)

    return progress
