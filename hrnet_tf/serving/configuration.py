"""The configuration that a model is exported with: that of its run, and no training."""

import os
from collections.abc import Sequence

import tensorflow as tf
import yaml
from official.core import config_definitions as cfg

from hrnet_tf.configs import detection, pose, segmentation
from hrnet_tf.training.experiment import ConfigError, parse_config
from hrnet_tf.training.validation import validate

# Keys that the configuration of a task has and those of the others have not, and an
# experiment of that task. Whose defaults these are does not matter to a run: its file
# says everything.
_EXPERIMENTS = (
    ("label_set", "hrnet_seg_custom"),
    ("roi_sampler", "hrnet_maskrcnn_coco"),
    ("detection_generator", "hrnet_retinanet_coco"),
)


def read_config(
    experiment: str | None,
    model_dir: str | None,
    config_files: Sequence[str],
    params_override: Sequence[str],
    flip_test: bool,
    verify: bool,
) -> cfg.ExperimentConfig:
    """The configuration of a run, changed for export and checked.

    Args:
        experiment: Its name; found out if None.
        model_dir: The run, or None.
        config_files: YAML files, applied in turn after the run's own.
        params_override: Last changes.
        flip_test: Whether the exported model averages with the mirrored input.
        verify: Whether validation data is needed.

    Raises:
        ConfigError: If there is none, or it cannot be exported.
    """
    files = list(config_files)
    if model_dir:
        run_file = os.path.join(model_dir, "params.yaml")
        if tf.io.gfile.exists(run_file):
            files.insert(0, run_file)
        elif not files:
            raise ConfigError(
                f"--model_dir={model_dir} has no params.yaml: give the directory of a "
                "run, or its configuration with --config_file."
            )
    params = parse_config(experiment or _experiment_of(files), files, params_override)
    # Whatever it was trained on, it is exported here, in float32.
    params.runtime.override(
        {
            "distribution_strategy": "one_device",
            "num_gpus": 0,
            "tpu": None,
            "mixed_precision_dtype": None,
            "loss_scale": None,
        }
    )
    params.task.override({"allow_image_summary": False, "init_checkpoint": ""})
    _set_evaluation(params.task, flip_test)
    try:
        validate(params, "eval" if verify else None)
    except ConfigError as error:
        if not verify:
            raise
        raise ConfigError(
            f"{error}\nTo export without a comparison on validation data, add "
            "--noverify."
        ) from None
    return params


def _set_evaluation(task: cfg.TaskConfig, flip_test: bool) -> None:
    """Makes evaluations predict as the exported model does."""
    if isinstance(task, pose.PoseTask):
        task.evaluation.override({"flip_test": flip_test})
    elif isinstance(task, segmentation.SegmentationTask):
        # What is exported predicts images whole and once.
        task.evaluation.override(
            {"flip_test": flip_test, "scales": [1.0], "window": []}
        )
    elif not isinstance(task, (detection.MaskRCNNTask, detection.RetinaNetTask)):
        raise ConfigError(
            "The experiment is none of ours of pose, segmentation or detection, and "
            "only their models can be exported."
        )
    elif flip_test:
        raise ConfigError("--flip_test is not for detectors.")


def _experiment_of(files: Sequence[str]) -> str:
    """An experiment of the task that configuration files are of."""
    for path in files:
        try:
            with tf.io.gfile.GFile(path) as file:
                task = yaml.safe_load(file.read())["task"]
            keys = {*task, *(task.get("model") or {})}
        except (tf.errors.OpError, yaml.YAMLError, KeyError, TypeError):
            continue  # parse_config says what is wrong with it.
        for key, experiment in _EXPERIMENTS:
            if key in keys:
                return experiment
    return "hrnet_pose_coco"
