"""People's skeletons, boxes and heatmaps drawn on images.

Line widths follow the size of the person and of the image, so that one call suits a
thumbnail and a photograph.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

import cv2
import numpy as np

from hrnet_tf.visualization.canvas import (
    DARK,
    LIGHT,
    Color,
    check_image,
    check_shape,
    compared,
    draw_box,
    draw_dot,
    draw_line,
    draw_tag,
    fit,
    number_color,
)

# Smaller images are enlarged while they are drawn on: a line thinner than a pixel then
# comes out as a fainter pixel, where OpenCV alone would draw a whole one.
_DRAWING_SIDE = 1024
# From this side on, the lines of a body are wide enough as they are; those of more
# keypoints may not be.
_LARGE_SIDE = 512
MOST_OF_BODY = 30

# How many keypoints may be near without thinning lines: all of a body above its hips.
# Lines are at most so wide, as shares of the distance to the last one, or of a limb.
_NEIGHBOURS = 12
_WIDTH_PER_REACH = 0.036
_WIDTH_PER_LIMB = 0.1

# In images smaller than this a score would be illegible, or hide the person.
_LEAST_LABELLED_SIDE = 200


class Limbs(Protocol):
    """A skeleton's K keypoints and the lines between them."""

    @property
    def num_keypoints(self) -> int:
        """K."""

    @property
    def limbs(self) -> Sequence[tuple[int, int]]:
        """Pairs of keypoint indices that a line joins."""

    @property
    def limb_colors(self) -> Sequence[Color]:
        """An RGB triple per limb."""


def draw_skeletons(
    image: np.ndarray,
    keypoints: np.ndarray,
    skeleton: Limbs,
    score_threshold: float = 0.2,
    boxes: np.ndarray | None = None,
    scores: np.ndarray | None = None,
    track_ids: np.ndarray | None = None,
) -> np.ndarray:
    """Draws people's limbs and keypoints and, where given, boxes, scores and numbers.

    Args:
        image: uint8 [H, W, 3], RGB.
        keypoints: [P, K, 3] (x, y, score or COCO visibility), pixels of `image`. Those
            that are not finite, or further outside the image than its longer side,
            are left out.
        skeleton: The keypoints and limbs.
        score_threshold: Keypoints at or below it are left out, and so are their limbs.
            The default leaves out COCO's visibility 0 and draws 1 and 2.
        boxes: [P, 4] (x, y, width, height), pixels of `image`.
        scores: [P], written at the top left of each person's box or, without boxes, of
            the person's keypoints. Images smaller than 200 pixels get no text.
        track_ids: [P], people's numbers in a video, before the scores; boxes then have
            colours by number.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        ValueError: If an array has a wrong shape or dtype.
    """
    check_image(image, "image")
    shape = (None, skeleton.num_keypoints, 3)
    keypoints = check_shape(keypoints, "keypoints", shape)
    if boxes is not None:
        boxes = check_shape(boxes, "boxes", (len(keypoints), 4))
    if scores is not None:
        scores = check_shape(scores, "scores", (len(keypoints),))

    # Each pixel becomes a block of equal ones. At the end the mean over every block
    # restores exactly what was not drawn on.
    height, width = image.shape[:2]
    is_dense = skeleton.num_keypoints > MOST_OF_BODY
    is_large = max(height, width) >= _LARGE_SIDE and not is_dense
    pixel = 1 if is_large else -(-_DRAWING_SIDE // max(height, width))
    canvas_size = width * pixel, height * pixel
    canvas = cv2.resize(image, canvas_size, interpolation=cv2.INTER_NEAREST)

    margin = max(height, width)
    near = (keypoints[..., :2] > -margin) & (keypoints[..., :2] < 2 * margin)
    visible = near.all(axis=-1) & (keypoints[..., 2] > score_threshold)
    points = (keypoints[..., :2] + 0.5) * pixel - 0.5
    extents = [
        _extent(points[person, visible[person]]) for person in range(len(points))
    ]
    if boxes is None:
        corners = [extent[:2] for extent in extents]
    else:
        boxes = boxes * pixel
        corners = [box[:2] for box in boxes]
        for person, box in enumerate(boxes):
            color = LIGHT if track_ids is None else number_color(int(track_ids[person]))
            draw_box(canvas, box, pixel, color)
    # Small people last: large ones would cover them.
    order = sorted(range(len(points)), key=lambda person: -max(extents[person][2:]))
    for person in order:
        size = max(extents[person][2:])
        _draw_person(canvas, points[person], visible[person], skeleton, size, pixel)
    tags = _tags(scores, track_ids)
    if tags and margin >= _LEAST_LABELLED_SIDE:
        for person in order:
            if visible[person].any() or boxes is not None:
                draw_tag(canvas, tags[person], corners[person], pixel)
    if pixel == 1:
        return canvas
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)


