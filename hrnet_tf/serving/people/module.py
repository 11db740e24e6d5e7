"""A detector and a pose model as one graph: an image in, its people out.

Both are SavedModels that `hrnet_tf.export` wrote, used as they are.

docs/signatures.md says what each of them takes and returns.
"""

import tensorflow as tf

from hrnet_tf.ops import person_boxes
from hrnet_tf.serving.graphs import Graph, ServingModule, image_signatures
from hrnet_tf.serving.loading import LoadedSavedModel
from hrnet_tf.serving.people.metadata import PeopleMetadata


class PeopleModule(ServingModule):
    """Finds people and their keypoints."""

    def __init__(
        self,
        detector: LoadedSavedModel,
        pose: LoadedSavedModel,
        metadata: PeopleMetadata,
    ):
        """Joins the two.

        Args:
            detector: The detector.
            pose: The pose model.
            metadata: How they are joined.
        """
        super().__init__(name="people")
        self._metadata = metadata
        self._detect = dict(detector.signatures)
        self._pose = dict(pose.signatures)
        # Saved with the graphs, since these own their constants.
        self._models = [detector.model, pose.model]

    def signatures(self) -> dict[str, Graph]:
        """The functions of a SavedModel by name."""
        return image_signatures(self.predict_encoded, self.predict_images)

    def predict_encoded(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Finds the people in encoded images of any sizes.

        Args:
            image_bytes: string [B], see `ops.images.decode_image`.

        Returns:
            boxes: float32 [B, N, 4], x, y, width and height in pixels of the image, N
                being `max_people`; rows of people who are not there are 0, and so is
                everything else of them.
            box_scores: float32 [B, N], the detector's, falling.
            keypoints: float32 [B, N, K, 3], x and y in image pixels and the score.
            scores: float32 [B, N], the box's score times the pose's.
            num_people: int32 [B].
        """
        return self._predict("serving_default", "image_bytes", image_bytes)

    def predict_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `predict_encoded`, of images of one size, uint8 [B, H, W, 3], RGB."""
        return self._predict("image", "images", images)

    def _predict(
        self, signature_name: str, input_name: str, images: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        found = self._detect[signature_name](**{input_name: images})
        boxes, scores, count = self._choose_people(found)
        people = self._pose[signature_name](**{input_name: images, "boxes": boxes})
        return {
            "boxes": boxes,
            "box_scores": scores,
            "keypoints": people["keypoints"],
            "scores": scores * people["scores"],
            "num_people": count,
        }

    def _choose_people(
        self, found: dict[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The best boxes of people [B, N, 4], their scores [B, N] and number [B]."""
        metadata = self._metadata
        is_person = found["classes"] == metadata.category_id
        is_person &= found["scores"] >= metadata.box_score_threshold
        is_person &= (found["scores"] > 0) & person_boxes.holds_person(found["boxes"])
        wanted = metadata.max_people
        missing = max(wanted - metadata.detector.max_detections, 0)
        scores = tf.where(is_person, found["scores"], 0.0)
        scores = tf.pad(scores, [[0, 0], [0, missing]])
        boxes = tf.pad(found["boxes"], [[0, 0], [0, missing], [0, 0]])
        scores, places = tf.math.top_k(scores, k=wanted)
        is_there = scores > 0
        boxes = tf.gather(boxes, places, batch_dims=1)
        boxes *= tf.cast(is_there, tf.float32)[..., tf.newaxis]
        return boxes, scores, tf.reduce_sum(tf.cast(is_there, tf.int32), axis=-1)
