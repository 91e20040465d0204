import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from contact_sync.connections import load_connections
from contact_sync.genesys.auth import UnknownClientError, WrongSecretError
from contact_sync.genesys.errors import GenesysRetryableError
from contact_sync.genesys.regions import Routing
from contact_sync.settings import ConfigurationError, Settings
from contact_sync.state.database import open_database
from contact_sync.state.homes import HomeRegion, HomeRegions
from contact_sync.steps.connect import FOUND, REMEMBERED, Connected, Way, destination_of, open_genesys
from contact_sync_tests.genesys.region import NOT_FOUND, WRONG_SECRET, RegionServer, regions
from contact_sync_tests.project import forget_environment
from contact_sync_tests.scripted import Reply
from contact_sync_tests.steps.world import settings_of

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
OURS, ANOTHER = "6f1c7f4e-2d3b-4c55-9a57-0d4f0c3a1e10", "00000000-2d3b-4c55-9a57-0d4f0c3a1e10"
SECRET = "s3cret-of-the-client"
Served = dict[str, RegionServer]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_environment(monkeypatch)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Serve three regions, the only ones there are; the second knows the client."""
    with regions(one=None, two=OURS, three=None) as running:
        hosts = {domain: region.hosts for domain, region in running.items()}
        monkeypatch.setattr(Routing, "hosts", property(lambda _: hosts))
        names = {domain.removesuffix(".example"): domain for domain in running}
        monkeypatch.setattr(Routing, "known_regions", property(lambda _: names))
        yield running


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(f"sqlite:///{tmp_path}/state.db")
    yield opened
    opened.dispose()


def way(engine: Engine, settings: Settings | None = None, /, **variables: str) -> Way:
    settings = settings or settings_of()
    known = {"crm_url": "sqlite://", "genesys_client_id": "client", "genesys_client_secret": SECRET} | variables
    return Way(destination_of(settings, load_connections(**known)), settings, engine, lambda: NOW, attempts=1)


def connect(engine: Engine, settings: Settings | None = None, /, **variables: str) -> Connected:
    with open_genesys(way(engine, settings, **variables)) as connected:
        return connected


def counts(served: Served) -> dict[str, tuple[int, int]]:
    """Return the token requests and the other requests of each region, by its number."""
    return {domain.removesuffix(".example"): region.requests for domain, region in served.items()}


def home(engine: Engine) -> HomeRegion | None:
    return HomeRegions(engine).recall("client")


# The region.


def test_an_explicit_region_wins_and_costs_no_request(served: Served, engine: Engine) -> None:
    routed = settings_of(genesys={"organizations": {OURS: "three"}})
    connected = connect(engine, routed, genesys_region="one")
    assert (connected.region, connected.origin) == (served["one.example"].hosts.region, "from GENESYS_REGION")
    assert set(counts(served).values()) == {(0, 0)}
    assert home(engine) is None
    routed = settings_of(genesys={"organizations": {OURS: "three"}})
    connected = connect(engine, routed, genesys_region="two", genesys_organization_id=OURS)
    assert (connected.region, connected.origin) == (served["two.example"].hosts.region, "from GENESYS_REGION")


def test_the_address_of_a_simulator_wins_over_all(served: Served, engine: Engine) -> None:
    two = served["two.example"]
    connected = connect(engine, genesys_region="one", genesys_base_url=two.url)
    assert (connected.region, connected.origin) == (two.hosts.region, "from GENESYS_BASE_URL")
    assert connected.client.organization().id == OURS


def test_an_organisation_is_routed_by_the_settings(served: Served, engine: Engine) -> None:
    routed = settings_of(genesys={"organizations": {OURS.upper(): "Two", ANOTHER: "one"}})
    connected = connect(engine, routed, genesys_organization_id=f" {OURS.upper()} ")
    assert connected.region == served["two.example"].hosts.region
    assert connected.origin == "from genesys.organizations in contact_sync.yaml"
    assert counts(served) == {"one": (0, 0), "two": (1, 1), "three": (0, 0)}


def test_a_wrong_route_is_one_line_that_names_the_table(served: Served, engine: Engine) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^genesys.organizations in contact_sync.yaml is 'atlantis', which"
    ):
        way(engine, settings_of(genesys={"organizations": {OURS: "atlantis"}}), genesys_organization_id=OURS)
    wrong = settings_of(genesys={"organizations": {OURS: "three"}})
    with pytest.raises(
        UnknownClientError, match=r"check genesys.organizations in contact_sync.yaml and GENESYS_CLI"
    ):
        connect(engine, wrong, genesys_organization_id=OURS)
    assert counts(served) == {"one": (0, 0), "two": (0, 0), "three": (1, 0)}


def test_without_a_region_all_are_asked_once_and_the_answer_is_remembered(served: Served, engine: Engine) -> None:
    found = connect(engine)
    assert (found.region, found.origin) == ("two.example", FOUND)
    assert home(engine) == HomeRegion("two.example", OURS)
    asked = counts(served)
    assert asked["two"] == (1, 1)  # the token that told is the one that is used
    again = connect(engine)
    assert (again.region, again.origin) == ("two.example", REMEMBERED)
    assert counts(served) == asked
    assert again.client.organization().id == OURS


def test_an_organisation_that_the_table_does_not_list_is_searched(served: Served, engine: Engine) -> None:
    found = connect(engine, settings_of(genesys={"organizations": {ANOTHER: "one"}}), genesys_organization_id=OURS)
    assert (found.region, found.origin) == ("two.example", FOUND)
    assert served["two.example"].requests == (1, 1)


def test_a_memory_of_one_run_is_enough_for_a_plan_that_writes_nothing(served: Served) -> None:
    engine = open_database("sqlite://")
    assert connect(engine).origin == FOUND
    engine.dispose()
    assert served["two.example"].requests == (1, 1)


def test_a_secret_that_is_wrong_at_home_says_exactly_that(served: Served, engine: Engine) -> None:
    served["two.example"].tokens.append(WRONG_SECRET)
    with pytest.raises(
        WrongSecretError, match=r"knows this client but refuses its secret: check GENESYS_CLIENT_S"
    ):
        connect(engine)
    assert home(engine) is None


def test_home_that_is_down_is_not_remembered_as_nowhere(
    served: Served, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    served["two.example"].tokens.append(Reply(503))
    with (
        caplog.at_level(logging.WARNING, "contact_sync"),
        pytest.raises(GenesysRetryableError, match=r"two\.example"),
    ):
        connect(engine)
    assert "skipped while looking for the region" in caplog.text
    assert SECRET not in caplog.text
    assert connect(engine).region == "two.example"


# A memory that is not true any more.


def remembering(engine: Engine, region: str, organization: str = OURS) -> None:
    HomeRegions(engine).remember("client", HomeRegion(region, organization), NOW)


@pytest.mark.usefixtures("served")
def test_a_remembered_region_that_lost_the_client_is_forgotten_and_searched_again(engine: Engine) -> None:
    remembering(engine, "one.example")
    expected = (
        "the region one.example, where this client was found before, does not know it any more: run again to look "
        "for it in all regions, and check GENESYS_CLIENT_ID"
    )
    with pytest.raises(UnknownClientError) as refused, open_genesys(way(engine)) as connected:
        connected.client.organization()
    assert str(refused.value) == expected
    assert home(engine) is None
    assert connect(engine).region == "two.example"


def test_where_the_organisation_is_asked_anyway_the_search_does_not_wait_for_another_run(
    served: Served, engine: Engine
) -> None:
    remembering(engine, "one.example", ANOTHER)
    found = connect(engine, genesys_organization_id=OURS)
    assert (found.region, found.origin) == ("two.example", FOUND)
    assert served["two.example"].requests == (1, 1)
    assert home(engine) == HomeRegion("two.example", OURS)


def test_an_explicit_region_that_does_not_know_the_client_keeps_its_own_line(
    served: Served, engine: Engine
) -> None:
    opened = open_genesys(way(engine, genesys_region="one"))
    with (
        pytest.raises(UnknownClientError, match=r"check GENESYS_REGION and GENESYS_CLIENT_ID$"),
        opened as connected,
    ):
        connected.client.organization()
    assert served["one.example"].requests == (1, 0)


def test_a_remembered_region_that_there_is_no_more_is_searched_again(served: Served, engine: Engine) -> None:
    remembering(engine, "gone.example")
    assert connect(engine).region == "two.example"
    assert served["two.example"].organization == OURS


# The organisation.


@pytest.mark.parametrize("explicit", [True, False])
def test_another_organisation_is_refused_before_anything_else_is_sent(
    served: Served, engine: Engine, *, explicit: bool
) -> None:
    variables = {"genesys_organization_id": ANOTHER} | ({"genesys_region": "two"} if explicit else {})
    for asked in (1, 2):
        with pytest.raises(ConfigurationError) as refused:
            connect(engine, **variables)
        assert str(refused.value) == (
            f"the OAuth client belongs to the organisation {OURS}, not to {ANOTHER} as GENESYS_ORGANIZATION_ID "
            "says: use a client of that organisation or correct the variable"
        )
        assert [seen.path for seen in served["two.example"].seen] == ["/api/v2/organizations/me"] * asked


def test_an_organisation_is_confirmed_once(served: Served, engine: Engine) -> None:
    served["two.example"].organization = OURS.upper()
    for _ in range(3):
        connect(engine, genesys_region="two", genesys_organization_id=OURS)
    assert served["two.example"].requests == (1, 1)


def test_an_organisation_confirmed_in_one_region_is_asked_again_in_another(served: Served, engine: Engine) -> None:
    served["three.example"].organization = OURS
    for region in ("two", "three", "three"):
        connect(engine, genesys_region=region, genesys_organization_id=OURS)
    assert [served[f"{name}.example"].requests for name in ("two", "three")] == [(1, 1), (1, 1)]


def test_a_client_that_vanished_while_its_organisation_was_asked_is_named(served: Served, engine: Engine) -> None:
    served["two.example"].tokens.append(NOT_FOUND)
    with pytest.raises(UnknownClientError, match=r"^the region 127\.0\.0\.1:\d+ does not know this client"):
        connect(engine, genesys_region="two", genesys_organization_id=OURS)
    assert home(engine) is None
