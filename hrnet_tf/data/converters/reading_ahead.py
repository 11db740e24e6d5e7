"""Threads that work on the next items of a list while one is waited for."""

import collections
import concurrent.futures
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# What is read while one item is waited for, for each of those who read.
_AHEAD = 4
_MOST_THREADS = 16


def read_ahead(
    items: Iterable[Item],
    read: Callable[[Item], Result],
    num_threads: int | None = None,
) -> Iterator[tuple[Item, concurrent.futures.Future[Result]]]:
    """Yields each item with the result of `read`, which may still be on its way.

    Threads, by default as many as there are cores, read a few items ahead; the order
    stays that of `items`.
    """
    count = num_threads or min(os.cpu_count() or 1, _MOST_THREADS)
    with _threads(count) as pool:
        pending: collections.deque = collections.deque()
        for item in items:
            pending.append((item, pool.submit(read, item)))
            if len(pending) > _AHEAD * count:
                yield pending.popleft()
        yield from pending


@contextlib.contextmanager
def _threads(count: int) -> Iterator[concurrent.futures.Executor]:
    pool = concurrent.futures.ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
