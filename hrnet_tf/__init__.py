"""HRNet in TensorFlow: pose, segmentation and detection on the Model Garden."""

import signal
import sys

__version__ = "0.2.0"

# While Python looks for the module of `python -m hrnet_tf.train`: Ctrl-C ends a command
# without a traceback, until `command_line` answers it.
if sys.argv[:1] == ["-m"] and (
    signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    signal.signal(signal.SIGINT, signal.SIG_DFL)
