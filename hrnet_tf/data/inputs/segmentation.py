"""From records of labelled images to batches for training and evaluation.

Training: the image is scaled at random, and a crop is cut out at random and perhaps
mirrored, all in one affine map, so that pixels are sampled once. This follows the
official lib/datasets/base_dataset.py (`gen_sample`), and lip.py for the labels of a
mirrored person. Mirroring and scale are drawn independently of each other.

Evaluation: the image stays as it is. `ops.dense_prediction` resizes it.
"""

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from official.core import input_reader

from hrnet_tf.configs import segmentation as segmentation_config
from hrnet_tf.data.inputs.batching import batch_per_replica
from hrnet_tf.data.inputs.color import change_colors
from hrnet_tf.data.inputs.draws import SEED, Draws, with_seeds
from hrnet_tf.data.records import segmentation as segmentation_records
from hrnet_tf.data.records.checks import Conditions, require
from hrnet_tf.data.vocabularies.label_sets import IGNORE, LabelSet
from hrnet_tf.ops import affine
from hrnet_tf.ops.dense_prediction import resized_size
from hrnet_tf.ops.images import decode_image


class SegmentationInput:
    """The input pipeline of one `configs.segmentation.SegmentationData`."""

    def __init__(
        self,
        data: segmentation_config.SegmentationData,
        resizing: segmentation_config.Resizing,
        label_set: LabelSet,
        drop_background: bool = False,
        ignore_label: int = IGNORE,
    ):
        """Reads nothing yet.

        With `drop_background` the records count one class more, number 0, which is not
        learned. `ignore_label` is the label for pixels without a class.
        """
        self._data = data
        self._resizing = resizing
        self._label_set = label_set
        self._drop_background = drop_background
        self._ignore_label = ignore_label

    # Nothing here branches in Python on a tensor, and to convert it all takes long.
    @tf.autograph.experimental.do_not_convert
    def dataset(
        self, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Returns batches of (images, labels).

        Images are uint8. In training they are [B, height, width, 3], of `crop_size`;
        in evaluation [B, H, W, 3], filled below and at the right to the largest of the
        batch. The step that uses a batch normalises it.

        labels: a dict of
            masks uint8 [B, H, W, 1], the class of every pixel;
            valid_masks bool [B, H, W, 1], whether it has one;
            image_info float32 [B, 4, 2], as the Garden's metrics want it: height and
            width of the image as stored, then what they do not need here.

        Raises:
            RecordError: If the records cannot be used.
        """
        # With parameter servers this method is called in a graph.
        with tf.init_scope():
            self._check_records()
        is_training = self._data.is_training
        seeded = functools.partial(with_seeds, input_context=input_context)
        reader = input_reader.InputReader(
            self._data,
            dataset_fn=tf.data.TFRecordDataset,
            decoder_fn=self.decode,
            sample_fn=seeded if is_training else None,
            parser_fn=self.augment if is_training else self._keep,
            transform_and_batch_fn=self._batch,
        )
        return reader.read(input_context)

    def images(self) -> tf.data.Dataset:
        """Returns images as stored: `image` uint8 [H, W, 3], `labels` uint8 [H, W]."""
        self._check_records()
        files = input_reader.match_files(self._data.input_path)
        return tf.data.TFRecordDataset(files).map(self.decode)

    @tf.autograph.experimental.do_not_convert
    def _check_records(self) -> None:
        files = input_reader.match_files(self._data.input_path)
        segmentation_records.check_records(files, self._num_stored_classes)

    @property
    def _num_stored_classes(self) -> int:
        return self._label_set.num_classes + self._drop_background

    def decode(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reads one record: `image` uint8 [H, W, 3] and `labels` uint8 [H, W]."""
        record = segmentation_records.parse_image_record(
            serialized, self._num_stored_classes
        )
        # EXIF orientation is ignored, as labels were drawn on the stored pixels.
        image = decode_image(record["encoded"])
        labels = tf.io.decode_image(
            record["labels_encoded"], channels=1, expand_animations=False
        )
        labels = tf.ensure_shape(labels, [None, None, 1])[..., 0]
        with tf.control_dependencies([require(self._conditions(image, labels))]):
            labels = tf.identity(labels)
        if self._drop_background:
            labels = tf.where(labels == IGNORE, tf.cast(0, tf.uint8), labels)
            # 0 - 1 is 255, and so not learned.
            labels = labels - tf.cast(1, tf.uint8)
        if self._ignore_label != IGNORE:
            ignored = tf.cast(self._ignore_label, tf.uint8)
            labels = tf.where(labels == IGNORE, ignored, labels)
        return {"image": tf.ensure_shape(image, [None, None, 3]), "labels": labels}

    def _conditions(self, image: tf.Tensor, labels: tf.Tensor) -> Conditions:
        """What would otherwise be learned wrongly, without a word."""
        is_known = (labels < self._num_stored_classes) | (labels == IGNORE)
        unknown = (
            f"The labels hold a number beyond {self._num_stored_classes - 1}, the last "
            f"class, that is not {IGNORE}"
        )
        size = tf.shape(image)[:2]
        conditions = {
            "The labels have another size than the image": size == tf.shape(labels),
            unknown: is_known,
        }
        if self._data.padded_size and not self._data.is_training:
            too_large = (
                "The image is larger than task.validation_data.padded_size, "
                f"{self._data.padded_size}, which must hold the largest."
            )
            conditions[too_large] = size <= self._data.padded_size
        return conditions

    def augment(
        self, example: dict[str, tf.Tensor]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Scales, crops, mirrors and perhaps changes colours at random.

        `example` is what `decode` and then `draws.with_seeds` give.
        """
        augmentation = self._data.augmentation
        draws = Draws(example[SEED])
        size = tf.shape(example["image"])[:2]
        scaled = self._scaled_size(size, _draw_scale(augmentation, draws))
        is_mirrored = draws.uniform([]) < augmentation.flip_probability
        matrix, is_inside = _random_crop(
            size, scaled, self._data.crop_size, is_mirrored, draws
        )
        height, width = self._data.crop_size
        crop_size = height, width
        image = affine.warp_crop(
            example["image"], matrix, crop_size, extend_border=True
        )
        labels = affine.warp_crop(
            example["labels"][..., tf.newaxis],
            matrix,
            crop_size,
            "nearest",
            extend_border=True,
        )
        labels = tf.cast(labels, tf.uint8)
        labels = tf.where(is_mirrored, self._swap_sides(labels), labels)
        image = tf.cast(tf.round(image), tf.uint8)
        image = change_colors(image, augmentation.color, draws)
        image = tf.where(is_inside, image, tf.cast(0, tf.uint8))
        labels = tf.where(is_inside, labels, tf.cast(self._ignore_label, tf.uint8))
        return image, self._labels(labels, size)

    def _scaled_size(
        self, size: tf.Tensor, scale: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if self._resizing.method == "long_side":
            return resized_size(size[0], size[1], self._resizing.long_side * scale)
        fixed = tf.constant(self._resizing.size, tf.float32)
        height, width = tf.unstack(tf.cast(tf.floor(fixed * scale + 0.5), tf.int32))
        return height, width

    def _swap_sides(self, labels: tf.Tensor) -> tf.Tensor:
        mapping = np.arange(256, dtype=np.uint8)
        mapping[: self._label_set.num_classes] = self._label_set.flip_permutation
        return tf.gather(tf.constant(mapping), tf.cast(labels, tf.int32))

    def _keep(
        self, example: dict[str, tf.Tensor]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        image = example["image"]
        labels = example["labels"][..., tf.newaxis]
        return image, self._labels(labels, tf.shape(image)[:2])

    def _labels(self, labels: tf.Tensor, size: tf.Tensor) -> dict[str, tf.Tensor]:
        size = tf.cast(size, tf.float32)
        shown = tf.cast(tf.shape(labels)[:2], tf.float32)
        return {
            "masks": labels,
            "valid_masks": labels != tf.cast(self._ignore_label, tf.uint8),
            "image_info": tf.stack([size, shown, tf.ones([2]), tf.zeros([2])]),
        }

    def _batch(
        self, dataset: tf.data.Dataset, input_context: tf.distribute.InputContext | None
    ) -> tf.data.Dataset:
        return batch_per_replica(
            dataset,
            self._data,
            input_context,
            {"masks": self._ignore_label},
            self._data.padded_size,
        )


def _draw_scale(
    augmentation: segmentation_config.Augmentation, draws: Draws
) -> tf.Tensor:
    low, high = augmentation.scale_min, augmentation.scale_max
    if augmentation.scale_step <= 0:
        return draws.uniform([], low, high)
    num_steps = round((high - low) / augmentation.scale_step) + 1
    step = draws.uniform([], 0, num_steps, tf.int32)
    return low + augmentation.scale_step * tf.cast(step, tf.float32)


def _random_crop(
    size: tf.Tensor,
    scaled: tuple[tf.Tensor, tf.Tensor],
    crop_size: Sequence[int],
    is_mirrored: tf.Tensor,
    draws: Draws,
) -> tuple[tf.Tensor, tf.Tensor]:
    """A crop of the scaled image, anywhere in it.

    `size`, int32 [2], is that of the image before. A crop that is larger than the image
    begins at the image's top or left border, and is mirrored all the same.

    Returns:
        The matrix [2, 3] from pixels of the crop to pixels of the image, and
        bool [height, width, 1]: which pixels of the crop show the image.
    """
    starts = [
        draws.uniform([], 0, tf.maximum(side - crop, 0) + 1, tf.int32)
        for side, crop in zip(scaled, crop_size, strict=True)
    ]
    columns = tf.range(crop_size[1])
    columns = tf.where(is_mirrored, crop_size[1] - 1 - columns, columns) + starts[1]
    rows = tf.range(crop_size[0]) + starts[0]
    is_inside = (rows < scaled[0])[:, tf.newaxis] & (columns < scaled[1])[tf.newaxis]

    height, width = tf.unstack(tf.cast(size, tf.float32))
    across = width / tf.cast(scaled[1], tf.float32)
    down = height / tf.cast(scaled[0], tf.float32)
    # Pixels are points in the middle of squares: hence the halves.
    left = tf.cast(columns[0], tf.float32)
    direction = tf.where(is_mirrored, -1.0, 1.0)
    matrix = tf.stack(
        [
            tf.stack([direction * across, 0.0, (left + 0.5) * across - 0.5]),
            tf.stack([0.0, down, (tf.cast(rows[0], tf.float32) + 0.5) * down - 0.5]),
        ]
    )
    return matrix, is_inside[..., tf.newaxis]
