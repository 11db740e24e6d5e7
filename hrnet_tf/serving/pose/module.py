"""The pose model as graphs that need no Python: pixels in, keypoints out.

Cropping, normalisation, the flip test, decoding and the way back to image pixels are
the functions that training and evaluation use. The network's norms are folded into its
convolutions and its variables frozen into constants.

docs/signatures.md says what each of them takes and returns.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import tensorflow as tf
import tf_keras

from hrnet_tf.data.inputs.normalization import normalize_image
from hrnet_tf.modeling.blocks import fold_norms
from hrnet_tf.ops import affine, heatmaps, person_boxes
from hrnet_tf.ops.codecs import counts_between_centers
from hrnet_tf.ops.images import decode_image
from hrnet_tf.ops.map_readers import Masks
from hrnet_tf.serving.graphs import (
    IMAGE_BYTES,
    IMAGES,
    WARMUP_IMAGE_SIZE,
    Graph,
    MobileModule,
    freeze,
    signature,
    warmup_image,
)
from hrnet_tf.serving.pose.metadata import PoseMetadata


class PoseModule(MobileModule):
    """Predicts people's keypoints; `saved_model` and `tflite` give it signatures."""

    def __init__(self, model: tf_keras.Model, metadata: PoseMetadata):
        """Takes the model over: its norms are folded, it cannot be trained any more.

        Args:
            model: A `PoseModel` with its weights.
            metadata: Describes how it was trained and how to use it.
        """
        super().__init__(name="pose")
        self._metadata = metadata
        fold_norms(model)
        self._network = freeze(model, metadata.input_size)

    def signatures(self) -> dict[str, Graph]:
        """The functions of a SavedModel by name."""
        boxes = tf.TensorSpec([None, None, 4], tf.float32, "boxes")
        rows = tf.TensorSpec([None, 4], tf.float32, "boxes")
        crops = tf.TensorSpec([None, *self._metadata.input_size, 3], tf.uint8, "crops")
        return {
            "serving_default": signature(self.predict_encoded, IMAGE_BYTES, boxes),
            "image": signature(self.predict_images, IMAGES, boxes),
            "people": signature(self.predict_people, IMAGE_BYTES, rows),
            "crops": signature(self.predict_crops, crops),
        }

    def warmup_inputs(self) -> Iterator[dict[str, np.ndarray]]:
        """Inputs of `serving_default`, each of another shape for the convolutions."""
        height, width = WARMUP_IMAGE_SIZE
        image = warmup_image()
        box = np.array([0, 0, width / 2, height], np.float32)
        for people in (1, 4):
            yield {"image_bytes": image, "boxes": np.tile(box, (1, people, 1))}

    def mobile_function(self, with_maps: bool = False) -> Graph:
        """The function of a .tflite file; `with_maps` adds heatmaps."""
        height, width = self._metadata.input_size
        codec = self._metadata.codec

        def predict(image: tf.Tensor) -> dict[str, tf.Tensor]:
            maps = self.predict_heatmaps(image)
            keypoints, scores = heatmaps.decode(
                codec.name, maps, sigma=codec.sigma, reader=Masks
            )
            keypoints /= tf.constant([width, height], tf.float32)
            scores = tf.expand_dims(scores, axis=-1)
            outputs = {"keypoints": tf.concat([keypoints, scores], axis=-1)}
            return {**outputs, "heatmaps": maps} if with_maps else outputs

        shape = [self._metadata.batch_size, height, width, 3]
        return signature(predict, tf.TensorSpec(shape, tf.uint8, "image"))

    def predict_crops(self, crops: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts the people in crops of the network's size.

        Args:
            crops: uint8 [N, H, W, 3], RGB; N may be 0.

        Returns:
            keypoints: float32 [N, K, 3], x and y in crop pixels and the score.
            heatmaps: float32 [N, H/4, W/4, K].
        """
        # Convolutions of an empty batch fail on some devices.
        count = tf.shape(crops)[0]
        none = tf.cast(tf.equal(count, 0), tf.int32)
        crops = tf.pad(crops, [[0, none], [0, 0], [0, 0], [0, 0]])
        predicted = self.predict_heatmaps(crops)[:count]
        keypoints, scores = heatmaps.decode(
            self._metadata.codec.name, predicted, sigma=self._metadata.codec.sigma
        )
        keypoints = tf.concat([keypoints, scores[..., tf.newaxis]], axis=-1)
        return {"keypoints": keypoints, "heatmaps": predicted}

    def predict_heatmaps(self, crops: tf.Tensor) -> tf.Tensor:
        """Heatmaps float32 [N, H/4, W/4, K] of crops uint8 [N, H, W, 3], N > 0."""
        images = normalize_image(crops)
        if not self._metadata.flip_test:
            return self._network(images)
        return heatmaps.average_with_mirrored(
            self._network,
            images,
            self._metadata.skeleton.flip_permutation,
            self._metadata.codec.name,
        )

    def predict_maps(self, crops: tf.Tensor) -> tf.Tensor:
        """What the exporters compare: `predict_heatmaps`."""
        return self.predict_heatmaps(crops)

    def predict_images(
        self, images: tf.Tensor, boxes: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Predicts the people in images of one size.

        Args:
            images: uint8 [B, H, W, 3], RGB.
            boxes: float32 [B, N, 4], see `_predict_rows`.

        Returns:
            See `_predict_people`.
        """
        return self._predict_people(images, boxes, lambda image: image)

    def predict_encoded(
        self, image_bytes: tf.Tensor, boxes: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Predicts the people in encoded images of any sizes.

        Args:
            image_bytes: string [B], each a JPEG, PNG, BMP or GIF file (its first
                frame). EXIF orientation is ignored, as in training.
            boxes: float32 [B, N, 4], see `_predict_rows`.

        Returns:
            See `_predict_people`.
        """
        return self._predict_people(image_bytes, boxes, decode_image)

    def predict_people(
        self, image_bytes: tf.Tensor, boxes: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Predicts people, a row for each, whatever images they are in.

        Rows of several requests, one after the other, are a request, too: so a server
        may batch them. Indices of images would then point to those of others.

        Args:
            image_bytes: string [P], each person's image, see `predict_encoded`. What
                is the same to the byte is decoded once.
            boxes: float32 [P, 4], see `_predict_rows`.

        Returns:
            keypoints: float32 [P, K, 3], see `_predict_rows`.
            scores: float32 [P], see `_predict_rows`.
        """
        with _same_length(image_bytes, boxes):
            images, image_of = tf.unique(image_bytes)
        return self._predict_rows(images, image_of, boxes, decode_image)

    def _predict_people(
        self,
        images: tf.Tensor,
        boxes: tf.Tensor,
        read_image: Callable[[tf.Tensor], tf.Tensor],
    ) -> dict[str, tf.Tensor]:
        """Predicts as many people in each image.

        Args:
            images: [B, ...].
            boxes: float32 [B, N, 4], see `_predict_rows`.
            read_image: Maps one of `images` to uint8 [H, W, 3].

        Returns:
            keypoints: float32 [B, N, K, 3], see `_predict_rows`.
            scores: float32 [B, N], see `_predict_rows`.
        """
        with _same_length(images, boxes):
            shape = tf.shape(boxes)[:2]
        image_of = tf.repeat(tf.range(shape[0]), shape[1])
        rows = self._predict_rows(
            images, image_of, tf.reshape(boxes, [-1, 4]), read_image
        )
        return {
            name: tf.reshape(values, tf.concat([shape, tf.shape(values)[1:]], axis=0))
            for name, values in rows.items()
        }

    def _predict_rows(
        self,
        images: tf.Tensor,
        image_of: tf.Tensor,
        boxes: tf.Tensor,
        read_image: Callable[[tf.Tensor], tf.Tensor],
    ) -> dict[str, tf.Tensor]:
        """Crops, predicts and maps back.

        Args:
            images: [B, ...].
            image_of: int32 [P], the place in `images` of each person's.
            boxes: float32 [P, 4], x, y, width and height in image pixels. Rows that
                hold no person, see `person_boxes.holds_person`, are padding: everything
                returned for them is 0.
            read_image: Maps one of `images` to uint8 [H, W, 3]; is not asked for those
                without people.

        Returns:
            keypoints: float32 [P, K, 3], x and y in image pixels and the score.
            scores: float32 [P], the mean score of the keypoints above
                `keypoint_score_threshold`. A detector's score of the box is to be
                multiplied with it.
        """
        # Padding costs nothing: from here on there are people only, image by image.
        rows = tf.where(person_boxes.holds_person(boxes))[:, 0]
        rows = tf.gather(rows, tf.argsort(tf.gather(image_of, rows), stable=True))
        crop_size = self._metadata.input_size
        center, size = affine.box_to_center_size(
            tf.gather(boxes, rows),
            crop_size[1] / crop_size[0],
            self._metadata.box_padding,
        )
        matrices = affine.crop_to_image_matrix(
            center,
            size,
            0.0,
            crop_size,
            udp=counts_between_centers(self._metadata.codec.name),
        )
        crops = self._crop(images, tf.gather(image_of, rows), matrices, read_image)
        found = self.predict_crops(crops)["keypoints"]
        points = affine.transform_points(matrices, found[..., :2])
        found = tf.concat([points, found[..., 2:]], axis=-1)

        num_keypoints = self._metadata.skeleton.num_keypoints
        shape = [tf.shape(boxes, tf.int64)[0], num_keypoints, 3]
        keypoints = tf.scatter_nd(rows[:, tf.newaxis], found, shape)
        scores = person_scores(
            keypoints[..., 2], self._metadata.keypoint_score_threshold
        )
        return {"keypoints": keypoints, "scores": scores}

    def _crop(
        self,
        images: tf.Tensor,
        image_of: tf.Tensor,
        matrices: tf.Tensor,
        read_image: Callable[[tf.Tensor], tf.Tensor],
    ) -> tf.Tensor:
        """Crops, uint8 [P, height, width, 3], of people who are sorted by image.

        Each image is read once. `matrices` are the people's, from crop to image.
        """
        crop_size = self._metadata.input_size
        places, _, counts = tf.unique_with_counts(image_of)
        ends = tf.cumsum(counts)
        number = tf.size(places)

        def crop_image(
            turn: tf.Tensor, crops: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.TensorArray]:
            image = read_image(images[places[turn]])
            of_image = matrices[ends[turn] - counts[turn] : ends[turn]]
            found = affine.warp_aligned_crops(image, of_image, crop_size)
            return turn + 1, crops.write(turn, found)

        crops = tf.TensorArray(
            tf.uint8, number, element_shape=[None, *crop_size, 3], infer_shape=False
        )
        _, crops = tf.while_loop(lambda turn, _: turn < number, crop_image, (0, crops))
        return crops.concat()


def _same_length(images: tf.Tensor, boxes: tf.Tensor) -> AbstractContextManager[None]:
    """Operations within it fail unless the two have as many rows."""
    check = tf.debugging.assert_equal(
        tf.shape(images)[0],
        tf.shape(boxes)[0],
        "Images and boxes must be as many along their first dimension.",
    )
    return tf.control_dependencies([check])


def person_scores(keypoint_scores: tf.Tensor, threshold: float) -> tf.Tensor:
    """Mean of the keypoint scores [..., K] above a threshold; 0 if there are none.

    Official lib/dataset/coco.py, `evaluate`, without the box's score.
    """
    counted = tf.cast(keypoint_scores > threshold, tf.float32)
    return tf.math.divide_no_nan(
        tf.reduce_sum(keypoint_scores * counted, axis=-1),
        tf.reduce_sum(counted, axis=-1),
    )
