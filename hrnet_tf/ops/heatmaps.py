"""Heatmap codecs: keypoints to training targets, and predicted heatmaps to keypoints.

A codec is a pair `encode`, `decode` that must be used together, since mixing codecs
shifts every keypoint by a fraction of a pixel:

  msra  The official HRNet code. The Gaussian sits on the nearest heatmap pixel;
        decoding moves the peak a quarter pixel towards its larger neighbour.
  msra_floor  The official code of faces. As msra, but the Gaussian sits on the heatmap
        pixel that the keypoint lies in, and keypoints decode to the middle of a pixel.
  dark  The Gaussian sits at the exact position; decoding blurs the map and takes a
        second-order Taylor step on its logarithm (Zhang et al., "Distribution-Aware
        Coordinate Representation for Human Pose Estimation", CVPR 2020).
  udp   As dark, with lengths counted between pixel centres, so that heatmap and crop
        share their corner pixels (Huang et al., "The Devil is in the Details", CVPR
        2020). Its crops come from `affine.crop_to_image_matrix(..., udp=True)`.

For msra and dark, crop = heatmap * stride; for msra_floor, crop = (heatmap + 1/2) *
stride; for udp, crop = heatmap * (crop size - 1) /
(heatmap size - 1). Points are (x, y); sizes are (height, width).

`flip_back`, and `decode` with the reader `Masks`, use only operations that mobile GPU
delegates run: tensors have rank 4 at most, and none is read by an index that a graph
computes.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from hrnet_tf.ops.codecs import CODECS, counts_between_centers
from hrnet_tf.ops.map_readers import Gathers, MapReader

# Those that decode by the quarter shift, and those whose mirrored heatmaps are off.
_QUARTER_SHIFTED = ("msra", "msra_floor")
_SHIFTED = ("msra", "dark")

# Gaussians reach this many sigmas from their centre pixel, in x and in y.
_WINDOW_SIGMAS = 3

# Log-heatmaps are floored here, so that float16 can hold them. Peaks lower than this
# are not refined.
_LOG_FLOOR = 1e-3

# A peak is refined if the determinant of its Hessian exceeds this; that of a Gaussian
# with a standard deviation of s pixels is s ** -4.
_SMALLEST_DETERMINANT = 1e-6


def encode(
    codec: str,
    keypoints: tf.Tensor,
    visible: tf.Tensor,
    crop_size: tuple[int, int],
    sigma: float,
    stride: int = 4,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Renders one Gaussian of peak 1 per keypoint.

    For every codec the Gaussian is cut to the square of 3 sigma around the heatmap
    pixel nearest to the keypoint, and a keypoint whose square misses the heatmap gets
    weight 0, as in official lib/dataset/JointsDataset.py, `generate_target`. (DARK's
    own code does not cut: its targets have tails below 0.012 outside the square.)

    Args:
        codec: One of `CODECS`.
        keypoints: [..., K, 2], (x, y) in crop pixels.
        visible: [..., K], greater than 0 where the keypoint is labelled.
        crop_size: (height, width) of the crop in pixels, multiples of `stride`.
        sigma: Standard deviation in heatmap pixels.
        stride: Crop pixels per heatmap pixel.

    Returns:
        heatmaps: float32 [..., height / stride, width / stride, K], all zero for a
            keypoint of weight 0.
        weights: float32 [..., K], 0 or 1.

    Raises:
        ValueError: If the codec is unknown or `crop_size` is not a multiple of
            `stride`.
    """
    _check_codec(codec)
    if crop_size[0] % stride or crop_size[1] % stride:
        raise ValueError(
            f"Crop size (height, width) {tuple(crop_size)} must be a multiple of the "
            f"heatmap stride {stride}."
        )
    height, width = crop_size[0] // stride, crop_size[1] // stride
    scale_x, scale_y = _heatmap_to_crop_scale(codec, (height, width), stride)
    keypoints = tf.cast(keypoints, tf.float32)
    x, y = keypoints[..., 0] / scale_x, keypoints[..., 1] / scale_y
    # Truncation towards zero, not floor: the official rounding of negative positions.
    offset = 0.0 if codec == "msra_floor" else 0.5
    nearest_x = tf.cast(tf.cast(x + offset, tf.int32), tf.float32)
    nearest_y = tf.cast(tf.cast(y + offset, tf.int32), tf.float32)

    radius = int(_WINDOW_SIGMAS * sigma)
    inside = (
        (nearest_x - radius < width)
        & (nearest_y - radius < height)
        & (nearest_x + radius + 1 >= 0)
        & (nearest_y + radius + 1 >= 0)
    )
    weights = tf.cast(inside & (tf.cast(visible, tf.float32) > 0), tf.float32)

    if codec in _QUARTER_SHIFTED:
        x, y = nearest_x, nearest_y
    columns = _gaussian(width, x, nearest_x, sigma, radius)
    rows = _gaussian(height, y, nearest_y, sigma, radius) * weights[..., tf.newaxis, :]
    heatmaps = rows[..., :, tf.newaxis, :] * columns[..., tf.newaxis, :, :]
    return heatmaps, weights


