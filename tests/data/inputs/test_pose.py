"""Records to crops: pixels and keypoints move together, and nobody is lost."""

import dataclasses
import json
import math
import pathlib

import cv2
import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf.configs import pose as pose_config
from hrnet_tf.data.files.coco_people import Person
from hrnet_tf.data.files.detections import DetectionsError, load_detections
from hrnet_tf.data.inputs import normalization
from hrnet_tf.data.inputs import pose as pose_input
from hrnet_tf.data.inputs.draws import Draws
from hrnet_tf.data.inputs.pose_augmentation import augment_people
from hrnet_tf.data.records import pose as pose_records
from hrnet_tf.data.records.shards import RecordError
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.ops import affine, heatmaps

COCO = load_skeleton("coco17")
CROP_SIZE = (128, 96)
NO_AUGMENTATION = {
    "half_body_probability": 0.0,
    "scale": 0.0,
    "rotation_probability": 0.0,
    "flip_probability": 0.0,
}

# A standing figure in a 256x320 image (width x height): nose, eyes, ears, shoulders,
# elbows, wrists, hips, knees, ankles; its left is on the viewer's right.
FIGURE = np.array(
    [
        *([128, 55], [142, 41], [114, 41], [158, 50], [98, 50]),
        *([160, 90], [96, 90], [178, 125], [78, 125], [186, 160], [70, 160]),
        *([146, 165], [110, 165], [150, 210], [106, 210], [154, 255], [102, 255]),
    ],
    np.float32,
)
FIGURE_BOX = [60.0, 30.0, 136.0, 240.0]
IMAGE_SIZE = (320, 256)


def _person(person_id=1, bbox=FIGURE_BOX, keypoints=FIGURE, v=2, **changes):
    triples = np.concatenate(
        [keypoints, np.broadcast_to(v, len(keypoints))[:, np.newaxis]], axis=-1
    )
    fields = {"area": 9000.0, "iscrowd": False, **changes}
    return Person(person_id, list(bbox), keypoints=triples.ravel().tolist(), **fields)


def _record(people, image=None, image_id=1, num_keypoints=17):
    if image is None:
        image = np.full((*IMAGE_SIZE, 3), 90, np.uint8)
    encoded = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
    return pose_records.encode_image_record(
        encoded=encoded,
        image_id=image_id,
        filename=f"{image_id}.png",
        height=image.shape[0],
        width=image.shape[1],
        people=people,
        keypoints_per_person=num_keypoints,
    )


def _write(path: pathlib.Path, records) -> str:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return str(path)


def _input(
    is_training=False,
    codec="msra",
    crop_size=CROP_SIZE,
    skeleton=COCO,
    augmentation=None,
    **data,
) -> pose_input.PoseInput:
    settings = {
        "is_training": is_training,
        "global_batch_size": 4,
        "drop_remainder": is_training,
        "crop_shuffle_buffer_size": 1,
        "shuffle_buffer_size": 1,
        **data,
    }
    return pose_input.PoseInput(
        pose_config.PoseData(
            augmentation=pose_config.Augmentation(**(augmentation or {})), **settings
        ),
        pose_config.Codec(name=codec),
        crop_size,
        skeleton,
    )


@tf.autograph.experimental.do_not_convert  # As `dataset` builds it, too.
def _crops(source: pose_input.PoseInput, records: list[bytes], repeat=1) -> list[dict]:
    """Crops of all people before they are normalised and encoded."""
    dataset = tf.data.Dataset.from_tensor_slices(records).repeat(repeat)
    dataset = source.crop_people(dataset.map(source.decode))
    return list(dataset.as_numpy_iterator())


def _official_image_to_crop(box, crop_size=CROP_SIZE) -> np.ndarray:
    """The official affine of a box: three points, as OpenCV solves them."""
    height, width = crop_size
    x, y, w, h = box
    size_x = max(w, h * width / height) * 1.25
    center = np.array([x + w / 2, y + h / 2])
    source = [center, center - [0, size_x / 2], center - [size_x / 2, 0]]
    middle = np.array([width / 2, height / 2])
    target = [middle, middle - [0, width / 2], middle - [width / 2, 0]]
    return cv2.getAffineTransform(np.float32(source), np.float32(target))


def _apply(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


# ---- crops without augmentation ----


def test_crop_equals_opencvs_warp_of_the_clean_box():
    noise = np.random.default_rng(0).integers(0, 255, (*IMAGE_SIZE, 3), np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 3)
    source = _input()
    (person,) = _crops(source, [_record([_person()], image)])

    clean_box = np.array(FIGURE_BOX) - [0, 0, 1, 1]
    matrix = _official_image_to_crop(clean_box)
    expected = cv2.warpAffine(image, matrix, CROP_SIZE[::-1], flags=cv2.INTER_LINEAR)
    assert person["crop"].dtype == np.uint8
    difference = np.abs(person["crop"].astype(int) - expected)
    assert difference.max() <= 2
    np.testing.assert_allclose(person["keypoints"], _apply(matrix, FIGURE), atol=1e-3)
    restored = _apply(person["crop_to_image"], person["keypoints"])
    np.testing.assert_allclose(restored, FIGURE, atol=1e-3)
    assert person["image_id"] == 1
    assert person["box_score"] == 1.0
    # Width x height of the padded box: 239 high, and 3/4 of it wide.
    assert person["area"] == pytest.approx(239 * 1.25 * 239 * 0.75 * 1.25, rel=1e-5)


def test_udp_crops_count_between_pixel_centres():
    (person,) = _crops(_input(codec="udp"), [_record([_person()])])
    corners = np.array([[0, 0], [95, 127]], np.float32)
    # Clean box 60, 30, 135, 239: centre (127.5, 149.5), padded to 224.06 x 298.75.
    np.testing.assert_allclose(
        _apply(person["crop_to_image"], corners),
        [[15.46875, 0.125], [239.53125, 298.875]],
        atol=1e-3,
    )


def test_batches_hold_rgb_bytes(tmp_path):
    image = np.zeros((*IMAGE_SIZE, 3), np.uint8)
    image[:] = (255, 0, 51)
    path = _write(tmp_path / "a", [_record([_person()], image)])
    ((images, _),) = _input(input_path=path, global_batch_size=1).dataset()
    assert images.dtype == tf.uint8
    assert images[0, 64, 48].numpy().tolist() == [255, 0, 51]


def test_greyscale_images_become_rgb():
    encoded = cv2.imencode(".jpg", np.full(IMAGE_SIZE, 77, np.uint8))[1].tobytes()
    record = pose_records.encode_image_record(
        encoded=encoded,
        image_id=1,
        filename="grey.jpg",
        height=IMAGE_SIZE[0],
        width=IMAGE_SIZE[1],
        people=[_person()],
        keypoints_per_person=17,
    )
    (person,) = _crops(_input(), [record])
    np.testing.assert_allclose(person["crop"][64, 48], 77, atol=2)


# ---- augmentation ----


def _dots() -> tuple[np.ndarray, np.ndarray]:
    """An image with a dot of its own colour at every keypoint, and the colours."""
    hues = np.linspace(0, 179, 18)[:17].astype(np.uint8)
    hsv = np.stack([hues, np.full(17, 255), np.full(17, 255)], axis=-1)[np.newaxis]
    colors = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)[0]
    image = np.zeros((*IMAGE_SIZE, 3), np.uint8)
    for (x, y), color in zip(FIGURE, colors, strict=True):
        cv2.circle(image, (int(x), int(y)), 6, color.tolist(), -1)
    return image, colors.astype(int)


def _centre_of(crop: np.ndarray, color: np.ndarray) -> np.ndarray | None:
    """Middle (x, y) of the pixels of a colour, if there are some."""
    alike = np.abs(crop.astype(int) - color).sum(axis=-1) < 45
    y, x = np.nonzero(alike)
    return np.array([x.mean(), y.mean()]) if x.size >= 5 else None


@pytest.mark.parametrize("codec", ["msra", "udp"])
def test_pixels_and_keypoints_move_together(codec):
    image, colors = _dots()
    source = _input(
        is_training=True, codec=codec, augmentation={"half_body_probability": 0.3}
    )
    people = _crops(source, [_record([_person()], image)], repeat=40)
    mirrored = [np.linalg.det(p["crop_to_image"][:, :2]) < 0 for p in people]
    assert 5 < sum(mirrored) < 35
    assert len({p["crop_to_image"].tobytes() for p in people}) > 20
    compared = 0
    for person, is_mirrored in zip(people, mirrored, strict=True):
        for index, position in enumerate(person["keypoints"]):
            if not np.all((position > 6) & (position < np.array([89, 121]))):
                continue
            # In a mirrored crop the figure's right wrist looks like a left one.
            drawn = COCO.flip_permutation[index] if is_mirrored else index
            centre = _centre_of(person["crop"], colors[drawn])
            assert centre is not None
            assert np.abs(centre - position).max() < 0.6
            compared += 1
    assert compared > 300


def test_visibility_changes_sides_too():
    v = np.zeros(17)
    v[COCO.keypoints.index("left_wrist")] = 2
    v[COCO.keypoints.index("nose")] = 1
    augmentation = {**NO_AUGMENTATION, "flip_probability": 1.0}
    source = _input(is_training=True, augmentation=augmentation)
    (person,) = _crops(source, [_record([_person(v=v)])])
    labelled = np.flatnonzero(person["visible"]).tolist()
    assert labelled == [0, COCO.keypoints.index("right_wrist")]


