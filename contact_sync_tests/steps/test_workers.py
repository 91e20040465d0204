"""Pieces are worked on side by side, in order, and the processes end with the one that started them."""

import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from contact_sync.steps import workers as module
from contact_sync.steps.workers import workers


def getpid(_piece: int) -> int:
    return os.getpid()


def double(number: int) -> int:
    if number < 0:
        raise ValueError
    return 2 * number


@pytest.mark.parametrize("rows", [0, module.FROM_ROWS])
def test_what_is_made_of_the_pieces_comes_in_their_order(rows: int) -> None:
    with workers(rows) as running:
        assert list(running.map(double, range(20))) == [2 * number for number in range(20)]


def test_only_a_few_pieces_are_taken_ahead() -> None:
    taken: list[int] = []

    def pieces() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    with workers(module.FROM_ROWS) as running:
        next(iter(running.map(double, pieces())))
    assert len(taken) <= module.MOST + 2


def test_an_error_in_another_process_is_ours() -> None:
    with workers(module.FROM_ROWS) as running, pytest.raises(ValueError):  # noqa: PT011 (nothing to say)
        list(running.map(double, [1, -1]))


def test_processes_end_with_the_one_that_was_killed() -> None:
    script = """
        from contact_sync.steps.workers import FROM_ROWS, workers
        from contact_sync_tests.steps.test_workers import getpid
        if __name__ == "__main__":
            with workers(FROM_ROWS) as running:
                print(*running.map(getpid, [0]), flush=True)
                input()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:  # noqa: S603 (our own script)
        assert parent.stdout is not None
        ended = os.pidfd_open(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert select.select([ended], [], [], 60)[0]
        os.close(ended)
