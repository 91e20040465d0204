"""No name, number, address or secret in logs, errors or tables that are not for them, whatever goes wrong."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contact_sync.connections import load_connections
from contact_sync.contacts.schemas import SCHEMAS, ContractError, check
from contact_sync.crm.source import CrmError
from contact_sync.settings import ConfigurationError
from contact_sync.simulator.server import TwinServer
from contact_sync.state.database import StateError
from contact_sync.steps.context import open_sync
from contact_sync.steps.deliver import deliver
from contact_sync.steps.extract import extract
from contact_sync_tests.canaries import (
    CLIENT_SECRET,
    CRM_PASSWORD,
    NUMBERS,
    PERSON,
    STATE_PASSWORD,
    WORDS,
    spoken,
    told,
)
from contact_sync_tests.project import forget_environment
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.waiting import crm_away
from contact_sync_tests.steps.world import moment, settings_of, window

SECRETS = ("twin-secret", "geheim")
ALLOWED = {
    "contact_link": {"fields", "account", "business_key"},  # the key is account|number|hash by design
    "in_flight": {"fields", "account", "business_key"},
    "genesys_mirror": {"fields", "external_ids"},
    "mirror_identifier": {"value"},
    "audit": {"changes"},
    "retry_queue": {"change"},
}
TABLES = (
    *("window_ledger", "contact_link", "in_flight", "genesys_mirror", "mirror_identifier"),
    *("retry_queue", "audit", "unmapped_field", "budget", "mirror_scan"),
)


def tables(sync: Sync) -> Iterator[str]:
    for name in TABLES:
        for row in sync.table(name):
            yield repr({column: value for column, value in row.items() if column not in ALLOWED.get(name, ())})


def refuse(sync: Sync) -> None:
    Answers(sync.session).refuse_items("piepmatz.example", 422, "Quetzalina is bad", retryable=False)
    sync.sync(0)


def refuse_all(sync: Sync) -> None:
    Answers(sync.session).refuse_with(403, "missing.permission", "Quetzalina twin-secret")
    sync.sync(0)


def lose(sync: Sync) -> None:
    sync.crm.people(40, moment(0))
    Answers(sync.session).lose()
    sync.sync(0)


def break_the_state(sync: Sync) -> None:
    sync.read(0)
    sync.plan(0)
    with sync.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE contact_link RENAME COLUMN fields TO gone")
    sync.deliver(0)


def break_a_frame(sync: Sync) -> None:
    sync.read(0)
    normalized = sync.context.frames.read("normalized_contacts", window(0))
    normalized["state"] = normalized["firstName"]
    sync.context.frames.write("normalized_contacts", window(0), normalized)
    sync.plan(0)


def break_a_plan(sync: Sync) -> None:
    sync.read(0)
    sync.plan(0)
    plan = sync.context.frames.read("dedup_matches", window(0))
    plan["action"] = PERSON["last_name"]
    sync.context.frames.write("dedup_matches", window(0), plan)
    list(deliver(sync.context, [window(0)], "run"))


def break_the_crm(sync: Sync) -> None:
    sync.crm.execute("ALTER TABLE contacts RENAME COLUMN email TO mail")
    extract(sync.context, window(0))


def retry(sync: Sync) -> None:
    answers = Answers(sync.session)
    answers.refuse_items("piepmatz.example", 503, "Quetzalina is busy", retryable=True)
    sync.sync(0)
    sync.later(hours=1)
    sync.crm.put("b", moment(1), **(dict.fromkeys(PERSON) | {"job_title": "Zwitscherin"}))
    with crm_away(sync):
        sync.retry()
    sync.later(hours=1)
    answers.refuse_items("piepmatz.example", 422, "Quetzalina is bad", retryable=False)
    sync.retry()
    assert {row["state"] for row in sync.queue().values()} == {"dead"}


def die(sync: Sync) -> None:
    def crash(*_told: object) -> None:
        raise RuntimeError

    sync.sync(0, progress=crash)


@pytest.mark.parametrize(
    ("work", "fails"),
    [
        (lambda sync: sync.sync(0), False),
        (refuse, False),
        (refuse_all, True),
        (lose, True),
        (break_the_state, True),
        (break_a_frame, True),
        (break_a_plan, True),
        (break_the_crm, True),
        (die, True),
        (retry, False),
    ],
    ids=["well", "refused", "403", "lost", "state", "frame", "plan", "crm", "crash", "retry"],
)
def test_nothing_is_told(
    sync: Sync, caplog: pytest.LogCaptureFixture, work: Callable[[Sync], object], *, fails: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    sync.crm.put("a", moment(0), **PERSON, shoe_size="geheim")
    sync.crm.put("b", moment(0), **{**PERSON, "work_phone": "ask 030 555-01234", "first_name": "Quetzalina II"})
    failure = None
    try:
        work(sync)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it must be quiet
        failure = error
    assert (failure is not None) == fails
    assert told(spoken(failure), *SECRETS) == []
    assert [one for one in caplog.records if told(f"{one.getMessage()} {one.exc_text}", *SECRETS)] == []
    if work is not break_the_state:
        assert [row for row in tables(sync) if told(row, *SECRETS)] == []


@pytest.mark.parametrize("table", ["contact_link", "in_flight", "mirror_identifier", "audit"])
def test_a_state_database_that_quotes_the_rows_it_refuses_is_not_quoted(
    twin: TwinServer, tmp_path: Path, postgres_url: str, caplog: pytest.LogCaptureFixture, table: str
) -> None:
    caplog.set_level(logging.DEBUG)
    with Sync(tmp_path / "home", twin, postgres_url) as sync:
        sync.crm.put("a", moment(0), **PERSON)
        with sync.engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD CHECK (false)")
        with pytest.raises(StateError) as failed:
            sync.sync(0)
    assert told(spoken(failed.value), *SECRETS) == []
    assert told(caplog.text, *SECRETS) == []


@pytest.mark.parametrize("asset", ["crm_delta", "normalized_contacts", "dedup_matches", "genesys_upserts"])
def test_a_broken_contract_tells_no_value(sync: Sync, asset: str) -> None:
    sync.crm.put("a", moment(0), **PERSON)
    sync.sync(0)
    frame = sync.context.frames.read(asset, window(0))
    frame[frame.columns[-1]] = 7
    frame["kind"] = frame["outcome"] = frame["action"] = PERSON["last_name"]
    with pytest.raises(ContractError) as failed:
        check(SCHEMAS[asset], frame)
    assert told(spoken(failed.value)) == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CONTACT_SYNC_CRM_URL", ""),
        ("CONTACT_SYNC_CRM_URL", f"postgresql+psycopg://u:{CRM_PASSWORD}@[crm"),
        ("CONTACT_SYNC_CRM_URL", f"postgresql://u:{CRM_PASSWORD}@crm/db"),
        ("CONTACT_SYNC_CRM_URL", f"postgresql+psycopg://u:p:{CRM_PASSWORD}/@127.0.0.1:1/crm"),
        ("CONTACT_SYNC_STATE_URL", f"postgresql+psycopg://u:{STATE_PASSWORD}@127.0.0.1:1/state"),
        ("CONTACT_SYNC_STATE_URL", f"postgresql+psycopg://u@state:{STATE_PASSWORD}@127.0.0.1/state"),
        ("CONTACT_SYNC_STATE_URL", f"postgresql+psycopg://u@127.0.0.1:{STATE_PASSWORD}/state"),
        ("CONTACT_SYNC_STATE_URL", f"mysql://u:{STATE_PASSWORD}@127.0.0.1/state"),
        ("GENESYS_CLIENT_ID", ""),
        ("GENESYS_BASE_URL", f"http://u:{CLIENT_SECRET}@genesys.example"),
    ],
)
def test_wrong_connections_tell_no_secret(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    forget_environment(monkeypatch)
    values = {
        "CONTACT_SYNC_CRM_URL": f"postgresql+psycopg://u:{CRM_PASSWORD}@127.0.0.1:1/crm",
        "CONTACT_SYNC_STATE_URL": f"postgresql+psycopg://u:{STATE_PASSWORD}@127.0.0.1:1/state",
        "GENESYS_CLIENT_ID": "client",
        "GENESYS_CLIENT_SECRET": CLIENT_SECRET,
        "GENESYS_BASE_URL": "http://127.0.0.1:1",
    }
    for name, usual in (values | {variable: value}).items():
        monkeypatch.setenv(name, usual)
    refusals = (ConfigurationError, CrmError, StateError)
    with pytest.raises(refusals) as failed, open_sync(settings_of(), load_connections()):
        pass
    assert told(spoken(failed.value), CLIENT_SECRET, CRM_PASSWORD, STATE_PASSWORD) == []


def test_the_canaries_would_be_seen(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **PERSON)
    sync.sync(0)
    everything = "".join(repr(sync.table(name)) for name in TABLES)
    assert set(told(everything)) == {*WORDS, *NUMBERS}


def test_what_holds_connections_does_not_show_them(sync: Sync) -> None:
    sync.sync(0)
    assert told(repr(sync.context), *SECRETS) == []
