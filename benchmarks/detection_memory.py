r"""Peak memory and duration of a detector's training step on the CPU.

  python benchmarks/detection_memory.py --experiment=hrnet_maskrcnn_coco \
    --records=data/coco/objects/train-* --model_id=w32 --batch_size=2

One process measures one configuration, since the peak is that of the whole process.
It includes TensorFlow, the shuffle buffer and the input pipeline; an accelerator would
hold only activations and weights.
"""

import argparse
import functools
import time

import flag_values
import measuring


def main() -> None:
    """Takes some training steps and prints the peak."""
    values = _parse_flags()
    import tensorflow as tf
    from official.core import task_factory

    from hrnet_tf import registry_imports  # noqa: F401
    from hrnet_tf.training.experiment import parse_config

    params = parse_config(values.experiment)
    task_config = params.task
    task_config.override(
        {
            "model": {"backbone": {"hrnet": {"model_id": values.model_id}}},
            "train_data": {
                "input_path": values.records,
                "global_batch_size": values.batch_size,
                "shuffle_buffer_size": 100,
            },
        }
    )
    if values.input_size:
        task_config.model.input_size = [values.input_size] * 2 + [3]
    task = task_factory.get_task(task_config)
    model = task.build_model()
    optimizer = task.create_optimizer(params.trainer.optimizer_config, params.runtime)
    step = tf.function(
        functools.partial(task.train_step, model=model, optimizer=optimizer, metrics=[])
    )
    inputs = iter(task.build_inputs(task_config.train_data))
    for _ in range(values.steps):
        batch = next(inputs)
        start = time.perf_counter()
        step(batch)
        seconds = time.perf_counter() - start
    peak = measuring.peak_mib() * 2**20 / 1e9
    size = "x".join(map(str, task_config.model.input_size[:2]))
    print(
        f"{values.experiment} {values.model_id} {size}, batch {values.batch_size}: "
        f"{peak:.1f} GB at most, last step {seconds:.1f} s"
    )


def _parse_flags() -> argparse.Namespace:
    # Without --rounds, --cores and --json: it measures one thing, and prints a line.
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    count = flag_values.count
    add = made.add_argument
    add("--experiment", default="hrnet_maskrcnn_coco", help="one of detection")
    add("--records", required=True, help="training records")
    add("--model_id", default="w32", help="the HRNet; %(default)s if not given")
    add("--batch_size", type=count, default=2, help="images in a step")
    add(
        "--input_size",
        type=count,
        help="sides of the canvas in pixels; the experiment's if not given",
    )
    add("--steps", type=count, default=3, help="steps to take; the first one is slow")
    return made.parse_args()


if __name__ == "__main__":
    main()
