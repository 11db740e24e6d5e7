"""The detection tasks: the Garden's, with our evaluation and pictures."""

import functools
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg
from official.core import input_reader, task_factory
from official.vision.dataloaders.tf_example_decoder import TfExampleDecoder
from official.vision.tasks import maskrcnn, retinanet

from hrnet_tf import visualization
from hrnet_tf.configs import detection as detection_config
from hrnet_tf.data.files.coco_objects import CocoObjects
from hrnet_tf.data.inputs.batching import PADDING_ID, fill_last_batches, replica_batches
from hrnet_tf.data.inputs.normalization import denormalize_image
from hrnet_tf.data.records.checks import (
    Check,
    checked,
    checked_beside,
    is_within,
    require,
)
from hrnet_tf.data.records.instances import (
    check_records,
    consistency,
    mask_values,
    read_categories,
)
from hrnet_tf.evaluation.coco_files import (
    AnnotationFileError,
    Truth,
    facts,
    read_objects,
)
from hrnet_tf.evaluation.coco_instances import COCOInstanceEvaluator, format_table
from hrnet_tf.evaluation.report import Report
from hrnet_tf.ops.boxes import to_image_boxes
from hrnet_tf.tasks.evaluation import (
    PICTURE_SIZE,
    EvaluatedTask,
    Evaluation,
    StepOutputs,
    gather,
)


class DetectionTask(EvaluatedTask[COCOInstanceEvaluator]):
    """What the two tasks have in common; a base in front of the Garden's."""

    @property
    def has_masks(self) -> bool:
        """Whether the model predicts masks."""
        return getattr(self.task_config.model, "include_mask", False)

    def build_inputs(
        self,
        params: cfg.DataConfig,
        input_context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        """The Garden's input; an evaluation ends with full batches for all replicas."""
        if isinstance(params.input_path, (str, list, tuple)) and params.input_path:
            files = input_reader.match_files(params.input_path)
            check_records(files, self.has_masks)
        dataset = self._build_padded_inputs(params, input_context)
        if params.is_training and self.has_masks:
            dataset = dataset.map(self._with_right_masks, tf.data.AUTOTUNE)
        return checked_beside(dataset, params, self._check(params), input_context)

    def _build_padded_inputs(
        self,
        params: cfg.DataConfig,
        input_context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        if params.is_training or params.drop_remainder:
            return super().build_inputs(params, input_context)
        batch_size, num_replicas = replica_batches(
            params.global_batch_size, input_context
        )
        step = params.replace(global_batch_size=params.global_batch_size * num_replicas)
        return fill_last_batches(
            super().build_inputs(step, input_context),
            batch_size,
            num_replicas,
            fillings={"source_id": PADDING_ID},
        )

    def _with_right_masks(
        self, images: tf.Tensor, labels: dict[str, Any]
    ) -> tuple[tf.Tensor, dict[str, Any]]:
        """Checks what is seen in decoded masks alone, and what a mask head fails on."""
        # Places without an object have the class -1.
        is_class = is_within(
            labels["gt_classes"], -1, self.task_config.model.num_classes - 1
        )
        conditions = {
            **mask_values(labels["gt_masks"]),
            "a class is beyond task.model.num_classes": is_class,
        }
        with tf.control_dependencies([require(conditions)]):
            return tf.identity(images), labels

    def read_record(self, data: cfg.DataConfig, serialized: tf.Tensor) -> Any:
        options = data.decoder.get()
        decoder = TfExampleDecoder(
            self.has_masks,
            options.regenerate_source_id,
            getattr(options, "mask_binarize_threshold", None),
        )
        record = decoder.decode(checked(serialized, self._check(data)))
        if self.has_masks:
            require(mask_values(record["groundtruth_instance_masks"]))
        return record

    def _check(self, data: cfg.DataConfig) -> Check:
        # A map of labels numbers classes by their names.
        has_numbers = data.decoder.type == "simple_decoder"
        regenerates = data.decoder.get().regenerate_source_id
        return consistency(
            self.task_config.model.num_classes if has_numbers else None,
            self.has_masks,
            with_numbers=not (data.is_training or regenerates),
        )

    @functools.cached_property
    def truth(self) -> Truth[CocoObjects]:
        """The annotations that an evaluation compares with."""
        truth = read_objects(
            self.task_config.annotation_file or "",
            self.has_masks,
            self.task_config.validation_data.input_path,
            self.task_config.evaluation.category_id,
        )
        truth.log()
        return truth

    def build_evaluator(self) -> COCOInstanceEvaluator:
        return COCOInstanceEvaluator(self.truth, self.has_masks)

    def report(self) -> Report:
        annotation_file = self.task_config.annotation_file
        height, width, _ = self.task_config.model.input_size
        canvas = f"{height}x{width}"
        return Report(
            annotation_file,
            functools.partial(format_table, canvas=canvas),
            {"annotation_file": annotation_file, "canvas": canvas, **facts(self)},
            self.read_categories(),
        )

    def read_categories(self) -> dict[int, str]:
        """Names of the classes by id; those of the training records if need be."""
        try:
            return self._evaluator.categories
        except AnnotationFileError:
            return read_categories(self.task_config.train_data)

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

        `image_info` is float32 [B, 4, 2], see `ops.boxes.to_image_boxes`. If they are
        None, the model makes the `anchor_boxes`, by level.

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

    def add_step(self, evaluation: Evaluation, outputs: StepOutputs) -> int:
        detections = gather(outputs, outputs.keys() - {self.loss})
        self._evaluator.update(detections)
        return np.count_nonzero(detections["image_id"] != PADDING_ID)

    def write_results(self, path: str) -> None:
        self._evaluator.write_results(path)

    def compare(self, evaluation: Evaluation, count: int) -> Iterable[np.ndarray]:
        """Draws detected and annotated objects of the first validation images."""
        detections: dict[int, list[dict[str, Any]]] = {}
        for row in self._evaluator.results:
            if row["score"] >= self.task_config.evaluation.picture_score_threshold:
                detections.setdefault(row["image_id"], []).append(row)
        data = self.task_config.validation_data.replace(global_batch_size=1)
        for images, labels in self._build_padded_inputs(data).take(count):
            image_id = int(labels["groundtruths"]["source_id"][0])
            yield visualization.compare_instances(
                _image_as_stored(images[0].numpy(), labels["image_info"][0]),
                detections.get(image_id, []),
                self._evaluator.objects(image_id),
                self._evaluator.categories,
                cell_size=PICTURE_SIZE,
            )


def _image_as_stored(image: np.ndarray, image_info: tf.Tensor) -> np.ndarray:
    """What the network sees, at the size of the image: uint8 [H, W, 3]."""
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
