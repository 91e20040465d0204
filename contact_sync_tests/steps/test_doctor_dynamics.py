"""The doctor, for an environment of Dynamics 365."""

import time

import pytest

from contact_sync.simulator.dataverse.sample import ADDED
from contact_sync.simulator.dataverse.server import DataverseServer
from contact_sync.simulator.dataverse.settings import Access, DataverseSettings
from contact_sync_tests.project import Project
from contact_sync_tests.steps.examined import found, read_from, says, the_one_failure, verdicts


def environment(**settings: object) -> DataverseServer:
    return DataverseServer(DataverseSettings(**{"columns": ADDED} | settings))  # type: ignore[arg-type]


def configure(project: Project, monkeypatch: pytest.MonkeyPatch, server: DataverseServer) -> None:
    """Let the project read from an environment."""
    [(client, secret)] = server.settings.clients.items()
    environment = {
        "DYNAMICS_TENANT_ID": server.settings.tenant_id,
        "DYNAMICS_CLIENT_ID": client,
        "DYNAMICS_CLIENT_SECRET": secret,
    }
    url = server.base_url
    read_from(project, monkeypatch, "dynamics", {"url": url, "login_url": url}, environment)


def test_all_is_well(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with environment() as server:
        configure(project, monkeypatch, server)
        checks = found()
        assert len(server.seen) == 2
    assert {check.verdict for check in checks} == {"ok"}
    assert says(checks, "crm") == "the contact table of 127.0.0.1 has every field that is read"
    assert says(checks, "crm clock").endswith("s apart from the CRM")


def test_a_clock_that_is_wrong_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with environment(clock=lambda: time.time() + 600) as server:
        configure(project, monkeypatch, server)
        checks = found()
    assert verdicts(checks, "warn") == ["crm clock"]
    assert "s behind the CRM" in says(checks, "crm clock")


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("DYNAMICS_TENANT_ID", "", "DYNAMICS_TENANT_ID is not set: Id of the Microsoft Entra tenant"),
        ("DYNAMICS_TENANT_ID", "wr0ng/", "DYNAMICS_TENANT_ID is neither the id nor the domain of a tenant"),
        ("DYNAMICS_TENANT_ID", "wr0ng.example", "(400, AADSTS90002): the tenant is not known"),
        ("DYNAMICS_CLIENT_ID", "wr0ng", "(400, AADSTS700016): the tenant has no such app registration"),
        ("DYNAMICS_CLIENT_SECRET", "wr0ng", "(401, AADSTS7000215): the secret is wrong"),
        ("CONTACT_SYNC_CRM__DYNAMICS__URL", "https://wr0ng.example", "write the environment's address"),
        ("CONTACT_SYNC_CRM__DYNAMICS__LOGIN_URL", "https://wr0ng.example", "the secret goes to Microsoft only"),
    ],
)
def test_one_thing_wrong(
    project: Project, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, line: str
) -> None:
    with environment() as server:
        configure(project, monkeypatch, server)
        monkeypatch.setenv(variable, value)
        failed = the_one_failure(found())
    assert line in failed.says
    assert "\n" not in failed.says
    assert "wr0ng" not in failed.says
    assert failed.to_be_set_right


@pytest.mark.parametrize(
    ("access", "line"),
    [("none", "give its application user a security role"), ("no user", "as an application user")],
)
def test_a_missing_right_is_told_with_what_to_do(
    project: Project, monkeypatch: pytest.MonkeyPatch, access: Access, line: str
) -> None:
    with environment(access=access) as server:
        configure(project, monkeypatch, server)
        failed = the_one_failure(found())
    assert line in failed.says


def test_a_column_that_there_is_not_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with environment(columns={}) as server:
        configure(project, monkeypatch, server)
        failed = the_one_failure(found())
    assert failed.says.endswith("contacts have no column new_leadscore: correct the registry")


def test_an_environment_that_is_down_is_no_wrong_setting(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with environment() as server:
        configure(project, monkeypatch, server)
    monkeypatch.setattr("contact_sync.wire._backoff", lambda _: 0.0)
    failed = the_one_failure(found())
    assert (failed.name, failed.to_be_set_right) == ("crm", False)
