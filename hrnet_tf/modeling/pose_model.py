"""The top-down pose model: backbone, representation and heatmap head."""

from typing import Any

import tensorflow as tf
import tf_keras
from official.modeling import hyperparams
from official.vision.modeling.backbones import factory as backbone_factory
from official.vision.modeling.decoders import factory as decoder_factory

from hrnet_tf.modeling.heads import HeatmapHead


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class PoseModel(tf_keras.Model):
    """Maps normalised person crops [B, H, W, 3] to heatmaps [B, H/4, W/4, K].

    Heatmaps are float32 whatever the precision of the layers before.
    """

    def __init__(
        self,
        backbone: tf_keras.Model,
        decoder: tf_keras.layers.Layer,
        head: tf_keras.layers.Layer,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.backbone = backbone
        self.decoder = decoder
        self.head = head

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        endpoints = self.backbone(inputs, training=training)
        return self.head(self.decoder(endpoints, training=training), training=training)

    @property
    def checkpoint_items(self) -> dict[str, Any]:
        """The parts that a checkpoint names, so that each can be loaded alone."""
        return {"backbone": self.backbone, "decoder": self.decoder, "head": self.head}

    def get_config(self) -> dict[str, Any]:
        parts = {
            name: tf_keras.saving.serialize_keras_object(part)
            for name, part in self.checkpoint_items.items()
        }
        return {"name": self.name, **parts}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "PoseModel":
        parts = {
            name: tf_keras.saving.deserialize_keras_object(part, custom_objects)
            for name, part in config.items()
            if name != "name"
        }
        return cls(name=config["name"], **parts)


def build_pose_model(
    model_config: hyperparams.Config,
    num_keypoints: int,
    l2_regularizer: tf_keras.regularizers.Regularizer | None = None,
) -> PoseModel:
    """Builds the model that a `configs.pose.PoseModel` describes.

    Raises `ValueError` if the backbone or decoder cannot be built as configured.
    """
    height, width = model_config.input_size
    input_specs = tf_keras.layers.InputSpec(shape=[None, height, width, 3])
    backbone = backbone_factory.build_backbone(
        input_specs=input_specs,
        backbone_config=model_config.backbone,
        norm_activation_config=model_config.norm_activation,
        l2_regularizer=l2_regularizer,
    )
    decoder = decoder_factory.build_decoder(
        input_specs=backbone.output_specs,
        model_config=model_config,
        l2_regularizer=l2_regularizer,
    )
    head = HeatmapHead(
        num_keypoints,
        kernel_size=model_config.head.kernel_size,
        kernel_regularizer=l2_regularizer,
        name="head",
    )
    model = PoseModel(backbone, decoder, head, name="pose_model")
    model(tf_keras.Input(shape=input_specs.shape[1:]))
    return model
