"""Predicts images with Apache Beam: blocks of a work list in, JSON Lines out.

    work list -> reshuffle -> RunInference -> PREFIX-00000-of-0000N.jsonl
                                           -> PREFIX.failed-00000-of-0000N.jsonl

Blocks are those of `hrnet_tf.predict`, and so are lines: what is found in a block
depends on nothing but its images, and a runner that tries a block again finds the same.
Beam writes shards into a hidden folder; they get their names when all are whole.

Workers import this module, which imports TensorFlow only where the model is loaded.
"""

import functools
import json
import math
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference

from hrnet_tf import beam_workers
from hrnet_tf.api.chosen_model import ChosenModel
from hrnet_tf.beam import BeamOptions
from hrnet_tf.command_line import prepare_tensorflow
from hrnet_tf.messages import UserError, one_line
from hrnet_tf.output_files import failure_to_write, partial_name

if TYPE_CHECKING:
    from hrnet_tf.data.files.person_boxes import PersonBoxes
    from hrnet_tf.pipelines.work_list import Entries
    from hrnet_tf.serving.image_results import Rules
    from hrnet_tf.serving.inputs import Input
    from hrnet_tf.serving.predictor import Predictor

_NAMESPACE = "hrnet_tf"

# A worker's threads predict one after the other: each uses all cores, and memory.
_TURN = threading.Lock()
_LOADED: "dict[str, Predictor[Any]]" = {}


class BlockError(UserError):
    """What nobody expected, at images that were predicted together."""


class Found(NamedTuple):
    """JSON Lines of a block: of images, of those that failed; the number of results."""

    lines: list[str]
    failed: list[str]
    num_results: int


class Output(NamedTuple):
    """How results are written.

    Attributes:
        prefix: How the names of shards begin.
        num_shards: How many there are; if 0, as many as suit the runner.
        batch_size: How many images a worker takes at once.
    """

    prefix: str
    num_shards: int = 0
    batch_size: int = 32


class Counts(NamedTuple):
    """How many images have a line, how many failed, and results in all."""

    images: int
    failed: int
    results: int


def load(chosen: ChosenModel) -> "Predictor[Any]":
    """Loads the model, once in a process, from wherever it is."""
    prepare_tensorflow()
    from hrnet_tf.pipelines.fetched_models import fetched

    key = repr(chosen)
    with _TURN:
        if key not in _LOADED:
            _LOADED[key] = fetched(chosen).load()
        return _LOADED[key]


class PredictorHandler(ModelHandler):
    """Shows blocks of images to a model that `hrnet_tf.load` takes.

    Beam's own handler for TensorFlow calls Keras 3, and knows no images.
    """

    def __init__(
        self,
        chosen: ChosenModel,
        folder: str,
        output_dir: str,
        rules: "Rules",
        blocks_at_once: int,
    ):
        """Loads nothing yet.

        Args:
            chosen: The model.
            folder: Where images are, by their names.
            output_dir: Where label maps go.
            rules: How images are read.
            blocks_at_once: How many blocks a worker takes: while one is looked at, the
                next is read.
        """
        super().__init__()
        self._chosen = chosen
        self._folders = (folder, output_dir)
        self._rules = rules
        self._blocks_at_once = blocks_at_once

    def load_model(self) -> "Predictor[Any]":
        return load(self._chosen)

    def run_inference(
        self,
        batch: "Sequence[Entries]",
        model: "Predictor[Any]",
        inference_args: dict[str, Any] | None = None,
    ) -> list[Found]:
        """What is found in each block.

        Raises:
            BlockError: If the model fails, but for reasons of a single image.
            WriteError: If the disk is full.
        """
        from hrnet_tf.pipelines.work_list import images_of
        from hrnet_tf.serving.image_results import predict_blocks

        blocks = [images_of(entries, *self._folders) for entries in batch]
        try:
            with _TURN:
                return [
                    _told(block) for block in predict_blocks(model, blocks, self._rules)
                ]
        except Exception as error:
            if failure_to_write(error):
                raise
            raise BlockError(one_line(error)) from error

    def batch_elements_kwargs(self) -> dict[str, Any]:
        count = self._blocks_at_once
        return {"min_batch_size": count, "max_batch_size": count}

    def get_metrics_namespace(self) -> str:
        return _NAMESPACE


