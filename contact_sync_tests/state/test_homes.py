from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, select

from contact_sync.state.homes import HomeRegion, HomeRegions
from contact_sync.state.tables import HOME_REGION

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOME = HomeRegion("mypurecloud.de", "6f1c7f4e-2d3b-4c55-9a57-0d4f0c3a1e10")


def test_what_was_found_is_remembered_for_each_client(engine: Engine) -> None:
    homes = HomeRegions(engine)
    assert homes.recall("a") is None
    homes.remember("a", HOME, NOON)
    assert (HomeRegions(engine).recall("a"), homes.recall("b")) == (HOME, None)


def test_what_is_found_later_replaces_it(engine: Engine) -> None:
    homes = HomeRegions(engine)
    homes.remember("a", HOME, NOON)
    moved = HomeRegion("mypurecloud.ie", HOME.organization)
    homes.remember("a", moved, NOON + timedelta(hours=1))
    assert homes.recall("a") == moved
    with engine.begin() as connection:
        [row] = connection.execute(select(HOME_REGION)).mappings()
    assert row["found_at"] == NOON + timedelta(hours=1)


def test_what_is_forgotten_is_gone_for_that_client_alone(engine: Engine) -> None:
    homes = HomeRegions(engine)
    for client in ("a", "b"):
        homes.remember(client, HOME, NOON)
    for _ in range(2):
        homes.forget("a")
    assert (homes.recall("a"), homes.recall("b")) == (None, HOME)
