"""The top-down pose task: wires the pose model, its data, loss and evaluation."""

import functools
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import task_factory

from hrnet_tf import visualization
from hrnet_tf.configs import pose as pose_config
from hrnet_tf.data.files.coco_people import CocoPeople
from hrnet_tf.data.inputs import pose as pose_input
from hrnet_tf.data.inputs.batching import PADDING_ID
from hrnet_tf.data.inputs.normalization import normalize_image
from hrnet_tf.data.records.pose import parse_image_record
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.evaluation import keypoint_metrics
from hrnet_tf.evaluation.coco_files import Truth, facts, read_people
from hrnet_tf.evaluation.explanation.explanation import explain_evaluation
from hrnet_tf.evaluation.people import GROUND_TRUTH, PREDICTED, PeopleEvaluator
from hrnet_tf.evaluation.report import Report
from hrnet_tf.losses.heatmap import heatmap_loss
from hrnet_tf.losses.weight_decay import weight_decay
from hrnet_tf.modeling.pose_model import build_pose_model
from hrnet_tf.ops import affine, heatmaps
from hrnet_tf.ops.images import decode_image
from hrnet_tf.tasks.evaluation import (
    PICTURE_SIZE,
    EvaluatedTask,
    Evaluation,
    StepOutputs,
    gather,
)
from hrnet_tf.tasks.pose_report import EvaluatedModel, write_report

# Crops whose heatmaps are drawn for TensorBoard after an evaluation.
_SUMMARY_CROPS = 8


