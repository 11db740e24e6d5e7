"""Runs exported pose models, SavedModels and .tflite files alike."""

import abc
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hrnet_tf import visualization
from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.ops import oks, person_boxes
from hrnet_tf.ops.codecs import counts_between_centers
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.loading import LoadedModel, LoadedSavedModel, LoadedTFLite
from hrnet_tf.serving.metadata import ModelError
from hrnet_tf.serving.pose.metadata import PoseMetadata
from hrnet_tf.serving.predictor import (
    DEFAULT_STYLE,
    InBatches,
    Prediction,
    Style,
)

# That a SavedModel's network sees at once: a bound on its memory.
_MOST_CROPS = 16


@dataclasses.dataclass(frozen=True, eq=False)
class PosePrediction(Prediction):
    """The people in an image and their keypoints.

    Attributes:
        boxes: float32 [P, 4], x, y, width and height in pixels of the image.
        box_scores: float32 [P], the detector's.
        keypoints: float32 [P, K, 3], x and y in image pixels and the score.
        scores: float32 [P], the box's score times the pose's.
        skeleton: The keypoints' names and limbs.
        track_ids: int64 [P], people's numbers in a video; None in an image.
    """

    columns = ("person", "keypoint", "x", "y", "score")

    boxes: np.ndarray
    box_scores: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    skeleton: Skeleton
    track_ids: np.ndarray | None = None

    def rows(self) -> list[dict[str, Any]]:
        """COCO results, with the people's boxes for convenience."""
        rows = [
            {
                "category_id": self.style.category_id,
                "keypoints": [round(float(value), 3) for value in person.ravel()],
                "score": float(score),
                "bbox": [float(value) for value in box],
            }
            for person, score, box in zip(
                self.keypoints, self.scores, self.boxes, strict=True
            )
        ]
        if self.track_ids is None:
            return rows
        numbered = zip(rows, self.track_ids.tolist(), strict=True)
        return [{**row, "track_id": number} for row, number in numbered]

    def chosen(self, places: Sequence[int]) -> "PosePrediction":
        """The people in these places alone."""
        which = np.array(places, np.int64)
        return dataclasses.replace(
            self,
            boxes=self.boxes[which],
            box_scores=self.box_scores[which],
            keypoints=self.keypoints[which],
            scores=self.scores[which],
            track_ids=None if self.track_ids is None else self.track_ids[which],
        )

    def tracked(
        self, places: Sequence[int], keypoints: np.ndarray, track_ids: np.ndarray
    ) -> "PosePrediction":
        """The people in these places, with other keypoints and with numbers."""
        return dataclasses.replace(
            self.chosen(places), keypoints=keypoints, track_ids=track_ids
        )

    def table(self) -> list[list[Any]]:
        return [
            [person + 1, name, *(round(float(value), 2) for value in keypoint)]
            for person, found in enumerate(self.keypoints)
            for name, keypoint in zip(self.skeleton.keypoints, found, strict=True)
        ]

    def picture(self) -> np.ndarray:
        """Skeletons and, if the style says so, boxes and scores, on the image."""
        return visualization.draw_skeletons(
            self.image,
            self.keypoints,
            self.skeleton,
            self.style.keypoint_score_threshold,
            self.boxes if self.style.draw_boxes else None,
            self.scores if self.style.draw_boxes else None,
            self.track_ids,
        )


