"""A page to try a pose model in: an image in, keypoints and heatmaps out.

Made with Gradio, which is an optional dependency: only pages import it.
"""

from typing import Any

import gradio as gr
import numpy as np

from hrnet_tf import visualization
from hrnet_tf.serving.page import (
    checked,
    mistake,
    path_of,
    picture_output,
    read,
    show,
)
from hrnet_tf.serving.pose.predictor import PosePredictor
from hrnet_tf.serving.predictor import Boxes

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
        corner: list[int] | None,
        point: list[int],
    ) -> tuple[np.ndarray, list[list[float]], list[int] | None]:
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
        if corner is None:
            return self.draw_boxes(image, rows), rows, list(point)
        low, high = np.minimum(corner, point), np.maximum(corner, point)
        if (high > low).all():
            rows.append([float(value) for value in (*low, *(high - low))])
        return self.draw_boxes(image, rows), rows, None

    def draw_boxes(self, image: np.ndarray, boxes: list[list[Any]]) -> np.ndarray:
        """The image with its boxes."""
        people = _boxes(boxes)
        nobody = np.zeros((len(people), self._skeleton.num_keypoints, 3))
        return visualization.draw_skeletons(image, nobody, self._skeleton, boxes=people)

    def predict(
        self, image: np.ndarray | None, boxes: list[list[Any]], score_threshold: float
    ) -> tuple[np.ndarray, np.ndarray | None, list[list[Any]]]:
        """Finds the keypoints.

        Args:
            image: uint8 [H, W, 3], RGB, or None if there is none yet.
            boxes: Rows of x, y, width, height; the whole image if there is none.
            score_threshold: Keypoints that score at most this are not drawn.

        Returns:
            The picture, the people's crops with heatmaps (None if the model has none),
            and rows of the prediction's table.

        Raises:
            gradio.Error: If there is no image, or it or a box cannot be used.
        """
        image = checked(image)
        given = _boxes(boxes)
        if not (np.isfinite(given).all() and (given[:, 2:] > 0).all()):
            raise mistake("Every box needs four numbers, and a width and height.")
        people = Boxes(given, np.ones(len(given))) if len(given) else None
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


def build_page(predictor: PosePredictor) -> gr.Blocks:
    """The page; `launch` serves it."""
    page = DemoPage(predictor)
    metadata = predictor.metadata
    with gr.Blocks(title="hrnet_tf", analytics_enabled=False) as blocks:
        gr.Markdown(
            f"## HRNet {metadata.model}, {metadata.skeleton.name}, "
            f"{metadata.input_size[0]}x{metadata.input_size[1]}\n{_HELP}"
        )
        original, corner = gr.State(None), gr.State(None)
        with gr.Row():
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

        def take(
            upload: dict[str, Any] | None,
        ) -> tuple[str | None, list[Any], None]:
            return path_of(upload), [], None

        def click(
            original: str | None,
            boxes: list[list[Any]],
            corner: list[int] | None,
            event: gr.SelectData,
        ) -> tuple[np.ndarray, list[list[float]], list[int] | None]:
            return page.add_corner(read(original), boxes, corner, event.index)

        def forget(original: str | None) -> tuple[str | None, list[Any], None]:
            return original, [], None

        def predict(
            original: str | None, boxes: list[list[Any]], threshold: float
        ) -> tuple[np.ndarray, np.ndarray | None, list[list[Any]]]:
            return page.predict(read(original), boxes, threshold)

        # A new picture by its user, not one that the page itself has drawn boxes on.
        image.input(take, image, [original, boxes, corner], preprocess=False)
        image.select(click, [original, boxes, corner], [image, boxes, corner])
        clear.click(forget, original, [image, boxes, corner])
        find.click(predict, [original, boxes, threshold], [picture, heatmaps, table])
    return blocks


def _boxes(rows: list[list[Any]] | None) -> np.ndarray:
    """Rows of a table as [P, 4]; rows without any entry left out, others NaN."""
    numbers = []
    for row in rows or []:
        cells = [None if cell in ("", None) else cell for cell in row]
        if any(cell is not None for cell in cells):
            numbers.append([_number(cell) for cell in cells])
    return np.array(numbers, np.float32).reshape(-1, 4)


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return float("nan")
