from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from contact_sync_tests.crm.contract import SourceContract
from contact_sync_tests.crm.sql_harness import SqlHarness


class TestSqlite(SourceContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[SqlHarness]:
        harness = SqlHarness(f"sqlite:///{tmp_path / 'crm.db'}", sa.DateTime())
        yield harness
        harness.close()


class TestPostgres(SourceContract):
    @pytest.fixture
    def harness(self, postgres_url: str) -> Iterator[SqlHarness]:
        harness = SqlHarness(postgres_url, sa.DateTime(timezone=True))
        yield harness
        harness.close()


class TestPostgresInLocalTime(SourceContract):
    @pytest.fixture
    def harness(self, postgres_url: str) -> Iterator[SqlHarness]:
        harness = SqlHarness(postgres_url, sa.DateTime(), timezone="Europe/Berlin")
        yield harness
        harness.close()
