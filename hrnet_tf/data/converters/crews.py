"""Who works ahead on the items of a conversion: threads, or other processes."""

import collections
import concurrent.futures
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import cv2
import tensorflow as tf

from hrnet_tf import processes
from hrnet_tf.data.converters.encoder import Encoded, Orientations, RecordEncoder

Item = TypeVar("Item")
Result = TypeVar("Result")

# What is read while one item is waited for, for each of those who read.
_AHEAD = 4


class Crew(Generic[Item]):
    """Yields items in their order, with results that may still be on their way."""

    def __init__(self, size: int, submit: Callable[..., concurrent.futures.Future]):
        """`submit` takes an item and the name of a method of the encoder."""
        self._ahead = _AHEAD * size
        self._submit = submit

    def orientations(
        self, items: Iterable[Item]
    ) -> Iterator[tuple[Item, concurrent.futures.Future[Orientations]]]:
        """What the encoder's `orientations` returns."""
        return _in_order(
            items, lambda item: self._submit(item, "orientations"), self._ahead
        )

    def records(
        self, items: Iterable[Item]
    ) -> Iterator[tuple[Item, concurrent.futures.Future[Encoded]]]:
        """What the encoder's `encode` returns."""
        return _in_order(items, lambda item: self._submit(item, "encode"), self._ahead)


@contextlib.contextmanager
def make_crew(
    encoder: RecordEncoder[Item], num_processes: int = 1
) -> Iterator[Crew[Item]]:
    """Yields threads of this process, or several others.

    Raises `processes.WorkerError` if one of them was killed.
    """
    if num_processes == 1:
        with _threads() as (pool, size):
            yield Crew(size, lambda *task: pool.submit(_do, encoder, *task))
        return
    with processes.pool(
        num_processes,
        "--num_processes",
        _Worker.start,
        [encoder],
        preload=[type(encoder).__module__],
    ) as pool:
        yield Crew(num_processes, lambda *task: pool.submit(_Worker.do, *task))


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Result]
) -> Iterator[tuple[Item, concurrent.futures.Future[Result]]]:
    """Yields each item with the result of `read`, which may still be on its way.

    Threads read a few items ahead; the order stays that of `items`.
    """
    with _threads() as (pool, size):
        yield from _in_order(items, lambda i: pool.submit(read, i), _AHEAD * size)


@contextlib.contextmanager
def _threads() -> Iterator[tuple[concurrent.futures.Executor, int]]:
    size = min(os.cpu_count() or 1, 16)
    pool = concurrent.futures.ThreadPoolExecutor(size)
    try:
        yield pool, size
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    items: Iterable[Item],
    submit: Callable[[Item], concurrent.futures.Future[Result]],
    ahead: int,
) -> Iterator[tuple[Item, concurrent.futures.Future[Result]]]:
    pending: collections.deque = collections.deque()
    for item in items:
        pending.append((item, submit(item)))
        if len(pending) > ahead:
            yield pending.popleft()
    yield from pending


def _do(encoder: RecordEncoder, item: Any, method: str) -> Any:
    return getattr(encoder, method)(item)


class _Worker:
    """What a process keeps between two items."""

    encoder: RecordEncoder

    @classmethod
    def start(cls, encoder: RecordEncoder) -> None:
        """The processes themselves use all cores."""
        cls.encoder = encoder
        cv2.setNumThreads(1)
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        # Decoding needs no accelerator.
        tf.config.set_visible_devices([], "GPU")

    @classmethod
    def do(cls, item: Any, method: str) -> Any:
        return _do(cls.encoder, item, method)
