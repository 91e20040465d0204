"""How well processes of ours share an OAuth client: with each other, with somebody else, through restarts; in real
time against the twin. Exits with 1 when a bar is missed.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from contact_sync.simulator.server import TwinServer
from contact_sync.simulator.settings import TwinSettings
from contact_sync_tests.bench_twin import say
from contact_sync_tests.crowd import Count, Worker, crowd

ALLOWED, THREADS = 300, 8


@dataclass(frozen=True)
class Case:
    """Two processes of ours in some company, and the least share of what others leave that they must use."""

    name: str
    minutes: int
    bar: float
    foreign_per_minute: float = 0.0
    restart_every: float | None = None
    reserve: float = 0.1
    limit_per: Literal["client", "token"] = "client"

    def run(self, state_url: str) -> Count:
        """Let everybody call in real time."""
        with TwinServer(TwinSettings(rate_limit_per=self.limit_per, requests_per_minute=ALLOWED)) as twin:
            return crowd(
                twin,
                Worker(twin.base_url, state_url, ALLOWED, self.reserve, 60.0, THREADS),
                seconds=60.0 * self.minutes,
                foreign_per_minute=self.foreign_per_minute,
                restart_every=self.restart_every,
            )

    def passed(self, count: Count) -> bool:
        """Tell whether nobody met a 429, others got theirs, and we used our share, and no more than one budget."""
        return count.refused == 0 and count.foreign_share >= 0.99 and self.bar <= count.our_share <= 1.0


CASES = {
    "shared": Case("with 100 foreign calls a minute", 4, 0.88, 100.0),
    "restarts": Case("the same, killed and restarted every 20 s", 4, 0.88, 100.0, 20.0),
    "alone": Case("alone, a tenth in reserve", 2, 0.88),
    "greedy": Case("alone, nothing in reserve", 2, 0.97, reserve=0.0),
    "tokens": Case("alone, each process its own limit", 2, 0.85, limit_per="token"),
}


def main() -> None:
    """Run the cases one after the other and print what everybody got."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", action="append", choices=CASES, help="only this one; may be repeated")
    parser.add_argument(
        "--state-url", help="an empty PostgreSQL database in place of a SQLite file; one case each"
    )
    asked = parser.parse_args()
    missed = 0
    say(f"{'':45}{'429s':>6}{'foreign':>18}{'ours':>18}{'bar':>8}")
    for case in [CASES[name] for name in asked.case or CASES]:
        with tempfile.TemporaryDirectory() as folder:
            count = case.run(asked.state_url or f"sqlite:///{Path(folder) / 'state.db'}")
        foreign = f"{count.foreign_got}/{count.foreign_asked} {count.foreign_share:.1%}"
        ours = f"{count.ours}/{count.budget - count.foreign_asked:.0f} {count.our_share:.1%}"
        verdict = "" if case.passed(count) else " MISSED"
        say(f"{case.name:45}{count.refused:>6}{foreign:>18}{ours:>18}{case.bar:>8.0%}{verdict}")
        missed += not case.passed(count)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
