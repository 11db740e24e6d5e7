"""The segmentation task: the Garden's, with our model, data, losses and evaluation."""

import os
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import task_factory
from official.vision.tasks import semantic_segmentation

from hrnet_tf import visualization
from hrnet_tf.configs import segmentation as segmentation_config
from hrnet_tf.data.inputs.segmentation import SegmentationInput
from hrnet_tf.data.vocabularies.label_sets import load_label_set
from hrnet_tf.evaluation.segmentation import SegmentationEvaluator
from hrnet_tf.losses.segmentation import class_weight_scale, ohem_cross_entropy
from hrnet_tf.modeling.high_resolution_module import upsample
from hrnet_tf.modeling.segmentation_model import AUXILIARY, build_segmentation_model
from hrnet_tf.ops import dense_prediction
from hrnet_tf.progress import Progress
from hrnet_tf.tasks.segmentation_prediction import describe_protocol, predict_image
from hrnet_tf.weights import restoring

# Height and width of a picture of predictions: small images are enlarged to it.
_PICTURE_SIZE = (360, 480)


@task_factory.register_task_cls(segmentation_config.SegmentationTask)
class SegmentationTask(semantic_segmentation.SemanticSegmentationTask):
    """Trains and evaluates a `SegmentationModel`."""

    def __init__(
        self,
        params: segmentation_config.SegmentationTask,
        logging_dir: str | None = None,
        name: str | None = None,
    ):
        super().__init__(params, logging_dir, name)
        self.label_set = load_label_set(params.label_set)
        self._evaluator = SegmentationEvaluator(self.label_set.classes)

    @property
    def protocol(self) -> str:
        """How images are predicted; belongs beside every mIoU."""
        return describe_protocol(self.task_config.evaluation)

    def build_model(self) -> tf_keras.Model:
        decay = self.task_config.losses.l2_weight_decay
        return build_segmentation_model(
            self.task_config.model.replace(num_classes=self.label_set.num_classes),
            # Keras's l2(x) is x * w^2; torch's weight decay d is the gradient of
            # d / 2 * w^2.
            tf_keras.regularizers.l2(decay / 2) if decay else None,
        )

    def initialize(self, model: tf_keras.Model) -> None:
        """Loads `init_checkpoint`, or modules of it; all or nothing of each."""
        if path := self.task_config.init_checkpoint:
            modules = self.task_config.init_checkpoint_modules
            restoring.load_modules(model, path, modules)

    def build_inputs(
        self,
        params: segmentation_config.SegmentationData,
        input_context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        return self.read(params).dataset(input_context)

    def read(self, data: segmentation_config.SegmentationData) -> SegmentationInput:
        """The input pipeline of some data."""
        return SegmentationInput(
            data,
            self.task_config.resizing,
            self.label_set,
            self.task_config.drop_background,
            self.task_config.losses.ignore_label,
        )

    def build_losses(
        self,
        labels: dict[str, tf.Tensor],
        model_outputs: dict[str, tf.Tensor],
        aux_losses: Any = None,
    ) -> tf.Tensor:
        """Cross-entropy, that of hard pixels with OHEM, and the auxiliary one of OCR.

        With OHEM too, the auxiliary loss is that of all pixels, as officially.
        """
        config = self.task_config.losses
        logits = self._enlarge(model_outputs["logits"], labels)
        if config.ohem:
            loss = ohem_cross_entropy(
                logits,
                labels["masks"],
                config.class_weights,
                config.ignore_label,
                config.ohem_threshold,
                config.ohem_min_kept,
            )
        else:
            loss = self._cross_entropy(logits, labels)
        if AUXILIARY in model_outputs:
            auxiliary_logits = self._enlarge(model_outputs[AUXILIARY], labels)
            auxiliary_loss = self._cross_entropy(auxiliary_logits, labels)
            loss += config.auxiliary_weight * auxiliary_loss
        return tf.add_n([config.loss_weight * loss, *(aux_losses or [])])

    def _cross_entropy(
        self, logits: tf.Tensor, labels: dict[str, tf.Tensor]
    ) -> tf.Tensor:
        config = self.task_config.losses
        # The Garden's method applies the factor, and would add regularisation twice.
        loss = super().build_losses(labels, {"logits": logits}) / config.loss_weight
        if config.class_weights:
            loss *= class_weight_scale(
                labels["masks"], config.class_weights, config.ignore_label
            )
        return loss

    def _enlarge(self, logits: tf.Tensor, labels: dict[str, tf.Tensor]) -> tf.Tensor:
        return self.resize_logits(logits, labels["masks"].shape[1:3])

    def resize_logits(self, logits: tf.Tensor, size: Any) -> tf.Tensor:
        """Brings logits [B, h, w, C] to (height, width), float32.

        In the way in which the decoder enlarges its branches.
        """
        decoder = self.task_config.model.decoder.get()
        method = getattr(decoder, "upsampling", "bilinear")
        return upsample(tf.cast(logits, tf.float32), 1, method, size)

    def build_metrics(self, training: bool = True) -> list[tf_keras.metrics.Metric]:
        """The Garden's in training; an evaluation is counted by the evaluator."""
        if training:
            config = self.task_config.model
            # The Garden's metric is as wide as the configuration says.
            config.num_classes = self.label_set.num_classes
            return super().build_metrics(training)
        return []

    def validation_step(
        self,
        inputs: tuple[tf.Tensor, dict[str, tf.Tensor]],
        model: tf_keras.Model,
        metrics: Any = None,
    ) -> dict[str, tf.Tensor]:
        """Predicts and counts one batch of images as stored.

        Returns:
            images uint8 [B, H, W, 3], masks uint8 and predicted uint8 [B, H, W],
            sizes int32 [B, 2], confusion int64 [C, C], and the sum of all pixels'
            cross-entropies, `loss_sum`.
        """
        del metrics
        images, labels = inputs
        sizes = tf.cast(labels["image_info"][:, 0], tf.int32)
        masks = labels["masks"][..., 0]

        def predict(arguments):
            image, mask, size = arguments
            # What fills the last batch has no size: one pixel, which is ignored.
            height, width = tf.unstack(tf.maximum(size, 1))
            mask = mask[:height, :width]
            log_scores = self.predict_image(model, image[:height, :width])
            predicted = tf.argmax(log_scores, axis=-1, output_type=tf.int32)
            around = [[0, tf.shape(image)[0] - height], [0, tf.shape(image)[1] - width]]
            return (
                tf.pad(tf.cast(predicted, tf.uint8), around),
                dense_prediction.confusion_matrix(
                    mask,
                    predicted,
                    self.label_set.num_classes,
                    self.task_config.losses.ignore_label,
                ),
                self._loss_sum(log_scores, mask),
            )

        num_classes = self.label_set.num_classes
        # One by one: images differ in size, and their scores are large.
        predicted, confusion, loss_sums = tf.map_fn(
            predict,
            (images, masks, sizes),
            fn_output_signature=(
                tf.TensorSpec([None, None], tf.uint8),
                tf.TensorSpec([num_classes, num_classes], tf.int64),
                tf.TensorSpec([], tf.float32),
            ),
            parallel_iterations=1,
        )
        return {
            "images": images,
            "masks": masks,
            "predicted": predicted,
            "sizes": sizes,
            "confusion": tf.reduce_sum(confusion, axis=0),
            "loss_sum": tf.reduce_sum(loss_sums),
        }

    def predict_image(self, model: tf_keras.Model, image: tf.Tensor) -> tf.Tensor:
        """Scores [H, W, C] of an image uint8 [H, W, 3], see `predict_log_scores`."""
        return predict_image(
            lambda images: self.inference_step(images, model)["logits"],
            image,
            self.task_config.resizing,
            self.task_config.evaluation,
            self.label_set.flip_permutation,
            self.resize_logits,
        )

    def _loss_sum(self, log_scores: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        mask = tf.cast(mask, tf.int32)
        labelled = mask != self.task_config.losses.ignore_label
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.where(labelled, mask, 0), log_scores
        )
        return tf.reduce_sum(tf.where(labelled, losses, 0.0))

    def aggregate_logs(
        self, state: dict[str, Any] | None = None, step_outputs: Any = None
    ) -> dict[str, Any]:
        """Hands the counts of a batch to the evaluator; keeps the first images."""
        if state is None:
            self._evaluator.reset()
            progress = Progress(None, "Evaluating").__enter__()
            state = {"pictures": [], "loss_sum": 0.0, "progress": progress}
        # Every value is a tuple with one tensor per replica.
        for confusion, loss_sum in zip(
            step_outputs["confusion"], step_outputs["loss_sum"], strict=True
        ):
            self._evaluator.update(confusion.numpy())
            state["loss_sum"] += float(loss_sum)
        sizes = np.concatenate([part.numpy() for part in step_outputs["sizes"]])
        state["progress"].advance(np.count_nonzero(sizes.all(axis=-1)))
        if len(state["pictures"]) < self.task_config.evaluation.num_pictures:
            self._keep_pictures(state["pictures"], step_outputs)
        return state

    def _keep_pictures(self, pictures: list[Any], outputs: dict[str, Any]) -> None:
        names = ("images", "predicted", "masks", "sizes")
        for parts in zip(*(outputs[name] for name in names), strict=True):
            for image, predicted, mask, (height, width) in zip(
                *(part.numpy() for part in parts), strict=True
            ):
                wanted = self.task_config.evaluation.num_pictures
                if height and len(pictures) < wanted:
                    box = slice(0, height), slice(0, width)
                    pictures.append((image[box], predicted[box], mask[box]))

    def reduce_aggregated_logs(
        self, aggregated_logs: dict[str, Any], global_step: tf.Tensor | None = None
    ) -> dict[str, Any]:
        """Scores all images; the chief worker writes pictures."""
        del global_step
        aggregated_logs["progress"].__exit__()
        logs: dict[str, Any] = dict(self._evaluator.evaluate())
        num_pixels = self._evaluator.confusion.sum()
        logs["validation_loss"] = aggregated_logs["loss_sum"] / max(num_pixels, 1)
        if not tf.distribute.get_strategy().extended.should_checkpoint:
            return logs
        confusion = self._evaluator.picture()
        self._write("confusion.png", confusion)
        pictures = {"image/confusion": confusion[np.newaxis]}
        if aggregated_logs["pictures"]:
            sheet = visualization.image_grid(
                [
                    visualization.compare_labels(
                        *picture, self.label_set, cell_size=_PICTURE_SIZE
                    )
                    for picture in aggregated_logs["pictures"]
                ],
                columns=2,
            )
            self._write("predictions.png", sheet)
            pictures["image/predictions"] = sheet[np.newaxis]
        if self.task_config.allow_image_summary:
            logs.update(pictures)
        return logs

    def _write(self, name: str, picture: np.ndarray) -> None:
        path = os.path.join(self.logging_dir, name)
        visualization.write_image(path, picture)
