"""What is wrong around the sync: one clear line, nothing sent, nothing lost, and the watermark where it was."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from contact_sync.contacts.schemas import ContractError
from contact_sync.crm.source import CrmConfigurationError
from contact_sync.genesys.errors import GenesysFatalError
from contact_sync.settings import ConfigurationError
from contact_sync.simulator.server import TwinServer
from contact_sync.simulator.settings import TwinSettings
from contact_sync.state.database import StateError, open_database
from contact_sync.steps.context import windows_of
from contact_sync.steps.deliver import deliver
from contact_sync.steps.extract import extract
from contact_sync.steps.lag import WindowNotClosedError
from contact_sync.steps.match import match
from contact_sync.steps.normalize import normalize
from contact_sync.steps.report import health
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import START, moment, settings_of, window


@pytest.fixture
def sync(sync: Sync) -> Sync:
    """A sync with window 0 delivered and something new in window 1."""
    sync.crm.people(3, moment(0))
    sync.sync(0)
    sync.crm.people(2, moment(1), first=3)
    return sync


@contextmanager
def refused(sync: Sync, kind: type[Exception], words: str) -> Iterator[None]:
    """Check that the block fails with one line that holds `words`, and that nothing else happened."""
    before = (sync.stats()["requests"], sync.contacts(), sync.table("contact_link"), sync.committed())
    with pytest.raises(kind, match=words) as raised:
        yield
    assert "\n" not in str(raised.value)
    assert (sync.stats()["requests"], sync.contacts(), sync.table("contact_link"), sync.committed()) == before
    assert health(sync.context).watermark == window(0).end


def assert_goes_on(sync: Sync) -> None:
    assert sync.sync(1) == {"created": 2}
    assert health(sync.context).watermark == window(1).end


@pytest.mark.parametrize("column", ["id", "updated_at", "is_deleted", "merged_into", "email"])
def test_a_table_that_lost_a_column_is_named_with_the_setting(sync: Sync, column: str) -> None:
    sync.crm.execute(f"ALTER TABLE contacts RENAME COLUMN {column} TO lost")
    sync.reopen()
    with refused(sync, CrmConfigurationError, f"no column {column}.*correct"):
        extract(sync.context, window(1))
    sync.crm.execute(f"ALTER TABLE contacts RENAME COLUMN lost TO {column}")
    sync.reopen()
    assert_goes_on(sync)


def test_a_window_that_has_not_settled_is_not_read(sync: Sync) -> None:
    sync.clock.now = window(1).end + sync.settings.sync.settle / 2
    with refused(sync, WindowNotClosedError, "is not closed.*or wait"):
        extract(sync.context, window(1))
    sync.clock.now = window(1).end + sync.settings.sync.settle
    assert_goes_on(sync)


@pytest.mark.parametrize("asset", ["crm_delta", "normalized_contacts", "dedup_matches"])
@pytest.mark.parametrize(
    "content", [b"", b"PAR1 and then nothing PAR1", None], ids=["empty", "garbage", "missing"]
)
def test_a_frame_that_is_damaged_or_missing_names_the_asset_to_materialise(
    sync: Sync, asset: str, content: bytes | None
) -> None:
    step: dict[str, Callable[[], object]] = {
        "crm_delta": lambda: normalize(sync.context, window(1)),
        "normalized_contacts": lambda: match(sync.context, [window(1)]),
        "dedup_matches": lambda: list(deliver(sync.context, [window(1)], "run")),
    }
    sync.read(1)
    sync.plan(1)
    path = Path(sync.context.frames.path(asset, window(1)))
    path.unlink() if content is None else path.write_bytes(content)
    with refused(sync, StateError, f"materialise {asset} for that window"):
        step[asset]()
    assert_goes_on(sync)


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lambda plan: plan.assign(action="explode"), "action"),
        (lambda plan: plan.drop(columns="request"), "request: missing"),
        (lambda plan: plan.assign(note="x"), "note: not expected"),
        (lambda plan: plan.assign(accepted="yes"), "accepted"),
        (lambda plan: pd.concat([plan, plan]), "repeated"),
    ],
    ids=["value", "column lost", "column more", "type", "key twice"],
)
def test_a_plan_that_breaks_its_contract_is_refused_before_any_request(
    sync: Sync, tamper: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    sync.read(1)
    sync.plan(1)
    plan = sync.context.frames.read("dedup_matches", window(1))
    sync.context.frames.write("dedup_matches", window(1), tamper(plan))
    with refused(sync, ContractError, f"dedup_matches breaks its contract: .*{words}"):
        list(deliver(sync.context, [window(1)], "run"))
    assert_goes_on(sync)


def test_a_plan_whose_request_was_rewritten_by_hand_is_not_what_is_sent(sync: Sync) -> None:
    sync.read(1)
    sync.plan(1)
    plan = sync.context.frames.read("dedup_matches", window(1))
    plan["request"] = plan["request"].str.replace("First3", "Mallory")
    sync.context.frames.write("dedup_matches", window(1), plan)
    list(deliver(sync.context, [window(1)], "run"))
    assert sync.contact("p3").fields["firstName"] == "First3"


def test_too_many_held_rows_stop_the_window(sync: Sync) -> None:
    for number in range(30):
        sync.crm.put(f"empty{number}", moment(1), first_name="Nobody")
    sync.read(1)
    with refused(sync, ContractError, r"holds 94% of 32 rows, over sync.max_held_share \(50%\)"):
        sync.plan(1)
    for number in range(30):
        sync.crm.delete(f"empty{number}", moment(1))
    assert sync.sync(1) == {"created": 2, "unchanged": 30}


def test_a_state_database_of_a_newer_version_is_left_alone(sync: Sync) -> None:
    with sync.engine.begin() as connection:
        before = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one()
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with refused(sync, StateError, r"newer version \(9999\).*upgrade contact_sync"):
        open_database(str(sync.engine.url))
    with sync.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :it"), {"it": before})
    assert_goes_on(sync)


@pytest.mark.parametrize(
    ("clients", "words"),
    [({"twin-client": "another"}, "GENESYS_CLIENT_SECRET"), ({"another": "twin-secret"}, "check GENESYS_REGION")],
    ids=["wrong secret", "region that does not know the client"],
)
def test_credentials_that_are_not_accepted_name_the_setting(
    tmp_path: Path, clients: dict[str, str], words: str
) -> None:
    with TwinServer(TwinSettings(clients=clients)) as twin, Sync(tmp_path, twin) as sync:
        sync.crm.people(3, moment(0))
        with pytest.raises(GenesysFatalError, match=words) as raised:
            sync.sync(0)
        assert "\n" not in str(raised.value)
        assert (sync.committed(), sync.queue(), health(sync.context).watermark) == ([], {}, START)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the system refuse larger files, as a full disk does."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_a_full_disk_keeps_the_older_frame_and_leaves_no_piece_of_the_new_one(sync: Sync) -> None:
    sync.read(1)
    path = Path(sync.context.frames.path("normalized_contacts", window(1)))
    older = path.read_bytes()
    with refused(sync, StateError, "cannot be written.*CONTACT_SYNC_FRAMES"), files_of_at_most(1000):
        normalize(sync.context, window(1))
    assert path.read_bytes() == older
    assert os.listdir(path.parent) == sorted(one.name for one in path.parent.glob("*.parquet"))  # noqa: PTH208
    assert_goes_on(sync)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (moment(0, 1), moment(1, 0), "boundaries"),
        (START - window(0).end + START, START, "before sync.start"),
        (START, START, "empty"),
    ],
    ids=["off the boundary", "before the start", "empty"],
)
def test_a_span_that_is_no_row_of_windows_is_refused(start: object, end: object, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        windows_of(settings_of(), start, end)  # type: ignore[arg-type]
