"""What the tests of orchestration share: a project of their own and a Dagster instance in memory."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from contact_sync_tests.project import Project, opened_project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with opened_project(tmp_path) as opened:
        yield opened


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened
