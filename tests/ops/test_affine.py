import pathlib

import cv2
import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf.ops import affine, person_boxes

REFERENCE = np.load(
    pathlib.Path(__file__).parents[1] / "testdata" / "pose_codec.npz",
    allow_pickle=False,
)
CROP_SIZE = (256, 192)


def smooth_texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 [height, width, 3] with structures of a few pixels, in full contrast."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    blurred = cv2.GaussianBlur(noise, (0, 0), 2.0)
    low, high = blurred.min(), blurred.max()
    return np.round(255 * (blurred - low) / (high - low)).astype(np.uint8)


def random_crops(count: int, seed: int = 0):
    generator = np.random.default_rng(seed)
    center = generator.uniform(50, 400, (count, 2))
    size = generator.uniform(60, 500, (count, 1)) * [0.75, 1.0]
    return center, size, generator.uniform(-180, 180, count)


def test_short_side_grows_to_the_aspect_ratio_then_both_are_padded():
    center, size = affine.box_to_center_size(
        [[10.0, 20.0, 30.0, 80.0], [10.0, 20.0, 90.0, 80.0]], aspect_ratio=0.75
    )
    np.testing.assert_allclose(center, [[25.0, 60.0], [55.0, 60.0]])
    np.testing.assert_allclose(size, [[75.0, 100.0], [112.5, 150.0]])


def test_box_padding_is_configurable():
    _, size = affine.box_to_center_size([0.0, 0.0, 30.0, 40.0], 0.75, padding=2.0)
    np.testing.assert_allclose(size, [60.0, 80.0])


def test_matrix_is_the_inverse_of_the_official_one():
    matrix = affine.crop_to_image_matrix(
        REFERENCE["affine_center"],
        REFERENCE["affine_scale"] * 200,
        REFERENCE["affine_rotation_deg"],
        CROP_SIZE,
    )
    np.testing.assert_allclose(
        affine.invert_affine(matrix), REFERENCE["affine_matrix_256x192"], rtol=1e-4
    )


@pytest.mark.parametrize("udp", [False, True])
def test_inverse_brings_points_back(udp):
    matrix = affine.crop_to_image_matrix(*random_crops(20), CROP_SIZE, udp=udp)
    points = np.random.default_rng(1).uniform(0, 192, (20, 17, 2))
    there = affine.transform_points(matrix, points)
    back = affine.transform_points(affine.invert_affine(matrix), there)
    assert np.abs(there - points).max() > 10
    np.testing.assert_allclose(back, points, atol=1e-2)


def test_transform_points_multiplies_by_the_matrix():
    matrix = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    np.testing.assert_allclose(
        affine.transform_points(matrix, [[1.0, 10.0], [0.0, 0.0]]),
        [[24.0, 60.0], [3.0, 6.0]],
    )


def test_udp_puts_corner_pixels_on_the_corners_of_the_box():
    corners = [[0.0, 0.0], [191.0, 255.0]]
    matrix = affine.crop_to_image_matrix(
        [100.0, 200.0], [150.0, 200.0], 0.0, CROP_SIZE, udp=True
    )
    np.testing.assert_allclose(
        affine.transform_points(matrix, corners),
        [[25.0, 100.0], [175.0, 300.0]],
        rtol=1e-5,
    )


def test_without_udp_the_box_ends_one_pixel_after_the_last():
    matrix = affine.crop_to_image_matrix(
        [100.0, 200.0], [150.0, 200.0], 0.0, CROP_SIZE, udp=False
    )
    np.testing.assert_allclose(
        affine.transform_points(matrix, [[0.0, 0.0], [192.0, 256.0]]),
        [[25.0, 100.0], [175.0, 300.0]],
        rtol=1e-5,
    )


@pytest.mark.parametrize("udp", [False, True])
def test_positive_rotation_turns_the_crop_clockwise_about_its_centre(udp):
    center = np.array([100.0, 200.0])
    matrix = affine.crop_to_image_matrix(center, [150, 200], 90.0, CROP_SIZE, udp=udp)
    middle = np.array([191, 255]) / 2 if udp else np.array([192, 256]) / 2
    right_of_middle = middle + [40.0, 0.0]
    points = affine.transform_points(matrix, [middle, right_of_middle]).numpy()
    np.testing.assert_allclose(points[0], center, rtol=1e-5)
    assert points[1, 1] > center[1] + 20  # The crop's right is down in the image.
    np.testing.assert_allclose(points[1, 0], center[0], rtol=1e-5)


