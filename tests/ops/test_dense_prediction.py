"""Prediction of whole images, against plain numpy and OpenCV."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf.ops import dense_prediction

CLASSES = 3


def resize_logits(maps, size):
    return tf.image.resize(maps, size)


def network(images):
    """Classes by colour at a quarter of the size, as a network would."""
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    quarter = tf.image.resize(images, [(height + 3) // 4, (width + 3) // 4])
    return quarter / 40.0 - 2.0


def as_network(image):
    """The same of an image [H, W, 3] in numpy and OpenCV."""
    height, width = image.shape[:2]
    small = cv2.resize(image, ((width + 3) // 4, (height + 3) // 4))
    return cv2.resize(small / 40.0 - 2.0, (width, height))


def random_image(height, width):
    noise = np.random.default_rng(3).uniform(0, 255, (5, 6, 3)).astype(np.float32)
    return cv2.resize(noise, (width, height))


@pytest.mark.parametrize(
    ("height", "width", "long_side", "expected"),
    [
        (40, 60, 60, (40, 60)),
        (40, 60, 90, (60, 90)),
        (60, 40, 31, (31, 21)),
        (375, 500, 520, (390, 520)),
        (1024, 2048, 2048 * 0.75, (768, 1536)),
        (1, 1000, 10, (1, 10)),
    ],
)
def test_resized_size(height, width, long_side, expected):
    size = dense_prediction.resized_size(
        tf.constant(height), tf.constant(width), long_side
    )
    assert tuple(map(int, size)) == expected


def predict(image, sizes, **options):
    return dense_prediction.predict_log_scores(
        network, tf.constant(image), sizes, resize_logits, CLASSES, **options
    ).numpy()


def test_a_single_prediction_gives_logits():
    image = random_image(32, 48)
    np.testing.assert_allclose(predict(image, [(32, 48)]), as_network(image), atol=1e-4)
    found = predict(image, [(16, 24)])
    small = as_network(cv2.resize(image, (24, 16)))
    np.testing.assert_allclose(found, cv2.resize(small, (48, 32)), atol=1e-3)


@pytest.mark.parametrize("combine", ["exp_logits", "probabilities"])
def test_scales_are_added_up(combine):
    image = random_image(32, 48)
    found = predict(image, [(16, 24), (48, 72)], combine=combine)
    total = 0
    for height, width in ((16, 24), (48, 72)):
        scores = np.exp(as_network(cv2.resize(image, (width, height))))
        if combine == "probabilities":
            scores /= scores.sum(axis=-1, keepdims=True)
        total = total + cv2.resize(scores, (48, 32))
    np.testing.assert_allclose(found, np.log(total), atol=1e-3)


def window_mean(image, window, overlap):
    """Mean of exp(logits) over windows, written out."""
    height, width = image.shape[:2]
    sums, counts = np.zeros((height, width, CLASSES)), np.zeros((height, width, 1))

    def starts(side, size):
        stride = int(size * (1 - overlap))
        found, start = [], 0
        while start + size < side:
            found.append(start)
            start += stride
        return [*found, side - size]

    for top in starts(height, window[0]):
        for left in starts(width, window[1]):
            box = slice(top, top + window[0]), slice(left, left + window[1])
            sums[box] += np.exp(as_network(image[box]))
            counts[box] += 1
    return sums / counts


@pytest.mark.parametrize("overlap", [0.0, 1 / 3, 0.5])
@pytest.mark.parametrize("size", [(40, 52), (16, 60), (17, 24)])
def test_windows_are_averaged(size, overlap):
    image = random_image(*size)
    window = (16, 24)
    found = predict(image, [size], window=window, overlap=overlap)
    expected = np.log(window_mean(image, window, overlap))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_images_within_the_window_are_predicted_whole():
    image = random_image(12, 20)
    found = predict(image, [(12, 20)], window=(16, 24))
    np.testing.assert_allclose(found, as_network(image), atol=1e-4)


def test_a_side_below_the_window_is_padded_black():
    image = random_image(10, 40)
    found = predict(image, [(10, 40)], window=(16, 24), overlap=0.5)
    padded = np.zeros((16, 40, 3), np.float32)
    padded[:10] = image
    expected = np.log(window_mean(padded, (16, 24), 0.5)[:10])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_network_sees_multiples_only():
    image = random_image(37, 50)
    seen = []

    def watched(images):
        seen.append(images.shape[1:3].as_list())
        return network(images)

    found = dense_prediction.predict_log_scores(
        watched, tf.constant(image), [(37, 50)], resize_logits, CLASSES, multiple=32
    )
    assert seen == [[64, 64]] and found.shape == (37, 50, 3)
    padded = np.zeros((64, 64, 3), np.float32)
    padded[:37, :50] = image
    expected = as_network(padded)[:37, :50]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_mirrored_classes_change_places():
    images = tf.constant(random_image(8, 12)[np.newaxis])
    sided = tf.constant([[[[0.0, 5.0, -5.0]]]])

    def one_sided(images):
        columns = tf.linspace(0.0, 1.0, tf.shape(images)[2])[:, tf.newaxis]
        return images * 0.0 + columns * sided

    found = dense_prediction.with_mirrored(one_sided, [0, 2, 1])(images).numpy()
    # What leans to class 1 on the right leans to class 2 on the left in a mirror.
    columns = np.linspace(0, 1, 12)
    expected = (5 * columns - 5 * (1 - columns)) / 2
    np.testing.assert_allclose(found[0, 0, :, 1], expected, atol=1e-5)
    np.testing.assert_allclose(found[..., 2], -found[..., 1], atol=1e-5)


@pytest.mark.parametrize("side", [16, 17, 40, 63, 100])
@pytest.mark.parametrize("overlap", [0.0, 1 / 3, 0.9])
def test_windows_cover_every_pixel(side, overlap):
    starts = dense_prediction.window_starts(side, 16, overlap).numpy()
    covered = np.zeros(side, bool)
    for start in starts:
        assert 0 <= start <= side - 16
        covered[start : start + 16] = True
    assert covered.all()
    assert (np.diff(starts) <= max(int(16 * (1 - overlap)), 1)).all()


def test_overflow_is_kept_away():
    def sure(images):
        return tf.ones_like(images) * tf.constant([500.0, 1000.0, -1000.0])

    found = dense_prediction.predict_log_scores(
        sure, tf.constant(random_image(8, 8)), [(8, 8), (4, 4)], resize_logits, CLASSES
    )
    assert np.isfinite(found).all()


def test_confusion_matrix_counts_all_but_the_ignored():
    generator = np.random.default_rng(0)
    labels = generator.choice([0, 1, 2, 255], (20, 30)).astype(np.uint8)
    predicted = generator.integers(0, 3, (20, 30))
    found = dense_prediction.confusion_matrix(
        tf.constant(labels), tf.constant(predicted), 3, 255
    ).numpy()
    expected = np.zeros((3, 3), int)
    for label, guess in zip(labels.ravel(), predicted.ravel(), strict=True):
        if label != 255:
            expected[label, guess] += 1
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)
