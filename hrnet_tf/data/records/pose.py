"""The pose TFRecord: one `tf.train.Example` per image, holding all its people.

The image is stored once, as the bytes of its JPEG or PNG file. For P people with K
keypoints each, the per-person features are flat lists of P, P*4 or P*K*3 numbers.
Everyone in the annotation file is stored, also crowds and people without keypoints: the
reader chooses. `encode_image_record` writes a record, `parse_image_record` reads it in
graph.
"""

from collections.abc import Iterator, Sequence

import tensorflow as tf
from official.vision.data.tfrecord_lib import convert_to_feature

from hrnet_tf.data.files.coco_people import Person
from hrnet_tf.data.records.checks import Conditions, is_within, require
from hrnet_tf.data.records.examples import (
    IMAGE_ENCODED,
    IMAGE_FILENAME,
    IMAGE_HEIGHT,
    IMAGE_WIDTH,
    list_of,
    serialize,
)
from hrnet_tf.data.records.shards import check_first_record

IMAGE_ID = "image/id"  # int64
KEYPOINTS_PER_PERSON = "keypoints_per_person"  # int64: K
PERSON_ID = "person/id"  # int64 [P]: annotation ids
PERSON_BBOX = "person/bbox"  # float [P*4]: x, y, width, height in pixels
PERSON_AREA = "person/area"  # float [P]: segment area in square pixels
PERSON_ISCROWD = "person/iscrowd"  # int64 [P]: 1 for a box around a crowd
PERSON_NUM_KEYPOINTS = "person/num_keypoints"  # int64 [P]: keypoints with v > 0
PERSON_KEYPOINTS = "person/keypoints"  # float [P*K*3]: x, y in pixels, v in 0, 1, 2
# Both only in records of data sets that have them.
PERSON_REGION = "person/region"  # float [P*4]: the centre's x and y, width, height
PERSON_NORMALIZER = "person/normalizer"  # float [P]: pixels; 0 if it is not known

_OPTIONAL = (PERSON_REGION, PERSON_NORMALIZER)

# No image has so many pixels side by side; people may stand partly outside.
_FARTHEST = 1e9


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
    """The serialised `tf.train.Example` of one image and its people.

    Raises `ValueError` if a person does not have K keypoints, or some people alone have
    a region.
    """
    for person in people:
        if len(person.keypoints) != 3 * keypoints_per_person:
            raise ValueError(
                f"Person {person.id} has {len(person.keypoints)} keypoint numbers; "
                f"{keypoints_per_person} keypoints need {3 * keypoints_per_person}."
            )
    numbers = {
        IMAGE_ID: [image_id],
        IMAGE_HEIGHT: [height],
        IMAGE_WIDTH: [width],
        KEYPOINTS_PER_PERSON: [keypoints_per_person],
        PERSON_ID: [person.id for person in people],
        PERSON_ISCROWD: [int(person.iscrowd) for person in people],
        PERSON_NUM_KEYPOINTS: [person.num_keypoints for person in people],
    }
    measures = {
        PERSON_BBOX: [x for person in people for x in person.bbox],
        PERSON_AREA: [person.area for person in people],
        PERSON_KEYPOINTS: [x for person in people for x in person.keypoints],
    }
    regions = [person.region for person in people if person.region is not None]
    if regions and len(regions) < len(people):
        raise ValueError("Some people have a region, and some have none.")
    if regions:
        measures[PERSON_REGION] = [x for region in regions for x in region]
    if any(person.normalizer for person in people):
        measures[PERSON_NORMALIZER] = [person.normalizer for person in people]
    # The types are named, since an empty list does not tell them.
    feature = {
        IMAGE_ENCODED: convert_to_feature(encoded),
        IMAGE_FILENAME: convert_to_feature(filename.encode()),
        **{key: convert_to_feature(n, "int64_list") for key, n in numbers.items()},
        **{key: convert_to_feature(x, "float_list") for key, x in measures.items()},
    }
    return serialize(feature)