def _told(block: Iterable[tuple[Any, Any]]) -> Found:
    from hrnet_tf.serving.image_results import line_of

    lines, failed, count = [], [], 0
    for image, found in block:
        if isinstance(found, UserError):
            failed.append(_failure(image.file.name, image.image_id, found.message))
        else:
            lines.append(line_of(image.image_id, image.file.name, found))
            count += len(found)
    return Found(lines, failed, count)


def _failure(file_name: str, image_id: int, reason: str) -> str:
    return json.dumps({"image_id": image_id, "file_name": file_name, "reason": reason})


class _Sort(beam.DoFn):
    """Yields lines, and those of failures by the tag "failed"; counts both."""

    def __init__(self) -> None:
        self._counters = [Metrics.counter(_NAMESPACE, n) for n in Counts._fields]

    def process(self, element: tuple[int, Found]) -> Iterator[Any]:
        found = element[1]
        numbers = (len(found.lines), len(found.failed), found.num_results)
        for counter, number in zip(self._counters, numbers, strict=True):
            counter.inc(number)
        yield from found.lines
        for line in found.failed:
            yield beam.pvalue.TaggedOutput("failed", line)


def _failed_blocks(
    element: "tuple[Sequence[tuple[int, Entries]], Any]",
) -> tuple[int, Found]:
    """What is told of blocks that were shown together when the model failed."""
    batch, (_, _, trace) = element
    reason = one_line(trace[-1].partition(": ")[2] or trace[-1])
    failed = [
        _failure(name, image_id, reason)
        for _, entries in batch
        for name, image_id, _ in entries
    ]
    return batch[0][0], Found([], failed, 0)


def predict(
    chosen: ChosenModel,
    files: "Sequence[Input]",
    boxes: "PersonBoxes | None",
    rules: "Rules",
    output: Output,
    options: BeamOptions,
) -> Counts:
    """Predicts images on the runner that the options name.

    Earlier shards are replaced when all is predicted.

    Raises:
        BeamError: If the pipeline fails.
        OutputError: If workers wrote shards where this process does not find them.
    """
    import tensorflow as tf

    from hrnet_tf.pipelines import shards, work_list
    from hrnet_tf.serving.image_results import block_size, in_blocks
    from hrnet_tf.serving.inputs import image_ids

    size = block_size(load(chosen))
    folder, name = os.path.split(output.prefix)
    hidden = os.path.join(folder, partial_name(name))
    tf.io.gfile.makedirs(hidden)
    listed = os.path.join(hidden, "work.jsonl")
    handler = PredictorHandler(
        chosen,
        files[0].folder,
        folder,
        rules,
        blocks_at_once=math.ceil(output.batch_size / size),
    )
    clean = functools.partial(shards.remove, hidden)
    here = output._replace(prefix=os.path.join(hidden, name))
    build = functools.partial(_build, listed, handler, here)
    with beam_workers.watched(clean):
        blocks = in_blocks(files, image_ids(files, boxes), boxes, size)
        work_list.write(listed, blocks)
        result = options.with_quiet_workers().run(build)
    try:
        shards.publish(here.prefix, output.prefix)
    finally:
        clean()
    return _counts_of(result)


def _build(
    listed: str, handler: PredictorHandler, output: Output, pipeline: beam.Pipeline
) -> None:
    """Adds all steps to an empty pipeline."""
    from hrnet_tf.pipelines.work_list import read_line

    inference: RunInference = RunInference(KeyedModelHandler(handler))
    found, broken = (
        pipeline
        | "Read the work list" >> beam.io.ReadFromText(listed)
        | "Blocks" >> beam.Map(read_line)
        | "Deal out" >> beam.Reshuffle()
        | "Predict" >> inference.with_exception_handling(exc_class=BlockError)
    )
    refused = broken.failed_inferences | "Broken blocks" >> beam.Map(_failed_blocks)
    lines = (
        (found, refused)
        | "All blocks" >> beam.Flatten()
        | "Sort" >> beam.ParDo(_Sort()).with_outputs("failed", main="good")
    )
    lines.good | "Write" >> beam.io.WriteToText(
        output.prefix, ".jsonl", num_shards=output.num_shards
    )
    lines.failed | "Write failures" >> beam.io.WriteToText(
        f"{output.prefix}.failed", ".jsonl", skip_if_empty=True
    )


def _counts_of(result: Any) -> Counts:
    counters = result.metrics().query(MetricsFilter().with_namespace(_NAMESPACE))
    found = {c.key.metric.name: c.result for c in counters["counters"]}
    return Counts(*(found.get(name, 0) for name in Counts._fields))
