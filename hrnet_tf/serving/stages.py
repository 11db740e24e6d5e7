"""Reads, looks at and writes many items side by side, and in their order.

While some items are looked at together, in the thread that asks for results, others of
them read the next items and write the last ones. A few items are in memory at once, and
a large one alone.
"""

import collections
import itertools
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Expected = TypeVar("Expected", bound=Exception)

_THREADS = 2
# How many items are read ahead, and wait to be written: at least one block.
_AHEAD = 3
_BEHIND = 3


def in_stages(
    blocks: Iterable[Sequence[Item]],
    weight: Callable[[Item], float],
    read: Callable[[Item], Any],
    look: Callable[[list[Item], list[Any]], list[Any]],
    write: Callable[[Item, Any], Result],
    expected: type[Expected],
    block_size: int = 1,
) -> Generator[Result | Expected, None, None]:
    """Yields a result for each item, in their order.

    Args:
        blocks: What to work on. Items of a block are looked at together, as far as
            their weight allows, and never with those of others.
        weight: The memory that an item takes, as a share of what is looked at together
            may take. One that takes all or more is in memory alone.
        read: The first stage. Runs in another thread.
        look: The second, with items and what `read` returned for each; returns as many
            findings. Runs in this thread. If it fails, each item is looked at alone.
        write: The third, with what `look` found. Runs in another thread.
        expected: An error of this kind, raised by any stage, is the item's result.
            Other errors are raised when their item's turn comes.
        block_size: The most items that a block has.
    """

    def attempt(stage: Callable[..., Any], *arguments: Any) -> Any:
        return _attempt(expected, stage, *arguments)

    threads = ThreadPoolExecutor(_THREADS)
    written: collections.deque[list[Future[Any]]] = collections.deque()

    def wait(groups: int) -> Iterator[Any]:
        while len(written) > groups:
            yield from (future.result() for future in written.popleft())

    def submit(stage: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return threads.submit(attempt, stage, *arguments)

    # Functions, so that nothing of an item is kept while the next ones are at work.
    def work_alone(item: Item) -> Any:
        (found,) = _look_at([item], [attempt(read, item)], look, expected)
        return attempt(write, item, found)

    def look_together(
        group: list[Item], contents: list[Future[Any]]
    ) -> list[Future[Any]]:
        read_contents = [future.result() for future in contents]
        findings = _look_at(group, read_contents, look, expected)
        pairs = zip(group, findings, strict=True)
        return [submit(write, *pair) for pair in pairs]

    groups = itertools.chain.from_iterable(
        _in_groups(block, weight) for block in blocks
    )
    ahead, behind = (math.ceil(count / block_size) for count in (_AHEAD, _BEHIND))
    try:
        for group, contents in _read_ahead(groups, read, submit, ahead):
            if contents is None:
                yield from wait(0)
                yield work_alone(group[0])
                continue
            written.append(look_together(group, contents))
            yield from wait(behind)
        yield from wait(0)
    finally:
        threads.shutdown(cancel_futures=True)


def _attempt(
    expected: type[Expected], stage: Callable[..., Any], *arguments: Any
) -> Any:
    """What a stage returns; an expected error, be it raised or an argument."""
    failed = next((a for a in arguments if isinstance(a, expected)), None)
    if failed is not None:
        return failed
    try:
        return stage(*arguments)
    except expected as error:
        # The frames that it went through would keep their images, for as long as
        # somebody keeps it.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        return error


def _look_at(
    group: list[Item],
    contents: list[Any],
    look: Callable[[list[Item], list[Any]], list[Any]],
    expected: type[Expected],
) -> list[Any]:
    """Looks at what could be read: together, or at each alone if that fails."""
    good = [n for n, read in enumerate(contents) if not isinstance(read, expected)]
    if len(good) > 1:
        together = [group[n] for n in good], [contents[n] for n in good]
        found = _attempt(expected, look, *together)
        if not isinstance(found, expected):
            every = dict(zip(good, found, strict=True))
            return [every.get(n, read) for n, read in enumerate(contents)]

    def look_alone(item: Item, read: Any) -> Any:
        return look([item], [read])[0]

    pairs = zip(group, contents, strict=True)
    return [_attempt(expected, look_alone, *pair) for pair in pairs]


def _in_groups(
    block: Sequence[Item], weight: Callable[[Item], float]
) -> Iterator[tuple[list[Item], bool]]:
    """Yields items that follow one another, and whether it is a large one alone."""
    group: list[Item] = []
    total = 0.0
    for item in block:
        more = weight(item)
        is_large = more >= 1
        if group and (is_large or total + more > 1):
            yield group, False
            group, total = [], 0.0
        if is_large:
            yield [item], True
            continue
        group.append(item)
        total += more
    if group:
        yield group, False


def _read_ahead(
    groups: Iterable[tuple[list[Item], bool]],
    read: Callable[[Item], Any],
    submit: Callable[..., Future[Any]],
    ahead: int,
) -> Iterator[tuple[list[Item], list[Future[Any]] | None]]:
    """Yields groups with what is being read of them; a large item with None."""
    waiting: collections.deque[tuple[list[Item], list[Future[Any]]]]
    waiting = collections.deque()
    for group, is_large in groups:
        if is_large:
            while waiting:
                yield waiting.popleft()
            yield group, None
            continue
        waiting.append((group, [submit(read, item) for item in group]))
        if len(waiting) > ahead:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()
