"""The command `contact-sync mirror`."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from contact_sync import cli
from contact_sync_tests.project import Project, opened_project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with opened_project(tmp_path) as opened:
        yield opened


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments, catch_exceptions=False)


def test_a_scan_is_told_in_a_table_or_as_json(project: Project) -> None:
    for number in range(4):
        body = {"lastName": f"Smith{number}", "workEmail": "info@example.org"}
        project.twin.store.contacts.create(body)
    told = call("mirror")
    assert (told.exit_code, "info@" in told.output) == (0, False)
    for words in ("4  contacts", "on 1 pages", "1  shared by email", "2  API requests"):
        assert words in told.stdout
    as_json = call("mirror", "--json")
    assert as_json.exit_code == 0
    shown = json.loads(as_json.stdout)
    assert {name: shown[name] for name in ("contacts", "held", "gone", "shared")} == {
        "contacts": 4,
        "held": 4,
        "gone": 0,
        "shared": {"email": 1},
    }
