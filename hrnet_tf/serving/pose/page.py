"""A page to try a pose model in: an image in, keypoints and heatmaps out.

Made with Gradio, which is an optional dependency: only pages import it.
"""

from typing import Any

import gradio as gr
import numpy as np

from hrnet_tf import visualization
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.page import MAX_PIXELS, Page, path_of, read, show
from hrnet_tf.serving.page_parts import mistake, picture_output
from hrnet_tf.serving.page_webcam import add_webcam
from hrnet_tf.serving.pose.predictor import PosePredictor

# More people than a picture needs would keep the server busy.
_MOST_BOXES = 50
# Pixels: no box is farther off, nor larger.
_FARTHEST = 1_000_000

BOX_COLUMNS = ["x", "y", "width", "height"]

_HELP = (
    "Upload a picture or take one. Click two opposite corners of a person, once for "
    "every person, or edit the table; without boxes the whole image is one person."
)


class DemoPage:
    """What the page does, apart from how it looks."""

    def __init__(self, predictor: PosePredictor):
        self._predictor = predictor
        self._skeleton = predictor.metadata.skeleton

    def add_corner(
        self,
        image: np.ndarray,
        boxes: list[list[Any]],
        corner: list[float] | None,
        point: list[int],
    ) -> tuple[np.ndarray, list[list[float]], list[float] | None]:
        """Takes a click: the first corner of a box, or its second.

        Args:
            image: uint8 [H, W, 3].
            boxes: Rows of x, y, width, height.
            corner: The first corner, (x, y), if there is one.
            point: Where the click was, (x, y).

        Returns:
            The image with boxes, the boxes, and the corner that waits for another.
        """
        rows = _boxes(boxes).tolist()
        place = _point(point)
        if corner is None:
            return self.draw_boxes(image, rows), rows, place
        low, high = np.minimum(corner, place), np.maximum(corner, place)
        if (high > low).all():
            rows.append([float(value) for value in (*low, *(high - low))])
        return self.draw_boxes(image, rows), rows, None

    def draw_boxes(self, image: np.ndarray, boxes: list[list[Any]]) -> np.ndarray:
        """The image with its boxes."""
        people = _boxes(boxes)
        nobody = np.zeros((len(people), self._skeleton.num_keypoints, 3))
        return visualization.draw_skeletons(image, nobody, self._skeleton, boxes=people)

    def predict(
        self, image: np.ndarray, boxes: list[list[Any]], score_threshold: float
    ) -> tuple[np.ndarray, np.ndarray | None, list[list[Any]]]:
        """Finds the keypoints.

        Args:
            image: uint8 [H, W, 3], RGB.
            boxes: Rows of x, y, width, height; the whole image if there is none.
            score_threshold: Keypoints that score at most this are not drawn.

        Returns:
            The picture, the people's crops with heatmaps (None if the model has none),
            and rows of the prediction's table.

        Raises:
            gradio.Error: If a box or the threshold cannot be used.
        """
        given = _boxes(boxes)
        people = Boxes.of(given) if len(given) else None
        picture, rows = show(self._predictor, image, score_threshold, people)
        shown = people or Boxes.of_whole(picture)
        return picture, self._heatmaps(image, shown.boxes), rows

    def _heatmaps(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray | None:
        if not self._predictor.has_heatmaps:
            return None
        crops = [
            visualization.draw_heatmaps(*self._predictor.predict_heatmaps(image, box))
            for box in boxes
        ]
        return visualization.image_grid(crops, columns=min(len(crops), 4))


def build_page(predictor: PosePredictor, max_pixels: int = MAX_PIXELS) -> gr.Blocks:
    """The page; `page_server` serves it."""
    page = DemoPage(predictor)
    metadata = predictor.metadata
    with Page() as blocks:
        gr.Markdown(
            f"## {metadata.network}, {metadata.skeleton.name}, "
            f"{metadata.input_size[0]}x{metadata.input_size[1]}\n{_HELP}"
        )
        original, corner = gr.State(None), gr.State(None)
        with gr.Tab("Picture"), gr.Row():
            with gr.Column():
                image = gr.Image(label="Picture", sources=["upload", "webcam"])
                boxes = gr.Dataframe(
                    headers=BOX_COLUMNS,
                    datatype="number",
                    type="array",
                    label="Boxes in pixels",
                    row_count=0,
                    column_count=(4, "fixed"),
                    interactive=True,
                )
                threshold = gr.Slider(0, 1, 0.2, label="Least score that is drawn")
                with gr.Row():
                    clear = gr.Button("Clear boxes")
                    find = gr.Button("Find keypoints", variant="primary")
            with gr.Column():
                picture = picture_output("Keypoints")
                heatmaps = picture_output("Heatmaps", predictor.has_heatmaps)
                table = gr.Dataframe(
                    headers=list(predictor.columns),
                    type="array",
                    label="Keypoints in pixels",
                )
        add_webcam(predictor, max_pixels)

        def take(
            upload: dict[str, Any] | None,
        ) -> tuple[str | None, list[Any], None]:
            return path_of(upload), [], None

        def click(
            original: str | None,
            boxes: list[list[Any]],
            corner: list[float] | None,
            event: gr.SelectData,
        ) -> tuple[np.ndarray, list[list[float]], list[float] | None]:
            image = read(original, max_pixels)
            return page.add_corner(image, boxes, corner, event.index)

        def forget(original: str | None) -> tuple[str | None, list[Any], None]:
            return original, [], None

        def predict(
            original: str | None, boxes: list[list[Any]], threshold: float
        ) -> tuple[np.ndarray, np.ndarray | None, list[list[Any]]]:
            return page.predict(read(original, max_pixels), boxes, threshold)

        # A new picture by its user, not one that the page itself has drawn boxes on.
        image.input(take, image, [original, boxes, corner], preprocess=False)
        image.select(click, [original, boxes, corner], [image, boxes, corner])
        clear.click(forget, original, [image, boxes, corner])
        find.click(predict, [original, boxes, threshold], [picture, heatmaps, table])
    return blocks


def _boxes(rows: list[list[Any]] | None) -> np.ndarray:
    """Rows of a table as [P, 4]; rows without any entry are left out.

    Raises:
        gradio.Error: If a row is no box, or there are too many.
    """
    numbers = []
    for row in rows or []:
        if any(cell not in ("", None) for cell in row):
            numbers.append([_number(cell) for cell in row])
    if len(numbers) > _MOST_BOXES:
        raise mistake(
            f"There are {len(numbers)} boxes; at most {_MOST_BOXES} are used."
        )
    if any(len(row) != len(BOX_COLUMNS) for row in numbers):
        raise mistake("Every box needs four numbers: x, y, width and height.")
    with np.errstate(over="ignore"):
        boxes = np.array(numbers).reshape(-1, 4).astype(np.float32)
    # Not a number is in no range.
    if not (np.abs(boxes) <= _FARTHEST).all() or not (boxes[:, 2:] > 0).all():
        raise mistake(
            "Every box needs four numbers: x, y, and a width and height above 0; none "
            f"beyond {_FARTHEST}."
        )
    return boxes


def _point(place: Any) -> list[float]:
    """Where a click was; raises `gradio.Error` if it was nowhere."""
    cells = place if isinstance(place, (list, tuple)) else []
    numbers = [_number(cell) for cell in cells]
    if len(numbers) != 2 or not all(abs(number) <= _FARTHEST for number in numbers):
        raise mistake("A click needs a place in the picture, x and y.")
    return numbers


def _number(cell: Any) -> float:
    try:
        return float("nan") if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError, OverflowError):
        return float("nan")
