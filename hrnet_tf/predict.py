r"""Predicts: python -m hrnet_tf.predict --model=... --input=... --output_dir=...

Runs a model on an image, on all images of a folder and its subfolders, or on a video,
and draws and writes what it finds. The model is whatever `hrnet_tf.load` takes: what
`hrnet_tf.export` or `hrnet_tf.join` wrote, the directory of a run, a converted
checkpoint, or an official .pth or .safetensors file.

  python -m hrnet_tf.predict --model=exported/1 --input=photos --boxes=boxes.json \
    --output_dir=predicted
  python -m hrnet_tf.predict --model=pose.tflite --input=me.jpg --whole_image \
    --output_dir=predicted
  python -m hrnet_tf.predict --model=exported/pose/1 --detector=exported/detector/1 \
    --input=photos --output_dir=predicted
  python -m hrnet_tf.predict --model=segmentation.tflite --input=photos \
    --output_dir=predicted

Pose models need to know where people are: --detector names an exported detector that
finds them; --boxes names COCO annotations or a detector's results (COCO's JSON; matched
by file_name, which may have the folders below --input, or else by the number that ends
an image's name, in a video by the number of the frame from 0); --whole_image takes
every image for one person.

The output directory receives the pictures under their names, or the video as MP4 (VP9,
which browsers play), and results.json; --no_pictures writes results alone. For pose
they are COCO results with image_id, category_id, keypoints (x, y, score; pixels of the
image), score, and for convenience bbox and file_name. For segmentation there are for
every image image_id, file_name, the share of each class in its pixels, and label_map,
the path below --output_dir of a PNG file with the number of every pixel's class (none
for videos). For detection there are COCO results with image_id, category_id, bbox,
score and, with masks, segmentation; --boxes takes the same file.

Pictures are turned by their EXIF orientation, as viewers show them, and results are of
the turned pictures; --exif=ignore takes the pixels as they are stored.

image_id is that of the annotations. Without annotations it is the number at the end of
the image's name; if two images would have the same or one has none, it is the image's
place in alphabetical order, from 1.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from hrnet_tf import command_line, next_steps

if TYPE_CHECKING:
    from hrnet_tf.serving.predictor import Predictor


def define_flags() -> flags.FlagValues:
    """Returns the command's flags."""
    define = command_line.Flags()
    define.string(
        "model",
        "A SavedModel's directory or a .tflite file, the directory of a run, a "
        "checkpoint, or official weights.",
        required=True,
    )
    define.string("input", "An image, a folder or a video.", required=True)
    define.string("output_dir", "Where results are to be.", required=True)
    define.string("boxes", "JSON file of people's boxes.")
    define.boolean("whole_image", "Whether every image shows one person who fills it.")
    define.string(
        "detector",
        "A detector to find people with, in a form that --model may have.",
    )
    define.integer(
        "category_id",
        "The category of people, in --boxes or among the detector's classes.",
        default=1,
    )
    define.float(
        "box_score_threshold",
        "Detected objects that score less are not drawn, nor given to a pose model.",
        default=0.3,
    )
    define.float(
        "score_threshold",
        "Keypoints that score at most this are not drawn.",
        default=0.2,
    )
    define.boolean("draw_boxes", "Whether to draw boxes and scores.", default=True)
    define.boolean(
        "no_pictures", "Write results.json and label maps, but no pictures or video."
    )
    define.enum(
        "exif",
        ["apply", "ignore"],
        "apply turns pictures by their EXIF orientation, as viewers do, and is the "
        "default; ignore takes them as they are stored.",
    )
    define.max_pixels()
    command_line.define_loading(define)
    define.boolean("overwrite", "Whether to replace existing output.")
    return define.values


def predict(values: flags.FlagValues) -> None:
    """Predicts everything that can be read.

    Raises:
        UserError: If the model, the input or the boxes cannot be used, if there is
            output already, or, at the end, if something could not be read.
    """
    if sum(map(bool, (values.boxes, values.whole_image, values.detector))) > 1:
        raise command_line.UsageError(_WHERE_PEOPLE_ARE)
    command_line.check_num_threads(values, values.model, values.detector)

    from hrnet_tf.data.files import media
    from hrnet_tf.data.files.person_boxes import PersonBoxes
    from hrnet_tf.serving import predicting

    boxes = PersonBoxes(values.boxes, values.category_id) if values.boxes else None
    inputs = predicting.find_inputs(values.input, values.output_dir)
    pictures = not values.no_pictures
    predicting.check_outputs(inputs, values.output_dir, values.overwrite, pictures)
    is_video = media.is_video(values.input)
    if is_video and values.exif:
        raise command_line.UsageError("--exif goes with images; --input is a video.")
    if boxes and not is_video:
        boxes.check([file.name for file in inputs])
    exif = predicting.choose_exif([] if is_video else inputs, boxes, values.exif)
    predicting.predict_all(
        _load(values, is_video),
        inputs,
        values.output_dir,
        boxes,
        exif,
        pictures,
        values.max_pixels,
    )
    look = f"look at {inputs[0].output}, and " if pictures else ""
    what = f"{look}open the model as a page in the browser"
    next_steps.tell(what, "demo", *command_line.loading_flags(values))


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return command_line.run(predict, define_flags(), argv)


# The flags that say how predictions are told and drawn, by the fields of `Style`.
_STYLE_FLAGS = {
    "category_id": "category_id",
    "keypoint_score_threshold": "score_threshold",
    "box_score_threshold": "box_score_threshold",
    "draw_boxes": "draw_boxes",
}

_WHERE_PEOPLE_ARE = (
    "A pose model needs to know where people are. Give one of --detector=MODEL, "
    "--boxes=FILE.json, or --whole_image if every image shows one person who fills it."
)


def _load(values: flags.FlagValues, is_video: bool) -> "Predictor":
    """Loads the model; refuses flags that do not go with it."""
    from hrnet_tf.api.loading import load
    from hrnet_tf.serving.metadata import ModelError
    from hrnet_tf.serving.predictor import Style

    style = Style(
        **{field: values[flag].value for field, flag in _STYLE_FLAGS.items()},
        full_legend=is_video,
    )
    predictor = load(values.model, style=style, **command_line.loading(values))
    gives_people = bool(values.boxes) or values.whole_image
    if predictor.needs_boxes and gives_people == bool(values.detector):
        raise command_line.UsageError(_WHERE_PEOPLE_ARE)
    for flag, is_given in (
        ("--boxes and --whole_image go", gives_people),
        ("--detector goes", values.detector),
    ):
        if is_given and not predictor.needs_boxes:
            kind = predictor.metadata.task
            raise command_line.UsageError(
                f"{values.model} is a {kind} model: {flag} with pose models."
            )
    if values.detector:
        from hrnet_tf.serving.people.predictor import TwoStagePredictor

        detector = load(
            values.detector,
            num_threads=values.num_threads,
            verify=not values.unverified,
        )
        try:
            predictor = TwoStagePredictor(
                detector, predictor, values.category_id, values.box_score_threshold
            )
        except ModelError as error:
            raise ModelError(f"--detector={values.detector}: {error}") from error
    for field, flag in _STYLE_FLAGS.items():
        is_used = field in predictor.style_fields
        if not is_used and not values[flag].using_default_value:
            raise command_line.UsageError(
                f"--{flag} changes nothing here: leave it out. {values.model} is a "
                f"{predictor.metadata.task} model."
            )
    return predictor


if __name__ == "__main__":
    sys.exit(main(sys.argv))
