"""The doctor, one thing wrong at a time: token, region, organisation, permissions, sources, budget."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from contact_sync.genesys.permissions import ADD_SOURCE, NEEDED, VIEW_CONTACTS
from contact_sync.genesys.regions import Hosts, Routing
from contact_sync.state.database import open_database
from contact_sync.state.homes import HomeRegion, HomeRegions
from contact_sync_tests.genesys.region import regions
from contact_sync_tests.project import CLIENT, Project, opened_project
from contact_sync_tests.steps.examined import NAMES, found, now, says, the_one_failure, verdicts

OF_GENESYS = ["organisation", "clock", "permission", "privilege", "sources", "custom fields", "budget"]
"""What cannot be looked at without a token."""


# Token, region, organisation.


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        (
            "GENESYS_CLIENT_SECRET",
            "wr0ng",
            "knows this client but refuses its secret: check GENESYS_CLIENT_SECRET",
        ),
        ("GENESYS_CLIENT_SECRET", "", "GENESYS_CLIENT_SECRET is not set: Secret of that client"),
        (
            "GENESYS_CLIENT_ID",
            "stranger",
            "does not know this client: check GENESYS_BASE_URL and GENESYS_CLIENT_ID",
        ),
        ("GENESYS_BASE_URL", "https://genesys.example", "GENESYS_BASE_URL is for a simulator on this machine"),
    ],
)
def test_without_a_token_nothing_of_genesys_can_be_examined(
    project: Project, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, line: str
) -> None:
    monkeypatch.setenv(variable, value)
    checks = found()
    failed = the_one_failure(checks)
    assert (failed.name, failed.to_be_set_right) == ("token", True)
    assert line in failed.says
    assert verdicts(checks, "skipped") == ["region", *OF_GENESYS]
    assert project.stats()["requests"] == 0


def test_a_login_host_that_is_down_may_come_back(project: Project) -> None:
    project.twin.stop()
    failed = the_one_failure(found())
    assert (failed.name, failed.to_be_set_right) == ("token", False)


@pytest.fixture
def one_region(project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the twin be the only region there is, by the domain that is returned."""
    monkeypatch.delenv("GENESYS_BASE_URL")
    hosts = {"twin.example": Hosts(project.twin.base_url, project.twin.base_url)}
    monkeypatch.setattr(Routing, "hosts", property(lambda _: hosts))
    monkeypatch.setattr(Routing, "known_regions", property(lambda _: {"twin": "twin.example"}))
    return "twin.example"


def test_it_is_told_where_the_region_came_from(
    project: Project, monkeypatch: pytest.MonkeyPatch, one_region: str
) -> None:
    assert says(found(), "region") == f"{one_region}, found by asking the login hosts"
    open_database(f"sqlite:///{project.home}/state.db").dispose()
    found()
    assert says(found(), "region") == f"{one_region}, found by asking the login hosts, remembered"
    monkeypatch.setenv("GENESYS_REGION", "twin")
    assert says(found(), "region").endswith(", from GENESYS_REGION")
    monkeypatch.setenv("GENESYS_REGION", "atlantis")
    assert the_one_failure(found()).says == (
        "GENESYS_REGION is 'atlantis', which is no region: use one of twin (twin.example)"
    )


def test_a_remembered_region_that_lost_the_client_is_searched_again(
    project: Project, monkeypatch: pytest.MonkeyPatch, one_region: str
) -> None:
    engine = open_database(f"sqlite:///{project.home}/state.db")
    HomeRegions(engine).remember(CLIENT, HomeRegion("old.example", "of old"), now())
    with regions(old=None) as old:
        hosts = {**Routing().hosts, **{domain: region.hosts for domain, region in old.items()}}
        monkeypatch.setattr(Routing, "hosts", property(lambda _: hosts))
        assert says(found(), "region") == f"{one_region}, found by asking the login hosts"
        assert old["old.example"].requests[0] > 0
    assert HomeRegions(engine).recall(CLIENT) == HomeRegion(one_region, project.twin.settings.organization_id)
    engine.dispose()


