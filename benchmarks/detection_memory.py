r"""Peak memory and duration of a detector's training step on the CPU.

  python benchmarks/detection_memory.py --experiment=hrnet_maskrcnn_coco \
    --records=data/coco/objects/train-* --model_id=w32 --batch_size=2

One process measures one configuration, since the peak is that of the whole process.
It includes TensorFlow, the shuffle buffer and the input pipeline; an accelerator would
hold only activations and weights.
"""

import functools
import os
import resource
import time

from absl import app, flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from official.core import task_factory

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.training.experiment import parse_config

_EXPERIMENT = flags.DEFINE_string(
    "experiment", "hrnet_maskrcnn_coco", "One of the detection experiments."
)
_RECORDS = flags.DEFINE_string("records", None, "Training records.", required=True)
_MODEL_ID = flags.DEFINE_string("model_id", "w32", "The HRNet.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 2, "Images in a step.")
_INPUT_SIZE = flags.DEFINE_integer(
    "input_size", None, "Sides of the canvas in pixels; the experiment's if not given."
)
_STEPS = flags.DEFINE_integer("steps", 3, "Steps to take; the first one is slow.")


def main(argv: list[str]) -> None:
    """Takes some training steps and prints the peak."""
    del argv
    params = parse_config(_EXPERIMENT.value)
    task_config = params.task
    task_config.override(
        {
            "model": {"backbone": {"hrnet": {"model_id": _MODEL_ID.value}}},
            "train_data": {
                "input_path": _RECORDS.value,
                "global_batch_size": _BATCH_SIZE.value,
                "shuffle_buffer_size": 100,
            },
        }
    )
    if _INPUT_SIZE.value:
        task_config.model.input_size = [_INPUT_SIZE.value] * 2 + [3]
    task = task_factory.get_task(task_config)
    model = task.build_model()
    optimizer = task.create_optimizer(params.trainer.optimizer_config, params.runtime)
    step = tf.function(
        functools.partial(task.train_step, model=model, optimizer=optimizer, metrics=[])
    )
    inputs = iter(task.build_inputs(task_config.train_data))
    for _ in range(_STEPS.value):
        batch = next(inputs)
        start = time.perf_counter()
        step(batch)
        seconds = time.perf_counter() - start
    # Linux counts in KiB.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    size = "x".join(map(str, task_config.model.input_size[:2]))
    print(
        f"{_EXPERIMENT.value} {_MODEL_ID.value} {size}, batch {_BATCH_SIZE.value}: "
        f"{peak:.1f} GB at most, last step {seconds:.1f} s"
    )


if __name__ == "__main__":
    app.run(main)
