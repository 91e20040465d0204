"""The doctor, for an organisation of Salesforce."""

import pytest

from contact_sync.simulator.salesforce.server import SalesforceServer
from contact_sync.simulator.salesforce.settings import OrgSettings
from contact_sync_tests.project import Project
from contact_sync_tests.steps.examined import found, read_from, says, the_one_failure, verdicts

ENVIRONMENT = {"SALESFORCE_CLIENT_ID": "twin-consumer-key", "SALESFORCE_CLIENT_SECRET": "twin-consumer-secret"}


def configure(project: Project, monkeypatch: pytest.MonkeyPatch, org: SalesforceServer) -> None:
    """Let the project read from an organisation."""
    read_from(project, monkeypatch, "salesforce", {"url": org.base_url}, ENVIRONMENT)


def test_all_is_well(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with SalesforceServer() as org:
        configure(project, monkeypatch, org)
        checks = found()
        assert org.org.door.access.used == 1
    assert {check.verdict for check in checks} == {"ok"}
    assert says(checks, "crm") == "the object Contact of 127.0.0.1 has every field that is read"
    assert says(checks, "crm clock").endswith("s apart from the CRM")


def test_a_clock_that_is_wrong_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with SalesforceServer(OrgSettings(skew_seconds=600)) as org:
        configure(project, monkeypatch, org)
        checks = found()
    assert verdicts(checks, "warn") == ["crm clock"]
    assert "s behind the CRM" in says(checks, "crm clock")


@pytest.mark.parametrize(
    ("variable", "value", "says_"),
    [
        ("SALESFORCE_CLIENT_ID", "", "SALESFORCE_CLIENT_ID is not set: Consumer key of the external client app"),
        (
            "SALESFORCE_CLIENT_SECRET",
            "wr0ng",
            "(invalid_client): check SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_S",
        ),
        ("CONTACT_SYNC_CRM__SALESFORCE__OBJECT", "Lead", "400 INVALID_TYPE"),
        ("CONTACT_SYNC_CRM__SALESFORCE__LOGIN", "jwt_bearer", "SALESFORCE_USERNAME is not set: User name"),
        ("CONTACT_SYNC_CRM__SALESFORCE__LOGIN", "password", "crm.salesforce.login"),
        (
            "CONTACT_SYNC_CRM__SALESFORCE__URL",
            "https://login.salesforce.com",
            "write the organisation's My Domain",
        ),
    ],
)
def test_one_thing_wrong(
    project: Project, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says_: str
) -> None:
    with SalesforceServer() as org:
        configure(project, monkeypatch, org)
        monkeypatch.setenv(variable, value)
        failed = the_one_failure(found())
    assert says_ in failed.says
    assert "\n" not in failed.says
    assert "wr0ng" not in failed.says
    assert failed.to_be_set_right


def test_a_field_that_the_user_may_not_see_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with SalesforceServer(OrgSettings(hidden=frozenset({"Contact.HomePhone"}))) as org:
        configure(project, monkeypatch, org)
        failed = the_one_failure(found())
    assert "Contact of Salesforce has no field HomePhone, or the integration user may not see it" in failed.says


def test_an_organisation_that_is_down_is_no_wrong_setting(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SalesforceServer() as org:
        configure(project, monkeypatch, org)
    monkeypatch.setattr("contact_sync.wire._backoff", lambda _: 0.0)
    failed = the_one_failure(found())
    assert (failed.name, failed.to_be_set_right) == ("crm", False)
