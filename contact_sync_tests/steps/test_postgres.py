"""What PostgreSQL does otherwise than SQLite."""

from pathlib import Path

from contact_sync.simulator.server import TwinServer
from contact_sync.simulator.settings import TwinSettings
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import moment


def test_refusals_fit_the_columns_of_postgresql(postgres_url: str, tmp_path: Path) -> None:
    with TwinServer(TwinSettings(requests_per_minute=100000, require_name=True)) as twin:
        sync = Sync(tmp_path, twin, state_url=postgres_url)
        sync.crm.people(3, moment(0))
        sync.crm.put("bad", moment(0), email="only@example.org")
        assert sync.sync(0) == {"created": 3, "dead": 1}
        sync.close()