class PosePredictor(InBatches[PosePrediction]):
    """A loaded pose model.

    Attributes:
        metadata: What the model says of itself.
    """

    unit = "people"
    columns = PosePrediction.columns
    needs_boxes = True
    style_fields = frozenset({"category_id", "keypoint_score_threshold", "draw_boxes"})
    metadata_type = PoseMetadata
    metadata: PoseMetadata

    @property
    @abc.abstractmethod
    def has_heatmaps(self) -> bool:
        """Whether `predict_heatmaps` works."""

    def predict_batch(
        self, images: Sequence[np.ndarray], boxes: Sequence[Boxes | None]
    ) -> list[PosePrediction]:
        people = [
            given or Boxes.of_whole(image)
            for image, given in zip(images, boxes, strict=True)
        ]
        found = self.predict_people_of(images, [given.boxes for given in people])
        return [
            PosePrediction(
                given.boxes,
                given.scores,
                keypoints,
                scores * given.scores,
                self.metadata.skeleton,
                image=image,
                style=self.style,
            )
            for image, given, (keypoints, scores) in zip(
                images, people, found, strict=True
            )
        ]

    @abc.abstractmethod
    def predict_people(
        self, image: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predicts the people in the boxes of one image.

        Args:
            image: uint8 [H, W, 3], RGB.
            boxes: [P, 4], x, y, width and height in image pixels; P may be 0.

        Returns:
            keypoints: float32 [P, K, 3], x and y in image pixels and the score.
            scores: float32 [P], the people's, without the boxes' own. Keypoints and
                score of a box that holds nobody, see `person_boxes`, are 0.
        """

    def predict_people_of(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """`predict_people` of each of several images of any sizes."""
        return [self.predict_people(*pair) for pair in zip(images, boxes, strict=True)]

    @abc.abstractmethod
    def predict_crop(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the model on one crop, uint8 [height, width, 3]; its outputs by name."""

    def predict_heatmaps(
        self, image: np.ndarray, box: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shows what the network sees of one person, and its answer.

        Args:
            image: uint8 [H, W, 3], RGB.
            box: [4], x, y, width and height in image pixels, the latter two above 0.

        Returns:
            crop: uint8 [height, width, 3], of the network's input size.
            heatmaps: float32 [height / 4, width / 4, K].

        Raises:
            ModelError: If the model gives no heatmaps.
        """
        (crop,), _ = self._crop(image, np.reshape(np.float32(box), [1, 4]))
        outputs = self.predict_crop(crop)
        if "heatmaps" not in outputs:
            raise ModelError("The model gives no heatmaps: export it with --heatmaps.")
        return crop, outputs["heatmaps"][0]

    def _predict_crops_of(
        self,
        images: Sequence[np.ndarray],
        boxes: Sequence[np.ndarray],
        predict_crops: Callable[[np.ndarray], np.ndarray],
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """`predict_people_of`, of a model that sees crops alone.

        Args:
            images: See `predict_people_of`.
            boxes: See `predict_people_of`.
            predict_crops: Maps P > 0 crops, uint8 [P, height, width, 3], to keypoints
                [P, K, 3], x and y in pixels of the crop and the score.
        """
        tables = [np.reshape(np.asarray(given, np.float32), [-1, 4]) for given in boxes]
        are_people = [person_boxes.holds_person(table) for table in tables]
        num_keypoints = self.metadata.skeleton.num_keypoints
        keypoints = np.zeros([sum(map(len, tables)), num_keypoints, 3], np.float32)
        cut = [
            self._crop(image, table[is_person])
            for image, table, is_person in zip(images, tables, are_people, strict=True)
            if is_person.any()
        ]
        if cut:
            crops, matrices = map(np.concatenate, zip(*cut, strict=True))
            found = predict_crops(crops)
            found[..., :2] = _transform_points(matrices, found[..., :2])
            keypoints[np.concatenate(are_people)] = found
        box_scores = np.ones(len(keypoints), np.float32)
        threshold = self.metadata.keypoint_score_threshold
        scores = oks.rescore(keypoints, box_scores, threshold).astype(np.float32)
        ends = np.cumsum(list(map(len, tables)))[:-1]
        return list(zip(np.split(keypoints, ends), np.split(scores, ends), strict=True))

    def _crop(
        self, image: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Crops people from an image.

        Args:
            image: uint8 [H, W, 3].
            boxes: float32 [P, 4]; P > 0.

        Returns:
            crops: uint8 [P, height, width, 3].
            matrices: float32 [P, 2, 3], from pixels of the crops to those of the image.
        """
        size = self.metadata.input_size
        matrices = person_boxes.crop_to_image_matrices(
            boxes, size, self.metadata.box_padding, self._is_udp
        )
        return person_boxes.warp_crops(image, matrices, size), matrices

    @property
    def _is_udp(self) -> bool:
        return counts_between_centers(self.metadata.codec.name)


class SavedModelPosePredictor(PosePredictor):
    """A SavedModel; it crops and maps back by itself, unless images have many sizes."""

    batches_any_sizes = True
    _model: LoadedSavedModel

    @property
    def has_heatmaps(self) -> bool:
        return True

    def predict_people(
        self, image: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        boxes = np.reshape(np.asarray(boxes, np.float32), [1, -1, 4])
        outputs = self._model.run("image", images=image[np.newaxis], boxes=boxes)
        return outputs["keypoints"][0], outputs["scores"][0]

    def predict_people_of(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        if len(images) == 1:
            return super().predict_people_of(images, boxes)
        return self._predict_crops_of(images, boxes, self._predict_crops)

    def _predict_crops(self, crops: np.ndarray) -> np.ndarray:
        parts = [
            self._model.run("crops", crops=crops[start : start + _MOST_CROPS])
            for start in range(0, len(crops), _MOST_CROPS)
        ]
        return np.concatenate([part["keypoints"] for part in parts])

    def predict_crop(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        return self._model.run("crops", crops=crop[np.newaxis])

    def _crop(
        self, image: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """To the bit what the signature `image` cuts out, as a graph of its own."""
        import tensorflow as tf

        crops, matrices = self._crop_graph(tf.constant(image), tf.constant(boxes))
        return crops.numpy(), matrices.numpy()

    @functools.cached_property
    def _crop_graph(self) -> Callable[..., tuple[Any, Any]]:
        """Maps an image and boxes to what `_crop` returns; compiled once."""
        import tensorflow as tf

        from hrnet_tf.ops import affine

        crop_size = self.metadata.input_size
        ratio, padding = crop_size[1] / crop_size[0], self.metadata.box_padding

        def crop(image: tf.Tensor, boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            center, size = affine.box_to_center_size(boxes, ratio, padding)
            matrices = affine.crop_to_image_matrix(
                center, size, 0.0, crop_size, self._is_udp
            )
            return affine.warp_aligned_crops(image, matrices, crop_size), matrices

        specs = [
            tf.TensorSpec([None, None, 3], tf.uint8),
            tf.TensorSpec([None, 4], tf.float32),
        ]
        return tf.function(crop, input_signature=specs)


class TFLitePosePredictor(PosePredictor):
    """A .tflite file; people are cropped and mapped back around it, as in an app."""

    _model: LoadedTFLite

    def __init__(self, model: LoadedModel, style: Style = DEFAULT_STYLE):
        """See `Predictor`."""
        super().__init__(model, style)
        # Places that people of one image leave free cost as much as people.
        self.batches_any_sizes = self.metadata.batch_size > 1

    @property
    def has_heatmaps(self) -> bool:
        return "heatmaps" in self._model.outputs

    def predict_people(
        self, image: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        (found,) = self._predict_crops_of([image], [boxes], self._predict_crops)
        return found

    def predict_people_of(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        if not self.batches_any_sizes:
            return super().predict_people_of(images, boxes)
        return self._predict_crops_of(images, boxes, self._predict_crops)

    def _predict_crops(self, crops: np.ndarray) -> np.ndarray:
        height, width = self.metadata.input_size
        found = self._run(crops)["keypoints"]
        return found * np.array([width, height, 1], np.float32)

    def predict_crop(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        return self._run(crop[np.newaxis])

    def _run(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs for P > 0 crops, so many at once; black ones fill the last."""
        size = self.metadata.batch_size
        filling = np.zeros([-len(crops) % size, *crops.shape[1:]], np.uint8)
        batches = np.concatenate([crops, filling]).reshape(-1, size, *crops.shape[1:])
        parts = [self._model.run(image=batch) for batch in batches]
        return {
            name: np.concatenate([part[name] for part in parts])[: len(crops)]
            for name in self._model.outputs
        }


def _transform_points(matrices: np.ndarray, points: np.ndarray) -> np.ndarray:
    """`affine.transform_points` of arrays: [P, 2, 3] and [P, K, 2] to [P, K, 2]."""
    products = matrices[:, np.newaxis, :, :2] * points[:, :, np.newaxis]
    return products.sum(axis=-1) + matrices[:, np.newaxis, :, 2]
