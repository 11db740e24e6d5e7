"""The page's tab for a webcam: people are followed from picture to picture.

The browser sends pictures as fast as it gets answers; each visitor is followed apart.
"""

import base64
import binascii
import time
from typing import Any

import gradio as gr
import numpy as np

from hrnet_tf.data.files import pictures
from hrnet_tf.serving.page_parts import (
    SNAPSHOT,
    checked_threshold,
    is_snapshot,
    mistake,
    picture_output,
)
from hrnet_tf.serving.predictor import Predictor
from hrnet_tf.serving.tracking.follower import Follower

# Seconds between pictures, at least; and after which a visitor's people are forgotten.
_INTERVAL = 0.05
_KEPT = 900
# Larger pictures would come late, and networks look at smaller ones.
_VIDEO = {"width": {"ideal": 640}, "height": {"ideal": 480}}
# Visitors whose cameras run at once.
_VISITORS = 4

_HELP = (
    "Start the camera. People keep their numbers, and keypoints are smoothed. A pose "
    "model follows one person, looked for in the whole picture; one with a detector "
    "follows all."
)


def add_webcam(predictor: Predictor, max_pixels: int) -> None:
    """Adds the tab to the page that is being built."""
    with gr.Tab("Webcam"):
        gr.Markdown(_HELP)
        follower = gr.State(None, time_to_live=_KEPT)
        with gr.Row():
            camera = gr.Image(
                label="Camera",
                sources=["webcam"],
                streaming=True,
                webcam_options=gr.WebcamOptions(constraints={"video": _VIDEO}),
            )
            picture = picture_output("People")
        threshold = gr.Slider(0, 1, 0.2, label="Least score that is drawn")

    def look(
        sent: dict[str, Any] | None, threshold: float, follower: Follower | None
    ) -> tuple[np.ndarray, Follower]:
        image = _read_snapshot(sent, max_pixels)
        follower = follower or Follower(predictor)
        least = checked_threshold(threshold)
        people = follower.look(image, time.monotonic())
        return people.styled(keypoint_score_threshold=least).picture(), follower

    camera.stream(
        look,
        [camera, threshold, follower],
        [picture, follower],
        preprocess=False,
        stream_every=_INTERVAL,
        concurrency_limit=_VISITORS,
        show_progress="hidden",
        api_name="look",
    )


def _read_snapshot(sent: Any, max_pixels: int) -> np.ndarray:
    """The pixels of a picture that a webcam sent. Raises `gradio.Error`."""
    if not is_snapshot(sent):
        raise mistake("What was sent is not a picture of a webcam.")
    try:
        content = base64.b64decode(sent["url"].removeprefix(SNAPSHOT), validate=True)
        return pictures.decode(content, "apply", max_pixels)
    except (binascii.Error, pictures.PictureError) as error:
        raise mistake(f"The webcam's picture cannot be read: {error}.") from error
