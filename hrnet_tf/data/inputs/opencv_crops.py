"""Crops people with OpenCV, in Python, within a tf.data pipeline.

OpenCV's warp takes a fifth of the time of TensorFlow's. Crops differ from those of
`ops.affine`, by which networks are evaluated and served, by a grey level here and
there; with versions before OpenCV 5, which place samples on a grid of 1/32 pixel, by a
few. Official PyTorch code trains with these.
"""

import atexit
import math
import threading
import time

import numpy as np
import tensorflow as tf

from hrnet_tf.ops import person_boxes

_STILL = 0.3  # Seconds without a crop after which no pipeline is at work.
_MOST_SECONDS = 10.0  # that the end of a process waits for that.


def warp_crops(
    image: tf.Tensor, crop_to_image: tf.Tensor, crop_size: tuple[int, int]
) -> tf.Tensor:
    """As `affine.warp_crops`, for three channels.

    Works in the process that made the pipeline only, since it calls Python.
    """

    def warp(image: np.ndarray, matrices: np.ndarray) -> np.ndarray:
        with _AT_WORK:
            return person_boxes.warp_crops(image, matrices, crop_size)

    crops = tf.numpy_function(warp, [image, crop_to_image], tf.uint8, stateful=False)
    return tf.ensure_shape(crops, [None, *crop_size, 3])


class _AtWork:
    """The threads that crop, and when one last did.

    A pipeline that nobody reads from any more goes on until its buffers are full. Were
    Python taken down meanwhile, its threads would wait for ever or end the process with
    an error; so the end of the process waits for them.
    """

    def __init__(self) -> None:
        self._threads: set[int] = set()
        self._last = -math.inf
        atexit.register(self.wait)

    def __enter__(self) -> None:
        self._threads.add(threading.get_ident())

    def __exit__(self, *error: object) -> None:
        self._last = time.monotonic()
        self._threads.discard(threading.get_ident())

    def wait(self) -> None:
        """Returns once nothing is cropped any more, or after `_MOST_SECONDS`."""
        end = time.monotonic() + _MOST_SECONDS
        while (now := time.monotonic()) < end and (
            self._threads or now - self._last < _STILL
        ):
            time.sleep(_STILL / 10)


_AT_WORK = _AtWork()
