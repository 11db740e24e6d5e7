"""Networks of the Garden's parts: which of them go together, building them tells.

Every backbone, decoder and head of the Garden can be asked for, with numbers that are
each in their range. Levels, channels and sizes must fit each other, too, in ways that
only the parts themselves know.
"""

from typing import Any

import tf_keras
from official.core import base_task

from hrnet_tf.messages import UserError, one_line

# What TensorFlow, Keras and the Garden raise about shapes and missing levels.
_UNFIT = (ValueError, TypeError, LookupError, AttributeError, RuntimeError)


class NetworkError(UserError):
    """Parts of a network that do not go together."""


def build(task: base_task.Task) -> tf_keras.Model:
    """Builds the network of a task.

    Raises `NetworkError` where the Garden's parts do not fit. Failures of networks that
    are HRNet's alone are faults of this package, and stay.
    """
    try:
        return task.build_model()
    except UserError:
        raise
    except _UNFIT as error:
        if not (parts := _foreign_parts(task.task_config.model)):
            raise
        raise NetworkError(
            f"The network of task.model cannot be built: {' and '.join(parts)} of the "
            "Model Garden cannot be joined to the rest as configured "
            f"({_reason(error)}). Change their levels, sizes and channels, or take "
            "HRNet's own parts."
        ) from error


def _foreign_parts(model: Any) -> list[str]:
    """The parts that are the Garden's own: "decoder.type 'fpn'"."""
    parts = [(name, getattr(model, name, None)) for name in ("backbone", "decoder")]
    chosen = [(name, part.type) for name, part in parts if part is not None]
    found = [
        f"{name}.type {kind!r}" for name, kind in chosen if "hrnet" not in str(kind)
    ]
    if getattr(getattr(model, "head", None), "feature_fusion", None):
        found.append(f"head.feature_fusion {model.head.feature_fusion!r}")
    return found


def _reason(error: BaseException) -> str:
    """The last line of a message that is not about the place in the program."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("File ", "Call arg", "•"))]
    reason = one_line(told[0] if len(told) == 1 else _about_error(told))
    # A key of what the backbone makes, which the Garden looks up.
    level = reason.strip("'\"")
    return f"there is no level {level}" if level.isdecimal() else reason


def _about_error(lines: list[str]) -> str:
    named = [line for line in lines if "Error: " in line]
    return named[-1] if named else (lines or ["no reason is given"])[-1]
