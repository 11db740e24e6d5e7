"""What several workers of one run agree on: where they begin, and when they stop."""

import contextlib
import os
import re
import signal
import tempfile
from collections.abc import Iterator

import tensorflow as tf

from hrnet_tf import signals
from hrnet_tf.input_files import names_in
from hrnet_tf.messages import UserError
from hrnet_tf.weights import whole_checkpoints

# Of TensorFlow's messages: what workers do together was given up, and whom they blame.
_GIVEN_UP = re.compile(r"Collective ops is aborted|stopped sending heartbeats")
_TASK = re.compile(r"/job:(\w+)/(?:replica:0/)?task:(\d+)")


class LostWorkerError(UserError):
    """Another worker is gone: what TensorFlow holds waits for it when it is let go."""


@contextlib.contextmanager
def naming_lost(strategy: tf.distribute.Strategy, model_dir: str) -> Iterator[None]:
    """Turns TensorFlow's errors about a worker that has ended into one sentence.

    Raises:
        LostWorkerError: Where TensorFlow has found that another worker does not answer:
            at once if its process has ended, or else some ten seconds later.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if not are_several(strategy) or not _GIVEN_UP.search(error.message):
            raise
        resolver = strategy.cluster_resolver
        own = (resolver.task_type, str(resolver.task_id))
        others = [task for task in _TASK.findall(error.message) if task != own]
        who = " ".join(others[0]) if others else "of this run"
        whole = whole_checkpoints.survey(model_dir).prefix
        raise LostWorkerError(
            f"Another worker ({who}) has ended or cannot be reached, so that this one "
            "had to stop: what it printed last may say why. Start all workers again: "
            + (
                f"the same command goes on from {whole}."
                if whole
                else f"the same command begins anew, since {model_dir} has no "
                "checkpoint yet."
            )
        ) from error


@contextlib.contextmanager
def worker_dir(model_dir: str, is_chief: bool) -> Iterator[str]:
    """Yields the model directory to the chief, and a temporary copy to other workers.

    All workers must save, since they read variables together, but no two may write the
    same file. Each starts with the same latest checkpoint.
    """
    if is_chief:
        yield model_dir
        return
    with tempfile.TemporaryDirectory() as folder:
        newest = whole_checkpoints.survey(model_dir).newest
        if newest:
            for file in names_in(model_dir):
                if file.startswith(f"{newest}."):
                    copy = os.path.join(folder, file)
                    tf.io.gfile.copy(os.path.join(model_dir, file), copy)
            whole_checkpoints.write_state(folder, [newest])
        yield folder


def are_several(strategy: tf.distribute.Strategy) -> bool:
    """Whether a strategy is that of several workers."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


# TensorFlow warns of functions that are no graphs.
_identity = tf.function(tf.identity, [tf.TensorSpec([], tf.float32)])


def stop_signal(strategy: tf.distribute.Strategy) -> int | None:
    """The signal that a worker has received, if any: all get the same answer.

    All workers must ask at the same step.
    """
    received = signals.received()
    if not are_several(strategy):
        return received
    own = tf.constant(1.0 if received else 0.0)
    asked = strategy.reduce(
        tf.distribute.ReduceOp.SUM, strategy.run(_identity, [own]), axis=None
    )
    return (received or signal.SIGTERM) if asked.numpy() > 0 else None
