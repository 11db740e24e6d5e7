"""From a network that classifies pixels to scores of a whole image.

Official lib/datasets/base_dataset.py, `multi_scale_inference` and `inference`: an image
is predicted at several sizes, each of them whole or window by window, on request with
its mirror image, and the scores are added up at the size of the image.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from hrnet_tf.ops.interpolation import resize_part

# Ceiling that keeps exp() finite; no real logit is that large.
_MAX_LOGIT = 80.0
# Floor that keeps log() finite.
_LEAST_SCORE = 1e-30

Network = Callable[[tf.Tensor], tf.Tensor]
# Called with maps and a size; with a part, see `predict_log_scores`, also with that.
Resize = Callable[..., tf.Tensor]


def resized_size(
    height: tf.Tensor, width: tf.Tensor, long_side: float | tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Height and width, int32, of an image whose longer side becomes `long_side`.

    Sides are rounded half up, as in the official code.
    """
    height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    # The longer side must be exact, however the division rounds.
    longer = tf.maximum(height, width)
    long_side = tf.floor(tf.cast(long_side, tf.float32) + 0.5)

    def scaled(side: tf.Tensor) -> tf.Tensor:
        size = tf.floor(side * long_side / longer + 0.5)
        return tf.cast(
            tf.maximum(tf.where(side == longer, long_side, size), 1), "int32"
        )

    return scaled(height), scaled(width)


def with_mirrored(network: Network, flip_permutation: Sequence[int]) -> Network:
    """A network that averages its logits with those of the mirrored images.

    `flip_permutation` has the class that each class becomes in a mirrored image.
    """

    def average(images: tf.Tensor) -> tf.Tensor:
        mirrored = tf.reverse(network(tf.reverse(images, [2])), [2])
        return (network(images) + tf.gather(mirrored, flip_permutation, axis=-1)) / 2

    return average


def predict_log_scores(
    network: Network,
    image: tf.Tensor,
    sizes: Sequence[Sequence[int | tf.Tensor]],
    resize_logits: Resize,
    num_classes: int,
    window: Sequence[int] = (),
    overlap: float = 1 / 3,
    combine: str = "exp_logits",
    multiple: int = 1,
    part: Sequence[tf.Tensor] | None = None,
) -> tf.Tensor:
    """Scores every pixel of one image for every class.

    Args:
        network: Maps images [N, h, w, 3] to logits [N, h', w', C].
        image: What the network takes, [H, W, 3]; black is 0.
        sizes: The sizes (height, width) at which the image is predicted.
        resize_logits: Brings maps [N, h', w', C] to a size (height, width).
        num_classes: C.
        window: (height, width) of a sliding window for sizes that are larger than it
            in either direction; empty for none.
        overlap: The share of a window that the next one covers again.
        combine: What is added over windows and sizes: `exp_logits` or `probabilities`.
        multiple: Heights and widths are padded to multiples of this, with black below
            and at the right.
        part: (height, width) of the top left part of `image` that is the image. So all
            shapes are static, as XLA wants them: H, W and `sizes` must be numbers, and
            there may be no `window`. Scores beyond the part mean nothing.

    Returns:
        float32 [H, W, C]: the logits of a single prediction, otherwise the logarithm of
        the sum of scores. The predicted class is the greatest, and the softmax over
        classes gives its probability.
    """
    to_scores = _exp_logits if combine == "exp_logits" else tf.nn.softmax
    scaled, to_original = _resizers(image, resize_logits, part)

    def whole(images: tf.Tensor, size: Sequence[int | tf.Tensor]) -> tf.Tensor:
        missing = [-side % multiple for side in size]
        images = tf.pad(images, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])
        padded = [side + more for side, more in zip(size, missing, strict=True)]
        logits = tf.cast(resize_logits(network(images), padded), tf.float32)
        return logits[:, : size[0], : size[1]]

    if len(sizes) == 1 and not window:
        return to_original(whole(scaled(sizes[0]), sizes[0]))

    total = 0.0
    for size in sizes:
        images = scaled(size)

        def predict_whole(
            images: tf.Tensor = images, size: Sequence[int | tf.Tensor] = size
        ) -> tf.Tensor:
            return to_scores(whole(images, size))

        def predict_windows(images: tf.Tensor = images) -> tf.Tensor:
            return _predict_windows(
                lambda crop: to_scores(whole(crop, window)),
                images,
                num_classes,
                window,
                overlap,
            )

        if window:
            is_larger = (size[0] > window[0]) | (size[1] > window[1])
            scores = tf.cond(is_larger, predict_windows, predict_whole)
        else:
            scores = predict_whole()
        total += to_original(scores)
    return tf.math.log(tf.maximum(total, _LEAST_SCORE))


