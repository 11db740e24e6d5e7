"""Pictures for people to look at: skeletons, boxes and heatmaps drawn on images.

Images are uint8 RGB arrays [height, width, 3]. Keypoints are (x, y, score) in pixels of
the image that is drawn on, pixel centres at whole numbers. No function changes its
inputs. Line widths follow the size of the person and of the image, so that one call
suits a thumbnail and a photograph.

A skeleton is any object with the attributes
    num_keypoints: K
    limbs: pairs of keypoint indices that a line joins
    limb_colors: one RGB triple per limb
"""

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

_DARK = (18, 18, 22)
_BACKGROUND = (24, 24, 28)
_LIGHT = (245, 245, 245)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAPITAL_HEIGHT = 22  # Pixels, at font scale 1.

# Smaller images are enlarged while they are drawn on: a line thinner than a pixel then
# comes out as a fainter pixel, where OpenCV alone would draw a whole one.
_DRAWING_SIDE = 1024

# In images smaller than this a score would be illegible, or hide the person.
_LEAST_LABELLED_SIDE = 200

# OpenCV takes fractional coordinates as integers, here of 1/16 pixel.
_SHIFT = 4


def draw_skeletons(
    image: np.ndarray,
    keypoints: np.ndarray,
    skeleton: Any,
    score_threshold: float = 0.2,
    boxes: np.ndarray | None = None,
    scores: np.ndarray | None = None,
) -> np.ndarray:
    """Draws people's limbs and keypoints and, where given, boxes and scores.

    Args:
        image: uint8 [H, W, 3], RGB.
        keypoints: [P, K, 3] (x, y, score or COCO visibility), pixels of `image`. Those
            that are not finite, or further outside the image than its longer side,
            are left out.
        skeleton: see the top of this file.
        score_threshold: keypoints at or below it are left out, and so are their limbs.
            The default leaves out COCO's visibility 0 and draws 1 and 2.
        boxes: [P, 4] (x, y, width, height), pixels of `image`.
        scores: [P], written at the top left of each person's box, or of the person's
            keypoints where there are no boxes. Images of less than 200 pixels are too
            small for text and get none.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        ValueError: an array has a wrong shape or dtype.
    """
    _check_image(image, "image")
    shape = (None, skeleton.num_keypoints, 3)
    keypoints = _check_shape(keypoints, "keypoints", shape)
    if boxes is not None:
        boxes = _check_shape(boxes, "boxes", (len(keypoints), 4))
    if scores is not None:
        scores = _check_shape(scores, "scores", (len(keypoints),))

    # Each pixel becomes a block of equal ones, and what is not drawn on is restored
    # exactly by the mean over blocks at the end.
    height, width = image.shape[:2]
    pixel = -(-_DRAWING_SIDE // max(height, width))
    canvas = np.repeat(np.repeat(image, pixel, axis=0), pixel, axis=1)

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
        for box in boxes:
            _draw_box(canvas, box, pixel)
    # Small people last: large ones would cover them.
    order = sorted(range(len(points)), key=lambda person: -max(extents[person][2:]))
    for person in order:
        size = max(extents[person][2:])
        _draw_person(canvas, points[person], visible[person], skeleton, size, pixel)
    if scores is not None and margin >= _LEAST_LABELLED_SIDE:
        for person in order:
            if visible[person].any() or boxes is not None:
                _draw_label(canvas, f"{scores[person]:.2f}", corners[person], pixel)
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)