def test_a_mirrored_crop_is_the_crop_of_the_mirrored_image():
    """The official way: mirror image and centre, c -> W - c - 1, and crop."""
    noise = np.random.default_rng(0).integers(0, 255, (*IMAGE_SIZE, 3), np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 3)
    augmentation = {**NO_AUGMENTATION, "flip_probability": 1.0}
    source = _input(is_training=True, augmentation=augmentation)
    (person,) = _crops(source, [_record([_person()], image)])

    x, y, w, h = np.array(FIGURE_BOX) - [0, 0, 1, 1]
    width = IMAGE_SIZE[1]
    matrix = _official_image_to_crop([width - 1 - x - w, y, w, h])
    expected = cv2.warpAffine(image[:, ::-1], matrix, CROP_SIZE[::-1])
    assert np.abs(person["crop"].astype(int) - expected).max() <= 2
    points = FIGURE * [-1, 1] + [width - 1, 0]
    expected_keypoints = _apply(matrix, points)[list(COCO.flip_permutation)]
    np.testing.assert_allclose(person["keypoints"], expected_keypoints, atol=1e-3)


def _draws(augmentation: dict, count=400) -> dict[str, np.ndarray]:
    """Scale, rotation in degrees and mirroring of many crops of one person."""
    source = _input(is_training=True, crop_size=(32, 24), augmentation=augmentation)
    image = np.zeros((8, 8, 3), np.uint8)
    box = [1.0, 1.0, 6.0, 6.0]
    person = _person(bbox=box, keypoints=FIGURE / 40)
    matrices = np.array(
        [
            crop["crop_to_image"]
            for crop in _crops(source, [_record([person], image)], repeat=count)
        ]
    )
    linear = matrices[:, :, :2].astype(np.float64)
    mirrored = np.linalg.det(linear) < 0
    linear[mirrored, 0] *= -1
    # Clean box 5x5, 5 wide enough for its height of 5 / 0.75, padded to 6.25 / 24 a
    # pixel.
    return {
        "scale": np.sqrt(np.linalg.det(linear)) / (6.25 / 24),
        "rotation": np.degrees(np.arctan2(linear[:, 1, 0], linear[:, 0, 0])),
        "mirrored": mirrored,
    }


def test_default_augmentation_is_the_official_recipe():
    draws = _draws({"half_body_probability": 0.0})
    scale, rotation = draws["scale"], draws["rotation"]
    # N(1, 0.35) clipped one standard deviation away: 16 % of draws at either bound.
    assert scale.min() == pytest.approx(0.65, abs=1e-4)
    assert scale.max() == pytest.approx(1.35, abs=1e-4)
    assert 0.07 < np.isclose(scale, 0.65, atol=1e-4).mean() < 0.26
    assert 0.07 < np.isclose(scale, 1.35, atol=1e-4).mean() < 0.26
    assert scale.mean() == pytest.approx(1.0, abs=0.07)
    # N(0, 45 degrees) clipped at 90: 60 % are turned, of these 4.6 % by 90.
    assert np.abs(rotation).max() == pytest.approx(90, abs=0.01)
    is_turned = np.abs(rotation) > 1e-3
    assert 0.48 < is_turned.mean() < 0.72
    assert rotation[is_turned].std() == pytest.approx(44, abs=8)
    assert abs(rotation[is_turned].mean()) < 15
    assert 0.38 < draws["mirrored"].mean() < 0.62


def test_probabilities_of_zero_and_one():
    never = _draws(NO_AUGMENTATION, count=50)
    np.testing.assert_allclose(never["scale"], 1.0, atol=1e-4)
    np.testing.assert_allclose(never["rotation"], 0.0, atol=1e-3)
    assert not never["mirrored"].any()
    always = _draws(
        {
            **NO_AUGMENTATION,
            "rotation": 10.0,
            "rotation_probability": 1.0,
            "flip_probability": 1.0,
        },
        count=50,
    )
    assert always["mirrored"].all()
    assert (np.abs(always["rotation"]) > 0).all()
    assert np.abs(always["rotation"]).max() < 20.01


def _many_draws(**augmentation) -> dict[str, np.ndarray]:
    """What 20000 crops of 100x50 pixels are moved, scaled and turned by."""
    people = 20000
    _, matrices = augment_people(
        tf.zeros([people, COCO.num_keypoints, 3]),
        tf.zeros([people, 2]),
        tf.tile([[100.0, 50.0]], [people, 1]),
        pose_config.Augmentation(**{**NO_AUGMENTATION, **augmentation}),
        COCO,
        crop_size=(32, 64),
        udp=False,
        draws=Draws(tf.constant([1, 2], tf.int64)),
    )
    matrices = matrices.numpy()
    centers = matrices @ [32.0, 16.0, 1.0]
    return {
        "shift": centers / [100.0, 50.0],
        "scale": np.hypot(matrices[:, 0, 0], matrices[:, 1, 0]) / (100 / 64) - 1,
        "rotation": np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])),
    }


