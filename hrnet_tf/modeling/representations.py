"""HRNet's representations (paper section 3.3) as Model Garden decoders.

A decoder takes the backbone's endpoints, a dict {level: [B, H/2^level, W/2^level, C]},
and returns a dict of the same kind.
"""

from collections.abc import Mapping

import tensorflow as tf
import tf_keras
from official.modeling import hyperparams
from official.vision.modeling.decoders import factory


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class HRNetV1(tf_keras.layers.Layer):
    """HRNetV1: the highest-resolution branch alone, everything else dropped."""

    def call(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns {'2': [B, H/4, W/4, C]}."""
        return {"2": inputs["2"]}


@factory.register_decoder_builder("hrnetv1")
def build_hrnetv1(
    input_specs: Mapping[str, tf.TensorShape],
    model_config: hyperparams.Config,
    l2_regularizer: tf_keras.regularizers.Regularizer | None = None,
) -> HRNetV1:
    """Builds the decoder for `decoder: {type: hrnetv1}`.

    Raises:
        ValueError: If the backbone has no level 2.
    """
    del model_config, l2_regularizer
    if "2" not in input_specs:
        raise ValueError(
            "The hrnetv1 decoder needs a backbone with a level-2 endpoint; got levels "
            f"{', '.join(sorted(input_specs))}."
        )
    return HRNetV1(name="hrnetv1")
