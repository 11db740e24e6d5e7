"""Random changes of people's crops: half body, shift, scale, rotation, mirror.

They change the affine map from crop to image, not pixels, so that the image is sampled
once. Official lib/dataset/JointsDataset.py; the order and the defaults are its own. A
shift, which it has not, and what `distribution` changes are those of other data sets.
"""

import math

import tensorflow as tf

from hrnet_tf.configs import pose as pose_config
from hrnet_tf.data.inputs.draws import Draws
from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.ops import affine


def augment_people(
    keypoints: tf.Tensor,
    center: tf.Tensor,
    size: tf.Tensor,
    augmentation: pose_config.Augmentation,
    skeleton: Skeleton,
    crop_size: tuple[int, int],
    udp: bool,
    draws: Draws,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws the random changes of P people, each on its own.

    Args:
        keypoints: [P, K, 3], x, y in original pixels and v.
        center: [P, 2], the padded boxes' centres.
        size: [P, 2], their widths and heights.
        augmentation: What changes, how much and how often.
        skeleton: Which keypoints change places in a mirror, and which belong to the
            upper body.
        crop_size: (height, width) of the crop in pixels.
        udp: See `affine.crop_to_image_matrix`.
        draws: Their random numbers.

    Returns:
        The keypoints, left and right swapped if the crop is mirrored, still in
        original pixels; and the crop-to-image matrices [P, 2, 3].
    """
    people = tf.shape(center)[:1]
    center, size = _half_body(
        keypoints, center, size, augmentation, skeleton, crop_size, draws
    )

    center = _shift(center, size, augmentation, draws)
    scale, rotation = _scale_and_rotation(people, augmentation, draws)
    is_rotated = _chance(augmentation.rotation_probability, people, draws)
    matrices = affine.crop_to_image_matrix(
        center,
        size * (1.0 + scale)[:, tf.newaxis],
        tf.where(is_rotated, rotation, 0.0),
        crop_size,
        udp=udp,
    )

    is_mirrored = _chance(augmentation.flip_probability, people, draws)[:, tf.newaxis]
    matrices = tf.where(
        is_mirrored[..., tf.newaxis], _mirror_crops(matrices, center), matrices
    )
    mirrored = tf.gather(keypoints, tf.constant(skeleton.flip_permutation), axis=1)
    keypoints = tf.where(is_mirrored[..., tf.newaxis], mirrored, keypoints)
    return keypoints, matrices


def _half_body(
    keypoints: tf.Tensor,
    center: tf.Tensor,
    size: tf.Tensor,
    augmentation: pose_config.Augmentation,
    skeleton: Skeleton,
    crop_size: tuple[int, int],
    draws: Draws,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Sometimes, the centre and size of the upper or lower body alone.

    Official lib/dataset/JointsDataset.py, `half_body_transform`.
    """
    upper = skeleton.upper_body
    if not upper or augmentation.half_body_probability <= 0:
        return center, size
    people = tf.shape(center)[:1]
    is_upper = tf.constant([index in upper for index in range(skeleton.num_keypoints)])
    visible = keypoints[..., 2] > 0
    upper_visible = visible & is_upper
    lower_visible = visible & ~is_upper
    enough_upper = _count(upper_visible) > 2
    enough_lower = _count(lower_visible) > 2
    wants_upper = _chance(augmentation.half_body_upper_probability, people, draws)
    takes_upper = (wants_upper & enough_upper) | ~enough_lower
    chosen = tf.where(takes_upper[:, tf.newaxis], upper_visible, lower_visible)

    points = keypoints[..., :2]
    far = tf.constant(1e9, tf.float32)
    low = tf.reduce_min(tf.where(chosen[..., tf.newaxis], points, far), axis=1)
    high = tf.reduce_max(tf.where(chosen[..., tf.newaxis], points, -far), axis=1)
    share = tf.cast(chosen, tf.float32)[..., tf.newaxis]
    middle = tf.reduce_sum(points * share, axis=1) / tf.maximum(
        tf.reduce_sum(share, axis=1), 1.0
    )
    extent = high - low
    applies = (
        _chance(augmentation.half_body_probability, people, draws)
        & (_count(visible) > augmentation.half_body_min_keypoints)
        & (_count(chosen) >= 2)
        & tf.reduce_any(extent > 0, axis=-1)
    )[:, tf.newaxis]
    _, half_size = affine.box_to_center_size(
        tf.concat([middle - 0.5 * extent, extent], axis=-1),
        crop_size[1] / crop_size[0],
        augmentation.half_body_padding,
    )
    return tf.where(applies, middle, center), tf.where(applies, half_size, size)


def _shift(
    center: tf.Tensor,
    size: tf.Tensor,
    augmentation: pose_config.Augmentation,
    draws: Draws,
) -> tf.Tensor:
    """MMPose's `RandomBBoxTransform`: some centres, moved by a share of their size."""
    if augmentation.shift_probability <= 0 or augmentation.shift <= 0:
        return center
    share = augmentation.shift * _truncated_normal(tf.shape(center), draws)
    moves = _chance(augmentation.shift_probability, tf.shape(center)[:1], draws)
    return tf.where(moves[:, tf.newaxis], center + share * size, center)


def _scale_and_rotation(
    people: tf.Tensor, augmentation: pose_config.Augmentation, draws: Draws
) -> tuple[tf.Tensor, tf.Tensor]:
    """What is added to scales of 1, and the degrees to turn by, [P] each."""
    if augmentation.distribution == "normal":
        scale = tf.clip_by_value(
            augmentation.scale * draws.normal(people),
            -augmentation.scale,
            augmentation.scale,
        )
        rotation = tf.clip_by_value(draws.normal(people), -2.0, 2.0)
        return scale, augmentation.rotation * rotation
    if augmentation.distribution == "uniform":
        drawn = draws.uniform(tf.concat([[2], people], axis=0), -1.0, 1.0)
    else:
        drawn = _truncated_normal(tf.concat([[2], people], axis=0), draws)
    return augmentation.scale * drawn[0], augmentation.rotation * drawn[1]


def _truncated_normal(shape: tf.Tensor, draws: Draws) -> tf.Tensor:
    """Standard normal variables, of those in [-1, 1] (SciPy's `truncnorm`)."""
    # TensorFlow's own is cut at 2. A normal variable's share below x is (1 +
    # erf(x / sqrt 2)) / 2; here that share is drawn, between those of -1 and 1.
    limit = math.erf(math.sqrt(0.5))
    drawn = draws.uniform(shape, -limit, limit)
    return math.sqrt(2.0) * tf.math.erfinv(drawn)


def _chance(probability: float, people: tf.Tensor, draws: Draws) -> tf.Tensor:
    return draws.uniform(people) < probability


def _count(mask: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(mask, tf.int32), axis=-1)


def _mirror_crops(matrices: tf.Tensor, center: tf.Tensor) -> tf.Tensor:
    """The crop-to-image matrices of the same crops from the mirrored image.

    The official code mirrors the image and the centre about (W - 1) / 2 before it
    crops; in pixels of the unmirrored image that is a reflection about the centre.
    """
    offset = 2.0 * center[:, 0, tf.newaxis, tf.newaxis]
    reflection = tf.pad(offset, [[0, 0], [0, 1], [2, 0]])
    return tf.constant([[-1.0], [1.0]]) * matrices + reflection
