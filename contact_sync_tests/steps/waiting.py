"""Changes that wait on the retry queue, and a CRM that is away: where the tests of retries start from."""

from collections.abc import Iterator
from contextlib import contextmanager

from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Row, Sync
from contact_sync_tests.steps.world import moment

ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org"}
BUSY = "service.unavailable"


def queued(sync: Sync, answers: Answers, crm_id: str = "a", number: int = 0, **columns: object) -> Row:
    """Bring a record into the CRM that Genesys does not take now; return its row of the queue, which is due."""
    sync.crm.put(crm_id, moment(number), **(ADA | columns))
    answers.refuse_items("ada@example.org", 503, BUSY, retryable=True)
    assert sync.sync(number)["queued"] == 1
    answers.pass_on()
    sync.later(hours=1)
    return sync.queue()[crm_id]


def requests(sync: Sync) -> int:
    """Return how many requests the twin has seen."""
    return int(sync.stats()["requests"])


@contextmanager
def crm_away(sync: Sync) -> Iterator[None]:
    """Let nobody reach the CRM."""
    path, elsewhere = sync.crm.path, sync.crm.path.with_suffix(".away")
    path.rename(elsewhere)
    sync.reopen()
    yield
    elsewhere.rename(path)
    sync.reopen()