# Standard deviations of U(-1, 1) and of a normal variable cut at -1 and 1.
@pytest.mark.parametrize(
    ("distribution", "deviation"), [("uniform", 0.577), ("truncated_normal", 0.540)]
)
def test_scale_and_rotation_may_be_drawn_from_other_distributions(
    distribution, deviation
):
    draws = _many_draws(
        distribution=distribution, scale=0.5, rotation=80.0, rotation_probability=1.0
    )
    for drawn in (draws["scale"] / 0.5, draws["rotation"] / 80):
        assert 0.99 < np.abs(drawn).max() < 1.001
        assert np.mean(np.abs(drawn) > 0.999) < 0.01  # Not heaped up at the bounds.
        assert drawn.mean() == pytest.approx(0, abs=0.02)
        assert drawn.std() == pytest.approx(deviation, abs=0.012)
    # Each is drawn on its own.
    assert abs(np.corrcoef(draws["scale"], draws["rotation"])[0, 1]) < 0.05


def test_crops_may_be_moved():
    shift = _many_draws(shift=0.16, shift_probability=0.3)["shift"]
    moved = np.abs(shift).max(axis=1) > 1e-5
    assert moved.mean() == pytest.approx(0.3, abs=0.02)
    assert 0.155 < np.abs(shift).max() < 0.1601
    np.testing.assert_allclose(shift[moved].std(axis=0), 0.54 * 0.16, rtol=0.05)
    assert abs(np.corrcoef(shift[moved].T)[0, 1]) < 0.05
    assert np.abs(_many_draws(shift=0.16)["shift"]).max() < 1e-5


@pytest.mark.parametrize("codec", ["msra", "udp"])
def test_without_augmentation_training_sees_the_crops_of_an_evaluation(codec):
    records = [_record([_person()])]
    source = _input(is_training=True, codec=codec, augmentation=NO_AUGMENTATION)
    (training,) = _crops(source, records)
    first, second = _crops(_input(codec=codec), records, repeat=2)
    for name in ("crop", "crop_to_image", "keypoints"):
        np.testing.assert_array_equal(first[name], second[name])
        np.testing.assert_allclose(training[name], first[name], atol=1e-4)


UPPER, LOWER = FIGURE[:11], FIGURE[11:]


@pytest.mark.heavy
def test_colors_change_in_training_alone(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (*IMAGE_SIZE, 3), np.uint8)
    path = _write(tmp_path / "people-0", [_record([_person()], image)])
    colors = {**NO_AUGMENTATION, "color": {"brightness": 0.9}}

    def crops(is_training: bool, augmentation: dict) -> list[np.ndarray]:
        source = _input(
            is_training,
            augmentation=augmentation,
            input_path=path,
            global_batch_size=1,
            crop_with_opencv=False,
        )
        batches = source.dataset().repeat().take(2)
        return [images[0].numpy() for images, _ in batches]

    same = crops(True, NO_AUGMENTATION)[0]
    for crop in [*crops(True, NO_AUGMENTATION), *crops(False, colors)]:
        np.testing.assert_array_equal(crop, same)
    first, second = crops(True, colors)
    for crop in (first, second):
        assert 0.1 <= crop.mean() / same.mean() <= 1.9
        assert (crop[same == 0] == 0).all()
    assert np.abs(first.astype(int) - second).max() > 2


def _half_body_crop(upper_probability, v=2, min_keypoints=8, skeleton=COCO) -> dict:
    augmentation = {
        **NO_AUGMENTATION,
        "half_body_probability": 1.0,
        "half_body_upper_probability": upper_probability,
        "half_body_min_keypoints": min_keypoints,
    }
    source = _input(is_training=True, augmentation=augmentation, skeleton=skeleton)
    (person,) = _crops(source, [_record([_person(v=v)])])
    return person


def _visible(*indices: int) -> np.ndarray:
    return 2.0 * np.isin(np.arange(17), indices)


def _assert_cropped_around(person: dict, points: np.ndarray) -> None:
    """The official half-body box: mean centre, grown to 3:4, times 1.5."""
    extent = points.max(axis=0) - points.min(axis=0)
    width = max(extent[0], extent[1] * 0.75) * 1.5
    matrix = person["crop_to_image"]
    np.testing.assert_allclose(
        _apply(matrix, np.array([48.0, 64.0])), points.mean(axis=0), atol=1e-3
    )
    assert matrix[0, 0] == pytest.approx(width / 96, rel=1e-5)


def _assert_whole_body(person: dict) -> None:
    (plain,) = _crops(_input(), [_record([_person()])])
    np.testing.assert_allclose(person["crop_to_image"], plain["crop_to_image"])


def test_half_body_crops_the_upper_or_the_lower_body():
    upper = _half_body_crop(1.0)
    _assert_cropped_around(upper, UPPER)
    _assert_cropped_around(_half_body_crop(0.0), LOWER)
    # The other half's keypoints stay labelled: some may still be in the crop.
    assert upper["visible"].all()


def test_half_body_is_measured_by_labelled_keypoints():
    person = _half_body_crop(1.0, _visible(1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13))
    _assert_cropped_around(person, UPPER[[1, 2, 3, 4, 5, 6, 7, 8, 10]])


