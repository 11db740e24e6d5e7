r"""Joins a detector and a pose model: python -m hrnet_tf.join --detector=... --pose=...

Both are SavedModels that python -m hrnet_tf.export wrote. They become one SavedModel
that finds people and their keypoints; its answers are compared with those of the two
before it appears under its name.

  python -m hrnet_tf.join --detector=exported/detector/1 --pose=exported/pose/1 \
    --output_dir=exported/people/1
"""

import os
import sys
from collections.abc import Sequence

from absl import flags

from hrnet_tf import command_line, next_steps
from hrnet_tf.api import model_flags
from hrnet_tf.output_files import check_output


def define_flags() -> flags.FlagValues:
    """Returns the command's flags."""
    define = command_line.Flags()
    define.string("detector", "The detector, a SavedModel.", required=True)
    define.string("pose", "The pose model, a SavedModel.", required=True)
    define.string(
        "output_dir",
        "The directory to become the SavedModel, for TensorFlow Serving with a version "
        "number for its name.",
        required=True,
    )
    define.integer("category_id", "The detector's class for people.", default=1)
    define.float(
        "box_score_threshold", "Boxes that score less are left out.", default=0.3
    )
    define.integer(
        "max_people", "The most people that are found in an image.", default=20, least=1
    )
    define.boolean(
        "warmup",
        "Whether to add warm-up requests for TensorFlow Serving.",
        default=True,
    )
    model_flags.define_unverified(define)
    define.overwrite()
    return define.values


def join(values: flags.FlagValues) -> None:
    """Joins the two models and says what was written.

    Raises:
        UserError: If the models cannot be joined as asked.
    """
    path = os.path.normpath(values.output_dir)
    check_output(path, values.overwrite)

    from hrnet_tf.serving.exporting import size_in_bytes
    from hrnet_tf.serving.people import joining

    joining.join(
        values.detector,
        values.pose,
        path,
        category_id=values.category_id,
        box_score_threshold=values.box_score_threshold,
        max_people=values.max_people,
        warmup=values.warmup,
        verify=not values.unverified,
    )
    print(f"Wrote {path} ({size_in_bytes(path) / 1e6:.1f} MB)")
    next_steps.tell_of_model(path, "people")


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return command_line.run(join, define_flags(), argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