def _tags(scores: np.ndarray | None, track_ids: np.ndarray | None) -> list[str]:
    """What stands beside people: "#3 0.92", or one of the two; [] if nothing does."""
    numbers = [] if track_ids is None else [f"#{number}" for number in track_ids]
    values = [] if scores is None else [f"{score:.2f}" for score in scores]
    if numbers and values:
        return [" ".join(pair) for pair in zip(numbers, values, strict=True)]
    return numbers or values


def draw_heatmaps(crop: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    """Lays the strongest of K heatmaps over a crop; the colours end at 0 and 1.

    Args:
        crop: uint8 [H, W, 3], RGB.
        heatmaps: float [h, w, K]; column x stands over column x * W / w of the crop.

    Returns:
        uint8 [H, W, 3], RGB: the crop where heatmaps are 0, yellow where they are 1.

    Raises:
        ValueError: If an array has a wrong shape or dtype.
    """
    check_image(crop, "crop")
    heatmaps = np.asarray(heatmaps, np.float32)
    if heatmaps.ndim != 3 or not heatmaps.size:
        raise ValueError(f"heatmaps has shape {heatmaps.shape}, expected [h, w, K].")
    height, width = crop.shape[:2]
    strongest = np.clip(np.nan_to_num(heatmaps.max(axis=-1)), 0.0, 1.0)
    # Not cv2.resize: it aligns the corners of pixels, and would move the peaks by up
    # to half a heatmap pixel from the keypoints that they are decoded to.
    scale = np.diag([width / heatmaps.shape[1], height / heatmaps.shape[0], 1.0])[:2]
    border = cv2.BORDER_REPLICATE
    strongest = cv2.warpAffine(strongest, scale, (width, height), borderMode=border)
    colors = cv2.applyColorMap(np.uint8(strongest * 255), cv2.COLORMAP_INFERNO)
    opacity = 0.85 * np.sqrt(strongest)[..., np.newaxis]
    blend = crop * (1 - opacity) + colors[..., ::-1] * opacity
    return (blend + 0.5).astype(np.uint8)


def compare_skeletons(
    image: np.ndarray,
    predicted: np.ndarray,
    ground_truth: np.ndarray,
    skeleton: Limbs,
    score_threshold: float = 0.2,
    boxes: np.ndarray | None = None,
    scores: np.ndarray | None = None,
    cell_size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Draws predicted people on the left and labelled people on the right.

    Scores of `predicted` [P, K, 3] are visibilities in `ground_truth` [G, K, 3]; boxes
    and scores belong to the predicted people. The image is fitted into `cell_size`
    before it is drawn on, so that lines and text suit this size.
    """
    check_image(image, "image")
    fitted, scale, offset = fit(image, cell_size or image.shape[:2])

    def move(keypoints: np.ndarray, name: str) -> np.ndarray:
        shape = (None, skeleton.num_keypoints, 3)
        x_y, score = np.split(check_shape(keypoints, name, shape), [2], axis=-1)
        return np.concatenate([(x_y + 0.5) * scale - 0.5 + offset, score], axis=-1)

    if boxes is not None:
        boxes = np.asarray(boxes, np.float64) * scale + [*offset, 0, 0]
    predicted = move(predicted, "predicted")
    ground_truth = move(ground_truth, "ground_truth")
    left = draw_skeletons(fitted, predicted, skeleton, score_threshold, boxes, scores)
    right = draw_skeletons(fitted, ground_truth, skeleton)
    return compared(left, right)


def _draw_person(
    canvas: np.ndarray,
    points: np.ndarray,
    visible: np.ndarray,
    skeleton: Limbs,
    size: float,
    pixel: int,
) -> None:
    """Draws limbs and dots over an outline of both, so that people stand apart.

    The line width follows `size`, the person's longer side in canvas pixels, within
    limits set by the canvas and by `pixel`, the canvas pixels per image pixel. Where
    keypoints are dense it follows them: a face's 98 are lines with small dots.
    """
    limbs = {
        limb: color
        for limb, color in zip(skeleton.limbs, skeleton.limb_colors, strict=True)
        if visible[[*limb]].all()
    }
    widths = _line_widths(points, limbs, visible, size, canvas, pixel)
    outlines = np.maximum(0.25 * widths, np.minimum(0.4 * pixel, 0.5 * widths))
    colors = _keypoint_colors(skeleton)
    for start, end in limbs:
        # From a shoulder to a face full of keypoints, a limb is as wide as at the face.
        thinner = min(start, end, key=widths.__getitem__)
        width = widths[thinner] + 2 * outlines[thinner]
        draw_line(canvas, points[start], points[end], DARK, width)
    for keypoint in np.flatnonzero(visible):
        radius = 0.85 * widths[keypoint] + outlines[keypoint]
        draw_dot(canvas, points[keypoint], DARK, radius)
    for (start, end), color in limbs.items():
        width = min(widths[start], widths[end])
        draw_line(canvas, points[start], points[end], color, width)
    for keypoint in np.flatnonzero(visible):
        draw_dot(canvas, points[keypoint], colors[keypoint], 0.85 * widths[keypoint])


def _line_widths(
    points: np.ndarray,
    limbs: Iterable[tuple[int, int]],
    visible: np.ndarray,
    size: float,
    canvas: np.ndarray,
    pixel: int,
) -> np.ndarray:
    """The width of lines at each keypoint, in canvas pixels.

    That of a person of this `size`, or less where many others are near: a share of the
    distance to them, or of the longest limb, so that a shoulder near a face full of
    keypoints remains one of a body.
    """
    side = max(canvas.shape)
    width = max(np.clip(0.018 * size, 0.003 * side, 0.011 * side), pixel)
    widths = np.full(len(points), width, np.float64)
    shown = points[visible]
    if len(shown) > _NEIGHBOURS:
        distances = np.linalg.norm(shown[:, np.newaxis] - shown, axis=-1)
        reach = np.partition(distances, _NEIGHBOURS, axis=1)[:, _NEIGHBOURS]
        widths[visible] = _WIDTH_PER_REACH * reach
        for limb in limbs:
            length = np.linalg.norm(np.subtract(*points[[*limb]]))
            widths[[*limb]] = np.maximum(widths[[*limb]], _WIDTH_PER_LIMB * length)
        np.clip(widths, min(width, 0.5 * pixel), width, out=widths)
    return widths


def _keypoint_colors(skeleton: Limbs) -> list[Color]:
    """The commonest colour among each keypoint's limbs; light where it has none."""
    colors: list[Counter] = [Counter() for _ in range(skeleton.num_keypoints)]
    for limb, color in zip(skeleton.limbs, skeleton.limb_colors, strict=True):
        for keypoint in limb:
            colors[keypoint][color] += 1
    return [c.most_common(1)[0][0] if c else LIGHT for c in colors]


def _extent(points: np.ndarray) -> tuple[float, float, float, float]:
    """The (x, y, width, height) that points [N, 2] span; zeros without points."""
    if not len(points):
        return 0.0, 0.0, 0.0, 0.0
    low, high = points.min(axis=0), points.max(axis=0)
    return (*low, *(high - low))
