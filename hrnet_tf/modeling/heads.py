"""Task heads: from a representation to predictions."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras

from hrnet_tf.modeling.blocks import ConfiguredLayer


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class HeatmapHead(ConfiguredLayer):
    """One convolution from the level-2 features to a heatmap per keypoint.

    Official lib/models/pose_hrnet.py, `final_layer`: raw values, no activation. It
    runs in float32 under mixed precision, since decoding compares close values.
    """

    def __init__(
        self,
        num_keypoints: int,
        kernel_size: int = 1,
        kernel_regularizer: tf_keras.regularizers.Regularizer | None = None,
        **kwargs: Any,
    ):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_keypoints = num_keypoints
        self.kernel_size = kernel_size
        self.kernel_regularizer = tf_keras.regularizers.get(kernel_regularizer)
        self.conv = tf_keras.layers.Conv2D(
            num_keypoints,
            kernel_size,
            padding="same",
            kernel_initializer=tf_keras.initializers.RandomNormal(stddev=0.001),
            kernel_regularizer=self.kernel_regularizer,
            dtype="float32",
            name="conv",
        )

    def call(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Maps {'2': [B, h, w, C]} to float32 heatmaps [B, h, w, num_keypoints]."""
        return self.conv(tf.cast(inputs["2"], tf.float32))