def test_half_body_takes_the_other_half_rather_than_two_keypoints():
    two_lower = _visible(*range(11), 11, 12)
    _assert_cropped_around(_half_body_crop(0.0, two_lower), UPPER)
    two_upper = _visible(0, 1, *range(11, 17))
    _assert_cropped_around(_half_body_crop(1.0, two_upper, min_keypoints=7), LOWER)
    # Where neither half has three the upper one is taken, if it has two.
    two_each = _visible(0, 9, 11, 12)
    _assert_cropped_around(_half_body_crop(0.0, two_each, 3), UPPER[[0, 9]])
    _assert_whole_body(_half_body_crop(0.0, _visible(0, 11, 12), 2))


def test_half_body_needs_more_than_the_least_keypoints():
    _assert_whole_body(_half_body_crop(1.0, _visible(*range(8))))
    person = _half_body_crop(1.0, _visible(*range(9)))
    _assert_cropped_around(person, UPPER[:9])


def test_half_body_is_off_without_upper_body():
    skeleton = dataclasses.replace(COCO, upper_body=())
    _assert_whole_body(_half_body_crop(1.0, skeleton=skeleton))


@pytest.mark.parametrize("probability", [0.3, 1.0])
def test_half_body_chances(probability):
    augmentation = {**NO_AUGMENTATION, "half_body_probability": probability}
    source = _input(is_training=True, crop_size=(32, 24), augmentation=augmentation)
    people = _crops(source, [_record([_person()])], repeat=400)
    centre_y = np.array(
        [_apply(p["crop_to_image"], np.array([12.0, 16.0]))[1] for p in people]
    )
    is_upper = np.isclose(centre_y, UPPER[:, 1].mean(), atol=1e-2)
    is_lower = np.isclose(centre_y, LOWER[:, 1].mean(), atol=1e-2)
    is_half = is_upper | is_lower
    assert abs(is_half.mean() - probability) < 0.12
    if probability == 1.0:
        # Official: a normal, not a uniform, variable below 0.5.
        assert 0.57 < is_upper.mean() < 0.81


# ---- whom to crop ----


def test_official_box_cleaning():
    boxes = np.array(
        [
            [10, 20, 30, 40],  # inside: one pixel shorter
            [-5, -8, 30, 40],  # moved to the corner, not cut there
            [90, 70, 30, 40],  # cut at pixel (99, 79)
            [99.5, 10, 10, 10],  # begins right of the last pixel
            [10, 20, 0.5, 40],  # a line
            [10, 20, 1, 1],  # a point: no scale to crop at
        ],
        np.float32,
    )
    clean, is_valid = pose_input.clean_boxes(tf.constant(boxes), 80, 100)
    np.testing.assert_allclose(
        clean.numpy()[[0, 1, 2, 4]],
        [[10, 20, 29, 39], [0, 0, 29, 39], [90, 70, 9, 9], [10, 20, 0, 39]],
    )
    assert is_valid.numpy().tolist() == [True, True, True, False, True, False]


@pytest.mark.parametrize("is_training", [True, False])
def test_only_labelled_single_people_are_cropped(is_training):
    people = [
        _person(1, iscrowd=True),
        _person(2, v=0),
        _person(3, area=0.0),
        _person(4, bbox=[300.0, 30.0, 20.0, 20.0]),
        _person(5, v=1),
        _person(6, bbox=[100.0, 100.0, 1.0, 1.0]),
    ]
    source = _input(is_training=is_training, augmentation=NO_AUGMENTATION)
    crops = _crops(source, [_record(people), _record([], image_id=2)])
    assert [crop["image_id"] for crop in crops] == [1]
    assert (crops[0]["visible"] == 1).all()


@pytest.mark.parametrize("codec", ["msra", "udp"])
def test_keypoints_in_one_place_do_not_break_half_body(codec, tmp_path):
    person = _person(keypoints=np.broadcast_to(FIGURE[:1], FIGURE.shape))
    path = _write(tmp_path / "a", [_record([person])])
    source = _input(
        is_training=True,
        codec=codec,
        input_path=path,
        augmentation={"half_body_probability": 1.0},
    )
    _, labels = next(iter(source.dataset()))
    assert np.isfinite(labels["keypoints"]).all()
    assert np.isfinite(labels["crop_to_image"]).all()


# ---- detected boxes ----


def _detections_file(tmp_path, results) -> str:
    path = tmp_path / "detections.json"
    path.write_text(json.dumps(results))
    return str(path)


def _detection(image_id, bbox, score, category_id=1):
    return {
        "image_id": image_id,
        "bbox": bbox,
        "score": score,
        "category_id": category_id,
    }


