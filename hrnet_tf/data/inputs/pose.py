"""From records of images to crops of people, and to their target heatmaps.

One record holds an image and all its people. It is decoded once; every person is cut
out of it by one affine warp that includes the augmentation, so that pixels are sampled
once. Crops, not images, are then shuffled and batched.

Crops stay bytes, and keypoints numbers: the step that uses a batch normalises its
images and renders its targets (`render_targets`), on the accelerator if there is one.

The pieces fit `official.core.input_reader.InputReader`:

    decode (record -> encoded image and the people to crop)
    crop_people (dataset of images -> dataset of people)
    parse (person -> crop and labels)
    batch (people -> batches, the last one of an evaluation padded)
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from official.core import config_definitions as cfg
from official.core import input_reader

from hrnet_tf.configs import pose as pose_config
from hrnet_tf.data.files.coco_annotations import id_list
from hrnet_tf.data.files.detections import Detections, load_detections
from hrnet_tf.data.inputs import opencv_crops
from hrnet_tf.data.inputs.batching import PADDING_ID, batch_per_replica
from hrnet_tf.data.inputs.color import change_colors
from hrnet_tf.data.inputs.draws import SEED, Draws, with_seeds
from hrnet_tf.data.inputs.pose_augmentation import augment_people
from hrnet_tf.data.records import pose as pose_records
from hrnet_tf.data.records.shards import RecordError
from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.ops import affine, heatmaps
from hrnet_tf.ops.codecs import counts_between_centers
from hrnet_tf.ops.images import decode_image


class PoseInput:
    """The input pipeline of one `configs.pose.PoseData`."""

    def __init__(
        self,
        data: pose_config.PoseData,
        codec: pose_config.Codec,
        crop_size: Sequence[int],
        skeleton: Skeleton,
        category_ids: Sequence[int] = (),
    ):
        """Reads the detections file, if there is one, but no records yet.

        `crop_size` is [height, width]; for `category_ids` see `read_detections`.
        Raises `DetectionsError` if the file is wrong.
        """
        self._data = data
        self._codec = codec
        height, width = crop_size
        self._crop_size = height, width
        self._skeleton = skeleton
        self._udp = counts_between_centers(codec.name)
        self._detections = None
        if data.detections_file and not data.is_training:
            self._detections = read_detections(data, category_ids)

    # Nothing here branches in Python on a tensor, and to convert it all takes long.
    @tf.autograph.experimental.do_not_convert
    def dataset(
        self, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Returns batches of (images, labels).

        images: uint8 [B, height, width, 3].
        labels: a dict of
            keypoints float32 [B, K, 2], x and y in crop pixels;
            visible float32 [B, K], 0 for keypoints that are not labelled;
            image_id int64 [B], `PADDING_ID` in rows that only fill the last batch;
            person_id int64 [B], the annotation's, or `PADDING_ID` in those rows and of
            a detector's boxes;
            crop_to_image float32 [B, 2, 3], from crop to original pixels;
            box_score float32 [B]; area float32 [B] of the padded box in original
            pixels.

        Raises:
            RecordError: If the records cannot be used.
        """
        # With parameter servers this method is called in a graph.
        with tf.init_scope():
            self._check_records()
        reader = input_reader.InputReader(
            self._data,
            dataset_fn=tf.data.TFRecordDataset,
            decoder_fn=self.decode,
            sample_fn=functools.partial(self.crop_people, input_context=input_context),
            parser_fn=self.parse,
            transform_and_batch_fn=self.batch,
        )
        return reader.read(input_context)

    @tf.autograph.experimental.do_not_convert
    def images(self) -> tf.data.Dataset:
        """Returns what `decode` makes of images with people to crop, in their order."""
        self._check_records()
        files = input_reader.match_files(self._data.input_path)
        return tf.data.TFRecordDataset(files).map(self.decode).filter(_has_people)

    @tf.autograph.experimental.do_not_convert
    def _check_records(self) -> None:
        """Refuses records that hold another skeleton or show nobody to crop.

        With nobody to crop, training would wait for its first batch for ever.
        """
        files = input_reader.match_files(self._data.input_path)
        pose_records.check_records(files, self._skeleton.num_keypoints)
        people = tf.data.TFRecordDataset(files).map(self.decode).filter(_has_people)
        if list(people.take(1)):
            return
        reason = (
            "every person is a crowd, or has no area, no labelled keypoint or no box "
            "on the image"
        )
        if self._detections is not None:
            reason = f"detections_file {self._data.detections_file} has other images"
        raise RecordError(
            f"{files[0]} and all files beside it show nobody to crop: {reason}."
        )

    def decode(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        """Parses one record and chooses its people; the image stays encoded.

        Returns:
            A dict of `encoded`, `image_id` and, for P people, `person_id` [P], `boxes`
            [P, 4], `scores` [P] and `keypoints` [P, K, 3], in original pixels.
        """
        record = pose_records.parse_image_record(
            serialized, self._skeleton.num_keypoints
        )
        return {
            "encoded": record["encoded"],
            "image_id": record["image_id"],
            **(
                self._annotated_people(record)
                if self._detections is None
                else self._detected_people(self._detections, record["image_id"])
            ),
        }

    def crop_people(
        self,
        dataset: tf.data.Dataset,
        input_context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        """Turns a dataset of `decode`'s images into a dataset of people's crops."""
        # Images without people to crop need not be decoded.
        dataset = dataset.filter(_has_people)
        if self._data.is_training:
            dataset = with_seeds(dataset, input_context)
        warp_crops = (
            opencv_crops.warp_crops if self._calls_opencv() else affine.warp_crops
        )
        dataset = dataset.map(
            lambda image: self._crop_image(image, warp_crops),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        dataset = dataset.flat_map(tf.data.Dataset.from_tensor_slices)
        if self._data.is_training and self._data.crop_shuffle_buffer_size > 1:
            dataset = dataset.shuffle(
                self._data.crop_shuffle_buffer_size, seed=self._data.seed
            )
        return dataset

    def parse(
        self, person: dict[str, tf.Tensor]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Takes a crop and its labels apart; changes its colours in training."""
        crop = person.pop("crop")
        if self._data.is_training:
            draws = Draws(person.pop(SEED))
            crop = change_colors(crop, self._data.augmentation.color, draws)
        return crop, person

    def batch(
        self, dataset: tf.data.Dataset, input_context: tf.distribute.InputContext | None
    ) -> tf.data.Dataset:
        """Batches per replica; each one's evaluation ends with a full batch."""
        ids = {"image_id": PADDING_ID, "person_id": PADDING_ID}
        return batch_per_replica(dataset, self._data, input_context, ids)

    def _calls_opencv(self) -> bool:
        """Whether OpenCV crops; where the pipeline is not run, it cannot be called."""
        chosen = self._data.crop_with_opencv
        if chosen is None:
            # Parameter servers make their pipelines in a graph.
            chosen = tf.executing_eagerly() and not self._data.enable_tf_data_service
        return chosen and self._data.is_training

    def _crop_image(
        self, record: dict[str, tf.Tensor], warp_crops: Callable[..., tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """Decodes one image and crops its people; tensors gain a leading axis P."""
        center, size = affine.box_to_center_size(
            record["boxes"],
            self._crop_size[1] / self._crop_size[0],
            self._data.box_padding,
        )
        keypoints = record["keypoints"]
        seeds = {}
        if self._data.is_training:
            draws = Draws(record[SEED])
            # Colours change after the people of all images were shuffled.
            seeds[SEED] = draws.seeds(tf.shape(center)[0])
            keypoints, matrices = augment_people(
                keypoints,
                center,
                size,
                self._data.augmentation,
                self._skeleton,
                self._crop_size,
                udp=self._udp,
                draws=draws,
            )
        else:
            matrices = affine.crop_to_image_matrix(
                center, size, 0.0, self._crop_size, udp=self._udp
            )
        # EXIF orientation is ignored, as in COCO's annotations.
        image = decode_image(record["encoded"])
        crops = warp_crops(image, matrices, self._crop_size)
        crop_keypoints = affine.transform_points(
            affine.invert_affine(matrices), keypoints[..., :2]
        )
        return {
            **seeds,
            "crop": crops,
            "keypoints": crop_keypoints,
            "visible": keypoints[..., 2],
            "crop_to_image": matrices,
            "image_id": tf.fill([tf.shape(crops)[0]], record["image_id"]),
            "person_id": record["person_id"],
            "box_score": record["scores"],
            "area": tf.reduce_prod(size, axis=-1),
        }

    def _annotated_people(self, record: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Ids, boxes, box scores and keypoints of the people to crop."""
        boxes, box_is_valid = _boxes_to_crop(record)
        chosen = (
            box_is_valid
            & (record["area"] > 0)
            & (record["iscrowd"] == 0)
            & tf.reduce_any(record["keypoints"][..., 2] > 0, axis=-1)
        )
        boxes = tf.boolean_mask(boxes, chosen)
        return {
            "person_id": tf.boolean_mask(record["person_id"], chosen),
            "boxes": boxes,
            "scores": tf.ones_like(boxes[:, 0]),
            "keypoints": tf.boolean_mask(record["keypoints"], chosen),
        }

    def _detected_people(
        self, detections: Detections, image_id: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The detector's boxes of one image, without ground-truth keypoints."""
        image_ids = tf.constant(detections.image_ids)
        first, last = (
            tf.searchsorted(image_ids, image_id[tf.newaxis], side=side)[0]
            for side in ("left", "right")
        )
        boxes = tf.constant(detections.boxes)[first:last]
        return {
            "person_id": tf.fill([last - first], tf.constant(PADDING_ID, tf.int64)),
            "boxes": boxes,
            "scores": tf.constant(detections.scores)[first:last],
            "keypoints": tf.zeros(
                [last - first, self._skeleton.num_keypoints, 3], tf.float32
            ),
        }


def render_targets(
    labels: dict[str, tf.Tensor], codec: pose_config.Codec, crop_size: Sequence[int]
) -> dict[str, tf.Tensor]:
    """Labels of a batch with what a network is to predict, see `heatmaps.encode`.

    `crop_size` is [height, width]. Adds heatmaps float32 [B, h, w, K] and weights
    float32 [B, K].
    """
    height, width = crop_size
    targets, weights = heatmaps.encode(
        codec.name, labels["keypoints"], labels["visible"], (height, width), codec.sigma
    )
    return {**labels, "heatmaps": targets, "weights": weights}


def read_detections(
    data: pose_config.PoseData, category_ids: Sequence[int]
) -> Detections:
    """Reads the boxes of the categories that `data` names, or else of `category_ids`.

    Raises `DetectionsError`.
    """
    return load_detections(
        data.detections_file,
        id_list(data.detections_category_id) or category_ids,
        data.detection_score_threshold,
    )


def _boxes_to_crop(record: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """The boxes of P people before they are padded, [P, 4], and which are usable.

    Records of MPII and of faces say what is cropped: that is neither clipped to the
    image nor made smaller. Else it is the clean box.
    """
    region = record["region"]
    corners = region[:, :2] - 0.5 * region[:, 2:]

    def regions() -> tuple[tf.Tensor, tf.Tensor]:
        boxes = tf.concat([corners, region[:, 2:]], axis=-1)
        return boxes, tf.reduce_all(region[:, 2:] > 0, axis=-1)

    return tf.cond(
        tf.size(region) > 0,
        regions,
        lambda: clean_boxes(record["bbox"], record["height"], record["width"]),
    )


def clean_boxes(
    boxes: tf.Tensor, image_height: tf.Tensor, image_width: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Clips ground-truth boxes to the image, in the official way.

    Official lib/dataset/coco.py, `_load_coco_keypoint_annotation_kernal`: corners are
    pixels inside the box, so width and height shrink by one. `boxes` are [P, 4], x, y,
    width, height in original pixels.

    Returns:
        The clipped boxes [P, 4], and whether anything is left of each, bool [P].
        A box of one pixel leaves nothing: without an extent there is no scale to crop
        at.
    """
    limit = tf.cast(tf.stack([image_width, image_height]), tf.float32) - 1.0
    low = tf.maximum(boxes[:, :2], 0.0)
    high = tf.minimum(low + tf.maximum(boxes[:, 2:] - 1.0, 0.0), limit)
    return (
        tf.concat([low, high - low], axis=-1),
        tf.reduce_all(high >= low, axis=-1) & tf.reduce_any(high > low, axis=-1),
    )


def read_images(
    data: cfg.DataConfig, num_keypoints: int, count: int
) -> list[dict[str, np.ndarray]]:
    """Reads the first `count` images with labelled people, for pictures.

    Returns:
        Dicts of `image_id` int, `image` uint8 [H, W, 3] and `keypoints` float32
        [P, K, 3] of the labelled people.
    """
    files = input_reader.match_files(data.input_path)
    images = []
    for serialized in tf.data.TFRecordDataset(files):
        record = pose_records.parse_image_record(serialized, num_keypoints)
        keypoints = record["keypoints"].numpy()
        labelled = (keypoints[..., 2] > 0).any(axis=-1)
        if not labelled.any():
            continue
        images.append(
            {
                "image_id": int(record["image_id"]),
                "image": decode_image(record["encoded"]).numpy(),
                "keypoints": keypoints[labelled],
            }
        )
        if len(images) == count:
            break
    return images


def _has_people(record: dict[str, tf.Tensor]) -> tf.Tensor:
    return tf.shape(record["boxes"])[0] > 0
