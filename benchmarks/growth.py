"""How time and memory grow with the data: conversion, input, evaluation, predictions.

    python benchmarks/growth.py --people=600 --factors=1,10,100

Time should grow as the data, and the peak of memory should not. Each step runs in a
process of its own, which has TensorFlow and, where it is needed, the model in memory
before the clock starts; what it then adds to its peak is printed. Pictures are small,
so that it is our own work that grows. benchmarks/memory.py has COCO's size.
"""

import contextlib
import math
import os
import shutil
import tempfile
from typing import Any

import exported
import flag_values
import measuring
import memory
import scaling_batch

STEPS = ("convert", "read", "evaluate", "predict", "batch")
_PER_IMAGE = 2


def main() -> None:
    """Measures all steps at all sizes and prints a table."""
    parser = flag_values.parser(__doc__, rounds=1)
    parser.add_argument(
        "--people", type=flag_values.count, default=600, help="to begin with"
    )
    parser.add_argument(
        "--factors", type=flag_values.counts, default=[1, 10, 100], help="of the people"
    )
    parser.add_argument("--steps", type=flag_values.some_of(STEPS), default=list(STEPS))
    arguments = parser.parse_args()
    steps = [step for step in STEPS if step in arguments.steps]
    if "batch" in steps and not measuring.is_installed("apache_beam"):
        steps.remove("batch")
    if "read" in steps and "convert" not in steps:
        parser.error("--steps: read needs convert, which writes its records.")
    measuring.pin(arguments.cores)
    found: dict[str, list[dict[str, Any]]] = {step: [] for step in steps}
    with tempfile.TemporaryDirectory() as folder:
        if {"predict", "batch"} & {*steps}:
            exported.write_once(__file__, folder, "w18_small_v1", [64, 64], ["none"])
        for factor in arguments.factors:
            people = arguments.people * factor
            data = os.path.join(folder, "data")
            with _annotated(data, people):
                for step in steps:
                    given = {"data": data, "model": os.path.join(folder, "none.tflite")}
                    rounds = measuring.take_turns(
                        __file__,
                        {step: measuring.Contender(step, given)},
                        arguments.rounds,
                    )
                    row = {"step": step, "people": people}
                    found[step].append({**row, **_measured(rounds, step, people)})
    rows = [row for step in steps for row in found[step]]
    measuring.tell("Growth with the data", rows, vars(arguments))


def _measured(rounds: measuring.Rounds, step: str, people: int) -> dict[str, Any]:
    seconds = rounds.median(step)
    before = rounds.of[step][0]["before_mib"]
    return {
        "seconds": seconds,
        "ms for each person": 1e3 * seconds / people,
        "CPU ms for each person": 1e3 * rounds.median(step, "cpu_seconds") / people,
        "peak, MiB": rounds.peak_mib(step),
        "of it for the data, MiB": rounds.peak_mib(step) - before,
    }


@contextlib.contextmanager
def _annotated(folder: str, people: int) -> Any:
    """A folder of annotations and pictures, for as long as it is needed."""
    os.makedirs(folder)
    try:
        memory.write_annotations(memory.Path(folder), people, _PER_IMAGE)
        yield
    finally:
        shutil.rmtree(folder)


# ---- steps, which are contenders; to warm up they do nothing ----


def convert(data: str, model: str) -> measuring.Work:
    """Annotations and images to records."""
    del model
    from hrnet_tf.data.converters import coco_pose
    from hrnet_tf.data.vocabularies.skeletons import load_skeleton

    skeleton = load_skeleton("coco17")

    def work() -> None:
        coco_pose.convert(
            f"{data}/images",
            f"{data}/people.json",
            f"{data}/records/train",
            skeleton,
            overwrite=True,
        )

    return _once_warm(work)


def read(data: str, model: str) -> measuring.Work:
    """An epoch of training input; needs the records of `convert`."""
    del model
    from hrnet_tf.configs import pose as pose_config
    from hrnet_tf.data.inputs.pose import PoseInput
    from hrnet_tf.data.vocabularies.skeletons import load_skeleton

    config = pose_config.PoseData(
        input_path=f"{data}/records/train-*",
        is_training=True,
        global_batch_size=32,
        shuffle_buffer_size=64,
        crop_shuffle_buffer_size=64,
    )
    skeleton = load_skeleton("coco17")
    reader = PoseInput(config, pose_config.Codec(), (64, 64), skeleton)
    batches = iter(reader.dataset())
    next(batches)
    num_batches = math.ceil(_count_people(data) / 32)

    def work() -> None:
        for _ in range(num_batches):
            next(batches)

    return _once_warm(work)


def evaluate(data: str, model: str) -> measuring.Work:
    """Scores of as many predictions as there are people."""
    del model
    from hrnet_tf.data.vocabularies.skeletons import load_skeleton
    from hrnet_tf.tasks import pose  # noqa: F401

    skeleton = load_skeleton("coco17")

    def work() -> None:
        memory.evaluate(f"{data}/people.json", skeleton)

    return _once_warm(work)


def predict(data: str, model: str) -> measuring.Work:
    """A folder's pictures, with the annotations' boxes."""
    from hrnet_tf.data.files.person_boxes import PersonBoxes
    from hrnet_tf.serving import inputs, predicting
    from hrnet_tf.serving.predictors import load_predictor

    predictor = load_predictor(model)
    output_dir = f"{data}/predicted"

    def work() -> None:
        files = inputs.find_inputs(f"{data}/images", output_dir)
        boxes = PersonBoxes(f"{data}/people.json", 1)
        predicting.predict_all(predictor, files, output_dir, boxes)

    return _once_warm(work)


def batch(data: str, model: str) -> measuring.Work:
    """The same with Apache Beam, in this process alone."""
    given = {"image_dir": f"{data}/images", "annotations": f"{data}/people.json"}
    files, run = scaling_batch.pipeline(given, model, f"{data}/batch/found")
    return _once_warm(lambda: run(files))


def _once_warm(work: measuring.Work) -> measuring.Work:
    """Skips the call that warms up; tells what memory there was before."""
    before = measuring.peak_mib()
    calls = []

    def rest() -> dict[str, float]:
        if calls:
            work()
        calls.append(True)
        return {"before_mib": before}

    return rest


def _count_people(data: str) -> int:
    return _PER_IMAGE * len(os.listdir(f"{data}/images"))


if __name__ == "__main__":
    steps = (convert, read, evaluate, predict, batch)
    kinds = {step.__name__: step for step in steps}
    measuring.start(main, {**kinds, "export": exported.export})
