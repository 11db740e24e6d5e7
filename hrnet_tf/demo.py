"""Serves a page to try a model in: python -m hrnet_tf.demo --model=exported/1

One drops a picture or takes one with the webcam, marks people with boxes, and sees
their keypoints and the network's heatmaps. Only this machine can reach the page unless
--host says otherwise. Needs Gradio: pip install 'hrnet_tf[demo]'.
"""

import os
import sys
from collections.abc import Sequence

from absl import flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from hrnet_tf import command_line
from hrnet_tf.serving.predictor import ModelError, PosePredictor, load_predictor


class PageError(ValueError):
    """The page cannot be served; the message says why."""


def define_flags() -> flags.FlagValues:
    """Returns the command's flags."""
    values = flags.FlagValues()
    flags.DEFINE_string(
        "model", None, "A SavedModel's directory or a .tflite file.", flag_values=values
    )
    flags.DEFINE_string(
        "host",
        "127.0.0.1",
        "Address to listen at; 0.0.0.0 lets other machines in.",
        flag_values=values,
    )
    flags.DEFINE_integer("port", 7860, "Port to listen at.", flag_values=values)
    flags.DEFINE_integer(
        "max_upload_mb", 10, "Largest file to accept, in MB.", flag_values=values
    )
    flags.DEFINE_integer(
        "num_threads",
        None,
        "CPU threads for a .tflite file; as many as there are cores if not given.",
        flag_values=values,
    )
    flags.mark_flags_as_required(["model"], flag_values=values)
    return values


def serve(values: flags.FlagValues) -> None:
    """Serves the page until it is interrupted.

    Raises:
        ModelError: If the model cannot be used.
        PageError: If Gradio is missing or the address is taken.
    """
    if values.max_upload_mb < 1:
        raise command_line.UsageError(
            f"--max_upload_mb={values.max_upload_mb} must be at least 1."
        )
    try:
        import gradio

        from hrnet_tf.serving.pose.page import build_page
    except ImportError as error:
        raise PageError(
            f"The page needs Gradio ({error}): pip install 'hrnet_tf[demo]'."
        ) from error
    predictor = load_predictor(values.model, values.num_threads)
    if not isinstance(predictor, PosePredictor):
        raise PageError(
            f"The page is for pose models, and {values.model} is of "
            f"{predictor.metadata.task}: use python -m hrnet_tf.predict."
        )
    page = build_page(predictor)
    try:
        page.launch(
            server_name=values.host,
            server_port=values.port,
            max_file_size=f"{values.max_upload_mb}mb",
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            # Fonts of the machine: nothing is fetched from elsewhere.
            theme=gradio.themes.Default(font="system-ui", font_mono="monospace"),
        )
    except OSError as error:
        raise PageError(
            f"--host={values.host} --port={values.port} cannot be listened at: {error}"
        ) from error
    print(f"http://{values.host}:{values.port} (Ctrl+C ends)", flush=True)
    page.block_thread()


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return command_line.run(
        serve, define_flags(), argv, failures=(ModelError, PageError)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv))
