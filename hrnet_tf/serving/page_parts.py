"""What the tabs of a page have in common."""

from typing import Any

import gradio as gr

# How the address begins by which a browser sends a webcam's picture.
SNAPSHOT = "data:image/jpeg;base64,"


def mistake(sentence: str) -> gr.Error:
    """An error that the page shows, and the log does not."""
    return gr.Error(sentence, print_exception=False)


def is_snapshot(sent: Any) -> bool:
    """Whether a picture was sent as such, as the webcam's are, and not as a file."""
    url = sent.get("url") if isinstance(sent, dict) else None
    is_data = isinstance(url, str) and url.startswith(SNAPSHOT)
    return is_data and sent.get("path") is None


def checked_threshold(value: Any) -> float:
    """Returns the least score. Raises `gradio.Error` if it is none."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:  # Nor is NaN.
        raise mistake("The least score must be a number from 0 to 1.")
    return float(value)


def picture_output(label: str, visible: bool = True) -> gr.Image:
    """A picture without the button that would publish it."""
    buttons = ["download", "fullscreen"]
    return gr.Image(label=label, format="png", buttons=buttons, visible=visible)
