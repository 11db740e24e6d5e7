"""A page to try a model in: an image in, a picture and a table out.

Made with Gradio, which is an optional dependency: only pages import it.
"""

import os
from typing import Any

import gradio as gr
import numpy as np

from hrnet_tf.data.files import media
from hrnet_tf.serving.predictor import Boxes, Predictor

# Larger images, in pixels, would keep the server busy drawing.
MAX_PIXELS = 40_000_000


def mistake(sentence: str) -> gr.Error:
    """An error that the page shows, and the log does not."""
    return gr.Error(sentence, print_exception=False)


def path_of(upload: dict[str, Any] | None) -> str | None:
    """Where an uploaded image is: what an event without `preprocess` is given.

    Gradio would read the image itself: turn it by other rules than `media.read_image`,
    and show no reason if it cannot.
    """
    return upload["path"] if upload else None


def read(path: str | None) -> np.ndarray:
    """Reads an uploaded image. Raises `gradio.Error`."""
    if path is None:
        return checked(None)
    try:
        return checked(media.read_image(path))
    except media.MediaError as error:
        raise mistake(str(error).replace(path, os.path.basename(path))) from error


def checked(image: np.ndarray | None) -> np.ndarray:
    """Returns an uploaded image.

    Raises:
        gradio.Error: If there is none yet, or it is too large.
    """
    if image is None:
        raise mistake("Upload a picture first.")
    height, width = image.shape[:2]
    if height * width > MAX_PIXELS:
        raise mistake(
            f"The picture has {height * width / 1e6:.0f} megapixels; at most "
            f"{MAX_PIXELS / 1e6:.0f} are allowed."
        )
    return image


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
    prediction = predictor.predict_image(image, boxes).styled(
        keypoint_score_threshold=score_threshold, box_score_threshold=score_threshold
    )
    return prediction.picture(), prediction.table()


def picture_output(label: str, visible: bool = True) -> gr.Image:
    """A picture without the button that would publish it."""
    buttons = ["download", "fullscreen"]
    return gr.Image(label=label, format="png", buttons=buttons, visible=visible)


def build_page(predictor: Predictor) -> gr.Blocks:
    """The page of a model that needs nothing but an image; `launch` serves it."""
    with gr.Blocks(title="hrnet_tf", analytics_enabled=False) as blocks:
        gr.Markdown(f"## HRNet, {predictor.metadata.task}\nUpload a picture.")
        with gr.Row():
            with gr.Column():
                image = gr.Image(label="Picture", sources=["upload", "webcam"])
                threshold = gr.Slider(0, 1, 0.3, label="Least score that is drawn")
                find = gr.Button("Predict", variant="primary")
            with gr.Column():
                picture = picture_output("Prediction")
                table = gr.Dataframe(
                    headers=list(predictor.columns), type="array", label="Found"
                )

        def predict(
            upload: dict[str, Any] | None, threshold: float
        ) -> tuple[np.ndarray, list[list[Any]]]:
            return show(predictor, read(path_of(upload)), threshold)

        find.click(predict, [image, threshold], [picture, table], preprocess=False)
    return blocks
