"""The top-down pose task: wires the pose model, its data, loss and evaluation."""

import os
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import base_task, task_factory

from hrnet_tf import visualization
from hrnet_tf.configs import pose as pose_config
from hrnet_tf.data.inputs import normalization
from hrnet_tf.data.inputs import pose as pose_input
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.evaluation.coco_keypoints import COCOKeypointEvaluator
from hrnet_tf.losses.heatmap import heatmap_mse
from hrnet_tf.modeling.pose_model import build_pose_model
from hrnet_tf.ops import affine, heatmaps
from hrnet_tf.progress import Progress
from hrnet_tf.weights import restoring

# Crops whose heatmaps are drawn for TensorBoard after an evaluation.
_SUMMARY_CROPS = 8

# Height and width of a picture of predictions: small images are enlarged to it.
_PICTURE_SIZE = (360, 480)


@task_factory.register_task_cls(pose_config.PoseTask)
class PoseTask(base_task.Task):
    """Trains and evaluates a `PoseModel` on people's crops."""

    def __init__(
        self,
        params: pose_config.PoseTask,
        logging_dir: str | None = None,
        name: str | None = None,
    ):
        super().__init__(params, logging_dir, name)
        self.skeleton = load_skeleton(params.skeleton)
        self._evaluator: COCOKeypointEvaluator | None = None

    @property
    def box_source(self) -> str:
        """Whose boxes an evaluation uses; belongs beside every AP."""
        return self.task_config.validation_data.detections_file or "ground truth"

    def build_model(self) -> tf_keras.Model:
        weight_decay = self.task_config.weight_decay
        return build_pose_model(
            self.task_config.model,
            self.skeleton.num_keypoints,
            # Keras's l2(x) is x * w^2; torch's weight decay d is the gradient of
            # d / 2 * w^2.
            tf_keras.regularizers.l2(weight_decay / 2) if weight_decay else None,
        )

    def initialize(self, model: tf_keras.Model) -> None:
        """Loads `init_checkpoint`, or modules of it; all or nothing of each."""
        if path := self.task_config.init_checkpoint:
            modules = self.task_config.init_checkpoint_modules
            restoring.load_modules(model, path, modules)

    def build_inputs(
        self,
        params: pose_config.PoseData,
        input_context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        return pose_input.PoseInput(
            params,
            self.task_config.codec,
            self.task_config.model.input_size,
            self.skeleton,
        ).dataset(input_context)

    def build_metrics(self, training: bool = True) -> list[tf_keras.metrics.Metric]:
        """Reads the ground truth now, so that a wrong file ends the run at its start.

        AP is computed by the evaluator; there are no streaming metrics.
        """
        if not training:
            self._evaluator = self.build_evaluator()
        return []

    def build_losses(
        self,
        labels: dict[str, tf.Tensor],
        model_outputs: tf.Tensor,
        aux_losses: Any = None,
    ) -> tf.Tensor:
        """Mean heatmap loss of the batch's real rows plus regularisation."""
        losses = heatmap_mse(model_outputs, labels["heatmaps"], labels["weights"])
        is_real = tf.cast(labels["image_id"] != pose_input.PADDING_ID, tf.float32)
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
        predicted = self.predict_heatmaps(model, images)
        keypoints, scores = heatmaps.decode(
            self.task_config.codec.name, predicted, sigma=self.task_config.codec.sigma
        )
        keypoints = affine.transform_points(labels["crop_to_image"], keypoints)
        logs = {
            "image_id": labels["image_id"],
            "keypoints": tf.concat([keypoints, scores[..., tf.newaxis]], axis=-1),
            "box_score": labels["box_score"],
            "area": labels["area"],
        }
        # Detected boxes come without ground truth, so there is no loss to report.
        if not self.task_config.validation_data.detections_file:
            logs[self.loss] = self.build_losses(labels, predicted, model.losses)
        if self.task_config.allow_image_summary:
            logs["crops"] = images[:_SUMMARY_CROPS]
            logs["heatmaps"] = predicted[:_SUMMARY_CROPS]
        return logs

    def predict_heatmaps(self, model: tf_keras.Model, images: tf.Tensor) -> tf.Tensor:
        """Heatmaps [B, h, w, K] of [B, H, W, 3] crops, with the flip test if set."""
        if not self.task_config.evaluation.flip_test:
            return self.inference_step(images, model)
        return heatmaps.average_with_mirrored(
            lambda crops: self.inference_step(crops, model),
            images,
            self.skeleton.flip_permutation,
            self.task_config.codec.name,
        )

    def aggregate_logs(
        self, state: dict[str, Any] | None, step_logs: dict[str, Any]
    ) -> dict[str, Any]:
        """Hands a batch of predictions to the evaluator; keeps the first crops."""
        if state is None:
            state = {
                "pictures": self._heatmap_pictures(step_logs),
                "progress": Progress(None, "Evaluating", unit="crop").__enter__(),
            }
            self._evaluator = self._evaluator or self.build_evaluator()
            self._evaluator.reset()
        # Every value is a tuple with one tensor per replica.
        predictions = {
            name: np.concatenate([part.numpy() for part in step_logs[name]])
            for name in ("image_id", "keypoints", "box_score", "area")
        }
        self._evaluator.update(predictions)
        state["progress"].advance(
            np.count_nonzero(predictions["image_id"] != pose_input.PADDING_ID)
        )
        return state

    def reduce_aggregated_logs(
        self, aggregated_logs: dict[str, Any], global_step: tf.Tensor | None = None
    ) -> dict[str, Any]:
        """Scores all predictions; the chief worker writes results and pictures."""
        del global_step
        aggregated_logs["progress"].__exit__()
        logs: dict[str, Any] = dict(self._evaluator.evaluate())
        if not tf.distribute.get_strategy().extended.should_checkpoint:
            return logs
        self._evaluator.write_results(os.path.join(self.logging_dir, "results.json"))
        sheet = self._prediction_sheet()
        if sheet is not None:
            visualization.write_image(
                os.path.join(self.logging_dir, "predictions.png"), sheet
            )
        if self.task_config.allow_image_summary:
            pictures = aggregated_logs["pictures"]
            if sheet is not None:
                pictures["image/predictions"] = sheet[np.newaxis]
            logs.update(pictures)
        return logs

    def build_evaluator(self) -> COCOKeypointEvaluator:
        """An evaluator of the configured annotations, without predictions so far."""
        evaluation = self.task_config.evaluation
        return COCOKeypointEvaluator(
            evaluation.annotation_file,
            self.skeleton.sigmas,
            keypoint_score_threshold=evaluation.keypoint_score_threshold,
            oks_nms_threshold=evaluation.oks_nms_threshold,
            soft_oks_nms=evaluation.soft_oks_nms,
            box_source=self.box_source,
        )

    def _heatmap_pictures(self, step_logs: dict[str, Any]) -> dict[str, np.ndarray]:
        """One picture of the first batch's crops with their heatmaps."""
        if not self.task_config.allow_image_summary:
            return {}
        crops = normalization.denormalize_image(step_logs["crops"][0].numpy())
        maps = step_logs["heatmaps"][0].numpy()
        overlays = [
            visualization.draw_heatmaps(crop, heatmap)
            for crop, heatmap in zip(crops, maps, strict=True)
        ]
        return {
            "image/heatmaps": visualization.image_grid(overlays, columns=4)[np.newaxis]
        }

    def _prediction_sheet(self) -> np.ndarray | None:
        """Predictions beside ground truth for the first validation images."""
        count = self.task_config.evaluation.num_pictures
        if count <= 0:
            return None
        nobody = np.zeros((0, self.skeleton.num_keypoints, 3))
        predictions: dict[int, list[np.ndarray]] = {}
        for result in self._evaluator.results:
            person = np.reshape(result["keypoints"], nobody.shape[1:])
            predictions.setdefault(result["image_id"], []).append(person)
        pairs = []
        for example in pose_input.read_images(
            self.task_config.validation_data, self.skeleton.num_keypoints, count
        ):
            pairs.append(
                visualization.compare_skeletons(
                    example["image"],
                    np.array(predictions.get(example["image_id"], nobody)),
                    example["keypoints"],
                    self.skeleton,
                    cell_size=_PICTURE_SIZE,
                )
            )
        return visualization.image_grid(pairs, columns=2) if pairs else None