def draw_heatmaps(crop: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    """Lays the strongest of K heatmaps over a crop; the colours end at 0 and 1.

    Args:
        crop: uint8 [H, W, 3], RGB.
        heatmaps: float [h, w, K]; column x stands over column x * W / w of the crop.

    Returns:
        uint8 [H, W, 3], RGB: the crop where heatmaps are 0, yellow where they are 1.

    Raises:
        ValueError: an array has a wrong shape or dtype.
    """
    _check_image(crop, "crop")
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
    return np.uint8(crop * (1 - opacity) + colors[..., ::-1] * opacity + 0.5)


def compare_skeletons(
    image: np.ndarray,
    predicted: np.ndarray,
    ground_truth: np.ndarray,
    skeleton: Any,
    score_threshold: float = 0.2,
    boxes: np.ndarray | None = None,
    scores: np.ndarray | None = None,
    cell_size: tuple[int, int] | None = None,
    captions: tuple[str, str] = ("prediction", "ground truth"),
) -> np.ndarray:
    """Draws predicted people on the left and labelled people on the right.

    Args:
        image: uint8 [H, W, 3], RGB.
        predicted: [P, K, 3] (x, y, score), pixels of `image`.
        ground_truth: [G, K, 3] (x, y, visibility), pixels of `image`.
        skeleton, score_threshold: as in `draw_skeletons`.
        boxes, scores: of the predicted people, as in `draw_skeletons`.
        cell_size: (height, width) that the image is fitted into before it is drawn on,
            so that lines and text suit this size. None keeps the image's size.
        captions: written above the two.

    Returns:
        uint8 RGB, the two cells of `image_grid` side by side.
    """
    _check_image(image, "image")
    fitted, scale, offset = _fit(image, cell_size or image.shape[:2])

    def move(keypoints: np.ndarray, name: str) -> np.ndarray:
        shape = (None, skeleton.num_keypoints, 3)
        x_y, score = np.split(_check_shape(keypoints, name, shape), [2], axis=-1)
        return np.concatenate([(x_y + 0.5) * scale - 0.5 + offset, score], axis=-1)

    if boxes is not None:
        boxes = np.asarray(boxes, np.float64) * scale + [*offset, 0, 0]
    predicted = move(predicted, "predicted")
    ground_truth = move(ground_truth, "ground_truth")
    left = draw_skeletons(fitted, predicted, skeleton, score_threshold, boxes, scores)
    right = draw_skeletons(fitted, ground_truth, skeleton)
    return image_grid([left, right], columns=2, captions=captions)


def image_grid(
    images: Sequence[np.ndarray],
    columns: int,
    cell_size: tuple[int, int] | None = None,
    captions: Sequence[str] | None = None,
) -> np.ndarray:
    """Sets images out in rows, each scaled to its cell with its aspect ratio kept.

    Args:
        images: N >= 1 images, uint8 RGB, of any sizes.
        columns: images in a row. The last row may have empty cells.
        cell_size: (height, width) of a cell. None takes the greatest height and the
            greatest width of the images.
        captions: N texts, each in a bar above its cell; what does not fit is cut off.

    Returns:
        uint8 RGB, [rows * (cell height + bar) + gaps, columns * cell width + gaps, 3].

    Raises:
        ValueError: no images, columns < 1, or another number of captions than images.
    """
    if not len(images) or columns < 1:
        raise ValueError(
            f"image_grid received {len(images)} images and columns={columns}; both "
            "must be at least 1."
        )
    if captions is not None and len(captions) != len(images):
        raise ValueError(f"{len(captions)} captions for {len(images)} images.")
    for index, image in enumerate(images):
        _check_image(image, f"images[{index}]")
    if cell_size is None:
        cell_size = tuple(np.max([image.shape[:2] for image in images], axis=0))
    height, width = map(int, cell_size)
    gap = max(2, round(0.01 * max(height, width)))
    bar = 0 if captions is None else max(16, round(0.05 * max(height, width)))
    rows = -(-len(images) // columns)
    shape = rows * (bar + height + gap) + gap, columns * (width + gap) + gap, 3
    grid = np.full(shape, _BACKGROUND, np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = gap + row * (bar + height + gap), gap + column * (width + gap)
        cell = grid[top : top + bar + height, left : left + width]
        cell[bar:] = _fit(image, (height, width))[0]
        if captions is not None:
            caption_bar = np.ascontiguousarray(cell[:bar])
            _draw_text(caption_bar, captions[index], (0.1 * bar, 0.22 * bar), 0.5 * bar)
            cell[:bar] = caption_bar
    return grid


def write_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Writes an RGB image as PNG or JPEG, by the path's suffix.

    The file appears under its name only when it is complete.

    Raises:
        ValueError: another suffix than .png, .jpg or .jpeg.
    """
    _check_image(image, "image")
    path = os.fspath(path)
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in (".png", ".jpg", ".jpeg"):
        raise ValueError(f"Cannot write {path}: its name must end in .png or .jpg.")
    _, encoded = cv2.imencode(suffix, np.ascontiguousarray(image[..., ::-1]))
    temporary_path = f"{path}.{os.getpid()}.tmp"
    with open(temporary_path, "wb") as file:
        file.write(encoded.tobytes())
    os.replace(temporary_path, path)


def _draw_person(
    canvas: np.ndarray,
    points: np.ndarray,
    visible: np.ndarray,
    skeleton: Any,
    size: float,
    pixel: int,
) -> None:
    """Draws limbs and dots over an outline of both, so that people stand apart.

    points: [K, 2]; size: the person's longer side, which the line width follows within
        limits set by the canvas; both in canvas pixels.
    pixel: canvas pixels per image pixel, the least width of a limb.
    """
    side = max(canvas.shape)
    width = max(np.clip(0.018 * size, 0.003 * side, 0.011 * side), pixel)
    outline = max(0.25 * width, 0.4 * pixel)
    colored_limbs = zip(skeleton.limbs, skeleton.limb_colors, strict=True)
    limbs = [
        (points[start], points[end], color)
        for (start, end), color in colored_limbs
        if visible[start] and visible[end]
    ]
    colors = _keypoint_colors(skeleton)
    for start, end, _ in limbs:
        _draw_line(canvas, start, end, _DARK, width + 2 * outline)
    for keypoint in np.flatnonzero(visible):
        _draw_dot(canvas, points[keypoint], _DARK, 0.85 * width + outline)
    for start, end, color in limbs:
        _draw_line(canvas, start, end, color, width)
    for keypoint in np.flatnonzero(visible):
        _draw_dot(canvas, points[keypoint], colors[keypoint], 0.85 * width)


def _draw_line(
    canvas: np.ndarray, start: np.ndarray, end: np.ndarray, color: tuple, width: float
) -> None:
    start, end, width = _fixed(start), _fixed(end), max(1, round(width))
    cv2.line(canvas, start, end, color, width, cv2.LINE_AA, _SHIFT)


def _draw_dot(
    canvas: np.ndarray, center: np.ndarray, color: tuple, radius: float
) -> None:
    radius = round(radius * 2**_SHIFT)
    cv2.circle(canvas, _fixed(center), radius, color, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _draw_box(canvas: np.ndarray, box: np.ndarray, pixel: int) -> None:
    if not np.isfinite(box).all():
        return
    side = max(canvas.shape)
    top_left = np.clip(box[:2], -side, 2 * side)
    bottom_right = np.clip(box[:2] + box[2:], -side, 2 * side)
    corners = _fixed(top_left), _fixed(bottom_right)
    width = round(max(0.0018 * side, 0.9 * pixel))
    outline = round(max(0.0009 * side, 0.2 * pixel))
    cv2.rectangle(canvas, *corners, _DARK, width + 2 * outline, cv2.LINE_AA, _SHIFT)
    cv2.rectangle(canvas, *corners, _LIGHT, width, cv2.LINE_AA, _SHIFT)


def _draw_label(canvas: np.ndarray, text: str, corner: np.ndarray, pixel: int) -> None:
    """Writes a tag that stands on a box's top left corner, inside the canvas."""
    if not np.isfinite(corner).all():
        return
    height, width = canvas.shape[:2]
    text_height = max(0.02 * max(height, width), 7 * pixel)
    padding = 0.4 * text_height
    scale = text_height / _CAPITAL_HEIGHT
    tag_width = cv2.getTextSize(text, _FONT, scale, 1)[0][0] + 2 * padding
    tag_height = text_height + 2 * padding
    left = round(np.clip(corner[0], 0, max(width - tag_width, 0)))
    top = round(np.clip(corner[1] - tag_height, 0, max(height - tag_height, 0)))
    bottom_right = round(left + tag_width), round(top + tag_height)
    cv2.rectangle(canvas, (left, top), bottom_right, _DARK, cv2.FILLED)
    _draw_text(canvas, text, (left + padding, top + padding), text_height)


def _draw_text(
    canvas: np.ndarray, text: str, corner: tuple[float, float], height: float
) -> None:
    """Writes one line whose capitals are `height` high, from its top left corner."""
    origin = round(corner[0]), round(corner[1] + height)
    scale, thickness = height / _CAPITAL_HEIGHT, max(1, round(0.06 * height))
    cv2.putText(canvas, text, origin, _FONT, scale, _LIGHT, thickness, cv2.LINE_AA)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    x, y = point * 2**_SHIFT
    return round(x), round(y)


def _keypoint_colors(skeleton: Any) -> list[tuple[int, int, int]]:
    """The commonest colour among each keypoint's limbs; light where it has none."""
    colors: list[Counter] = [Counter() for _ in range(skeleton.num_keypoints)]
    for limb, color in zip(skeleton.limbs, skeleton.limb_colors, strict=True):
        for keypoint in limb:
            colors[keypoint][color] += 1
    return [c.most_common(1)[0][0] if c else _LIGHT for c in colors]


def _extent(points: np.ndarray) -> tuple[float, float, float, float]:
    """The (x, y, width, height) that points [N, 2] span; zeros without points."""
    if not len(points):
        return 0.0, 0.0, 0.0, 0.0
    low, high = points.min(axis=0), points.max(axis=0)
    return (*low, *(high - low))


def _fit(
    image: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, float, np.ndarray]:
    """Scales an image to fill (height, width) one way and centres it the other way.

    Returns:
        The fitted image, the scale, and the (x, y) offset of its top left corner.
    """
    height, width = image.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(image, (new_width, new_height), interpolation=method)
    top, left = (size[0] - new_height) // 2, (size[1] - new_width) // 2
    fitted = np.full((*size, 3), _BACKGROUND, np.uint8)
    fitted[top : top + new_height, left : left + new_width] = resized
    return fitted, scale, np.array([left, top])


def _check_image(image: np.ndarray, name: str) -> None:
    is_array = isinstance(image, np.ndarray)
    if not is_array or image.dtype != np.uint8 or image.shape[2:] != (3,):
        received = f"{image.dtype} {image.shape}" if is_array else type(image).__name__
        raise ValueError(f"{name} is {received}, expected uint8 [height, width, 3].")
    if not image.size:
        raise ValueError(f"{name} is empty: its shape is {image.shape}.")


def _check_shape(values: Any, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """`values` as float64; None in `shape` allows any number of people."""
    values = np.asarray(values, np.float64)
    if values.ndim != len(shape) or any(
        allowed not in (None, size)
        for size, allowed in zip(values.shape, shape, strict=True)
    ):
        raise ValueError(
            f"{name} has shape {values.shape}, expected "
            f"{str(shape).replace('None', 'people')}."
        )
    return values
