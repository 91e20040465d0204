"""Work on the pieces of a large run side by side, on every core, in order.

What belongs here: processes, and how many pieces are under way at once, so that memory stays that of a few. They
end with the process that started them, however it ends.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from threading import Thread
from typing import TypeVar

FROM_ROWS = 200_000
"""Rows of a run from which processes pay: each takes two seconds to start."""

MOST = 4
"""Processes at most: each needs the memory of a portion, and of what it has imported."""

T = TypeVar("T")
R = TypeVar("R")


class Workers:
    """A few processes, or none."""

    def __init__(self, pool: ProcessPoolExecutor | None, count: int) -> None:
        """Use `workers`."""
        self._pool = pool
        self._ahead = count + 1

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Yield what `function` makes of items, in their order; only a few are taken ahead.

        Args:
            function: A function of a module, or a `partial` of one, as another process must find it.
            items: What can be given to another process.
        """
        if self._pool is None:
            yield from map(function, items)
            return
        under_way: deque[Future[R]] = deque()
        for item in items:
            under_way.append(self._pool.submit(function, item))
            if len(under_way) > self._ahead:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


@contextmanager
def workers(rows: int) -> Iterator[Workers]:
    """Start processes for a run of so many rows, if they pay, and end them with the block."""
    count = min(os.cpu_count() or 1, MOST)
    # A daemon, such as some executors start for a step, may not start processes.
    if rows < FROM_ROWS or count < 2 or multiprocessing.current_process().daemon:
        yield Workers(None, 0)
        return
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit locks, and connections to databases
    pool = ProcessPoolExecutor(count, mp_context=spawn, initializer=_end_with_parent)
    try:
        yield Workers(pool, count)
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Watch the process that started this one: killed, it could not end its pool, which would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
