r"""Predicts on many machines: python -m hrnet_tf.batch --model=... --output=...

Runs a model on all images that patterns or a list name, with Apache Beam (pip install
'hrnet_tf[beam]'): in this process by default, in several with

  python -m hrnet_tf.batch --model=exported/pose/1 --boxes=boxes.json \
    --input='photos/*.jpg' --output=predicted/people --runner=DirectRunner \
    --direct_running_mode=multi_processing --direct_num_workers=2

and on any of Beam's runners with --runner, beside which all of its options can be
given, as --name=value.

Models, --boxes, --detector and --whole_image are those of hrnet_tf.predict. Images are
read through TensorFlow's file systems (gs://, hdfs:// and more), and so is a list of
them: a text file with a path or URI on each line.

The output is files PREFIX-00000-of-0000N.jsonl with a line for each image, in no order:
the very line that hrnet_tf.predict writes into results.jsonl. Images that cannot be
read have a line with the reason in PREFIX.failed-00000-of-0000N.jsonl, and the exit
code is then 1. Files appear when everything is predicted, each image once, whatever
happened to workers meanwhile. Label maps of segmentation go to the folder of the
prefix, below the names of their images.

file_name is an image's path below the folder that all that was given has in common;
image_id is chosen as by hrnet_tf.predict.
"""

import sys
from collections.abc import Sequence

from absl import flags

from hrnet_tf import beam, beam_workers, command_line
from hrnet_tf.api import chosen_model
from hrnet_tf.api.chosen_model import ChosenModel


def define_flags() -> flags.FlagValues:
    """Returns the command's flags."""
    define = command_line.Flags()
    chosen_model.define_flags(define)
    define.float(
        "box_score_threshold",
        "Objects that score less are not given to a pose model.",
        default=0.3,
    )
    define.strings(
        "input",
        "A pattern with * and ?, a folder, or an image; may be given several times.",
    )
    define.string("input_list", "A text file with the path or URI of an image a line.")
    define.string("output", "How the names of results begin.", required=True)
    define.integer(
        "num_shards",
        "The number of files with results; as many as suit the runner if not given.",
        default=0,
        least=0,
    )
    define.integer(
        "batch_size", "Images that a worker takes at once.", default=32, least=1
    )
    chosen_model.define_reading(define)
    define.overwrite()
    beam.define(define, "Predicts", "DirectRunner")
    return define.values


def batch(values: flags.FlagValues) -> None:
    """Predicts everything that can be read.

    Raises:
        UserError: If the model, the input, the boxes or the runner cannot be used, if
            there is output already, or, at the end, if something could not be read.
    """
    _check_usage(values)
    options = beam.chosen(values)
    assert options

    from hrnet_tf.data.files.person_boxes import PersonBoxes
    from hrnet_tf.pipelines import found_images, prediction, shards
    from hrnet_tf.serving import inputs
    from hrnet_tf.serving.image_results import Rules

    output_dir = shards.check_prefix(values.output, values.overwrite)
    boxes = PersonBoxes(values.boxes, values.category_id) if values.boxes else None
    files = found_images.find_images(values.input, values.input_list, output_dir)
    if boxes:
        boxes.check([file.name for file in files])
    exif = inputs.choose_exif(files, boxes, values.exif)
    chosen = ChosenModel.of(values)
    predictor = prediction.load(chosen)
    if predictor.metadata.task == "segmentation":
        inputs.check_outputs(files, values.overwrite, pictures=False)
    counts = prediction.predict(
        chosen,
        files,
        boxes,
        Rules(exif, pictures=False, max_pixels=values.max_pixels),
        prediction.Output(values.output, values.num_shards, values.batch_size),
        options,
    )
    print(
        f"{counts.results} {predictor.unit} in {counts.images} images: "
        f"{values.output}-*.jsonl"
    )
    if counts.failed:
        raise inputs.InputError(
            f"{counts.failed} images could not be read: {values.output}.failed-*.jsonl "
            "has the reasons."
        )


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    if beam_workers.are_asked_for(argv):
        return beam_workers.run_again_if_lost("hrnet_tf.batch", argv)
    return command_line.run(batch, define_flags(), argv)


def _check_usage(values: flags.FlagValues) -> None:
    chosen_model.check_usage(values)
    if not values.input and not values.input_list:
        raise command_line.UsageError(
            "Say which images: --input=PATTERN or --input_list=FILE."
        )
    threshold = values["box_score_threshold"]
    if threshold.present and not values.detector:
        raise command_line.UsageError(
            "--box_score_threshold goes with --detector: all that a model finds is "
            "written."
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv))
