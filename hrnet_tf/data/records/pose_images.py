"""Single images out of pose records, by their ids."""

import contextlib
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from official.core import input_reader

from hrnet_tf.data.records.pose import IMAGE_ENCODED, IMAGE_ID
from hrnet_tf.data.records.shards import read_examples
from hrnet_tf.ops.images import decode_image


def find_images(
    input_path: Any, image_ids: Collection[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields ids and images, uint8 [H, W, 3], in the order of the records.

    Images that are not there, or cannot be decoded, are left out. Reads no further than
    the last one. Raises `RecordError` at a damaged record.
    """
    wanted = set(image_ids)
    if not wanted:
        return
    for example in read_examples(input_reader.match_files(input_path)):
        features = example.features.feature
        (image_id,) = features[IMAGE_ID].int64_list.value
        if image_id not in wanted:
            continue
        wanted.remove(image_id)
        (encoded,) = features[IMAGE_ENCODED].bytes_list.value
        # Where nobody was to be cropped, no one has decoded it before.
        image = None
        with contextlib.suppress(tf.errors.OpError):
            image = decode_image(tf.constant(encoded)).numpy()
        if image is not None:
            yield image_id, image
        if not wanted:
            return
