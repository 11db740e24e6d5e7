"""Reads, looks at and writes many items side by side, and in their order.

While one item is looked at, in the thread that asks for results, others of them read
the next items and write the last ones. A few items are in memory at once, and a large
one alone.
"""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Expected = TypeVar("Expected", bound=Exception)

_THREADS = 2
# How many items are read ahead, and wait to be written.
_AHEAD = 3
_BEHIND = 3


def in_stages(
    items: Iterable[Item],
    is_large: Callable[[Item], bool],
    read: Callable[[Item], Any],
    look: Callable[[Item, Any], Any],
    write: Callable[[Item, Any], Result],
    expected: type[Expected],
) -> Iterator[Result | Expected]:
    """Yields a result for each item, in their order.

    Args:
        items: What to work on.
        is_large: Whether an item shall be in memory alone.
        read: The first stage. Runs in another thread.
        look: The second, with what `read` returned. Runs in this thread.
        write: The third, with what `look` returned. Runs in another thread.
        expected: An error of this kind, raised by any stage, is the item's result.
            Other errors are raised when their item's turn comes.
    """

    def attempt(stage: Callable[..., Any], *arguments: Any) -> Any:
        failed = next((a for a in arguments if isinstance(a, expected)), None)
        if failed is not None:
            return failed
        try:
            return stage(*arguments)
        except expected as error:
            return error

    threads = ThreadPoolExecutor(_THREADS)
    written: collections.deque[Future[Any]] = collections.deque()
    try:
        for item, contents in _read_ahead(items, is_large, read, attempt, threads):
            if contents is None:
                while written:
                    yield written.popleft().result()
                found = attempt(look, item, attempt(read, item))
                yield attempt(write, item, found)
                continue
            found = attempt(look, item, contents.result())
            written.append(threads.submit(attempt, write, item, found))
            if len(written) > _BEHIND:
                yield written.popleft().result()
        while written:
            yield written.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)


def _read_ahead(
    items: Iterable[Item],
    is_large: Callable[[Item], bool],
    read: Callable[[Item], Any],
    attempt: Callable[..., Any],
    threads: ThreadPoolExecutor,
) -> Iterator[tuple[Item, Future[Any] | None]]:
    """Yields items with what is being read of them; a large one with None."""
    ahead: collections.deque[tuple[Item, Future[Any]]] = collections.deque()
    for item in items:
        if is_large(item):
            while ahead:
                yield ahead.popleft()
            yield item, None
            continue
        ahead.append((item, threads.submit(attempt, read, item)))
        if len(ahead) > _AHEAD:
            yield ahead.popleft()
    while ahead:
        yield ahead.popleft()