def parse_image_record(
    serialized: tf.Tensor, num_keypoints: int
) -> dict[str, tf.Tensor]:
    """Reads one record, in graph. The image stays encoded.

    A record of another skeleton raises `tf.errors.InvalidArgumentError` when this runs.

    Returns:
        A dict of tensors, with P people and coordinates in pixels of the original
        image: `encoded` scalar string; `image_id`, `height`, `width` scalar int64;
        `person_id`, `iscrowd`, `num_keypoints` int64 [P]; `area`, `normalizer` float32
        [P]; `bbox` float32 [P, 4] (x, y, width, height); `region` float32 [P, 4] or, in
        records without them, [0, 4] (the centre's x and y, width, height); `keypoints`
        float32 [P, K, 3] (x, y, v).
    """
    # Records of other kinds fail the check below, with its sentence.
    scalar = tf.io.FixedLenFeature([], tf.int64, default_value=-1)
    int64_list, float_list = list_of(tf.int64), list_of(tf.float32)
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
            PERSON_REGION: float_list,
            PERSON_NORMALIZER: float_list,
        },
    )
    other_skeleton = (
        f"The records do not hold {num_keypoints} keypoints per person, as the "
        "configured skeleton does: convert the data with the same skeleton "
        "(python -m hrnet_tf.data.coco_pose --skeleton=...), or configure the "
        "skeleton that they were converted with."
    )
    is_same_skeleton = record[KEYPOINTS_PER_PERSON] == num_keypoints
    check = require({other_skeleton: is_same_skeleton, **_consistency(record)})
    with tf.control_dependencies([check]):
        keypoints = tf.reshape(record[PERSON_KEYPOINTS], [-1, num_keypoints, 3])
        encoded = tf.identity(record[IMAGE_ENCODED])
    missing = tf.size(record[PERSON_ID]) - tf.size(record[PERSON_NORMALIZER])
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
        "region": tf.reshape(record[PERSON_REGION], [-1, 4]),
        "normalizer": tf.pad(record[PERSON_NORMALIZER], [[0, tf.maximum(missing, 0)]]),
    }


def _consistency(record: dict[str, tf.Tensor]) -> Conditions:
    """What would otherwise be cropped or scored wrongly, without a word."""
    num_people = tf.size(record[PERSON_ID])
    per_person = 3 * tf.cast(record[KEYPOINTS_PER_PERSON], tf.int32)
    lengths = {
        PERSON_BBOX: 4 * num_people,
        PERSON_AREA: num_people,
        PERSON_ISCROWD: num_people,
        PERSON_NUM_KEYPOINTS: num_people,
        PERSON_KEYPOINTS: num_people * per_person,
        PERSON_REGION: 4 * num_people,
        PERSON_NORMALIZER: num_people,
    }
    conditions = {}
    for key, length in lengths.items():
        found = tf.size(record[key])
        may_miss = (found == 0) & (key in _OPTIONAL)
        fault = f"{key} is not of the people that {PERSON_ID} names"
        conditions[fault] = (found == length) | may_miss
    for key in (PERSON_BBOX, PERSON_AREA, PERSON_KEYPOINTS, *_OPTIONAL):
        conditions[f"{key} holds NaN or infinities"] = tf.math.is_finite(record[key])
    for key, values, least, most in _ranges(record):
        fault = f"{key} is not from {least} to {most:g}"
        conditions[fault] = is_within(values, least, most)
    for key, least in ((IMAGE_ID, 0), (IMAGE_HEIGHT, 1), (IMAGE_WIDTH, 1)):
        conditions[f"{key} is missing or below {least}"] = record[key] >= least
    return conditions


def _ranges(
    record: dict[str, tf.Tensor],
) -> Iterator[tuple[str, tf.Tensor, float, float]]:
    """Numbers of people with their least and most."""
    boxes, keypoints = record[PERSON_BBOX], record[PERSON_KEYPOINTS]
    yield PERSON_BBOX, boxes, -_FARTHEST, _FARTHEST
    yield f"a width in {PERSON_BBOX}", boxes[2::4], 0, _FARTHEST
    yield f"a height in {PERSON_BBOX}", boxes[3::4], 0, _FARTHEST
    yield PERSON_KEYPOINTS, keypoints, -_FARTHEST, _FARTHEST
    yield f"a visibility in {PERSON_KEYPOINTS}", keypoints[2::3], 0, 2
    yield PERSON_AREA, record[PERSON_AREA], 0, _FARTHEST**2
    yield PERSON_ISCROWD, record[PERSON_ISCROWD], 0, 1
    regions = record[PERSON_REGION]
    yield PERSON_REGION, regions, -_FARTHEST, _FARTHEST
    yield f"a width in {PERSON_REGION}", regions[2::4], 0, _FARTHEST
    yield f"a height in {PERSON_REGION}", regions[3::4], 0, _FARTHEST
    yield PERSON_NORMALIZER, record[PERSON_NORMALIZER], 0, _FARTHEST


def check_records(files: Sequence[str], num_keypoints: int) -> None:
    """Raises `RecordError` if the first record has not `num_keypoints` per person."""
    check_first_record(
        files,
        lambda serialized: parse_image_record(serialized, num_keypoints),
        "convert the data again with python -m hrnet_tf.data.coco_pose",
    )
