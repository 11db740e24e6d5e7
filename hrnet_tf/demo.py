"""Serves a page to try a model in: python -m hrnet_tf.demo --model=...

One drops a picture or takes one with the webcam and sees what the model finds in it.
For a pose model one marks people with boxes, and sees the network's heatmaps, too.
Only this machine can reach the page unless --host says otherwise, and only under its
own names: other sites cannot use it through a browser. Needs Gradio: pip install
'hrnet_tf[demo]'.
"""

import os
import sys
from collections.abc import Sequence

from absl import flags

from hrnet_tf import command_line
from hrnet_tf.api import model_flags
from hrnet_tf.messages import UserError
from hrnet_tf.optional_packages import import_package


class PageError(UserError):
    """The page cannot be served; the message says why."""


def define_flags() -> flags.FlagValues:
    """Returns the command's flags."""
    define = command_line.Flags()
    model_flags.define_loading(define)
    define.string(
        "host",
        "Address to listen at; 0.0.0.0 lets other machines in.",
        default="127.0.0.1",
    )
    define.integer("port", "Port to listen at.", default=7860, least=1, most=65535)
    define.strings(
        "allowed_host",
        "Another name that the page may be asked for, as behind a proxy or in a "
        "network; may be repeated.",
    )
    define.integer(
        "max_upload_mb", "Largest file to accept, in MB.", default=10, most=1000
    )
    define.integer(
        "max_pixels",
        "Images of more pixels (width x height) are refused before they are decoded.",
        default=40_000_000,
        least=1,
    )
    return define.values


def serve(values: flags.FlagValues) -> None:
    """Serves the page until a signal ends it, which `command_line.run` reports.

    Raises:
        UserError: If the model cannot be used, Gradio is missing or the address is
            taken.
    """
    if values.max_upload_mb < 1:
        raise command_line.UsageError(
            f"--max_upload_mb={values.max_upload_mb} must be at least 1."
        )
    model_flags.check_num_threads(values, values.model)
    _ignore_settings()
    # TensorFlow's own keeps the memory of the largest picture for good.
    os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "true")
    try:
        import_package("gradio")
        from hrnet_tf.serving import page_server
    except ImportError as error:
        raise PageError(
            f"The page needs Gradio ({error}): pip install 'hrnet_tf[demo]'."
        ) from error

    from hrnet_tf.api.loading import load
    from hrnet_tf.serving.kinds import KINDS

    predictor = load(values.model, **model_flags.loading(values))
    page = KINDS[predictor.metadata.task].page(predictor, values.max_pixels)
    try:
        opened = page_server.listen(values.host, values.port)
    except OSError as error:
        raise PageError(
            f"--host={values.host} --port={values.port} cannot be listened at: {error}"
        ) from error
    server = page_server.make_server(
        page, values.host, values.port, values.max_upload_mb, values.allowed_host
    )
    host = f"[{values.host}]" if ":" in values.host else values.host
    print(f"http://{host}:{values.port} (Ctrl+C ends)", flush=True)
    with opened:
        server.run(sockets=[opened])


def _ignore_settings() -> None:
    """Forgets the settings of Gradio that the environment has; the flags are all.

    They could publish the page, have it serve files, or run tools for developers.
    """
    for name in list(os.environ):
        # Where uploads are kept is no matter of who may see them.
        if name.startswith("GRADIO_") and name != "GRADIO_TEMP_DIR":
            del os.environ[name]
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return command_line.run(serve, define_flags(), argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
