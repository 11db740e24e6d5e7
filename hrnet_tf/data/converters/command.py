"""The command line of every converter: common flags, and what a run prints.

Imports TensorFlow only once the flags are understood.
"""

import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from absl import flags

from hrnet_tf import beam, beam_workers, command_line, next_steps, processes
from hrnet_tf.messages import UserError, one_line

# All that takes processes long to import.
PRELOAD = ("hrnet_tf.data.converters.process_pool", "hrnet_tf.data.records.pose")

# Enough files for several workers to read their own, and for shuffling large sets.
LEAST_SHARDS, IMAGES_PER_SHARD = 8, 1000

# Each takes hundreds of megabytes.
_MOST_PROCESSES = 256


class ConverterFlags(command_line.Flags):
    """Defines a converter's flags; the common ones are defined already."""

    def __init__(self) -> None:
        super().__init__()
        self.string(
            "output_prefix",
            "Folder and beginning of the names of the files to write.",
            required=True,
        )
        self.integer(
            "num_shards",
            f"Number of files, at most one per image; by default {LEAST_SHARDS}, or "
            f"one per {IMAGES_PER_SHARD} images if that is more.",
            least=1,
        )
        self.on_error(
            "At a faulty image or annotation: end without writing, or leave it out and "
            "count it."
        )
        self.overwrite("Replace earlier files of the prefix.")
        self.integer(
            "num_processes",
            "Number of processes that read images and write files, each one at a time; "
            "the files are the same. One has several threads, others one each.",
            1,
            least=1,
            most=_MOST_PROCESSES,
        )
        beam.define(self, "Convert")
        self.exif(
            "What was annotated of images with an EXIF orientation: apply, pictures as "
            "viewers show them (records get them turned); ignore, pixels as stored."
        )
        self.max_pixels()

    def allow_outside(self) -> None:
        """Whether annotations may name any file."""
        self.boolean(
            "allow_outside",
            "Whether a file_name of the annotations may lead out of --image_dir: "
            "absolute, with .., or through a link.",
        )

    def vocabulary(
        self, name: str, load: Callable[[str], Any], text: str, default: str | None
    ) -> None:
        """A skeleton or label set by its name or path; a wrong one is bad usage."""
        self.string(name, text, default, required=default is None)

        def check(value: str | None) -> bool:
            try:
                return value is None or bool(load(value))
            except UserError as error:
                raise flags.ValidationError(str(error)) from error

        flags.register_validator(name, check, flag_values=self.values)


def options(values: flags.FlagValues) -> dict[str, Any]:
    """The common flags, as `RecordConversion` takes them."""
    names = (
        *("output_prefix", "num_shards", "on_error", "overwrite", "exif"),
        *("max_pixels", "allow_outside", "num_processes"),
    )
    given = {name: values[name].value for name in names if name in values}
    return {**given, "beam": beam.given(values)}


@dataclasses.dataclass(kw_only=True)
class ConversionSummary:
    """What a converter did; each kind of converter adds what it counts."""

    images: int
    skipped: dict[str, int]  # by kind of fault
    faults: list[str]  # a sentence about each
    files: list[str]
    turned: int = 0  # image files, by their EXIF orientation
    not_turned: int = 0  # image files whose EXIF orientation was ignored
    # Sentences about what looks odd but was used.
    warnings: list[str] = dataclasses.field(default_factory=list)
    description: str = ""  # the file that tells evaluations what was left out

    def lines(self, counts: Mapping[str, int], always: Collection[str]) -> list[str]:
        """Returns a line per count, zeros only if `always`, and one about the files."""
        counts = {
            "images": self.images,
            **counts,
            "image files turned by their EXIF orientation": self.turned,
            "image files with an EXIF orientation, ignored": self.not_turned,
            **{f"skipped: {kind}": n for kind, n in sorted(self.skipped.items())},
        }
        told = {what: n for what, n in counts.items() if n or what in always}
        files = self.files[0]
        if len(self.files) > 1:
            files += f" ... {os.path.basename(self.files[-1])}"
        told[f"files written: {files}"] = len(self.files)
        lines = [f"{count:>9}  {what}" for what, count in told.items()]
        if self.description:
            lines.append(f"Choices and what was left out: {self.description}")
        return lines


def run(
    convert: Callable[[flags.FlagValues], ConversionSummary],
    values: flags.FlagValues,
    argv: Sequence[str],
    training: Callable[[flags.FlagValues, Any], Sequence[str]],
) -> int:
    """Runs a converter, prints faults and a summary, and returns the exit code.

    `training` gives the flags of a training on the records, but for their paths; it is
    given the converter's flags and the summary.
    """
    spec = getattr(sys.modules.get(convert.__module__), "__spec__", None)
    if spec and beam_workers.are_asked_for(argv):
        return beam_workers.run_again_if_lost(spec.name, argv)

    @functools.wraps(convert)
    def convert_and_tell(values: flags.FlagValues) -> None:
        if values.runner and values.num_processes > 1:
            raise command_line.UsageError(
                "--num_processes does not go with --runner, which has options of its "
                "own for that, such as --direct_num_workers of the DirectRunner."
            )
        beam.chosen(values)
        if values.num_processes > 1:
            processes.start_server(PRELOAD)

        import tensorflow as tf

        if convert.__module__ == "__main__":
            # Decoding needs no accelerator: leave its memory to a run that does.
            tf.config.set_visible_devices([], "GPU")
        try:
            summary = convert(values)
        except tf.errors.OpError as error:
            raise UserError(one_line(error.message)) from error
        for sentence in [*summary.faults, *summary.warnings]:
            print(sentence, file=sys.stderr)
        print(summary)
        _tell_what_is_next(values.output_prefix, training(values, summary))

    return command_line.run(convert_and_tell, values, argv)


def validation_file(values: flags.FlagValues) -> str:
    """The annotations of the validation data, as far as --annotations shows them."""
    if next_steps.is_for_validation(values.output_prefix):
        return values.annotations
    return next_steps.other_split(values.annotations) or "my/val.json"


def annotations_of_validation(values: flags.FlagValues) -> str:
    """The flag that names the annotations that were written beside those records."""
    _, prefix = _splits(values.output_prefix)
    file = f"{prefix}.annotations.json"
    return next_steps.change("task.evaluation.annotation_file", file)


def _splits(prefix: str) -> tuple[str, str]:
    """The output prefixes for training and for validation, of which one is given."""
    other = next_steps.other_split(prefix) or os.path.join(
        os.path.dirname(prefix), "val"
    )
    return (other, prefix) if next_steps.is_for_validation(prefix) else (prefix, other)


def _tell_what_is_next(prefix: str, training: Sequence[str]) -> None:
    train, val = _splits(prefix)
    next_steps.tell(
        "when training and validation data are converted, train",
        "train",
        *training,
        "--model_dir=runs/mine",
        next_steps.change("task.train_data.input_path", f"{train}-*"),
        next_steps.change("task.validation_data.input_path", f"{val}-*"),
    )
