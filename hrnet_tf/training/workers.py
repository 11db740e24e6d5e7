"""What several workers of one run agree on: where they begin, and when they stop."""

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator

import tensorflow as tf

from hrnet_tf import signals
from hrnet_tf.input_files import names_in
from hrnet_tf.weights import whole_checkpoints


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


def stop_signal(strategy: tf.distribute.Strategy) -> int | None:
    """The signal that a worker has received, if any: all get the same answer.

    All workers must ask at the same step.
    """
    received = signals.received()
    if not are_several(strategy):
        return received
    own = tf.constant(1.0 if received else 0.0)
    asked = strategy.reduce(
        tf.distribute.ReduceOp.SUM, strategy.run(lambda: tf.identity(own)), axis=None
    )
    return (received or signal.SIGTERM) if asked.numpy() > 0 else None
