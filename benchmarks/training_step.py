"""One training step of pose: ours beside PyTorch's of the same network.

    python benchmarks/training_step.py --variant=w32 --batch=8

Ours is `PoseTask.train_step` under tf.function, on one batch that our input pipeline
made; PyTorch's (benchmarks/torch_hrnet.py) is eager, channels_last, on random data.
Both take Adam and the mean squared error of heatmaps in float32, and norms in training
or, with --frozen_norms, frozen. Peaks of memory are of each process after its first
steps, less what it had before, for each crop.

Switches: --onednn=0 or 1 sets TensorFlow's own (its default depends on the processor),
--xla compiles our step, --bfloat16 computes in bfloat16 on both sides. The share of the
peak is of what a large matrix product reaches on the same cores in the same run; a step
is counted as three times the multiply-accumulates of inference.
"""

import os
import tempfile
from typing import Any

import flag_values
import measuring
import photographs

from hrnet_tf.configs.variants import VARIANTS

OURS, PEER = "hrnet_tf", "PyTorch eager"
_MATRIX = 2048


def main() -> None:
    """Measures and prints a table."""
    parser = flag_values.parser(__doc__, rounds=5)
    parser.add_argument("--variant", default="w32", choices=VARIANTS)
    parser.add_argument(
        "--batch", type=flag_values.count, default=8, help="crops of a step"
    )
    parser.add_argument("--size", type=flag_values.size, default=[256, 192])
    parser.add_argument("--frozen_norms", action="store_true")
    parser.add_argument("--onednn", choices=["0", "1"], help="TensorFlow's switch")
    parser.add_argument("--xla", action="store_true", help="compile our step")
    parser.add_argument("--bfloat16", action="store_true", help="on both sides")
    arguments = parser.parse_args()
    measuring.pin(arguments.cores)
    if arguments.onednn:
        os.environ[measuring.ONEDNN] = arguments.onednn
    given = {
        "variant": arguments.variant,
        "batch": arguments.batch,
        "size": arguments.size,
        "frozen_norms": arguments.frozen_norms,
        "bfloat16": arguments.bfloat16,
    }
    contenders = {OURS: measuring.Contender("ours", {**given, "xla": arguments.xla})}
    if measuring.is_installed("torch"):
        contenders[PEER] = measuring.Contender("pytorch", given)
    contenders["matrix product"] = measuring.Contender("matrix_product")
    rounds = measuring.take_turns(__file__, contenders, arguments.rounds)
    peak = 2 * _MATRIX**3 / rounds.median("matrix product")
    macs = rounds.of[OURS][0]["macs"]
    rows = [
        _row(rounds, name, arguments.batch, macs, peak)
        for name in (OURS, PEER)
        if name in contenders
    ]
    size = "x".join(map(str, arguments.size))
    what = f"{arguments.variant}, {size}, batch {arguments.batch}"
    summary = [
        measuring.in_seconds(f"training step, {what}", rounds, OURS, PEER)
        for name in contenders
        if name == PEER
    ]
    title = f"Training step, {what}; matrix products reach {peak / 1e9:.0f} GFLOP/s"
    measuring.tell(title, rows, vars(arguments), summary)


def _row(
    rounds: measuring.Rounds, name: str, batch: int, macs: int, peak: float
) -> dict[str, Any]:
    seconds = rounds.median(name)
    speed = 3 * 2 * macs * batch / seconds
    memory = rounds.peak_mib(name) - rounds.of[name][0]["before_mib"]
    has_peer = PEER in rounds.of
    return {
        "step": name,
        "seconds": seconds,
        "times as fast": rounds.times_as_fast(name, PEER) if has_peer else None,
        "CPU seconds": rounds.median(name, "cpu_seconds"),
        "MiB for each crop": memory / batch,
        "GFLOP/s": speed / 1e9,
        "of the peak": f"{100 * speed / peak:.0f} %",
    }


def ours(
    variant: str,
    batch: int,
    size: list[int],
    frozen_norms: bool,
    bfloat16: bool,
    xla: bool,
) -> measuring.Work:
    """`PoseTask.train_step` as the trainer runs it."""
    import tensorflow as tf
    import tf_keras
    from official.core import task_factory

    from hrnet_tf import registry_imports  # noqa: F401
    from hrnet_tf.modeling.complexity import count_macs
    from hrnet_tf.training.experiment import parse_config

    if bfloat16:
        tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    params = parse_config("hrnet_pose_coco")
    hrnet = {"model_id": variant, "freeze_norm_statistics": frozen_norms}
    model_config = {"input_size": size, "backbone": {"hrnet": hrnet}}
    params.task.override({"model": model_config})
    with tempfile.TemporaryDirectory() as folder:
        params.task.train_data.override(
            {
                "input_path": _write_records(folder, batch),
                "global_batch_size": batch,
                "shuffle_buffer_size": batch,
                "crop_shuffle_buffer_size": batch,
            }
        )
        task = task_factory.get_task(params.task)
        inputs = next(iter(task.build_inputs(params.task.train_data)))
    model = task.build_model()
    optimizer = task.create_optimizer(params.trainer.optimizer_config, params.runtime)
    told = {"macs": count_macs(model, size), "before_mib": measuring.peak_mib()}

    @tf.function(jit_compile=xla)
    def step(inputs: Any) -> Any:
        return task.train_step(inputs, model, optimizer)

    def work() -> dict[str, Any]:
        float(step(inputs)[task.loss])
        return told

    return work


def _write_records(folder: str, batch: int) -> str:
    from hrnet_tf.data.converters import coco_pose
    from hrnet_tf.data.vocabularies import skeletons

    skeleton = skeletons.load_skeleton("coco17")
    prefix = os.path.join(folder, "records", "train")
    coco_pose.convert(*photographs.write_people(folder, batch, 2), prefix, skeleton)
    return f"{prefix}-*"


def pytorch(
    variant: str, batch: int, size: list[int], frozen_norms: bool, bfloat16: bool
) -> measuring.Work:
    """The same step in PyTorch."""
    import dataclasses

    import torch
    import torch_hrnet

    height, width = size
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, 3, height, width, generator=generator)
    images = images.to(memory_format=torch.channels_last)
    shape = batch, torch_hrnet.NUM_KEYPOINTS, height // 4, width // 4
    targets = torch.rand(shape, generator=generator)
    model = torch_hrnet.HRNet(**dataclasses.asdict(VARIANTS[variant])).train()
    model = model.to(memory_format=torch.channels_last)
    if frozen_norms:
        torch_hrnet.freeze_norms(model)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, foreach=True)
    told = {"before_mib": measuring.peak_mib()}

    def work() -> dict[str, Any]:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            predicted = model(images)
        loss = 0.5 * torch.nn.functional.mse_loss(predicted.float(), targets)
        loss.backward()
        optimizer.step()
        loss.item()
        return told

    return work


def matrix_product() -> measuring.Work:
    """What the cores reach at best, in float32."""
    import tensorflow as tf

    factor = tf.random.normal([_MATRIX, _MATRIX])

    def work() -> None:
        tf.matmul(factor, factor).numpy()

    return work


if __name__ == "__main__":
    kinds = {"ours": ours, "pytorch": pytorch, "matrix_product": matrix_product}
    measuring.start(main, kinds)
