"""Runs that can be repeated: one seed for all that is drawn."""

import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg

from hrnet_tf.training import checkpoints

# NumPy's seeds are below.
_SEEDS = 2**32


def prepare(trainer: cfg.TrainerConfig, latest: str | None) -> None:
    """Seeds weights, the order of data and its augmentation, if `trainer.seed` is set.

    Before anything is built. `latest` is the checkpoint that a training goes on from:
    it then draws other numbers than at its start, or it would see the same images.
    With `trainer.deterministic`, operations of this process are repeatable to the bit
    from now on.
    """
    # Experiments of the Garden have neither.
    seed = getattr(trainer, "seed", None)
    if seed is None:
        return
    step = checkpoints.saved_step(latest) if latest else 0
    tf_keras.utils.set_random_seed((seed + step) % _SEEDS)
    if getattr(trainer, "deterministic", False):
        tf.config.experimental.enable_op_determinism()