@pytest.mark.parametrize("rotation", [0.0, 30.0, -75.0])
def test_crop_equals_opencv(rotation):
    image = smooth_texture(240, 320)
    matrix = affine.crop_to_image_matrix([150, 110], [130, 174], rotation, CROP_SIZE)
    crop = affine.warp_crop(image, matrix, CROP_SIZE).numpy()
    expected = cv2.warpAffine(
        image,
        matrix.numpy().astype(np.float64),
        CROP_SIZE[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    difference = np.abs(crop - expected.astype(np.float32)).max(axis=-1)
    assert expected.std() > 10
    assert np.mean(difference <= 2) >= 0.99


# Boxes inside an image of 240x320, across its border, around all of it, beside it, and
# of less than a pixel; the rotation of each in degrees.
PLACES = [
    ((90, 60, 80, 120), 25.0),
    ((-40, 30, 90, 110), 0.0),
    ((250, 180, 120, 100), -70.0),
    ((-30, -30, 380, 300), 0.0),
    ((-30, -30, 380, 300), 130.0),
    ((400, 300, 50, 60), 0.0),
    ((400, 300, 50, 60), 45.0),
    ((100.2, 50.7, 0.4, 0.3), 0.0),
]


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotates", [False, True])
def test_crops_of_bytes_are_those_of_floats_rounded(rotates, mirrored, udp):
    image = smooth_texture(240, 320)
    boxes, rotations = (
        np.array(part, np.float32) for part in zip(*PLACES, strict=True)
    )
    center, size = affine.box_to_center_size(boxes, CROP_SIZE[1] / CROP_SIZE[0])
    rotations = rotations if rotates else np.zeros_like(rotations)
    matrices = affine.crop_to_image_matrix(center, size, rotations, CROP_SIZE, udp)
    if mirrored:
        matrices *= [[-1.0], [1.0]]
        matrices += tf.pad(2 * center[:, :1, None], [[0, 0], [0, 1], [2, 0]])
    crops = affine.warp_crops(image, matrices, CROP_SIZE)
    assert crops.dtype == tf.uint8 and crops.shape == (8, *CROP_SIZE, 3)
    # The whole image, sampled by hand.
    framed = np.pad(image, [(1, 1), (1, 1), (0, 0)]).astype(np.float32)
    for crop, matrix in zip(crops.numpy(), matrices, strict=True):
        x, y = (matrix.numpy() @ _pixels(CROP_SIZE)) + 1
        x, y = np.clip(x, 0, 320.999), np.clip(y, 0, 240.999)
        column, row = x.astype(int), y.astype(int)
        right, below = (x - column)[:, None], (y - row)[:, None]
        above = framed[row, column] * (1 - right) + framed[row, column + 1] * right
        row += 1
        under = framed[row, column] * (1 - right) + framed[row, column + 1] * right
        expected = (above * (1 - below) + under * below).reshape(crop.shape)
        np.testing.assert_allclose(crop, expected, atol=0.6)


def _pixels(size):
    """[3, height * width] x, y and 1 of all pixels."""
    y, x = np.mgrid[: size[0], : size[1]].reshape(2, -1)
    return np.stack([x, y, np.ones_like(x)])


def test_no_people_have_no_crops():
    image = smooth_texture(24, 32)
    nobody = tf.zeros([0, 2, 3])
    assert affine.warp_crops(image, nobody, (8, 6)).shape == (0, 8, 6, 3)
    assert affine.warp_aligned_crops(image, nobody, (8, 6)).shape == (0, 8, 6, 3)


def test_crop_is_zero_outside_the_image_and_fades_over_one_pixel():
    image = np.full((4, 4, 1), 200, np.uint8)
    half_pixel_left_of_it = tf.constant([[1.0, 0.0, -2.5], [0.0, 1.0, 0.0]])
    row = [0.0, 0.0, 100.0, 200.0, 200.0, 200.0, 100.0, 0.0]
    crop = affine.warp_crop(image, half_pixel_left_of_it, (4, 8))
    np.testing.assert_allclose(crop[:, :, 0], [row] * 4)
    crops = affine.warp_crops(image, half_pixel_left_of_it[tf.newaxis], (4, 8))
    np.testing.assert_array_equal(crops[0, :, :, 0], [row] * 4)


def test_float_images_keep_their_range():
    image = np.random.default_rng(0).normal(size=(6, 5, 2)).astype(np.float32)
    identity = tf.eye(2, 3)
    np.testing.assert_allclose(affine.warp_crop(image, identity, (6, 5)), image)


def test_crops_run_in_tf_data_with_static_shapes():
    image = smooth_texture(60, 80)
    center, size, rotation = random_crops(3)

    def crop(center, size, rotation):
        decoded = tf.io.decode_png(tf.io.encode_png(image), channels=3)
        matrix = affine.crop_to_image_matrix(center, size, rotation, (32, 24))
        return affine.warp_crop(decoded, matrix, (32, 24))

    dataset = tf.data.Dataset.from_tensor_slices((center, size, rotation)).map(crop)
    assert dataset.element_spec == tf.TensorSpec([32, 24, 3], tf.float32)
    matrices = affine.crop_to_image_matrix(center, size, rotation, (32, 24))
    for in_pipeline, matrix in zip(dataset, matrices, strict=True):
        eager = affine.warp_crop(image, matrix, (32, 24))
        np.testing.assert_allclose(in_pipeline, eager, atol=1e-2)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("kind", [np.array, tf.constant])
def test_a_box_beyond_any_image_holds_no_person(place, kind):
    def holds_person(box):
        (held,) = person_boxes.holds_person(kind(box[np.newaxis]))
        return held

    box = np.full(4, 10, np.float32)
    assert holds_person(box)
    for value, expected in (
        (1e9, True),
        (np.nextafter(np.float32(1e9), np.inf), False),
    ):
        box[place] = value
        assert holds_person(box) == expected
    box[place] = -1e9
    assert holds_person(box) == (place < 2)
    box[place] = -1.001e9
    assert not holds_person(box)
