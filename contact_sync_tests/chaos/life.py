"""The life of a sync: chapter after chapter, process after process, each of which may be killed.

What belongs here: starting and killing processes, and reading what they leave. What must hold belongs to the
tests.
"""

import multiprocessing
import signal
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from contact_sync.simulator.server import TwinServer
from contact_sync_tests.chaos import story
from contact_sync_tests.chaos.victim import JOURNAL, TRY_LATER, Order, run
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import SmallCrm

PATIENCE = 60.0  # seconds; a process that takes longer hangs
ANY_TIME = "any time"

_WRITES = tuple(f"POST /api/v2/externalcontacts/bulk/contacts/{name}" for name in ("enrich", "remove"))
# One process without threads that has imported everything forks each victim.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["contact_sync_tests.chaos.victim"])


Contacts = list[tuple[list[str], list[tuple[str, str]]]]
"""What the twin holds: the CRM ids and the fields of each contact."""


def contacts_of(sync: Sync) -> Contacts:
    """Return what the twin holds, in an order that two twins share."""
    return sorted((sorted(one.records), sorted(one.fields.items())) for one in sync.contacts())


@dataclass(frozen=True)
class Aftermath:
    """What is left when everything is over.

    Attributes:
        contacts: What the twin holds.
        queue: The state of each change on the retry queue, by CRM id.
        received: Requests that the twin got to write contacts.
        recorded: How many of them had their answers stored.
        unheard: Requests whose answers were lost on the way.
        failed: Items that were answered with a failure, and sent again.
        commits: How often a window was committed.
        moments: Those that each process passed, in the order in which it first did.
    """

    contacts: Contacts
    queue: dict[str, str]
    received: int
    recorded: int
    unheard: int
    failed: int
    commits: int
    moments: list[list[str]]

    def missing_in(self, other: "Aftermath") -> int:
        """Return how many of the contacts are not in another aftermath, as they are."""
        there = list(other.contacts)
        return sum(one not in there for one in self.contacts)


@dataclass
class Life:
    """One CRM, one twin, one state; `kills` counts those who died, by moment, `rivals` those who ran beside."""

    folder: Path
    twin: TwinServer
    state_url: str = ""
    chapters: int = 0
    attempts: int = 0
    rivals: int = 0
    kills: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self._crm = SmallCrm(self.folder / "crm.db")

    def turn_the_page(self) -> None:
        """Let the next chapter happen in the CRM."""
        story.live(self._crm, self.chapters)
        self.chapters += 1

    def go_on(self, **order: Any) -> bool:  # noqa: ANN401 -- the rest of an Order
        """Let a process sync what is missing; return whether it came to its end."""
        process, _ = self._start(**order)
        return self._survived(process, order.get("at", ""))

    def go_on_for(self, seconds: float, *, beside: bool = False, **order: Any) -> bool:  # noqa: ANN401
        """Do so, but kill the process so long after it has come to the moment of the order.

        Another one may do the same beside it, and is not killed; it waits for its turn to deliver.
        """
        process, told = self._start(waits=True, **order)
        other = self._start()[0] if beside else None
        self.rivals += beside
        wait([told, process.sentinel], PATIENCE)
        process.join(seconds)
        process.kill()
        survived = self._survived(process, ANY_TIME)
        return (other is None or self._survived(other, ANY_TIME)) and survived

    def settle(self) -> None:
        """Let processes retry until nothing waits any more."""
        for _ in range(20):
            assert self.go_on()
            with self.opened() as sync:
                if all(row["state"] == "dead" for row in sync.queue().values()):
                    return
        raise AssertionError("changes wait for ever")

    def opened(self) -> Sync:
        """Open the state, as nobody else does at the moment."""
        return Sync(self.folder, self.twin, self.state_url, settings=story.settings())

    def passed(self) -> list[list[str]]:
        """Return the moments that each process has passed."""
        moments: list[list[str]] = [[] for _ in range(self.attempts)]
        for line in (self.folder / JOURNAL).read_text().splitlines():
            number, _, moment = line.partition(" ")
            moments[int(number)].append(moment)
        return moments

    def aftermath(self) -> Aftermath:
        """Say what is left, once the accounts of every window are seen to be right."""
        with self.opened() as sync:
            for number in range(self.chapters):
                assert_accounted(sync, number)
            stats = sync.stats()
            passed = self.passed()
            return Aftermath(
                contacts=contacts_of(sync),
                queue={crm_id: row["state"] for crm_id, row in sync.queue().items()},
                received=sum(stats["by_operation"].get(operation, 0) for operation in _WRITES),
                recorded=sum(moments.count("after recording") for moments in passed),
                unheard=stats["faults"].get("lost", 0),
                failed=sum(row["result"] == "queued" for row in sync.table("audit")),
                commits=sum(moments.count("after ledger") for moments in passed),
                moments=[list(dict.fromkeys(moments)) for moments in passed],
            )

    def _start(self, **order: Any) -> tuple[BaseProcess, Connection]:  # noqa: ANN401
        told, teller = _PROCESSES.Pipe(duplex=False)
        whole = Order(self.folder, self.twin.base_url, self.state_url, self.attempts, self.chapters, **order)
        process = _PROCESSES.Process(target=run, args=(whole, teller))
        process.start()
        teller.close()
        self.attempts += 1
        return process, told

    def _survived(self, process: BaseProcess, moment: str) -> bool:
        process.join(PATIENCE)
        ended = process.exitcode
        if ended is None:
            process.kill()
            raise AssertionError("a process hangs")
        assert ended in {0, TRY_LATER, -signal.SIGKILL}, f"a process failed: {ended}"
        if ended == -signal.SIGKILL:
            self.kills[moment] += 1
        return not ended
