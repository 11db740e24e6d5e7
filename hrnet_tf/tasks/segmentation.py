"""The segmentation task: the Garden's, with our model, data, losses and evaluation."""

import functools
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import task_factory
from official.vision.tasks import semantic_segmentation

from hrnet_tf import visualization
from hrnet_tf.configs import segmentation as segmentation_config
from hrnet_tf.data.inputs.normalization import normalize_image
from hrnet_tf.data.inputs.segmentation import SegmentationInput
from hrnet_tf.data.vocabularies.label_sets import load_label_set
from hrnet_tf.evaluation.report import Report
from hrnet_tf.evaluation.segmentation import SegmentationEvaluator, format_table
from hrnet_tf.losses.segmentation import segmentation_loss
from hrnet_tf.losses.weight_decay import weight_decay
from hrnet_tf.modeling.high_resolution_module import upsample
from hrnet_tf.modeling.segmentation_model import AUXILIARY, build_segmentation_model
from hrnet_tf.ops.interpolation import resize_part
from hrnet_tf.tasks.evaluation import (
    PICTURE_SIZE,
    VALIDATION_LOSS,
    EvaluatedTask,
    Evaluation,
    StepOutputs,
)
from hrnet_tf.tasks.segmentation_prediction import (
    describe_protocol,
    predict_and_count,
    predict_image,
    unpadded,
)


@task_factory.register_task_cls(segmentation_config.SegmentationTask)
class SegmentationTask(
    EvaluatedTask[SegmentationEvaluator], semantic_segmentation.SemanticSegmentationTask
):
    """Trains and evaluates a `SegmentationModel`."""

    def __init__(
        self,
        params: segmentation_config.SegmentationTask,
        logging_dir: str | None = None,
        name: str | None = None,
    ):
        self.label_set = load_label_set(params.label_set)
        # In the configuration, 0 stands for as many classes as the label set has.
        params = params.replace(model={"num_classes": self.label_set.num_classes})
        super().__init__(params, logging_dir, name)

    @property
    def protocol(self) -> str:
        """How images are predicted; mIoU depends on it."""
        return describe_protocol(self.task_config.evaluation)

    def build_model(self) -> tf_keras.Model:
        decay = weight_decay(self.task_config.losses.l2_weight_decay)
        return build_segmentation_model(self.task_config.model, decay)

    def build_inputs(
        self,
        params: segmentation_config.SegmentationData,
        input_context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        return self.read(params).dataset(input_context)

    def read_record(
        self, data: segmentation_config.SegmentationData, serialized: tf.Tensor
    ) -> Any:
        return self.read(data).decode(serialized)

    def read(self, data: segmentation_config.SegmentationData) -> SegmentationInput:
        """The input pipeline of some data."""
        return SegmentationInput(
            data,
            self.task_config.resizing,
            self.label_set,
            self.task_config.drop_background,
            self.task_config.losses.ignore_label,
        )

    def prepare(
        self, inputs: tuple[tf.Tensor, dict[str, tf.Tensor]]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        images, labels = inputs
        return normalize_image(images), labels

    def build_losses(
        self,
        labels: dict[str, tf.Tensor],
        model_outputs: dict[str, tf.Tensor],
        aux_losses: Any = None,
    ) -> tf.Tensor:
        """The configured losses at the size of the labels, plus regularisation."""
        config, masks = self.task_config.losses, labels["masks"]
        logits = {
            name: self.resize_logits(values, masks.shape[1:3])
            for name, values in model_outputs.items()
        }
        loss = segmentation_loss(logits["logits"], logits.get(AUXILIARY), masks, config)
        return tf.add_n([config.loss_weight * loss, *(aux_losses or [])])

    def resize_logits(
        self, logits: tf.Tensor, size: Any, part: Sequence[tf.Tensor] | None = None
    ) -> tf.Tensor:
        """Resizes [B, h, w, C] to `size`, as the decoder resizes branches; float32.

        Or to a `part` of `size`, see `resize_part`.
        """
        decoder = self.task_config.model.decoder.get()
        method = getattr(decoder, "upsampling", "bilinear")
        logits = tf.cast(logits, tf.float32)
        if part is None:
            return upsample(logits, 1, method, size)
        aligns = method == "bilinear_align_corners"
        return resize_part(logits, logits.shape[1:3], part, size, aligns)

    def build_evaluator(self) -> SegmentationEvaluator:
        return SegmentationEvaluator(self.label_set.classes)

    def report(self) -> Report:
        data = str(self.task_config.validation_data.input_path)
        table = functools.partial(
            format_table, classes=self.label_set.classes, protocol=self.protocol
        )
        return Report(data, table, {"protocol": self.protocol, "data": data})

    def validation_step(
        self,
        inputs: tuple[tf.Tensor, dict[str, tf.Tensor]],
        model: tf_keras.Model,
        metrics: Any = None,
    ) -> dict[str, tf.Tensor]:
        """Predicts and counts one batch of images as stored.

        Returns:
            images uint8 [B, H, W, 3], masks uint8 [B, H, W], sizes int32 [B, 2], and
            what `predict_and_count` returns.
        """
        del metrics
        images, labels = inputs
        sizes = tf.cast(labels["image_info"][:, 0], tf.int32)
        masks = labels["masks"][..., 0]
        counts = predict_and_count(
            functools.partial(self.predict_image, model),
            images,
            masks,
            sizes,
            self.label_set.num_classes,
            self.task_config.losses.ignore_label,
        )
        return {"images": images, "masks": masks, "sizes": sizes, **counts}

    def predict_image(
        self,
        model: tf_keras.Model,
        image: tf.Tensor,
        part: Sequence[tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Scores [H, W, C] of an image uint8 [H, W, 3], see `predict_log_scores`."""
        return predict_image(
            lambda images: self.inference_step(images, model)["logits"],
            image,
            self.task_config.resizing,
            self.task_config.evaluation,
            self.label_set.flip_permutation,
            self.resize_logits,
            part,
        )

    def add_step(self, evaluation: Evaluation, outputs: StepOutputs) -> int:
        """Hands the counts of a batch to the evaluator; keeps the first images."""
        for confusion, loss_sum in zip(
            outputs["confusion"], outputs["loss_sum"], strict=True
        ):
            self._evaluator.update(confusion.numpy())
            evaluation.loss_sum += float(loss_sum)
        missing = self.task_config.evaluation.num_pictures - len(evaluation.examples)
        if missing > 0:
            evaluation.examples += itertools.islice(unpadded(outputs), missing)
        return sum(np.count_nonzero(np.all(part, -1)) for part in outputs["sizes"])

    def score(self, evaluation: Evaluation) -> dict[str, float]:
        """Adds the mean loss of all labelled pixels."""
        num_pixels = max(self._evaluator.confusion.sum(), 1)
        metrics = super().score(evaluation)
        return {**metrics, VALIDATION_LOSS: evaluation.loss_sum / num_pixels}

    def draw(self) -> dict[str, np.ndarray]:
        return {"confusion": self._evaluator.picture()}

    def compare(self, evaluation: Evaluation, count: int) -> Iterable[np.ndarray]:
        """Draws predicted and labelled classes of the images that were kept."""
        for image, predicted, mask in evaluation.examples:
            yield visualization.compare_labels(
                image, predicted, mask, self.label_set, cell_size=PICTURE_SIZE
            )
