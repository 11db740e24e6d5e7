"""Weight decay as torch, and so the official code, defines it."""

import tf_keras


def weight_decay(decay: float) -> tf_keras.regularizers.Regularizer | None:
    """A penalty whose gradient is `decay` times the weight; None for no decay."""
    # The gradient of Keras's l2(x), x * w^2, is twice as large.
    return tf_keras.regularizers.l2(decay / 2) if decay else None
