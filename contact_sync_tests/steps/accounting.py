"""The accounts of a window: what every hand-off must agree on."""

from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import window

ASSETS = ("crm_delta", "normalized_contacts", "dedup_matches", "genesys_upserts")


def assert_accounted(sync: Sync, number: int) -> None:
    """Check that every row read is in every frame, has one outcome, and is in the sums of ledger and report."""
    frames = {asset: sync.context.frames.read(asset, window(number)) for asset in ASSETS}
    versions = {name: sorted(zip(one["crm_id"], one["version"], strict=True)) for name, one in frames.items()}
    assert all(held == versions["crm_delta"] for held in versions.values()), versions
    read = len(versions["crm_delta"])
    ledger = sync.context.store.ledger.row("crm", window(number))
    assert ledger is not None
    assert ledger["rows_read"] == sum(ledger["outcomes"].values()) == read
    report = sync.context.frames.read("sync_report", window(number)).iloc[0]
    assert report["read"] == sum(report[outcome] for outcome in ledger["outcomes"]) == read