def test_detected_boxes_are_cropped_untouched(tmp_path):
    detections = _detections_file(
        tmp_path,
        [
            _detection(7, [60, 30, 135, 239], 0.5),
            _detection(3, [-20.5, -10, 60, 80], 0.9),  # reaches beyond the image
            _detection(7, [0, 0, 40, 40], 0.25),
            _detection(7, [0, 0, 40, 40], 0.19),  # scores too low
            _detection(7, [1, 1, 40, 40], 0.99, category_id=2),
            _detection(8, [1, 1, 40, 40], 0.99),  # an image without a record
            _detection(7, [1, 1, 0, 40], 0.99),
        ],
    )
    records = [_record([_person()], image_id=image_id) for image_id in (3, 5, 7)]
    source = _input(
        detections_file=detections,
        detections_category_id=1,
        detection_score_threshold=0.2,
    )
    crops = _crops(source, records)
    found = sorted((c["image_id"], round(float(c["box_score"]), 2)) for c in crops)
    assert found == [(3, 0.9), (7, 0.25), (7, 0.5)]
    for crop in crops:
        assert not crop["visible"].any()
        box = {0.9: [-20.5, -10, 60, 80], 0.5: [60, 30, 135, 239]}.get(
            round(float(crop["box_score"]), 2), [0, 0, 40, 40]
        )
        to_crop = _official_image_to_crop(box)
        corner = _apply(crop["crop_to_image"], _apply(to_crop, np.array(box[:2])))
        np.testing.assert_allclose(corner, box[:2], atol=1e-3)


def test_training_ignores_detections(tmp_path):
    detections = _detections_file(tmp_path, [_detection(99, [0, 0, 40, 40], 0.9)])
    source = _input(is_training=True, detections_file=detections)
    assert len(_crops(source, [_record([_person()])])) == 1


def test_detections_of_another_category(tmp_path):
    path = _detections_file(tmp_path, [_detection(1, [1, 2, 3, 4], 0.5, category_id=5)])
    for category_ids in ([5], [1, 5], []):
        boxes = load_detections(path, category_ids).boxes
        assert boxes.tolist() == [[1, 2, 3, 4]]
    with pytest.raises(
        DetectionsError, match="no box of category 1 or 2: .* 1 results .* category 5"
    ):
        load_detections(path, [1, 2])
    with pytest.raises(DetectionsError, match="leaves no box .* category_id 5 .* 0.9"):
        load_detections(path, [5], score_threshold=0.9)


@pytest.mark.parametrize(
    ("configured", "evaluated", "taken"),
    [
        (None, [2], [2]),
        ([], [2, 3], [2, 3]),
        (1, [2], [1]),
        ([1, 3], [2], [1, 3]),
        (None, [], [1, 2, 3]),
    ],
)
def test_detections_are_of_the_evaluated_categories_unless_others_are_named(
    tmp_path, configured, evaluated, taken
):
    results = [_detection(1, [n, 2, 3, 4], 0.5, category_id=n) for n in (1, 2, 3)]
    data = pose_config.PoseData(
        detections_file=_detections_file(tmp_path, results),
        detections_category_id=configured,
    )
    found = pose_input.read_detections(data, evaluated)
    assert found.boxes[:, 0].tolist() == taken


@pytest.mark.parametrize(
    "content",
    [
        "[{",
        "3",
        '{"annotations": [1]}',
        '[{"image_id": 1, "category_id": 1, "score": 1}]',
        '[{"image_id": 1, "category_id": 1, "score": 1, "bbox": [1, 2, 3]}]',
        '[{"image_id": 1, "category_id": 1, "score": 1, "bbox": [1, 2, 3, 4, 5]}]',
        '[{"image_id": "a", "category_id": 1, "score": 1, "bbox": [1, 2, 3, 4]}]',
    ],
)
def test_bad_detections_file(content, tmp_path):
    path = tmp_path / "detections.json"
    path.write_text(content)
    with pytest.raises(
        ValueError, match=f"{path} (must be a JSON list|is not valid JSON)"
    ):
        _input(detections_file=str(path))


# ---- targets ----


@pytest.mark.parametrize("codec", ["msra", "udp"])
def test_targets_peak_at_the_keypoints(codec, tmp_path):
    v = np.full(17, 2)
    v[:3] = [0, 1, 2]
    keypoints = FIGURE.copy()
    keypoints[2] = [-400, 41]  # labelled, but far outside the crop
    person = _person(v=v, keypoints=keypoints)
    path = _write(tmp_path / "a", [_record([person])])
    source = _input(codec=codec, input_path=path, global_batch_size=1)
    ((_, labels),) = source.dataset()
    labels = pose_input.render_targets(labels, pose_config.Codec(name=codec), CROP_SIZE)
    (crop,) = _crops(source, [_record([person])])

    assert labels["heatmaps"].shape == (1, 32, 24, 17)
    assert labels["weights"].numpy().tolist() == [[0, 1, 0, *[1] * 14]]
    assert not labels["heatmaps"].numpy()[..., [0, 2]].any()
    maps = labels["heatmaps"][0].numpy()
    stride = np.array([95 / 23, 127 / 31]) if codec == "udp" else 4.0
    for index in (1, *range(3, 17)):
        y, x = np.unravel_index(maps[..., index].argmax(), (32, 24))
        position = crop["keypoints"][index] / stride
        assert np.abs([x, y] - position).max() <= 0.501
    if codec == "msra":
        assert maps[..., 1].max() == 1.0
    # The codec's own decoder finds the keypoints again.
    decoded, _ = heatmaps.decode(codec, labels["heatmaps"])
    tolerance = 0.1 if codec == "udp" else 2.1
    error = np.abs(decoded[0] - crop["keypoints"])[[1, *range(3, 17)]]
    assert error.max() < tolerance