def decode(
    codec: str,
    heatmaps: tf.Tensor,
    stride: int = 4,
    sigma: float = 2.0,
    refine: bool = True,
    reader: type[MapReader] = Gathers,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Finds one keypoint per heatmap.

    The peak is the first maximum in row-major order. A keypoint whose maximum is not
    positive decodes to (0, 0) (official lib/core/inference.py, `get_max_preds`).

    Refinement is the official quarter shift (`get_final_preds`) for msra and
    msra_floor, and for dark and udp the Taylor step of their papers, taken where the
    log-heatmap curves downwards in every direction.

    Args:
        codec: One of `CODECS`, the one that encoded the training targets.
        heatmaps: [N, h, w, K], h and w static. Decoded in float32.
        stride: Crop pixels per heatmap pixel; the crop is (h * stride, w * stride).
        sigma: Standard deviation of the training targets in heatmap pixels. Sets the
            blur of dark and udp, 11 pixels wide for 2 and 17 for 3; others ignore it.
        refine: False returns the pixel of the peak itself.
        reader: `Masks` for a graph that a mobile GPU shall run, otherwise `Gathers`.

    Returns:
        keypoints: float32 [N, K, 2], (x, y) in crop pixels.
        scores: float32 [N, K], the maximum of each heatmap.

    Raises:
        ValueError: If the codec is unknown.
    """
    _check_codec(codec)
    heatmaps = tf.cast(heatmaps, tf.float32)
    height, width = heatmaps.shape[1:3]
    x, y, scores = reader.peak(heatmaps)
    if not refine:
        step_x, step_y = 0.0, 0.0
    elif codec in _QUARTER_SHIFTED:
        step_x, step_y = _quarter_shift(heatmaps, x, y, reader)
    else:
        step_x, step_y = _taylor_step(codec, heatmaps, x, y, scores, sigma, reader)

    scale_x, scale_y = _heatmap_to_crop_scale(codec, (height, width), stride)
    if codec == "msra_floor":
        x, y = x + 0.5, y + 0.5
    found = tf.cast(scores > 0.0, tf.float32)
    keypoints = tf.concat(
        [(x + step_x) * scale_x * found, (y + step_y) * scale_y * found], axis=1
    )
    keypoints = tf.transpose(tf.squeeze(keypoints, axis=2), [0, 2, 1])
    return keypoints, tf.squeeze(scores, axis=[1, 2])


def flip_back(
    heatmaps: tf.Tensor, flip_permutation: Sequence[int], shift_one_pixel: bool
) -> tf.Tensor:
    """Turns heatmaps [N, h, w, K] of a mirrored crop into heatmaps of the crop.

    `flip_permutation` has the keypoint that takes each place after a mirror.
    `shift_one_pixel` moves the result one column to the right, the first column staying
    (official `SHIFT_HEATMAP`). Needed for msra and dark: there, at stride 4, mirrored
    heatmaps show keypoints 3/4 of a heatmap pixel too far left. Wrong for udp and
    msra_floor, which mirror exactly.
    """
    # Along the last axis a gather copies number by number. Here it copies [h] at once,
    # which takes 0.4 of the time, both transpositions included.
    mirrored = tf.reverse(tf.transpose(heatmaps, [0, 2, 3, 1]), axis=[1])
    if shift_one_pixel:
        mirrored = tf.concat([mirrored[:, :1], mirrored[:, :-1]], axis=1)
    mirrored = tf.gather(mirrored, flip_permutation, axis=2)
    return tf.transpose(mirrored, [0, 3, 1, 2])


def average_with_mirrored(
    network: Callable[[tf.Tensor], tf.Tensor],
    images: tf.Tensor,
    flip_permutation: Sequence[int],
    codec: str,
) -> tf.Tensor:
    """The flip test: heatmaps of crops, averaged with those of the mirrored crops.

    `network` maps crops [N, H, W, 3] to heatmaps [N, h, w, K] and is called twice; the
    `codec` decides whether mirrored maps are shifted.
    """
    mirrored = network(tf.reverse(images, axis=[2]))
    return 0.5 * (
        network(images)
        + flip_back(mirrored, flip_permutation, shift_one_pixel=codec in _SHIFTED)
    )


def _check_codec(codec: str) -> None:
    if codec not in CODECS:
        raise ValueError(
            f"Unknown heatmap codec {codec!r}. Use one of {', '.join(CODECS)}."
        )


def _heatmap_to_crop_scale(
    codec: str, heatmap_size: tuple[int, int], stride: int
) -> tuple[float, float]:
    """Crop pixels per heatmap pixel in x and y."""
    if not counts_between_centers(codec):
        return float(stride), float(stride)
    height, width = heatmap_size
    return (width * stride - 1) / (width - 1), (height * stride - 1) / (height - 1)


def _gaussian(
    length: int, center: tf.Tensor, nearest: tf.Tensor, sigma: float, radius: int
) -> tf.Tensor:
    """[..., length, K] Gaussians about `center`, cut at `radius` from `nearest`."""
    position = tf.range(length, dtype=tf.float32)[:, tf.newaxis]
    from_center = position - center[..., tf.newaxis, :]
    from_nearest = position - nearest[..., tf.newaxis, :]
    window = tf.cast(tf.abs(from_nearest) <= radius, tf.float32)
    return window * tf.exp(-tf.square(from_center) / (2.0 * sigma**2))


# Below, quantities of a keypoint (x, y, steps, scores) are [N, 1, 1, K], as in
# map_readers.


def _apply_stencil(neighbourhood: tf.Tensor, stencil: np.ndarray) -> tf.Tensor:
    weights = tf.constant(stencil[np.newaxis, :, :, np.newaxis], tf.float32)
    return tf.reduce_sum(neighbourhood * weights, axis=[1, 2], keepdims=True)


def _interior(
    x: tf.Tensor, y: tf.Tensor, shape: tf.TensorShape, margin: int
) -> tf.Tensor:
    """1 where 1 < x < width - margin and 1 < y < height - margin, else 0."""
    height, width = shape[1:3]
    inside = (x > 1.0) & (x < width - margin) & (y > 1.0) & (y < height - margin)
    return tf.cast(inside, tf.float32)


_CENTRAL_DIFFERENCE = np.array([-0.5, 0.0, 0.5])


def _quarter_shift(
    heatmaps: tf.Tensor, x: tf.Tensor, y: tf.Tensor, reader: type[MapReader]
) -> tuple[tf.Tensor, tf.Tensor]:
    """A quarter pixel towards the larger neighbour; none at the border."""
    values = reader.neighbourhood(heatmaps, x, y, radius=1)
    middle = np.array([0.0, 1.0, 0.0])
    slope_x = _apply_stencil(values, np.outer(middle, _CENTRAL_DIFFERENCE))
    slope_y = _apply_stencil(values, np.outer(_CENTRAL_DIFFERENCE, middle))
    quarter = 0.25 * _interior(x, y, heatmaps.shape, margin=1)
    return tf.sign(slope_x) * quarter, tf.sign(slope_y) * quarter


def _taylor_step(
    codec: str,
    heatmaps: tf.Tensor,
    x: tf.Tensor,
    y: tf.Tensor,
    scores: tf.Tensor,
    sigma: float,
    reader: type[MapReader],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Newton step from (x, y) to the maximum of the blurred log-heatmap."""
    blurred = _blur(heatmaps, sigma)
    factor = scores / tf.maximum(reader.maximum(blurred), 1e-6)

    # The stencils of the two reference implementations: DARK differentiates twice by
    # central differences and leaves the border alone, UDP uses compact ones.
    if codec == "dark":
        radius = 2
        first = np.pad(_CENTRAL_DIFFERENCE, 1)
        second = np.convolve(_CENTRAL_DIFFERENCE, _CENTRAL_DIFFERENCE)
        mixed = np.outer(first, first)
        trusted = _interior(x, y, heatmaps.shape, margin=2)
    else:
        radius = 1
        first = _CENTRAL_DIFFERENCE
        second = np.array([1.0, -2.0, 1.0])
        mixed = 0.5 * np.array([[1, -1, 0], [-1, 2, -1], [0, -1, 1]])
        trusted = 1.0
    middle = np.eye(2 * radius + 1)[radius]
    values = reader.neighbourhood(blurred, x, y, radius) * factor
    values = tf.math.log(tf.maximum(values, _LOG_FLOOR))
    d_x = _apply_stencil(values, np.outer(middle, first))
    d_y = _apply_stencil(values, np.outer(first, middle))
    d_xx = _apply_stencil(values, np.outer(middle, second))
    d_yy = _apply_stencil(values, np.outer(second, middle))
    d_xy = _apply_stencil(values, mixed)

    determinant = d_xx * d_yy - tf.square(d_xy)
    is_maximum = (determinant > _SMALLEST_DETERMINANT) & (d_xx < 0.0)
    inverse = trusted * tf.cast(is_maximum, tf.float32)
    inverse /= tf.maximum(determinant, _SMALLEST_DETERMINANT)
    return (d_xy * d_y - d_yy * d_x) * inverse, (d_xy * d_x - d_xx * d_y) * inverse


def _blur(heatmaps: tf.Tensor, sigma: float) -> tf.Tensor:
    """Gaussian blur as wide as the targets: DARK's modulation, zeros outside."""
    size = 2 * math.ceil(_WINDOW_SIGMAS * sigma) - 1
    # OpenCV's standard deviation for a kernel of this size, which DARK relies on.
    deviation = 0.3 * ((size - 1) / 2 - 1) + 0.8
    position = np.arange(size) - size // 2
    kernel = np.exp(-np.square(position) / (2 * deviation**2))
    kernel = tf.constant(kernel / kernel.sum(), tf.float32)
    for shape in ([size, 1, 1, 1], [1, size, 1, 1]):
        weights = tf.tile(tf.reshape(kernel, shape), [1, 1, heatmaps.shape[3], 1])
        heatmaps = tf.nn.depthwise_conv2d(heatmaps, weights, [1, 1, 1, 1], "SAME")
    return heatmaps
