"""Loops are run in pieces, between which a signal ends them; averages are put back."""

import os
import signal
import time
from types import SimpleNamespace

import pytest
import tensorflow as tf
from official.core import base_trainer
from official.modeling import optimization

from hrnet_tf import signals
from hrnet_tf.training import trainer
from hrnet_tf.training.trainer import Trainer


@pytest.fixture
def stub(monkeypatch) -> Trainer:
    """A trainer without model and data."""
    stub = object.__new__(Trainer)
    stub._strategy = tf.distribute.get_strategy()
    stub._piece = None
    stub._config = SimpleNamespace(runtime=SimpleNamespace(num_gpus=0))
    return stub


def test_a_loop_is_run_in_growing_pieces(stub):
    pieces = []
    run = stub._in_pieces(lambda iterator, steps: pieces.append(int(steps)))
    run(None, tf.constant(20))
    run(None, tf.constant(40))
    assert pieces == [1, 2, 4, 8, 5, 10, 20, 10]


def test_slow_pieces_shrink(monkeypatch):
    assert [trainer._next_piece(8, seconds) for seconds in (0.1, 1, 5)] == [16, 8, 4]
    assert trainer._next_piece(1, 100.0) == 1


def test_a_signal_ends_a_loop_between_two_pieces(stub):
    done = []

    def loop(iterator, steps):
        done.append(int(steps))
        if len(done) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)

    with signals.heeded(), signals.held():
        stub._in_pieces(loop)(None, tf.constant(1000))
    assert done == [1, 2, 4]


def test_a_signal_while_compiling_ends_it(stub):
    def loop(iterator, steps):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    with pytest.raises(signals.Stopped), signals.heeded(), signals.held():
        stub._in_pieces(loop)(None, tf.constant(1000))


@pytest.mark.parametrize("moment", ["loop", "scoring"])
def test_averages_are_taken_out_of_an_evaluation_that_ends(moment, stub, monkeypatch):
    swaps = []

    class Averages(optimization.ExponentialMovingAverage):
        def __init__(self):
            pass

        def swap_weights(self):
            swaps.append(True)

    def interrupted(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    def evaluate(self, num_steps):
        self.optimizer.swap_weights()
        loop = interrupted if moment == "loop" else lambda: None
        self._interruptible(loop)()
        self.task.reduce_aggregated_logs({})

    monkeypatch.setattr(base_trainer.Trainer, "evaluate", evaluate)
    stub._optimizer = Averages()
    stub._task = SimpleNamespace(reduce_aggregated_logs=interrupted)
    with pytest.raises(signals.Stopped), signals.heeded(), signals.held():
        stub.evaluate(tf.constant(-1))
    assert len(swaps) == 2
    assert stub._task.reduce_aggregated_logs is interrupted
