"""The pose TFRecord: one `tf.train.Example` per image, holding all its people.

The image is stored once, as the bytes of its JPEG or PNG file. Of P people with K
keypoints each, the per-person features are flat lists of P, P*4 or P*K*3 numbers.
Every person of the annotation file is stored, crowds and people without keypoints
too: the reader chooses. `encode_image_record` writes a record, `parse_image_record`
reads it in graph.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import tensorflow as tf

from hrnet_tf.data.records.shards import check_first_record

IMAGE_ENCODED = "image/encoded"  # bytes: the image file as it is
IMAGE_FILENAME = "image/filename"  # bytes: file_name of the annotation file
IMAGE_ID = "image/id"  # int64
IMAGE_HEIGHT = "image/height"  # int64, pixels as stored: EXIF orientation ignored
IMAGE_WIDTH = "image/width"  # int64
KEYPOINTS_PER_PERSON = "keypoints_per_person"  # int64: K
PERSON_ID = "person/id"  # int64 [P]: annotation ids
PERSON_BBOX = "person/bbox"  # float [P*4]: x, y, width, height in pixels
PERSON_AREA = "person/area"  # float [P]: segment area in square pixels
PERSON_ISCROWD = "person/iscrowd"  # int64 [P]: 1 for a box around a crowd
PERSON_NUM_KEYPOINTS = "person/num_keypoints"  # int64 [P]: keypoints with v > 0
PERSON_KEYPOINTS = "person/keypoints"  # float [P*K*3]: x, y in pixels, v in 0, 1, 2


@dataclasses.dataclass(frozen=True)
class Person:
    """One person annotation; all coordinates are pixels of the original image.

    Attributes:
      id: the annotation's id.
      bbox: x, y, width, height, not clipped to the image.
      area: of the person's segment, in square pixels; the scale of OKS.
      iscrowd: whether the box surrounds a group that was not told apart.
      keypoints: K*3 numbers: x, y, v of each keypoint; v is 0 (not labelled),
        1 (labelled, hidden) or 2 (labelled, visible).
    """

    id: int
    bbox: Sequence[float]
    area: float
    iscrowd: bool
    keypoints: Sequence[float]

    @property
    def num_keypoints(self) -> int:
        """The number of labelled keypoints."""
        return sum(visibility > 0 for visibility in self.keypoints[2::3])


def encode_image_record(
    *,
    encoded: bytes,
    image_id: int,
    filename: str,
    height: int,
    width: int,
    people: Sequence[Person],
    keypoints_per_person: int,
) -> bytes:
    """Returns the serialised `tf.train.Example` of one image and its people.

    Raises:
      ValueError: a person has not `keypoints_per_person` keypoints.
    """
    for person in people:
        if len(person.keypoints) != 3 * keypoints_per_person:
            raise ValueError(
                f"Person {person.id} has {len(person.keypoints)} keypoint numbers; "
                f"{keypoints_per_person} keypoints need {3 * keypoints_per_person}."
            )
    feature = {
        IMAGE_ENCODED: _bytes_feature(encoded),
        IMAGE_FILENAME: _bytes_feature(filename.encode()),
        IMAGE_ID: _int64_feature([image_id]),
        IMAGE_HEIGHT: _int64_feature([height]),
        IMAGE_WIDTH: _int64_feature([width]),
        KEYPOINTS_PER_PERSON: _int64_feature([keypoints_per_person]),
        PERSON_ID: _int64_feature(person.id for person in people),
        PERSON_BBOX: _float_feature(x for person in people for x in person.bbox),
        PERSON_AREA: _float_feature(person.area for person in people),
        PERSON_ISCROWD: _int64_feature(int(person.iscrowd) for person in people),
        PERSON_NUM_KEYPOINTS: _int64_feature(person.num_keypoints for person in people),
        PERSON_KEYPOINTS: _float_feature(
            x for person in people for x in person.keypoints
        ),
    }
    return tf.train.Example(
        features=tf.train.Features(feature=feature)
    ).SerializeToString()


def parse_image_record(
    serialized: tf.Tensor, num_keypoints: int
) -> dict[str, tf.Tensor]:
    """Reads one record, in graph. The image stays encoded.

    Args:
      serialized: scalar string, as `encode_image_record` made it.
      num_keypoints: K of the skeleton that the caller works with.

    Returns:
      A dict of tensors, with P people and coordinates in pixels of the original
      image: `encoded` scalar string; `image_id`, `height`, `width` scalar int64;
      `person_id`, `iscrowd`, `num_keypoints` int64 [P]; `area` float32 [P]; `bbox`
      float32 [P, 4] (x, y, width, height); `keypoints` float32 [P, K, 3] (x, y, v).

    Raises:
      tf.errors.InvalidArgumentError: when run on a record of another skeleton.
    """
    # A record that is no pose record at all fails the check below, with its sentence.
    scalar = tf.io.FixedLenFeature([], tf.int64, default_value=-1)
    int64_list = tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True)
    float_list = tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True)
    record = tf.io.parse_single_example(
        serialized,
        {
            IMAGE_ENCODED: tf.io.FixedLenFeature([], tf.string, default_value=""),
            IMAGE_ID: scalar,
            IMAGE_HEIGHT: scalar,
            IMAGE_WIDTH: scalar,
            KEYPOINTS_PER_PERSON: scalar,
            PERSON_ID: int64_list,
            PERSON_BBOX: float_list,
            PERSON_AREA: float_list,
            PERSON_ISCROWD: int64_list,
            PERSON_NUM_KEYPOINTS: int64_list,
            PERSON_KEYPOINTS: float_list,
        },
    )
    same_skeleton = tf.debugging.assert_equal(
        record[KEYPOINTS_PER_PERSON],
        tf.constant(num_keypoints, tf.int64),
        message=(
            f"The records do not hold {num_keypoints} keypoints per person, as the "
            "configured skeleton does: convert the data with the same skeleton "
            "(python -m hrnet_tf.data.coco_pose --skeleton=...), or configure the "
            "skeleton that they were converted with."
        ),
    )
    with tf.control_dependencies([same_skeleton]):
        keypoints = tf.reshape(record[PERSON_KEYPOINTS], [-1, num_keypoints, 3])
        encoded = tf.identity(record[IMAGE_ENCODED])
    return {
        "encoded": encoded,
        "image_id": record[IMAGE_ID],
        "height": record[IMAGE_HEIGHT],
        "width": record[IMAGE_WIDTH],
        "person_id": record[PERSON_ID],
        "bbox": tf.reshape(record[PERSON_BBOX], [-1, 4]),
        "area": record[PERSON_AREA],
        "iscrowd": record[PERSON_ISCROWD],
        "num_keypoints": record[PERSON_NUM_KEYPOINTS],
        "keypoints": keypoints,
    }


def check_records(files: Sequence[str], num_keypoints: int) -> None:
    """Parses the first record, so that a wrong file is found before the first step.

    Raises:
      RecordError: if there is none, or it does not hold people of `num_keypoints`.
    """
    check_first_record(
        files,
        lambda serialized: parse_image_record(serialized, num_keypoints),
        "convert the data again with python -m hrnet_tf.data.coco_pose",
    )


def _bytes_feature(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int64_feature(values: Iterable[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _float_feature(values: Iterable[float]) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))
