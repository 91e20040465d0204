"""`contact-sync doctor`, and what it examines as the other commands meet it: the region and the organisation."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from contact_sync import cli, console
from contact_sync.genesys.regions import Hosts, Routing
from contact_sync_tests.genesys.region import RegionServer, regions
from contact_sync_tests.project import CLIENT, Project, opened_project
from contact_sync_tests.steps.examined import LEAST

FIRST = ("--from", "2026-03-02T08:00Z", "--to", "2026-03-02T08:30Z")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with opened_project(tmp_path, permissions=LEAST) as opened:
        yield opened


@pytest.fixture(autouse=True)
def small_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.out, "width", 80)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments, catch_exceptions=False)


def test_a_line_for_each_check(project: Project) -> None:
    result = call("doctor")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert {line.split()[0] for line in lines if not line.startswith(" ")} == {"ok"}
    region = project.twin.base_url.removeprefix("http://")
    assert f"ok      region        {region}, from GENESYS_BASE_URL" in [line.rstrip() for line in lines]
    assert len(lines) <= 30


def test_the_same_as_data(project: Project) -> None:
    result = call("doctor", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    checks = json.loads(result.stdout)["checks"]
    assert checks[0]["name"] == "settings"
    assert {check["verdict"] for check in checks} == {"ok"}
    assert set(checks[0]) == {"name", "verdict", "says", "to_be_set_right"}
    assert project.stats()["held"]["contacts"] == 0


def test_a_warning_is_no_failure(tmp_path: Path) -> None:
    with opened_project(tmp_path):  # a client that may do everything
        result = call("doctor")
    assert result.exit_code == 0
    assert "\nwarn    privilege" in result.stdout


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"GENESYS_CLIENT_SECRET": "wr0ng"}, 2),
        ({"GENESYS_REGION": "atlantis", "GENESYS_BASE_URL": ""}, 2),
        ({"GENESYS_BASE_URL": "http://127.0.0.1:1"}, 3),
        ({"CONTACT_SYNC_CRM_URL": "sqlite:///nowhere/crm.db"}, 3),
        ({"CONTACT_SYNC_CRM_URL": "sqlite:///nowhere/crm.db", "GENESYS_CLIENT_SECRET": "wr0ng"}, 2),
    ],
)
def test_the_exit_code_tells_what_must_be_set_right_from_what_may_pass(
    project: Project, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], code: int
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = call("doctor")
    assert result.exit_code == code
    assert "\nfail    " in result.stdout
    assert call("doctor", "--json").exit_code == code
    assert project.stats()["held"]["contacts"] == 0


def test_variables_of_an_env_file_count(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENESYS_CLIENT_SECRET")
    assert call("doctor").exit_code == 2
    secret = project.environment["GENESYS_CLIENT_SECRET"]
    (project.home / ".env").write_text(f"GENESYS_CLIENT_SECRET={secret}", encoding="utf-8")
    assert call("doctor").exit_code == 0


# The region and the organisation, as a run meets them.


@pytest.fixture
def elsewhere(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[RegionServer]:
    """Let there be two regions, the twin's and another that does not know the client; no setting tells which."""
    monkeypatch.delenv("GENESYS_BASE_URL")
    with regions(other=None) as served:
        twin = Hosts(project.twin.base_url, project.twin.base_url)
        hosts = {"other.example": served["other.example"].hosts, "twin.example": twin}
        monkeypatch.setattr(Routing, "hosts", property(lambda _: hosts))
        monkeypatch.setattr(Routing, "known_regions", property(lambda _: {"twin": "twin.example"}))
        yield served["other.example"]


def test_a_run_finds_the_region_and_remembers_it(project: Project, elsewhere: RegionServer) -> None:
    for _ in range(2):
        assert call("run", *FIRST).exit_code == 0
    assert project.stats()["held"]["contacts"] > 0
    assert project.stats()["by_operation"]["GET /api/v2/organizations/me"] == 1
    assert elsewhere.requests[0] <= 1
    [(client, region, organization)] = project.state("SELECT client, region, organization FROM home_region")
    assert (client, region, organization) == (CLIENT, "twin.example", project.twin.settings.organization_id)


def test_a_plan_finds_the_region_and_leaves_no_trace(project: Project, elsewhere: RegionServer) -> None:
    before = sorted(path.name for path in project.home.iterdir())
    for _ in range(2):
        assert call("plan", *FIRST).exit_code == 0
    assert sorted(path.name for path in project.home.iterdir()) == before
    assert project.stats()["held"]["contacts"] == 0
    assert elsewhere.requests[1] == 0


def test_another_organisation_is_refused_in_one_line_before_anything_is_read(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENESYS_ORGANIZATION_ID", "another")
    for command in ("run", "plan", "status"):
        result = call(command)
        assert (result.exit_code, result.stdout) == (2, "")
        [line] = result.stderr.splitlines()
        assert line.endswith("use a client of that organisation or correct the variable")
    assert not (project.home / "frames").exists()
    assert set(project.stats()["by_operation"]) == {"GET /api/v2/organizations/me"}
