"""Exported pose models with random weights, for benchmarks that need a model's file.

Weights are random, with norms that have seen data, so that activations are neither tiny
nor huge, as after training.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import measuring
import numpy as np

CALIBRATION_CROPS = 32
SAVED_MODELS = ("saved_model", "bfloat16")
_WARMING_STEPS = 30


def write_once(
    script: str, folder: str, variant: str, size: Sequence[int], formats: Iterable[str]
) -> None:
    """Writes files as `write` does, in a process of a script that knows `export`."""
    measuring.run_once(
        script,
        "export",
        folder=folder,
        variant=variant,
        size=list(size),
        formats=list(formats),
    )


def export(
    folder: str, variant: str, size: Sequence[int], formats: Iterable[str]
) -> measuring.Work:
    """A contender that only writes files, when it is prepared."""
    write(random_module(variant, size), folder, size, formats)
    return lambda: None


def write(
    module: Any, folder: str, size: Sequence[int], formats: Iterable[str]
) -> None:
    """Writes a pose module in some formats.

    `formats` are saved_model and bfloat16, which become the folders saved_model/1 and
    bfloat16/1, and none, float16, dynamic and int8, which become none.tflite and so on.
    """
    from hrnet_tf.serving import saved_model, tflite

    for name in formats:
        if name in SAVED_MODELS:
            path = os.path.join(folder, name, "1")
            written = _in_bfloat16(module) if name == "bfloat16" else module
            saved_model.write_saved_model(written, module.metadata, path, warmup=False)
            continue
        crops = random_crops(CALIBRATION_CROPS, size)
        content = tflite.convert(module, module.metadata, name, True, crops)
        with open(os.path.join(folder, f"{name}.tflite"), "wb") as file:
            file.write(content)


def random_module(variant: str, size: Sequence[int]) -> Any:
    """A `PoseModule` of an HRNet or a Lite-HRNet.

    Its attributes `metadata` and `task` are what it was made of; `weights` are those
    from before its norms were folded.
    """
    import tensorflow as tf

    from hrnet_tf import registry_imports  # noqa: F401
    from hrnet_tf.configs import pose as pose_config
    from hrnet_tf.configs.variants import family_of
    from hrnet_tf.data.vocabularies.skeletons import load_skeleton
    from hrnet_tf.modeling.pose_model import build_pose_model
    from hrnet_tf.modeling.task_models import POSE_DECODERS
    from hrnet_tf.serving.pose.metadata import PoseMetadata
    from hrnet_tf.serving.pose.module import PoseModule

    task = pose_config.PoseTask()
    task.model.override({"input_size": list(size)})
    task.model.backbone.type = family_of(variant)
    task.model.backbone.get().override(
        {"model_id": variant, "kernel_initializer": "kaiming"}
    )
    task.model.decoder.type = POSE_DECODERS[task.model.backbone.type]
    skeleton = load_skeleton(task.skeleton)
    tf.random.set_seed(0)
    model = build_pose_model(task.model, skeleton.num_keypoints)
    images = normalized(random_crops(4, size))
    infer = tf.function(lambda images: model(images, training=True))
    for _ in range(_WARMING_STEPS):
        infer(images)
    metadata = PoseMetadata.of_task(task, skeleton, flip_test=False)
    weights = model.get_weights()
    module = PoseModule(model, metadata)
    module.metadata, module.task, module.weights = metadata, task, weights
    return module


def _in_bfloat16(module: Any) -> Any:
    """The same network, as `hrnet_tf.export --quantize=bfloat16` builds it."""
    import tf_keras

    from hrnet_tf.modeling.pose_model import build_pose_model
    from hrnet_tf.serving.pose.module import PoseModule

    policy = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    num_keypoints = len(module.metadata.skeleton.keypoints)
    model = build_pose_model(module.task.model, num_keypoints)
    tf_keras.mixed_precision.set_global_policy(policy)
    model.set_weights(module.weights)
    return PoseModule(model, module.metadata)


def normalized(crops: np.ndarray) -> np.ndarray:
    """Crops as the network alone takes them."""
    from hrnet_tf.data.inputs.normalization import normalize_image

    return np.asarray(normalize_image(crops))


def random_crops(count: int, size: Sequence[int]) -> np.ndarray:
    """Smooth noise, which quantises more like a photograph than white noise does."""
    import tensorflow as tf

    noise = np.random.default_rng(0).uniform(0, 255, (count, 16, 12, 3))
    crops = tf.image.resize(noise, size, "bicubic")
    return np.clip(crops, 0, 255).astype(np.uint8)
