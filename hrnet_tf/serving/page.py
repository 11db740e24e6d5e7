"""A page to try a model in: an image in, a picture and a table out.

Made with Gradio, which is an optional dependency: only pages import it.
"""

import logging
import os
from typing import Any

import gradio as gr
import numpy as np

from hrnet_tf.data.files import media
from hrnet_tf.messages import one_line
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.page_parts import (
    checked_threshold,
    is_snapshot,
    mistake,
    picture_output,
)
from hrnet_tf.serving.page_webcam import add_webcam
from hrnet_tf.serving.predictor import Predictor

# Larger images, in pixels, would keep the server busy drawing.
MAX_PIXELS = 40_000_000

# Seconds: files of the page that are older are deleted, looked for at such intervals.
_OLDEST, _INTERVAL = 900, 60

# What Gradio and pydantic raise about values of other types and forms.
_UNFIT = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, OSError),
    RecursionError,
)

_log = logging.getLogger(__name__)


def path_of(upload: dict[str, Any] | None) -> str | None:
    """Where an uploaded image is: what an event without `preprocess` is given.

    Gradio would read the image itself: turn it by other rules than `media.read_image`,
    and show no reason if it cannot.
    """
    if not upload:
        return None
    if not isinstance(upload, dict) or not isinstance(upload.get("path"), str):
        raise mistake("What was sent is not an uploaded picture.")
    return upload["path"]


def _check_uploads(inputs: Any) -> None:
    """Raises `gradio.Error` if a file in an event's inputs was not uploaded.

    Else whoever talks to the page could have it read any file of this machine, or fetch
    one from another.
    """
    if isinstance(inputs, dict):
        if "path" in inputs and not is_snapshot(inputs):
            _check_upload(inputs["path"])
        inputs = list(inputs.values())
    if isinstance(inputs, list):
        for element in inputs:
            _check_uploads(element)


def _check_upload(path: Any) -> None:
    folder = os.path.realpath(gr.utils.get_upload_folder())
    is_path = isinstance(path, str) and "\0" not in path
    if not is_path or not os.path.realpath(path).startswith(folder + os.sep):
        raise mistake("What was sent is not an uploaded picture.")
    if not os.path.isfile(path):
        raise mistake("The picture is not kept any longer: upload it again.")


def read(path: str | None, max_pixels: int) -> np.ndarray:
    """Reads an uploaded image of at most so many pixels. Raises `gradio.Error`."""
    if path is None:
        raise mistake("Upload a picture first.")
    if not os.path.exists(path):
        raise mistake("The picture is not kept any longer: upload it again.")
    try:
        return media.read_image(path, max_pixels=max_pixels)
    except media.MediaError as error:
        raise mistake(str(error).replace(path, os.path.basename(path))) from error


class Page(gr.Blocks):
    """A page that answers inputs that cannot be understood with a sentence, too.

    A browser sends none, but whoever talks to the page without one may.
    """

    def __init__(self) -> None:
        """Begins an empty page, whose pictures are not kept for long."""
        super().__init__(
            title="hrnet_tf",
            analytics_enabled=False,
            delete_cache=(_INTERVAL, _OLDEST),
        )

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any
    ) -> list[Any]:
        """Reads the inputs of an event, as Gradio's components do."""
        try:
            _check_uploads(inputs)
            return await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except gr.Error as error:
            error.print_exception = False
            raise
        except _UNFIT as error:
            _log.info(
                "An event with inputs of another form was refused: %s (%s)",
                *(type(error).__name__, one_line(error)),
            )
            raise mistake(
                "The page cannot use what was sent: it takes an uploaded picture, rows "
                "of numbers for boxes, and a least score from 0 to 1."
            ) from error


def show(
    predictor: Predictor,
    image: np.ndarray,
    score_threshold: float,
    boxes: Boxes | None = None,
) -> tuple[np.ndarray, list[list[Any]]]:
    """Predicts an image and draws what is found.

    Args:
        predictor: The model.
        image: uint8 [H, W, 3], RGB.
        score_threshold: The least score that is drawn.
        boxes: See `Predictor.predict`.

    Returns:
        The picture, and the rows of the prediction's table.
    """
    least = checked_threshold(score_threshold)
    prediction = predictor.predict_image(image, boxes).styled(
        keypoint_score_threshold=least, box_score_threshold=least
    )
    return prediction.picture(), prediction.table()


def build_page(predictor: Predictor, max_pixels: int = MAX_PIXELS) -> gr.Blocks:
    """The page of a model that needs nothing but an image; `page_server` serves it."""
    with Page() as blocks:
        gr.Markdown(f"## HRNet, {predictor.metadata.task}\nUpload a picture.")
        with gr.Tab("Picture"), gr.Row():
            with gr.Column():
                image = gr.Image(label="Picture", sources=["upload", "webcam"])
                threshold = gr.Slider(0, 1, 0.3, label="Least score that is drawn")
                find = gr.Button("Predict", variant="primary")
            with gr.Column():
                picture = picture_output("Prediction")
                table = gr.Dataframe(
                    headers=list(predictor.columns), type="array", label="Found"
                )

        if predictor.unit == "people":
            add_webcam(predictor, max_pixels)

        def predict(
            upload: dict[str, Any] | None, threshold: float
        ) -> tuple[np.ndarray, list[list[Any]]]:
            return show(predictor, read(path_of(upload), max_pixels), threshold)

        find.click(predict, [image, threshold], [picture, table], preprocess=False)
    return blocks
