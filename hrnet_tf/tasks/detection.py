"""The detection tasks: the Garden's, with our evaluation and pictures."""

import os
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg
from official.core import input_reader, task_factory
from official.vision.tasks import maskrcnn, retinanet

from hrnet_tf import visualization
from hrnet_tf.configs import detection as detection_config
from hrnet_tf.data.inputs import batching
from hrnet_tf.data.inputs.normalization import denormalize_image
from hrnet_tf.data.records.instances import check_records
from hrnet_tf.evaluation.coco_instances import COCOInstanceEvaluator
from hrnet_tf.ops.boxes import to_image_boxes
from hrnet_tf.progress import Progress
from hrnet_tf.weights import restoring

# The id of what fills an evaluation's last batches.
PADDING_ID = -1

_PICTURE_SIZE = (360, 480)


class DetectionTask:
    """What the two tasks have in common, in front of the Garden's classes."""

    @property
    def has_masks(self) -> bool:
        """Whether the model predicts masks."""
        return getattr(self.task_config.model, "include_mask", False)

    def initialize(self, model: tf_keras.Model) -> None:
        """Loads `init_checkpoint`, or modules of it; all or nothing of each."""
        if path := self.task_config.init_checkpoint:
            modules = self.task_config.init_checkpoint_modules
            restoring.load_modules(model, path, modules)

    def build_inputs(
        self,
        params: cfg.DataConfig,
        input_context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        """The Garden's input; an evaluation ends with full batches for all replicas.

        Raises:
            RecordError: If the records are of another kind, or lack masks.
        """
        if isinstance(params.input_path, (str, list, tuple)) and params.input_path:
            files = input_reader.match_files(params.input_path)
            check_records(files, self.has_masks)
        if params.is_training or params.drop_remainder:
            return super().build_inputs(params, input_context)
        batch_size, num_replicas = batching.replica_batches(
            params.global_batch_size, input_context
        )
        step = params.replace(global_batch_size=params.global_batch_size * num_replicas)
        return batching.fill_last_batches(
            super().build_inputs(step, input_context),
            batch_size,
            num_replicas,
            fillings={"source_id": PADDING_ID},
        )

    def build_metrics(self, training: bool = True) -> list[tf_keras.metrics.Metric]:
        """The Garden's in training; an evaluation is counted by the evaluator."""
        if training:
            return super().build_metrics(training)
        self._evaluator = self.build_evaluator()
        return []

    def build_evaluator(self) -> COCOInstanceEvaluator:
        """An evaluator of the configured annotations, without detections so far."""
        annotation_file = self.task_config.annotation_file or ""
        return COCOInstanceEvaluator(annotation_file, self.has_masks)

    def validation_step(
        self,
        inputs: tuple[tf.Tensor, dict[str, Any]],
        model: tf_keras.Model,
        metrics: Any = None,
    ) -> dict[str, tf.Tensor]:
        """Detects objects in one batch; see `COCOInstanceEvaluator.update`."""
        del metrics
        images, labels = inputs
        outputs = self.detect(
            model, images, labels["image_info"], labels["anchor_boxes"]
        )
        return {
            "image_id": labels["groundtruths"]["source_id"],
            "image_size": tf.cast(labels["image_info"][:, 0], tf.int32),
            **outputs,
        }

    def detect(
        self,
        model: tf_keras.Model,
        images: tf.Tensor,
        image_info: tf.Tensor,
        anchor_boxes: dict[str, tf.Tensor] | None = None,
    ) -> dict[str, tf.Tensor]:
        """Detects objects in normalised images [B, H, W, 3] of the model's size.

        Args:
            model: The detector.
            images: The images.
            image_info: float32 [B, 4, 2], see `ops.boxes.to_image_boxes`.
            anchor_boxes: By level; made by the model if None.

        Returns:
            boxes float32 [B, N, 4], x, y, width and height in pixels of the image as
            stored; classes int32 and scores float32 [B, N]; num_detections int32 [B];
            with masks, masks float32 [B, N, h, w], probabilities within the boxes.
        """
        # The Garden's own evaluation lets boxes end at the canvas' border, beyond the
        # image's.
        fitted = tf.minimum(image_info[:, 0] * image_info[:, 2], image_info[:, 1])
        outputs = model(
            images, anchor_boxes=anchor_boxes, image_shape=fitted, training=False
        )
        boxes = tf.cast(outputs["detection_boxes"], tf.float32)
        detections = {
            "boxes": to_image_boxes(boxes, image_info),
            "classes": tf.cast(outputs["detection_classes"], tf.int32),
            "scores": tf.cast(outputs["detection_scores"], tf.float32),
            "num_detections": tf.cast(outputs["num_detections"], tf.int32),
        }
        if self.has_masks:
            detections["masks"] = tf.cast(outputs["detection_masks"], tf.float32)
        return detections

    def aggregate_logs(
        self, state: dict[str, Any] | None = None, step_outputs: Any = None
    ) -> dict[str, Any]:
        """Hands the detections of a batch to the evaluator."""
        if state is None:
            self._evaluator.reset()
            state = {"progress": Progress(None, "Evaluating").__enter__()}
        # Every value is a tuple with one tensor per replica.
        detections = {
            name: np.concatenate([part.numpy() for part in parts])
            for name, parts in step_outputs.items()
            if name != self.loss
        }
        self._evaluator.update(detections)
        state["progress"].advance(
            np.count_nonzero(detections["image_id"] != PADDING_ID)
        )
        return state

    def reduce_aggregated_logs(
        self, aggregated_logs: dict[str, Any], global_step: tf.Tensor | None = None
    ) -> dict[str, Any]:
        """Scores all detections; the chief worker writes results and pictures."""
        del global_step
        aggregated_logs["progress"].__exit__()
        logs: dict[str, Any] = dict(self._evaluator.evaluate())
        if not tf.distribute.get_strategy().extended.should_checkpoint:
            return logs
        self._evaluator.write_results(os.path.join(self.logging_dir, "results.json"))
        if sheet := self._prediction_sheet():
            path = os.path.join(self.logging_dir, "predictions.png")
            visualization.write_image(path, sheet[0])
            if self.task_config.allow_image_summary:
                logs["image/predictions"] = sheet[0][np.newaxis]
        return logs

    def _prediction_sheet(self) -> list[np.ndarray]:
        """Detections beside annotations of the first images; empty if not wanted."""
        config = self.task_config.evaluation
        if config.num_pictures <= 0:
            return []
        detections: dict[int, list[dict[str, Any]]] = {}
        for row in self._evaluator.results:
            if row["score"] >= config.picture_score_threshold:
                detections.setdefault(row["image_id"], []).append(row)
        data = self.task_config.validation_data.replace(global_batch_size=1)
        pairs = []
        for images, labels in self.build_inputs(data).take(config.num_pictures):
            image_id = int(labels["groundtruths"]["source_id"][0])
            pairs.append(
                visualization.compare_instances(
                    _image_as_stored(images[0].numpy(), labels["image_info"][0]),
                    detections.get(image_id, []),
                    self._evaluator.objects(image_id),
                    self._evaluator.categories,
                    cell_size=_PICTURE_SIZE,
                )
            )
        return [visualization.image_grid(pairs, columns=2)] if pairs else []


def _image_as_stored(image: np.ndarray, image_info: tf.Tensor) -> np.ndarray:
    """uint8 [H, W, 3] of the original size, of what the network sees."""
    (height, width), _, scale, _ = image_info.numpy()
    fitted = np.rint([height, width] * scale).astype(int)
    pixels = denormalize_image(image[: fitted[0], : fitted[1]].astype(np.float32))
    return cv2.resize(pixels, (int(width), int(height)))


@task_factory.register_task_cls(detection_config.MaskRCNNTask)
class MaskRCNNTask(DetectionTask, maskrcnn.MaskRCNNTask):
    """Trains and evaluates Faster, Mask and Cascade R-CNN."""


@task_factory.register_task_cls(detection_config.RetinaNetTask)
class RetinaNetTask(DetectionTask, retinanet.RetinaNetTask):
    """Trains and evaluates RetinaNet."""
