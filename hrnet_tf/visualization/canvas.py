"""What pictures are made of: lines, tags, text, grids; and writing them to files."""

import colorsys
import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from hrnet_tf.output_files import OutputError, written_whole

Color = tuple[int, int, int]

DARK = (18, 18, 22)
BACKGROUND = (24, 24, 28)
LIGHT = (245, 245, 245)
FONT = cv2.FONT_HERSHEY_SIMPLEX
CAPITAL_HEIGHT = 22  # Pixels, at font scale 1.

# OpenCV takes fractional coordinates as integers, here of 1/16 pixel.
_SHIFT = 4

# Step on the colour circle from one number to the next: the golden ratio spreads any
# number of categories or people evenly.
_HUE_STEP = 0.618034


def compared(
    predicted: np.ndarray,
    ground_truth: np.ndarray,
    cell_size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Puts two pictures side by side in the cells of `image_grid`, with captions."""
    return image_grid(
        [predicted, ground_truth],
        columns=2,
        cell_size=cell_size,
        captions=["prediction", "ground truth"],
    )


def image_grid(
    images: Sequence[np.ndarray],
    columns: int,
    cell_size: tuple[int, int] | None = None,
    captions: Sequence[str] | None = None,
) -> np.ndarray:
    """Arranges images in rows, each scaled to its cell with its aspect ratio kept.

    Args:
        images: N >= 1 images, uint8 RGB, of any sizes.
        columns: Images in a row. The last row may have empty cells.
        cell_size: (height, width) of a cell. None takes the greatest height and the
            greatest width of the images.
        captions: N texts, each in a bar above its cell; what does not fit is cut off.

    Returns:
        uint8 RGB, [rows * (cell height + bar) + gaps, columns * cell width + gaps, 3].

    Raises:
        ValueError: If there are no images, fewer than one column, or not as many
            captions as images.
    """
    if not len(images) or columns < 1:
        raise ValueError(
            f"image_grid received {len(images)} images and columns={columns}; both "
            "must be at least 1."
        )
    if captions is not None and len(captions) != len(images):
        raise ValueError(f"{len(captions)} captions for {len(images)} images.")
    for index, image in enumerate(images):
        check_image(image, f"images[{index}]")
    if cell_size is None:
        height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    else:
        height, width = cell_size
    gap = max(2, round(0.01 * max(height, width)))
    bar = 0 if captions is None else max(16, round(0.05 * max(height, width)))
    rows = -(-len(images) // columns)
    shape = rows * (bar + height + gap) + gap, columns * (width + gap) + gap, 3
    grid = np.full(shape, BACKGROUND, np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = gap + row * (bar + height + gap), gap + column * (width + gap)
        cell = grid[top : top + bar + height, left : left + width]
        cell[bar:] = fit(image, (height, width))[0]
        if captions is not None:
            caption_bar = np.ascontiguousarray(cell[:bar])
            draw_text(caption_bar, captions[index], (0.1 * bar, 0.22 * bar), 0.5 * bar)
            cell[:bar] = caption_bar
    return grid


def write_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Writes a whole RGB image as PNG or JPEG, whichever the path's suffix names."""
    check_image(image, "image")
    path = os.fspath(path)
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in (".png", ".jpg", ".jpeg"):
        raise ValueError(f"Cannot write {path}: its name must end in .png or .jpg.")
    _write(path, suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def write_labels(path: str | os.PathLike[str], labels: np.ndarray) -> None:
    """Writes class numbers, uint8 [H, W], as a grey PNG that is whole or not there."""
    _write(os.fspath(path), ".png", labels)


def _write(path: str, suffix: str, image: np.ndarray) -> None:
    is_written, encoded = cv2.imencode(suffix, image)
    if not is_written:
        raise OutputError(
            f"{path}: {image.shape[1]}x{image.shape[0]} pixels are too many for a file "
            f"of the type {suffix}."
        )
    with written_whole(path) as partial, open(partial, "wb") as file:
        file.write(encoded.tobytes())


def number_color(number: int) -> Color:
    """The RGB colour of a category, or of a person in a video."""
    red, green, blue = colorsys.hsv_to_rgb(number * _HUE_STEP % 1, 0.75, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_line(
    canvas: np.ndarray, start: np.ndarray, end: np.ndarray, color: Color, width: float
) -> None:
    """Draws a line between two points (x, y), at least one pixel wide."""
    ends = _fixed(start), _fixed(end)
    cv2.line(canvas, *ends, color, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def draw_dot(
    canvas: np.ndarray, center: np.ndarray, color: Color, radius: float
) -> None:
    """Draws a filled circle."""
    size = round(radius * 2**_SHIFT)
    cv2.circle(canvas, _fixed(center), size, color, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def draw_box(
    canvas: np.ndarray, box: np.ndarray, pixel: int, color: Color = LIGHT
) -> None:
    """Draws the outline of a box (x, y, width, height), if its numbers are finite."""
    if not np.isfinite(box).all():
        return
    side = max(canvas.shape)
    top_left = np.clip(box[:2], -side, 2 * side)
    bottom_right = np.clip(box[:2] + box[2:], -side, 2 * side)
    corners = _fixed(top_left), _fixed(bottom_right)
    width = round(max(0.0018 * side, 0.9 * pixel))
    outline = round(max(0.0009 * side, 0.2 * pixel))
    cv2.rectangle(canvas, *corners, DARK, width + 2 * outline, cv2.LINE_AA, _SHIFT)
    cv2.rectangle(canvas, *corners, color, width, cv2.LINE_AA, _SHIFT)


def draw_tag(
    canvas: np.ndarray, text: str, corner: Sequence[float] | np.ndarray, pixel: int
) -> None:
    """Writes a tag above a box's top left corner, moved to lie inside the canvas."""
    if not np.isfinite(corner).all():
        return
    height, width = canvas.shape[:2]
    text_height = max(0.02 * max(height, width), 7 * pixel)
    padding = 0.4 * text_height
    scale = text_height / CAPITAL_HEIGHT
    tag_width = cv2.getTextSize(text, FONT, scale, 1)[0][0] + 2 * padding
    tag_height = text_height + 2 * padding
    left = round(np.clip(corner[0], 0, max(width - tag_width, 0)))
    top = round(np.clip(corner[1] - tag_height, 0, max(height - tag_height, 0)))
    bottom_right = round(left + tag_width), round(top + tag_height)
    cv2.rectangle(canvas, (left, top), bottom_right, DARK, cv2.FILLED)
    draw_text(canvas, text, (left + padding, top + padding), text_height)


def draw_text(
    canvas: np.ndarray, text: str, corner: tuple[float, float], height: float
) -> None:
    """Writes one line whose capitals are `height` high, from its top left corner."""
    origin = round(corner[0]), round(corner[1] + height)
    scale, thickness = height / CAPITAL_HEIGHT, max(1, round(0.06 * height))
    cv2.putText(canvas, text, origin, FONT, scale, LIGHT, thickness, cv2.LINE_AA)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    x, y = point * 2**_SHIFT
    return round(x), round(y)


def fit(
    image: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, float, np.ndarray]:
    """Scales an image to fit into (height, width), and centres it.

    Returns:
        The fitted image, the scale, and the (x, y) offset of its top left corner.
    """
    height, width = image.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(image, (new_width, new_height), interpolation=method)
    top, left = (size[0] - new_height) // 2, (size[1] - new_width) // 2
    fitted = np.full((*size, 3), BACKGROUND, np.uint8)
    fitted[top : top + new_height, left : left + new_width] = resized
    return fitted, scale, np.array([left, top])


def check_image(image: np.ndarray, name: str) -> None:
    """Refuses anything but a uint8 array [height, width, 3] with pixels in it."""
    is_array = isinstance(image, np.ndarray)
    if not is_array or image.dtype != np.uint8 or image.shape[2:] != (3,):
        received = f"{image.dtype} {image.shape}" if is_array else type(image).__name__
        raise ValueError(f"{name} is {received}, expected uint8 [height, width, 3].")
    if not image.size:
        raise ValueError(f"{name} is empty: its shape is {image.shape}.")


def check_shape(values: Any, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
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
