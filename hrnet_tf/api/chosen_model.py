"""The model that commands predict with, as their flags choose it.

A pose model needs to know where people are: boxes from a file, a detector, or one
person who fills the image. This module imports TensorFlow with the model.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from absl import flags

from hrnet_tf import command_line
from hrnet_tf.api import model_flags

if TYPE_CHECKING:
    from hrnet_tf.serving.predictor import Predictor

# Where people are, for a pose model: at most one of them is given.
_WHERE = ("boxes", "whole_image", "detector")
# The flags that say how predictions are told and drawn, by the fields of `Style`.
_STYLE_FLAGS = {
    "category_id": "category_id",
    "keypoint_score_threshold": "score_threshold",
    "box_score_threshold": "box_score_threshold",
    "draw_boxes": "draw_boxes",
}
# What decides about results, besides the files of the model and of boxes.
_FLAGS_OF_RESULTS = (
    *("whole_image", "category_id", "box_score_threshold", "exif", "max_pixels"),
    *("skeleton", "label_set", "input_size", "flip_test"),
    *("score_threshold", "draw_boxes", "no_pictures"),
)

_WHERE_PEOPLE_ARE = (
    "A pose model needs to know where people are. Give one of --detector=MODEL, "
    "--boxes=FILE.json, or --whole_image if every image shows one person who fills it."
)


def define_flags(define: command_line.Flags) -> None:
    """The flags that choose it."""
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
    model_flags.define_loading(define)


def define_reading(define: command_line.Flags) -> None:
    """The flags that say how images are read."""
    define.exif(
        "apply turns pictures by their EXIF orientation, as viewers do, and is the "
        "default; ignore takes them as they are stored."
    )
    define.max_pixels()


def check_usage(values: flags.FlagValues) -> None:
    """Refuses flags that contradict each other. Raises `UsageError`."""
    if sum(bool(values[name].value) for name in _WHERE) > 1:
        raise command_line.UsageError(_WHERE_PEOPLE_ARE)
    model_flags.check_num_threads(values, values.model, values.detector)


def settings_of(values: flags.FlagValues) -> dict[str, Any]:
    """The flags that decide about results, besides files, by name; ready for JSON."""
    return {f"--{n}": values[n].value for n in _FLAGS_OF_RESULTS if n in values}


@dataclasses.dataclass(frozen=True)
class ChosenModel:
    """A model and, for a pose model, where people are. Other processes can load it.

    Attributes:
        model: What `hrnet_tf.load` takes.
        detector: The same, or None.
        gives_people: Whether boxes are given, or every image shows one person.
        style: Fields of `Style`.
        given: Those of them that the user has given, with their flags.
        loading: Further arguments of `hrnet_tf.load`.
    """

    model: str
    detector: str | None
    gives_people: bool
    style: Mapping[str, Any]
    given: Mapping[str, str]
    loading: Mapping[str, Any]

    @classmethod
    def of(cls, values: flags.FlagValues, **style: Any) -> "ChosenModel":
        """As flags choose it, with further fields of `Style`. Raises `UsageError`."""
        names = {f: flag for f, flag in _STYLE_FLAGS.items() if flag in values}
        return cls(
            values.model,
            values.detector,
            bool(values.boxes) or values.whole_image,
            {**{f: values[flag].value for f, flag in names.items()}, **style},
            {f: flag for f, flag in names.items() if values[flag].present},
            model_flags.loading(values),
        )

    def load(self) -> "Predictor[Any]":
        """Loads the model; refuses flags that do not go with it.

        Raises:
            UsageError: If they do not.
            UserError: If it cannot be loaded; the message says why.
        """
        from hrnet_tf.api import loading
        from hrnet_tf.serving.predictor import Style

        predictor = loading.load(self.model, style=Style(**self.style), **self.loading)
        if predictor.needs_boxes and self.gives_people == bool(self.detector):
            raise command_line.UsageError(_WHERE_PEOPLE_ARE)
        for flag, is_given in (
            ("--boxes and --whole_image go", self.gives_people),
            ("--detector goes", self.detector),
        ):
            if is_given and not predictor.needs_boxes:
                kind = predictor.metadata.task
                raise command_line.UsageError(
                    f"{self.model} is a {kind} model: {flag} with pose models."
                )
        if self.detector:
            predictor = self._with_detector(self.detector, predictor)
        for field, flag in self.given.items():
            if field not in predictor.style_fields:
                raise command_line.UsageError(
                    f"--{flag} changes nothing here: leave it out. {self.model} is a "
                    f"{predictor.metadata.task} model."
                )
        return predictor

    def _with_detector(self, path: str, pose: "Predictor[Any]") -> "Predictor[Any]":
        from hrnet_tf.api import loading
        from hrnet_tf.serving.metadata import ModelError
        from hrnet_tf.serving.people.predictor import TwoStagePredictor

        options = {name: self.loading[name] for name in ("num_threads", "verify")}
        detector = loading.load(path, **options)
        threshold = self.style["box_score_threshold"]
        try:
            return TwoStagePredictor(
                detector, pose, self.style["category_id"], threshold
            )
        except ModelError as error:
            raise ModelError(f"--detector={path}: {error}") from error