# ---- batches ----


def _crowd_files(tmp_path, num_files=2, images_per_file=3) -> tuple[str, list[int]]:
    """Files of images with 0 to 2 people each, and the image id of every person."""
    ids = []
    for number in range(num_files):
        records = []
        for place in range(images_per_file):
            image_id = number * images_per_file + place + 1
            people = [_person(100 * image_id + n) for n in range((image_id + 1) % 3)]
            records.append(_record(people, image_id=image_id))
            ids += [image_id] * len(people)
        _write(tmp_path / f"people-{number}", records)
    return str(tmp_path / "people-*"), ids


def _image_ids(dataset) -> list[int]:
    return [i for _, labels in dataset for i in labels["image_id"].numpy().tolist()]


def test_last_evaluation_batch_is_filled_up(tmp_path):
    path, people = _crowd_files(tmp_path)
    dataset = _input(input_path=path, crop_size=(32, 32)).dataset()
    images, labels = dataset.element_spec
    assert images.shape == (4, 32, 32, 3)
    assert labels["keypoints"].shape == (4, 17, 2)
    assert labels["crop_to_image"].shape == (4, 2, 3)
    assert labels["image_id"].shape == labels["area"].shape == (4,)
    found = _image_ids(dataset)
    assert len(found) == 8 and len(people) == 6
    assert found[6:] == [pose_input.PADDING_ID] * 2
    assert sorted(found[:6]) == people
    last = list(dataset)[-1][1]
    assert not last["visible"].numpy()[2:].any()


