"""Stages overlap, keep the order of items, and end where one of them fails."""

import threading
import time

import pytest

from hrnet_tf.serving import stages


class Fault(Exception):
    pass


def run(count, read=None, look=None, write=None, is_large=None):
    return stages.in_stages(
        range(count),
        is_large or (lambda item: False),
        read or (lambda item: item + 100),
        look or (lambda item, contents: contents * 2),
        write or (lambda item, found: (item, found)),
        Fault,
    )


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7, 30])
@pytest.mark.parametrize("large", [(), (0,), (3, 4), range(30)])
def test_results_are_in_order(count, large):
    def read(item):
        time.sleep(0.002 * (item % 3))
        return item + 100

    def write(item, found):
        time.sleep(0.002 * (item % 2))
        return item, found

    results = run(count, read, write=write, is_large=lambda item: item in large)
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


def test_nothing_goes_on_when_nobody_asks_any_more():
    read = []
    results = run(100, read=lambda item: read.append(item), look=lambda i, c: c)
    next(results)
    results.close()
    seen = len(read)
    time.sleep(0.05)
    assert len(read) == seen < 20
