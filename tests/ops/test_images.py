"""Images decode to the pixels that OpenCV gives."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf.ops.images import decode_image


def _photograph() -> np.ndarray:
    """Smooth colours with noise, as JPEG files have them, of an odd size."""
    draw = np.random.default_rng(3)
    coarse = draw.integers(0, 256, (9, 7, 3), np.uint8)
    image = cv2.resize(coarse, (93, 71), interpolation=cv2.INTER_CUBIC)
    noise = draw.integers(-20, 20, image.shape)
    return np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_pixels_are_those_of_opencv(suffix):
    encoded = cv2.imencode(suffix, _photograph())[1].tobytes()
    expected = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(decode_image(encoded), expected)
    data = tf.data.Dataset.from_tensors(encoded).map(decode_image)
    np.testing.assert_array_equal(next(iter(data)), expected)


def test_grey_files_have_three_channels():
    grey = cv2.imencode(".jpg", _photograph()[..., 0])[1].tobytes()
    pixels = decode_image(grey).numpy()
    assert pixels.shape == (71, 93, 3)
    assert (pixels == pixels[..., :1]).all()
