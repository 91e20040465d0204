"""The job that the schedule, the gap sensor and backfills run."""

import dagster as dg

from contact_sync.orchestration.assets import ASSETS

sync_windows = dg.define_asset_job(
    "sync_windows",
    selection=dg.AssetSelection.assets(*ASSETS),
    description="Reads windows of changes from the CRM and makes Genesys Cloud's contacts true to them.",
)
