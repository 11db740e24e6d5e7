"""Loops are run in pieces, between which a signal ends them; averages are put back."""

import logging
import os
import signal
import time
from types import SimpleNamespace

import orbit
import pytest
import tensorflow as tf
import tf_keras
from official.core import base_trainer, train_lib
from official.core import config_definitions as cfg
from official.modeling import optimization

from hrnet_tf import signals
from hrnet_tf.training import run_lock, trainer
from hrnet_tf.training.trainer import Trainer
from hrnet_tf.weights import whole_checkpoints


@pytest.fixture
def stub(monkeypatch) -> Trainer:
    """A trainer without model and data."""
    stub = object.__new__(Trainer)
    stub._strategy = tf.distribute.get_strategy()
    stub._piece = None
    stub.check_kept = lambda: None
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
            while not signals.received():
                time.sleep(0.01)

    with signals.heeded(), signals.held():
        stub._in_pieces(loop)(None, tf.constant(1000))
    assert done == [1, 2, 4]


def test_a_loop_without_steps_reports_nothing(stub):
    def loop(iterator, steps):
        pytest.fail("it was asked to stop before")

    with signals.heeded(), signals.held():
        os.kill(os.getpid(), signal.SIGTERM)
        while not signals.received():
            time.sleep(0.01)
        with pytest.raises(signals.Stopped):
            stub._in_pieces(loop)(None, tf.constant(1000))


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


def lost():
    raise run_lock.LostError("the folder is gone")


def test_a_moved_run_neither_reports_nor_saves(stub, monkeypatch):
    monkeypatch.setattr(base_trainer.Trainer, "evaluate", lambda self, steps: {})
    stub._optimizer = None
    stub._task = SimpleNamespace(reduce_aggregated_logs=lambda logs: {})
    assert stub.evaluate(tf.constant(-1)) == {}
    stub.check_kept = lost
    with pytest.raises(run_lock.LostError):
        stub.evaluate(tf.constant(-1))
    controller = object.__new__(trainer._Controller)
    controller.strategy, controller.trainer = stub.strategy, stub
    with pytest.raises(run_lock.LostError), signals.heeded():
        controller._maybe_save_checkpoint()


@pytest.fixture
def runner(tmp_path, monkeypatch) -> trainer.Runner:
    """A runner whose training is stopped at step 4; it began at step 2."""
    step = tf.Variable(4, dtype=tf.int64)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(global_step=step),
        str(tmp_path / "run"),
        max_to_keep=2,
        checkpoint_interval=100,
        step_counter=step,
    )
    runner = object.__new__(trainer.Runner)
    runner._mode = "train"
    runner._first_step = 2
    runner._checkpoint_manager = manager
    runner.strategy = tf.distribute.get_strategy()
    runner._trainer = SimpleNamespace(
        global_step=step,
        train_loss=tf_keras.metrics.Mean(),
        check_kept=lambda: None,
    )
    runner._trainer.train_loss.update_state(1.0)
    runner._controller = SimpleNamespace(
        checkpoint_manager=manager, global_step=step, _checkpoint_options=None
    )

    def stop(self):
        raise signals.Stopped(signal.SIGTERM)

    monkeypatch.setattr(train_lib.OrbitExperimentRunner, "run", stop)
    return runner


def test_what_was_trained_is_saved(runner, tmp_path, log, caplog):
    caplog.set_level(logging.INFO, "hrnet_tf")
    with pytest.raises(signals.Stopped):
        runner.run()
    newest = whole_checkpoints.newest(str(tmp_path / "run"))
    assert newest == str(tmp_path / "run/ckpt-4")
    assert f"Saved {newest}; the same command goes on from there." in log()


@pytest.mark.parametrize("what", ["no step", "no number"])
def test_what_is_of_no_use_is_not_saved(what, runner, tmp_path):
    if what == "no step":
        runner._first_step = 4
    else:
        runner.trainer.train_loss.update_state(float("nan"))
    with pytest.raises(signals.Stopped):
        runner.run()
    assert whole_checkpoints.survey(str(tmp_path / "run")).newest is None


def test_a_moved_run_that_is_stopped_saves_nothing(runner, tmp_path, log):
    runner.trainer.check_kept = lost
    with pytest.raises(run_lock.LostError):
        runner.run()
    assert not (tmp_path / "run").exists() and "Saved" not in log()


def test_a_save_that_is_not_whole_is_not_told_as_one(
    runner, tmp_path, log, monkeypatch
):
    save = orbit.Controller._maybe_save_checkpoint

    def damage(*args, **kwargs):
        save(*args, **kwargs)
        next((tmp_path / "run").glob("*.data-*")).write_text("")

    monkeypatch.setattr(orbit.Controller, "_maybe_save_checkpoint", damage)
    with pytest.raises(whole_checkpoints.DamagedCheckpointError, match="not whole"):
        runner.run()
    assert "Saved" not in log()


def test_continuous_evaluation_passes_over_what_was_deleted(
    runner, monkeypatch, log, caplog
):
    caplog.set_level(logging.INFO, "hrnet_tf")
    evaluated = []

    def restore(path):
        if path == "ckpt-2":
            raise whole_checkpoints.DamagedCheckpointError("gone")

    monkeypatch.setattr(trainer, "_new_checkpoints", lambda *_: ["ckpt-2", "ckpt-4"])
    runner._mode = "continuous_eval"
    runner._params = cfg.ExperimentConfig()
    runner._model_dir = "run"
    runner.trainer.checkpoint = SimpleNamespace(restore=restore)
    runner.controller.evaluate = evaluated.append
    runner.run()
    assert len(evaluated) == 1 and "Passes over ckpt-2" in log()
