"""The error about a file of weights, and what libraries say of one."""

import re

from hrnet_tf.messages import UserError, one_line

# What torch writes before the reason why it refuses a pickle: advice on how to read it
# anyway.
_BEFORE_REASON = re.compile(
    r"(?s)^Weights only load failed.*?(?:WeightsUnpickler error:|\n\n)"
)
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


class WeightsError(UserError):
    """A file of weights that cannot be used; the message names it and says why."""


def reason(error: Exception) -> str:
    """The first sentence of a library's message; torch writes whole paragraphs."""
    text = _BEFORE_REASON.sub("", _TERMINAL_CODES.sub("", str(error)))
    first_line = text.strip().partition("\n")[0]
    return one_line(first_line).partition(". ")[0].rstrip(".") or type(error).__name__
