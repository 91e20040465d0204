"""No name, number, address or secret in logs, errors or tables that are not for them, whatever goes wrong."""

import logging
import traceback
from collections.abc import Callable, Iterator

import pytest

from contact_sync.steps.deliver import deliver
from contact_sync.steps.extract import extract
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.waiting import crm_away
from contact_sync_tests.steps.world import moment, window

CANARY = {
    "first_name": "Quetzalina",
    "last_name": "Vogelsang-Kanari",
    "email": "kanari@vogel.example",
    "work_phone": "+49 30 55501234",
    "city": "Nesthausen",
    "job_title": "Zwitscherin",
}
VALUES = ("Quetzalina", "Kanari", "vogel.example", "55501234", "Nesthausen", "Zwitscherin")
SECRETS = (*VALUES, "twin-secret", "geheim")
ALLOWED = {
    "contact_link": {"fields", "business_key"},  # the key is account|number|hash by design
    "in_flight": {"fields", "business_key"},
    "genesys_mirror": {"fields"},
    "mirror_identifier": {"value"},
    "audit": {"changes"},
    "retry_queue": {"change"},
}
TABLES = (
    *("window_ledger", "contact_link", "in_flight", "genesys_mirror", "mirror_identifier"),
    *("retry_queue", "audit", "unmapped_field", "budget"),
)


def told(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret.casefold() in text.casefold()]


def tables(sync: Sync) -> Iterator[str]:
    for name in TABLES:
        for row in sync.table(name):
            yield repr({column: value for column, value in row.items() if column not in ALLOWED.get(name, ())})


def refuse(sync: Sync) -> None:
    Answers(sync.session).refuse_items("vogel.example", 422, "Quetzalina is bad", retryable=False)
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
    plan["action"] = CANARY["last_name"]
    sync.context.frames.write("dedup_matches", window(0), plan)
    list(deliver(sync.context, [window(0)], "run"))


def break_the_crm(sync: Sync) -> None:
    sync.crm.execute("ALTER TABLE contacts RENAME COLUMN email TO mail")
    extract(sync.context, window(0))


def retry(sync: Sync) -> None:
    answers = Answers(sync.session)
    answers.refuse_items("vogel.example", 503, "Quetzalina is busy", retryable=True)
    sync.sync(0)
    sync.later(hours=1)
    sync.crm.put("b", moment(1), **(dict.fromkeys(CANARY) | {"job_title": "Zwitscherin"}))
    with crm_away(sync):
        sync.retry()
    sync.later(hours=1)
    answers.refuse_items("vogel.example", 422, "Quetzalina is bad", retryable=False)
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
    sync.crm.put("a", moment(0), **CANARY, shoe_size="geheim")
    sync.crm.put("b", moment(0), **(CANARY | {"work_phone": "kanari 55501234", "first_name": "Quetzalina II"}))
    failure = None
    try:
        work(sync)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it must be quiet
        failure = error
    assert (failure is not None) == fails
    assert told("".join(traceback.format_exception(failure)) if failure else "") == []
    assert told(repr(failure)) == []
    assert [record for record in caplog.records if told(record.getMessage() + str(record.exc_text))] == []
    if work is not break_the_state:
        assert [row for row in tables(sync) if told(row)] == []


def test_the_canaries_would_be_seen(sync: Sync) -> None:
    sync.crm.put("a", moment(0), **CANARY)
    sync.sync(0)
    everything = "".join(repr(sync.table(name)) for name in TABLES)
    assert set(VALUES) == set(told(everything))


def test_what_holds_connections_does_not_show_them(sync: Sync) -> None:
    sync.sync(0)
    assert told(repr(sync.context)) == []