def test_people_keep_their_ids(tmp_path):
    path, people = _crowd_files(tmp_path)
    dataset = _input(input_path=path, crop_size=(32, 32)).dataset()
    found = [n for _, labels in dataset for n in labels["person_id"].numpy().tolist()]
    images = _image_ids(dataset)
    assert found[6:] == [pose_input.PADDING_ID] * 2
    assert [number // 100 for number in found[:6]] == images[:6]


def test_a_region_is_cropped_as_it_is():
    """Neither clipped to the image nor made a pixel smaller, as the box is."""
    region = [10.0, 20.0, 90.0, 120.0]  # Far beyond the image's left border.
    (person,) = _crops(_input(), [_record([_person(region=region)])])
    box = [region[0] - 45, region[1] - 60, *region[2:]]
    expected = _official_image_to_crop(box)
    found = affine.invert_affine(person["crop_to_image"])
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_training_batches_go_on_and_have_one_shape(tmp_path):
    path, people = _crowd_files(tmp_path)
    source = _input(is_training=True, input_path=path, crop_size=(32, 32))
    dataset = source.dataset()
    assert dataset.element_spec[0].shape == (4, 32, 32, 3)
    found = _image_ids(dataset.take(9))
    assert len(found) == 36
    assert set(found) == set(people)


def test_crops_of_one_image_are_shuffled_apart(tmp_path):
    records = [_record([_person(n) for n in range(8)], image_id=i) for i in range(8)]
    path = _write(tmp_path / "a", records)
    source = _input(
        is_training=True,
        input_path=path,
        crop_size=(32, 32),
        crop_shuffle_buffer_size=64,
    )
    for _, labels in source.dataset().take(4):
        assert len(set(labels["image_id"].numpy())) > 1


@pytest.mark.parametrize("num_files", [1, 2])
def test_workers_share_the_people(num_files, tmp_path):
    path, people = _crowd_files(tmp_path, num_files, images_per_file=6 // num_files)
    shares = [
        _image_ids(
            _input(input_path=path, crop_size=(32, 32), sharding=True).dataset(
                tf.distribute.InputContext(
                    num_input_pipelines=2,
                    input_pipeline_id=worker,
                    num_replicas_in_sync=2,
                )
            )
        )
        for worker in range(2)
    ]
    shares = [[i for i in share if i != pose_input.PADDING_ID] for share in shares]
    assert all(shares)
    assert not set(shares[0]) & set(shares[1])
    assert sorted(shares[0] + shares[1]) == people


def test_every_worker_sees_all_people_without_sharding(tmp_path):
    path, people = _crowd_files(tmp_path)
    context = tf.distribute.InputContext(2, 1, 2)
    source = _input(input_path=path, crop_size=(32, 32), sharding=False)
    found = _image_ids(source.dataset(context))
    assert sorted(i for i in found if i >= 0) == people


def test_with_one_seed_hosts_augment_their_people_differently(tmp_path):
    path, _ = _crowd_files(tmp_path)
    source = _input(
        is_training=True, input_path=path, crop_size=(32, 32), sharding=False
    )

    def matrices(host):
        tf.random.set_seed(1)
        context = tf.distribute.InputContext(2, host, 2)
        _, labels = next(iter(source.dataset(context)))
        return labels["crop_to_image"].numpy()

    first, again, other = matrices(0), matrices(0), matrices(1)
    tf.random.set_seed(None)
    np.testing.assert_array_equal(first, again)
    assert not np.isclose(first, other).all(axis=(1, 2)).any()


@pytest.mark.parametrize("global_batch_size", [2, 4, 6, 16])
def test_replicas_evaluate_everybody_once(global_batch_size, two_cpus, tmp_path):
    """6 people: with batches of 2 per replica, one replica's last has nobody in it."""
    path, people = _crowd_files(tmp_path)
    source = _input(
        input_path=path, crop_size=(32, 32), global_batch_size=global_batch_size
    )
    strategy = tf.distribute.MirroredStrategy(two_cpus)
    found = []
    for _, labels in strategy.distribute_datasets_from_function(source.dataset):
        parts = strategy.experimental_local_results(labels["image_id"])
        assert [len(part) for part in parts] == [global_batch_size // 2] * 2
        found += [i for part in parts for i in part.numpy().tolist() if i >= 0]
    assert sorted(found) == people


def test_training_through_the_tf_data_service(tmp_path):
    service = tf.data.experimental.service
    path, people = _crowd_files(tmp_path)
    dispatcher = service.DispatchServer()
    worker = service.WorkerServer(
        service.WorkerConfig(dispatcher_address=dispatcher.target.split("://")[1])
    )
    source = _input(
        is_training=True,
        input_path=path,
        crop_size=(32, 32),
        enable_tf_data_service=True,
        tf_data_service_address=dispatcher.target,
    )
    dataset = source.dataset(tf.distribute.InputContext())
    assert dataset.element_spec[0].shape == (4, 32, 32, 3)
    found = _image_ids(dataset.take(6))
    assert len(found) == 24
    assert set(found) <= set(people)
    assert len(set(found)) > 1
    del worker, dispatcher


def test_records_of_another_skeleton_are_refused_with_a_sentence(tmp_path):
    person = _person(keypoints=FIGURE[:16])
    path = _write(tmp_path / "a", [_record([person], num_keypoints=16)])
    with pytest.raises(
        RecordError,
        match="do not hold 17 keypoints per person, as the configured skeleton does",
    ):
        _input(input_path=path).dataset()


def test_a_file_without_records_is_refused_with_a_sentence(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"no records at all, but long enough for a length and its check")
    with pytest.raises(RecordError, match="damaged or not a TFRecord file"):
        _input(input_path=str(path)).dataset()
    path.write_bytes(b"")
    with pytest.raises(RecordError, match="hold no record"):
        _input(input_path=str(path)).dataset()


def test_records_without_anybody_to_crop_are_refused_with_a_sentence(tmp_path):
    """Training on them would wait for its first batch for ever."""
    path = _write(tmp_path / "a", [_record([_person(area=0.0)]), _record([])])
    for is_training in (True, False):
        with pytest.raises(RecordError, match=f"{path}.* show nobody"):
            _input(is_training=is_training, input_path=path).dataset()
    path = _write(tmp_path / "b", [_record([]), _record([_person()], image_id=7)])
    _input(is_training=True, input_path=path).dataset()
    detections = _detections_file(tmp_path, [_detection(8, [0, 0, 40, 40], 0.9)])
    with pytest.raises(RecordError, match=f"{detections} has other"):
        _input(input_path=path, detections_file=detections).dataset()


def test_dataset_can_be_built_in_a_graph(tmp_path):
    """As with parameter servers, where every worker builds its own."""
    path, people = _crowd_files(tmp_path)

    @tf.function
    def first_batch():
        source = _input(is_training=True, input_path=path, crop_size=(32, 32))
        return next(iter(source.dataset()))[1]["image_id"]

    assert set(first_batch().numpy()) <= set(people)


# ---- pictures ----


def test_read_images_skips_images_without_labelled_people(tmp_path):
    image, _ = _dots()
    records = [
        _record([], image_id=1),
        _record([_person(v=0)], image_id=2),
        _record([_person(v=0), _person()], image, image_id=3),
        _record([_person(), _person()], image_id=4),
        _record([_person()], image_id=5),
    ]
    path = _write(tmp_path / "a", records)
    data = pose_config.PoseData(input_path=path)
    examples = pose_input.read_images(data, 17, 2)
    assert [example["image_id"] for example in examples] == [3, 4]
    assert [len(example["keypoints"]) for example in examples] == [1, 2]
    np.testing.assert_array_equal(examples[0]["image"], image)
    np.testing.assert_array_equal(examples[0]["keypoints"][0, :, :2], FIGURE)
    assert len(pose_input.read_images(data, 17, 10)) == 3


def test_normalisation_is_undone_for_pictures():
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    image = normalization.normalize_image(tf.constant(pixels))
    assert math.isclose(float(image[0, 0, 0]), -0.485 / 0.229, rel_tol=1e-6)
    np.testing.assert_array_equal(normalization.denormalize_image(image), pixels)