def _resizers(
    image: tf.Tensor, resize_logits: Resize, part: Sequence[tf.Tensor] | None
) -> tuple[Callable[[Sequence[int | tf.Tensor]], tf.Tensor], Network]:
    """What brings an image [H, W, 3] to a size, and maps [1, h, w, C] to its own."""
    if part is not None:
        canvas = image.shape[:2]
        return (
            lambda size: resize_part(image[tf.newaxis], part, size, size),
            lambda maps: resize_logits(maps, canvas, part)[0],
        )
    original_size = tf.shape(image)[:2]

    def to_original(maps: tf.Tensor) -> tf.Tensor:
        return tf.cond(
            tf.reduce_all(tf.shape(maps)[1:3] == original_size),
            lambda: maps,
            lambda: resize_logits(maps, original_size),
        )[0]

    return lambda size: tf.image.resize(image[tf.newaxis], size), to_original


def _exp_logits(logits: tf.Tensor) -> tf.Tensor:
    return tf.exp(tf.minimum(logits, _MAX_LOGIT))


def _predict_windows(
    predict: Network,
    images: tf.Tensor,
    num_classes: int,
    window: Sequence[int],
    overlap: float,
) -> tf.Tensor:
    """Mean scores [1, h, w, C] of all windows over images [1, h, w, 3].

    The last window of a row or column is moved back to end at the border. A side that
    is smaller than the window is padded with black below or at the right.
    """
    height, width = window
    shape = tf.shape(images)
    padding = [tf.maximum(height - shape[1], 0), tf.maximum(width - shape[2], 0)]
    images = tf.pad(images, [[0, 0], [0, padding[0]], [0, padding[1]], [0, 0]])
    padded = tf.shape(images)[1:3]
    corners = tf.reshape(
        tf.stack(
            tf.meshgrid(
                window_starts(padded[0], height, overlap),
                window_starts(padded[1], width, overlap),
                indexing="ij",
            ),
            axis=-1,
        ),
        [-1, 2],
    )

    def add(
        sums: tuple[tf.Tensor, tf.Tensor], corner: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        scores, counts = sums
        top, left = corner[0], corner[1]
        crop = images[:, top : top + height, left : left + width]
        crop = tf.ensure_shape(crop, [1, height, width, 3])
        around = [
            [0, 0],
            [top, padded[0] - top - height],
            [left, padded[1] - left - width],
            [0, 0],
        ]
        found = predict(crop)
        return (
            scores + tf.pad(found, around),
            counts + tf.pad(tf.ones_like(found[..., :1]), around),
        )

    scores, counts = tf.foldl(
        add,
        corners,
        initializer=(
            tf.zeros([1, padded[0], padded[1], num_classes]),
            tf.zeros([1, padded[0], padded[1], 1]),
        ),
    )
    return (scores / counts)[:, : shape[1], : shape[2]]


def window_starts(side: int | tf.Tensor, window: int, overlap: float) -> tf.Tensor:
    """Where windows begin along a side of the image; the last one ends with it. int32.

    `overlap` is the share of a window that the next one covers again.
    """
    stride = max(int(window * (1 - overlap)), 1)
    count = -(-(side - window) // stride) + 1
    return tf.minimum(tf.range(count) * stride, side - window)


def confusion_matrix(
    labels: tf.Tensor, predicted: tf.Tensor, num_classes: int, ignore_label: int
) -> tf.Tensor:
    """Counts pixels by their true class (rows) and the predicted one (columns).

    Labels and predictions are class numbers of any shape; the result is int64 [C, C].
    """
    labels = tf.cast(tf.reshape(labels, [-1]), tf.int32)
    labelled = labels != ignore_label
    return tf.math.confusion_matrix(
        tf.where(labelled, labels, 0),
        tf.reshape(predicted, [-1]),
        num_classes,
        weights=tf.cast(labelled, tf.int64),
        dtype=tf.int64,
    )