def test_another_organisation_is_refused_before_anything_is_tried(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENESYS_ORGANIZATION_ID", "another")
    checks = found()
    failed = the_one_failure(checks)
    assert (failed.name, failed.to_be_set_right) == ("organisation", True)
    assert "not to another as GENESYS_ORGANIZATION_ID says" in failed.says
    assert verdicts(checks, "skipped") == OF_GENESYS[1:]
    assert project.stats()["requests"] == 1
    monkeypatch.setenv("GENESYS_ORGANIZATION_ID", project.twin.settings.organization_id)
    assert verdicts(found(), "fail") == []


@pytest.mark.parametrize(("minutes", "relation"), [(2, "ahead of"), (-2, "behind")])
def test_a_clock_that_is_wrong_is_warned_of(project: Project, minutes: int, relation: str) -> None:
    checks = found(lambda: now() + timedelta(minutes=minutes))
    assert verdicts(checks, "warn") == ["clock"]
    seconds = int(says(checks, "clock").removeprefix("this machine is ").partition(" ")[0])
    assert seconds == pytest.approx(120, abs=2)
    assert f" s {relation} Genesys: " in says(checks, "clock")
    assert project.stats()["requests"] > 0


# Permissions and sources.


@contextmanager
def project_with(home: Path, *permissions: str, **twin: Any) -> Iterator[Project]:  # noqa: ANN401 -- settings
    with opened_project(home, permissions={CLIENT: frozenset(permissions)}, **twin) as one:
        yield one


@pytest.mark.parametrize("lacking", [name for name in NAMES if name != ADD_SOURCE])
def test_each_lacking_permission_is_named(tmp_path: Path, lacking: str) -> None:
    with project_with(tmp_path, *(name for name in NAMES if name != lacking)):
        checks = found()
    [failed] = [check for check in checks if (check.name, check.verdict) == ("permission", "fail")]
    assert failed.to_be_set_right
    assert failed.says.startswith(f"{lacking} (to ")
    assert failed.says.endswith(" is missing: give it to a role of the OAuth client")
    assert sum(check.name == "permission" for check in checks) == len(NAMES)


def test_harmful_permissions_that_are_not_needed_are_warned_of_once(tmp_path: Path) -> None:
    more = ("externalContacts:contact:add", "externalContacts:identity:merge")
    with project_with(tmp_path, *NAMES, *more):
        checks = found()
    assert verdicts(checks, "warn") == ["privilege"]
    assert says(checks, "privilege") == f"the sync never needs {', '.join(more)}: take them off the client"


SOURCES = ("contact_sync sample", "contact_sync key", "contact_sync sample account")


def make_sources(project: Project) -> None:
    for name in SOURCES:
        project.twin.store.sources.create({"name": name})


def test_sources_that_are_missing_will_be_created(project: Project) -> None:
    for made in range(len(SOURCES)):
        assert says(found(), "sources") == f"{', '.join(SOURCES[made:])}: the first run creates what is missing"
        project.twin.store.sources.create({"name": SOURCES[made]})
    assert says(found(), "sources") == f"{', '.join(SOURCES)}: there"


def test_sources_that_nobody_may_create_are_a_failure_only_while_they_are_missing(tmp_path: Path) -> None:
    with project_with(tmp_path, *(name for name in NAMES if name != ADD_SOURCE)) as project:
        missing = found()
        make_sources(project)
        there = found()
    assert verdicts(missing, "fail") == ["sources"]
    assert "this client may not create them" in says(missing, "sources")
    assert (verdicts(there, "fail"), verdicts(there, "warn")) == ([], ["permission"])
    assert f"{ADD_SOURCE} is missing: only needed while a source is too" in says(there, "permission")


def test_sources_that_there_is_no_room_for_are_a_failure(tmp_path: Path) -> None:
    with project_with(tmp_path, *NAMES, max_external_sources=0):
        failed = the_one_failure(found())
    assert (failed.name, failed.to_be_set_right) == ("sources", True)
    assert "no room (max.external.source.limit.reached)" in failed.says


def test_sources_that_may_not_be_seen_are_not_looked_for(tmp_path: Path) -> None:
    with project_with(tmp_path, *(name for name in NAMES if name != VIEW_CONTACTS)):
        checks = found()
    assert verdicts(checks, "skipped") == ["sources"]
    assert says(checks, "sources") == f"needs {VIEW_CONTACTS}"


# Custom fields.


def contact_type(project: Project, **properties: str) -> None:
    defined = {key: {"allOf": [{"$ref": f"#/definitions/{core}"}]} for key, core in properties.items()}
    document = {"title": "contact_sync", "properties": defined}
    project.twin.store.contact_schemas.create({"version": 1, "jsonSchema": document})


def test_the_contact_type_is_looked_at_and_not_made(project: Project) -> None:
    assert says(found(), "custom fields") == "the first run creates the contact type 'contact_sync' with 2 fields"
    assert project.twin.store.contact_schemas.listing()["total"] == 0
    contact_type(project, tags_tag="tag")
    assert (
        says(found(), "custom fields")
        == "the next run adds to the contact type 'contact_sync': lead_score_integer"
    )


def test_a_contact_type_that_has_everything_is_well(project: Project) -> None:
    contact_type(project, tags_tag="tag", lead_score_integer="integer")
    assert says(found(), "custom fields") == "the contact type 'contact_sync', version 1, has all 2"


def test_a_contact_type_without_room_has_to_be_set_right(project: Project) -> None:
    contact_type(project, **{f"x{one}_text": "text" for one in range(24)})
    failed = the_one_failure(found())
    assert (failed.name, failed.to_be_set_right) == ("custom fields", True)
    assert "would have 26 fields, and Genesys takes 25" in failed.says


def test_what_the_registry_does_not_use_needs_no_permission(tmp_path: Path) -> None:
    with project_with(tmp_path, *(one.name for one in NEEDED)) as project:
        lacking = found()
        settings = yaml.safe_load((project.home / "contact_sync.yaml").read_text())
        plain = [
            line
            for line in settings["registry"]["fields"]
            if not line["genesys"].startswith(("customFields", "externalOrganization"))
        ]
        settings["registry"]["fields"] = plain
        (project.home / "contact_sync.yaml").write_text(yaml.safe_dump(settings))
        enough = found()
    assert verdicts(lacking, "fail") == ["permission"]
    assert verdicts(lacking, "skipped") == ["custom fields"]
    assert {check.verdict for check in enough} == {"ok"}
    assert says(enough, "custom fields") == "not used: the registry fills none"


# The budget.


def test_the_budget_tells_what_others_spend_where_that_shows(tmp_path: Path) -> None:
    with project_with(tmp_path, *NAMES, rate_limit_per="client", requests_per_minute=5_000) as project:
        first, second = (says(found(), "budget") for _ in range(2))
        requests = project.stats()["requests"]
    own = requests // 2
    assert first == f"{own} of 5,000 requests a minute used, 0 by others"
    assert second == f"{requests} of 5,000 requests a minute used, {own} by others"
