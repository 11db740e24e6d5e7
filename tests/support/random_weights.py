"""Weights at random for layers whose answers are compared."""

import numpy as np
import tf_keras


def randomise(layer: tf_keras.layers.Layer, seed: int = 0) -> None:
    """Gives every weight, moving statistics too, a value of its own, variances > 0."""
    generator = np.random.default_rng(seed)
    for weight in layer.weights:
        values = generator.normal(scale=0.5, size=weight.shape)
        weight.assign(abs(values) + 0.1 if "variance" in weight.name else values)
