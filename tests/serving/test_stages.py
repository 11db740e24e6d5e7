"""Stages overlap, keep the order of items, and end where one of them fails."""

import gc
import threading
import time
import weakref

import pytest

from hrnet_tf.serving import stages


class Fault(Exception):
    pass


def blocks_of(count, size):
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def run(count, read=None, look=None, write=None, is_large=None, block_size=1):
    """Stages for single items; `look` is called with each of a block."""
    look = look or (lambda item, contents: contents * 2)
    return stages.in_stages(
        blocks_of(count, block_size),
        lambda item: 1.0 if is_large and is_large(item) else 0.1,
        read or (lambda item: item + 100),
        lambda group, contents: [look(*p) for p in zip(group, contents, strict=True)],
        write or (lambda item, found: (item, found)),
        Fault,
        block_size,
    )


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7, 30])
@pytest.mark.parametrize("large", [(), (0,), (3, 4), range(30)])
@pytest.mark.parametrize("block_size", [1, 4])
def test_results_are_in_order(count, large, block_size):
    def read(item):
        time.sleep(0.002 * (item % 3))
        return item + 100

    def write(item, found):
        time.sleep(0.002 * (item % 2))
        return item, found

    results = run(count, read, None, write, lambda item: item in large, block_size)
    assert list(results) == [(item, 2 * (item + 100)) for item in range(count)]


def test_the_next_is_read_and_the_last_written_meanwhile():
    read_next, may_write = threading.Event(), threading.Event()

    def read(item):
        if item == 1:
            read_next.set()

    def look(item, contents):
        if item == 0:
            assert read_next.wait(10)
        if item == 1:
            may_write.set()

    def write(item, found):
        if item == 0:
            assert may_write.wait(10)

    assert list(run(3, read, look, write)) == [None] * 3


def groups_of(blocks, weight):
    groups = []

    def look(group, contents):
        groups.append(group)
        return contents

    size = max(map(len, blocks))
    results = stages.in_stages(blocks, weight, int, look, lambda *_: None, Fault, size)
    assert list(results) == [None] * sum(map(len, blocks))
    return groups


def test_items_of_a_block_are_looked_at_together_up_to_a_weight():
    assert groups_of(blocks_of(7, 3), lambda _: 0.0) == [[0, 1, 2], [3, 4, 5], [6]]
    assert groups_of([range(5)], lambda _: 0.4) == [[0, 1], [2, 3], [4]]
    large = groups_of([range(5)], lambda item: 1.5 if item == 2 else 0.3)
    assert large == [[0, 1], [2], [3, 4]]
    # What one block leaves free is not for the next.
    assert groups_of([[0, 1, 2], [3], [4, 5]], lambda _: 0.4) == [
        *([0, 1], [2]),
        *([3], [4, 5]),
    ]


def test_a_fault_takes_none_of_its_group_with_it():
    groups = []

    def look(group, contents):
        groups.append(group)
        if 5 in group:
            raise Fault("no")
        return contents

    def read(item):
        if item == 1:
            raise Fault("unreadable")
        return item

    results = list(
        stages.in_stages(
            blocks_of(8, 4), lambda item: 0.0, read, look, lambda *_: _, Fault, 4
        )
    )
    assert [n for n, r in enumerate(results) if isinstance(r, Fault)] == [1, 5]
    assert results[2] == (2, 2) and results[6] == (6, 6)
    assert groups == [[0, 2, 3], [4, 5, 6, 7], [4], [5], [6], [7]]


@pytest.mark.parametrize("stage", ["read", "look", "write"])
def test_a_fault_is_the_result_of_its_item(stage):
    calls = []

    def fail(item, *more):
        calls.append(item)
        if item == 2:
            raise Fault("no")
        return item

    results = list(run(5, **{stage: fail}))
    assert isinstance(results[2], Fault)
    assert not any(isinstance(r, Exception) for r in results[:2] + results[3:])
    assert sorted(calls) == list(range(5))


@pytest.mark.parametrize("stage", ["read", "look", "write"])
def test_other_errors_come_when_it_is_their_turn(stage):
    def fail(item, *more):
        if item == 2:
            raise OSError("The disk is full.")
        return item

    results = run(9, **{stage: fail})
    # What was looked at before is not lost, unless the error is met while looking.
    found = [next(results)] if stage == "write" else []
    with pytest.raises(OSError, match="disk is full"):
        found.extend(results)
    assert threading.active_count() < 50


def test_few_are_in_memory_and_a_large_one_alone():
    lock = threading.Lock()
    held, most, beside = set(), 0, {}

    def read(item):
        nonlocal most
        with lock:
            held.add(item)
            most = max(most, len(held))
            beside[item] = set(held)
        return item

    def write(item, found):
        with lock:
            held.discard(item)

    list(run(40, read, lambda i, c: c, write, is_large=lambda item: item % 10 == 5))
    assert most <= 10
    assert all(beside[item] == {item} for item in (5, 15, 25, 35))


class Content:
    """What can be seen to be in memory."""


def left_of(contents):
    """How many are in memory, once threads have let go of what they worked on."""
    end = time.monotonic() + 2
    while len(contents) and time.monotonic() < end:
        gc.collect()
        time.sleep(0.01)
    return len(contents)


@pytest.mark.parametrize("block_size", [1, 4])
def test_what_was_written_is_not_in_memory_any_more(block_size):
    contents, beside = weakref.WeakSet(), {}
    large = (6, 7, 13)

    def read(item):
        if item in large:
            beside[item] = left_of(contents)
        content = Content()
        contents.add(content)
        return content

    results = run(
        15,
        read,
        lambda item, content: content,
        lambda item, content: item,
        lambda item: item in large,
        block_size,
    )
    assert list(results) == list(range(15))
    assert beside == dict.fromkeys(large, 0)


@pytest.mark.parametrize("stage", ["look", "write"])
@pytest.mark.parametrize("is_large", [False, True])
def test_faults_that_are_kept_keep_no_content(stage, is_large):
    contents = weakref.WeakSet()

    def read(item):
        content = Content()
        contents.add(content)
        return content

    def fail(item, content):
        try:
            raise MemoryError
        except MemoryError as error:
            raise Fault(f"{item} failed") from error

    stages = {"look": lambda item, content: content, stage: fail}
    faults = list(run(5, read, **stages, is_large=lambda _: is_large, block_size=2))
    assert list(map(str, faults)) == [f"{item} failed" for item in range(5)]
    assert left_of(contents) == 0


def test_nothing_goes_on_when_nobody_asks_any_more():
    read = []
    results = run(100, read=lambda item: read.append(item), look=lambda i, c: c)
    next(results)
    results.close()
    seen = len(read)
    time.sleep(0.05)
    assert len(read) == seen < 20
