"""What XLA does not compile, and what a TPU needs, whatever the task.

`runtime.enable_xla` compiles the training step; a TPU runs nothing that XLA has not
compiled, evaluations included. Each sentence names the operation and the field.
"""

import os
from collections.abc import Iterator

from official.core import config_definitions as cfg
from official.modeling import hyperparams

from hrnet_tf.configs import detection, pose, segmentation
from hrnet_tf.input_files import is_remote
from hrnet_tf.messages import shown
from hrnet_tf.training import devices, tpus

# Those that compile on one device, without a merge of several in the step.
_ON_ONE_DEVICE = ("off", "one_device")


def mistakes(
    params: cfg.ExperimentConfig, trains: bool, evaluates: bool
) -> Iterator[str]:
    """Checks what would fail in a compiled step, or on a TPU."""
    runtime = params.runtime
    is_on_tpu = tpus.is_used(runtime)
    if is_on_tpu:
        yield from _proposal_mistakes(params.task, "a TPU")
        yield from _tpu_mistakes(params, trains, evaluates)
    elif trains and devices.are_steps_compiled(params):
        yield from _device_mistakes(runtime)
        yield from _proposal_mistakes(params.task, "runtime.enable_xla")


def _device_mistakes(runtime: cfg.RuntimeConfig) -> Iterator[str]:
    strategy = runtime.distribution_strategy.lower()
    if not runtime.num_gpus and strategy not in _ON_ONE_DEVICE:
        yield (
            "runtime.enable_xla is true, but runtime.distribution_strategy is "
            f"{strategy} without GPUs, whose merge_call XLA does not compile; set it "
            "to one_device, or enable_xla to false."
        )


def _proposal_mistakes(task: cfg.TaskConfig, cause: str) -> Iterator[str]:
    """Checks the regions that R-CNNs propose, in training and evaluation alike."""
    generator = getattr(getattr(task, "model", None), "roi_generator", None)
    if generator is not None and generator.use_batched_nms:
        yield (
            "task.model.roi_generator.use_batched_nms is true, which calls "
            f"CombinedNonMaxSuppression; with {cause} it must be false, since XLA does "
            "not compile that operation."
        )


# ---- what a TPU needs ----


def _tpu_mistakes(
    params: cfg.ExperimentConfig, trains: bool, evaluates: bool
) -> Iterator[str]:
    runtime, task = params.runtime, params.task
    is_named = runtime.tpu or any(name in os.environ for name in tpus.NAMES)
    if not is_named:
        yield (
            "runtime.distribution_strategy is tpu, but runtime.tpu (--tpu) is empty; "
            "give the TPU's name, its address grpc://HOST:PORT, or local on a TPU VM."
        )
    yield from tpus.address_mistakes(runtime.tpu or "")
    if runtime.mixed_precision_dtype == "float16":
        yield (
            "runtime.mixed_precision_dtype is 'float16'; on a TPU it must be bfloat16, "
            "or float32."
        )
    for part, is_needed in (("train", trains), ("eval", evaluates)):
        if is_needed and not getattr(params.trainer, f"{part}_tf_function"):
            yield (
                f"trainer.{part}_tf_function is false; on a TPU it must be true, since "
                "TPUs run compiled functions alone."
            )
    if trains and not task.train_data.drop_remainder:
        yield (
            "task.train_data.drop_remainder is false; on a TPU it must be true, since "
            "all batches must have one shape."
        )
    if evaluates:
        yield from _evaluation_mistakes(task)
    if is_named and tpus.is_elsewhere(runtime):
        yield from _elsewhere_mistakes(task, trains, evaluates)


def _evaluation_mistakes(task: cfg.TaskConfig) -> Iterator[str]:
    if isinstance(task, segmentation.SegmentationTask):
        yield from _segmentation_mistakes(task)
    elif isinstance(task, detection.MaskRCNNTask | detection.RetinaNetTask):
        yield from _detection_mistakes(task.model.detection_generator)
    elif (
        not isinstance(task, pose.PoseTask) and not task.validation_data.drop_remainder
    ):
        # Our own tasks fill the last batches up.
        yield (
            "task.validation_data.drop_remainder is false; on a TPU it must be true, "
            "since all batches must have one shape: choose a global_batch_size that "
            "divides the number of images, or the last ones are left out."
        )


def _segmentation_mistakes(task: segmentation.SegmentationTask) -> Iterator[str]:
    """Checks that evaluations know all sizes before they see an image."""
    advice = "or train with --mode=train and evaluate on a GPU or CPU with --mode=eval"
    if task.resizing.method != "fixed":
        yield (
            f"task.resizing.method is {task.resizing.method!r}, so that ResizeBilinear "
            "gets sizes from the data; for an evaluation on a TPU it must be fixed, "
            f"{advice}."
        )
    if task.evaluation.window:
        yield (
            f"task.evaluation.window is {task.evaluation.window}, so that Pad gets "
            f"sizes from the data; for an evaluation on a TPU it must be [], {advice}."
        )
    if not task.validation_data.padded_size:
        yield (
            "task.validation_data.padded_size is []; for an evaluation on a TPU it "
            "must be [height, width], those of the largest image or more, since all "
            f"batches must have one shape, {advice}."
        )


def _detection_mistakes(generator: hyperparams.Config) -> Iterator[str]:
    path = "task.model.detection_generator"
    if generator.nms_version == "batched":
        yield (
            f"{path}.nms_version is 'batched', which calls CombinedNonMaxSuppression; "
            "for an evaluation on a TPU it must be v2, since XLA does not compile that "
            "operation."
        )
    if generator.soft_nms_sigma is not None and generator.nms_version == "v1":
        yield (
            f"{path}.soft_nms_sigma is {generator.soft_nms_sigma}, for which v1 calls "
            "NonMaxSuppressionV5; for an evaluation on a TPU it must be null, since "
            "XLA does not compile that operation."
        )


def _elsewhere_mistakes(
    task: cfg.TaskConfig, trains: bool, evaluates: bool
) -> Iterator[str]:
    """Checks what the TPU's own host reads, and that it need not call Python."""
    for name, is_needed in (("train_data", trains), ("validation_data", evaluates)):
        if is_needed:
            yield from _path_mistakes(f"task.{name}", getattr(task, name))
    # TensorFlow restores a variable on the host that has it.
    if trains and task.init_checkpoint and not is_remote(task.init_checkpoint):
        yield (
            f"task.init_checkpoint is {task.init_checkpoint!r}, on this machine; a TPU "
            "on another machine reads it from a bucket, such as gs://BUCKET/ckpt-100."
        )
    if trains and isinstance(task, pose.PoseTask):
        data = task.train_data
        if data.crop_with_opencv is not False and not data.enable_tf_data_service:
            yield (
                "task.train_data.crop_with_opencv is "
                f"{shown(data.crop_with_opencv)}; with a TPU on another machine "
                "it must be false, since that reads the data, and cannot call OpenCV."
            )


def _path_mistakes(path: str, data: cfg.DataConfig) -> Iterator[str]:
    """Checks that a host elsewhere can open what is read."""
    patterns = data.input_path
    if isinstance(patterns, hyperparams.Config):
        patterns = list(patterns.as_dict().values())
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if pattern and not is_remote(pattern):
            yield (
                f"{path}.input_path is {pattern!r}, on this machine; a TPU on another "
                "machine reads from buckets, such as gs://BUCKET/train-*.tfrecord."
            )
            return
