from pathlib import Path

from contact_sync.simulator.server import TwinServer
from contact_sync.simulator.settings import TwinSettings
from contact_sync_tests.crowd import Count, Worker, crowd

ALLOWED, WINDOW = 150, 5  # a minute of Genesys' in five seconds
FOREIGN = ALLOWED / 3


def let_call(url: str, seconds: float, restart_every: float | None = None) -> Count:
    settings = TwinSettings(rate_limit_per="client", requests_per_minute=ALLOWED, window_seconds=WINDOW)
    with TwinServer(settings) as twin:
        return crowd(
            twin,
            Worker(twin.base_url, url, ALLOWED, 0.1, WINDOW, threads=4),
            seconds=seconds,
            foreign_per_minute=FOREIGN * 60 / WINDOW,
            restart_every=restart_every,
        )


def test_two_processes_and_somebody_else_share_a_client(url: str) -> None:
    count = let_call(url, 1.6 * WINDOW)
    assert count.refused == 0
    assert count.foreign_got == count.foreign_asked >= 1.6 * FOREIGN - 2
    assert 0.75 <= count.our_share <= 1.0


def test_processes_that_are_killed_and_restarted_break_nothing(tmp_path: Path) -> None:
    count = let_call(f"sqlite:///{tmp_path}/state.db", 1.2 * WINDOW, restart_every=1.5)
    assert count.refused == 0
    assert count.foreign_got == count.foreign_asked >= 1.2 * FOREIGN - 2
    assert count.ours > 0
