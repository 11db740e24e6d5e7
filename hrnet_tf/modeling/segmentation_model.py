"""The Garden's segmentation model with the auxiliary output of OCR."""

import tensorflow as tf
import tf_keras
from official.vision.configs import semantic_segmentation
from official.vision.modeling import factory, segmentation_model

AUXILIARY = "auxiliary_logits"


@tf_keras.utils.register_keras_serializable(package="hrnet_tf")
class SegmentationModel(segmentation_model.SegmentationModel):
    """Backbone, decoder and head; also returns a decoder's auxiliary logits."""

    def call(
        self, inputs: tf.Tensor, training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Maps normalised images [B, H, W, 3] to `logits` [B, H/4, W/4, classes].

        If the decoder makes them, there are `auxiliary_logits` of the same shape, too.
        """
        features = self.backbone(inputs, training=training)
        decoded = self.decoder(features, training=training)
        outputs = {"logits": self.head((features, decoded), training=training)}
        if AUXILIARY in decoded:
            outputs[AUXILIARY] = decoded[AUXILIARY]
        return outputs


def build_segmentation_model(
    config: semantic_segmentation.SemanticSegmentationModel,
    regularizer: tf_keras.regularizers.Regularizer | None = None,
) -> SegmentationModel:
    """Builds the model with the Garden's factory, for a given number of classes."""
    input_size = list(config.input_size)
    stock = factory.build_segmentation_model(
        tf_keras.layers.InputSpec(shape=[None, *input_size]), config, regularizer
    )
    model = SegmentationModel(stock.backbone, stock.decoder, stock.head)
    model(tf_keras.Input(input_size))
    return model
