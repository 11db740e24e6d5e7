"""HRNet in TensorFlow: pose, segmentation and detection on the Model Garden.

import hrnet_tf

pose = hrnet_tf.load("exported/pose/1")
people = pose.predict("photo.jpg", boxes=[[50, 40, 120, 300]])
people.draw().save("drawn.png")

What is listed in `__all__` is imported when it is first used: TensorFlow takes seconds.
"""

import importlib
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hrnet_tf.api.creation import create_model, list_models
    from hrnet_tf.api.loading import load
    from hrnet_tf.api.registration import register
    from hrnet_tf.api.tracking import track
    from hrnet_tf.messages import UserError
    from hrnet_tf.serving.boxes import Boxes
    from hrnet_tf.serving.predictor import Style
    from hrnet_tf.serving.tracking.follower import Follower
    from hrnet_tf.serving.tracking.one_euro import Smoothing
    from hrnet_tf.serving.tracking.tracker import Tracker

__version__ = "0.2.0"

# While Python looks for the module of `python -m hrnet_tf.train`: Ctrl-C ends a command
# without a traceback, until `command_line` answers it.
if sys.argv[:1] == ["-m"] and (
    signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    signal.signal(signal.SIGINT, signal.SIG_DFL)

_PLACES = {
    "load": "api.loading",
    "create_model": "api.creation",
    "list_models": "api.creation",
    "register": "api.registration",
    "track": "api.tracking",
    "UserError": "messages",
    "Boxes": "serving.boxes",
    "Style": "serving.predictor",
    "Follower": "serving.tracking.follower",
    "Smoothing": "serving.tracking.one_euro",
    "Tracker": "serving.tracking.tracker",
}

__all__ = [
    "Boxes",
    "Follower",
    "Smoothing",
    "Style",
    "Tracker",
    "UserError",
    "create_model",
    "list_models",
    "load",
    "register",
    "track",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