@task_factory.register_task_cls(pose_config.PoseTask)
class PoseTask(EvaluatedTask[PeopleEvaluator]):
    """Trains and evaluates a `PoseModel` on people's crops."""

    unit = "crop"

    def __init__(
        self,
        params: pose_config.PoseTask,
        logging_dir: str | None = None,
        name: str | None = None,
    ):
        super().__init__(params, logging_dir, name)
        self.skeleton = load_skeleton(params.skeleton)
        self._explanation = ""  # Of the latest evaluation.

    @property
    def box_source(self) -> str:
        """Whose boxes an evaluation uses; AP depends on it."""
        return self.task_config.validation_data.detections_file or GROUND_TRUTH

    def build_model(self) -> tf_keras.Model:
        return build_pose_model(
            self.task_config.model,
            self.skeleton.num_keypoints,
            weight_decay(self.task_config.weight_decay),
        )

    def build_inputs(
        self,
        params: pose_config.PoseData,
        input_context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        is_detected = params.detections_file and not params.is_training
        return pose_input.PoseInput(
            params,
            self.task_config.codec,
            self.task_config.model.input_size,
            self.skeleton,
            self.truth.content.category_ids if is_detected else (),
        ).dataset(input_context)

    def read_record(self, data: pose_config.PoseData, serialized: tf.Tensor) -> Any:
        del data
        record = parse_image_record(serialized, self.skeleton.num_keypoints)
        return {**record, "image": decode_image(record["encoded"])}

    def prepare(
        self, inputs: tuple[tf.Tensor, dict[str, tf.Tensor]]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        images, labels = inputs
        return normalize_image(images), self._render_targets(labels)

    def _render_targets(self, labels: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return pose_input.render_targets(
            labels, self.task_config.codec, self.task_config.model.input_size
        )

    def build_losses(
        self,
        labels: dict[str, tf.Tensor],
        model_outputs: tf.Tensor,
        aux_losses: Any = None,
    ) -> tf.Tensor:
        """Mean heatmap loss of the batch's real rows plus regularisation."""
        losses = heatmap_loss(
            model_outputs, labels["heatmaps"], labels["weights"], self.task_config.loss
        )
        is_real = tf.cast(labels["image_id"] != PADDING_ID, tf.float32)
        loss = tf.math.divide_no_nan(
            tf.reduce_sum(losses * is_real), tf.reduce_sum(is_real)
        )
        return tf.add_n([loss, *(aux_losses or [])])

    def validation_step(
        self,
        inputs: tuple[tf.Tensor, dict[str, tf.Tensor]],
        model: tf_keras.Model,
        metrics: Any = None,
    ) -> dict[str, tf.Tensor]:
        """Predicts one batch; keypoints come back in original pixels."""
        del metrics
        images, labels = inputs
        predicted = self.predict_heatmaps(model, normalize_image(images))
        keypoints, scores = heatmaps.decode(
            self.task_config.codec.name, predicted, sigma=self.task_config.codec.sigma
        )
        keypoints = affine.transform_points(labels["crop_to_image"], keypoints)
        logs = {
            "image_id": labels["image_id"],
            "person_id": labels["person_id"],
            "keypoints": tf.concat([keypoints, scores[..., tf.newaxis]], axis=-1),
            "box_score": labels["box_score"],
            "area": labels["area"],
        }
        # Detected boxes come without ground truth, so there is no loss to report.
        if not self.task_config.validation_data.detections_file:
            targets = self._render_targets(labels)
            logs[self.loss] = self.build_losses(targets, predicted, model.losses)
        if self.task_config.allow_image_summary:
            logs["crops"] = images[:_SUMMARY_CROPS]
            logs["heatmaps"] = predicted[:_SUMMARY_CROPS]
        return logs

    def predict_heatmaps(self, model: tf_keras.Model, images: tf.Tensor) -> tf.Tensor:
        """Heatmaps [B, h, w, K] of normalised crops [B, H, W, 3].

        With the flip test, if it is set.
        """
        if not self.task_config.evaluation.flip_test:
            return self.inference_step(images, model)
        return heatmaps.average_with_mirrored(
            lambda crops: self.inference_step(crops, model),
            images,
            self.skeleton.flip_permutation,
            self.task_config.codec.name,
        )

    @functools.cached_property
    def truth(self) -> Truth[CocoPeople]:
        """The annotations that an evaluation compares with."""
        evaluation = self.task_config.evaluation
        truth = read_people(
            evaluation.annotation_file,
            self.skeleton,
            evaluation.category_id,
            evaluation.area_from,
            self.task_config.validation_data.input_path,
        )
        truth.log()
        return truth

    def build_evaluator(self) -> PeopleEvaluator:
        return keypoint_metrics.build_evaluator(
            self.task_config.evaluation, self.truth, self.skeleton, self.box_source
        )

    def report(self) -> Report:
        evaluation = self.task_config.evaluation
        told: dict[str, str | bool] = {
            "metric": evaluation.metric,
            "box_source": self.box_source,
            "flip_test": evaluation.flip_test,
            "codec": self.task_config.codec.name,
            "annotation_file": evaluation.annotation_file,
        }
        if normalizer := keypoint_metrics.normalizer_of(evaluation, self.skeleton):
            told["normalizer"] = normalizer.words
        return Report(
            evaluation.annotation_file,
            self._format_table,
            {**told, **facts(self)},
            explain=lambda: self._explanation,
        )

    def _format_table(self, metrics: Mapping[str, float]) -> str:
        return self._evaluator.format_table(
            metrics, self.task_config.evaluation.flip_test, self.task_config.codec.name
        )

    def explain(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Writes report.html and report.json, and keeps what is printed."""
        self._explanation = ""
        asked = self.task_config.evaluation.report
        if not (self.explains_by_default if asked is None else asked):
            return
        logging.getLogger(__name__).info("Looking for what is behind the metrics.")
        explanation = explain_evaluation(self._evaluator, self.skeleton)
        self.check_kept()
        page = write_report(
            self.logging_dir,
            EvaluatedModel(step, self.report().data, self._format_table(metrics)),
            explanation,
            self.skeleton,
            self.task_config.validation_data.input_path,
        )
        self._explanation = (
            f"{explanation.text()}\n\nAll keypoints, and the worst cases: {page}"
        )

    def add_step(self, evaluation: Evaluation, outputs: StepOutputs) -> int:
        """Hands a batch of people to the evaluator; draws the first one's heatmaps."""
        if self.task_config.allow_image_summary and not evaluation.summaries:
            overlays = [
                visualization.draw_heatmaps(crop, heatmap)
                for crop, heatmap in zip(
                    outputs["crops"][0].numpy(),
                    outputs["heatmaps"][0].numpy(),
                    strict=True,
                )
            ]
            grid = visualization.image_grid(overlays, columns=4)
            evaluation.summaries["heatmaps"] = grid
        people = gather(outputs, PREDICTED)
        self._evaluator.update(people)
        return np.count_nonzero(people["image_id"] != PADDING_ID)

    def write_results(self, path: str) -> None:
        self._evaluator.write_results(path)

    def compare(self, evaluation: Evaluation, count: int) -> Iterable[np.ndarray]:
        """Draws predicted and annotated skeletons of the first validation images."""
        nobody = np.zeros((0, self.skeleton.num_keypoints, 3))
        predictions: dict[int, list[np.ndarray]] = {}
        for result in self._evaluator.results:
            person = np.reshape(result["keypoints"], nobody.shape[1:])
            predictions.setdefault(result["image_id"], []).append(person)
        for example in pose_input.read_images(
            self.task_config.validation_data, self.skeleton.num_keypoints, count
        ):
            people = predictions.get(int(example["image_id"]))
            yield visualization.compare_skeletons(
                example["image"],
                np.array(people) if people else nobody,
                example["keypoints"],
                self.skeleton,
                cell_size=PICTURE_SIZE,
            )
