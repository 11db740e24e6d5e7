"""The configuration that a model is exported with: that of its run, and no training."""

import os
from collections.abc import Sequence

import tensorflow as tf
from official.core import config_definitions as cfg

from hrnet_tf.messages import UserError
from hrnet_tf.serving.exporter import Options
from hrnet_tf.serving.kind import Kind
from hrnet_tf.serving.kinds import KINDS, kind_of
from hrnet_tf.training import run_file
from hrnet_tf.training.experiment import ConfigError, parse_config
from hrnet_tf.training.validation import validate


def read_config(
    experiment: str | None,
    model_dir: str | None,
    config_files: Sequence[str],
    params_override: Sequence[str],
    options: Options,
    verify: bool,
) -> tuple[cfg.ExperimentConfig, Kind]:
    """The configuration of a run, changed for export and checked, and its kind.

    Args:
        experiment: Its name; as the run says, or found out, if None.
        model_dir: The run, or None.
        config_files: YAML files, applied in turn after the run's own.
        params_override: Last changes.
        options: What the model is exported with.
        verify: Whether validation data is needed.

    Raises:
        ConfigError: If there is no configuration, or it cannot be exported.
    """
    files = list(config_files)
    if model_dir:
        params_file = os.path.join(model_dir, "params.yaml")
        if tf.io.gfile.exists(params_file):
            files.insert(0, params_file)
            run = None if experiment else run_file.read(model_dir)
            experiment = run.experiment if run else experiment
        elif not files:
            raise ConfigError(
                f"--model_dir={model_dir} has no params.yaml: give the directory of a "
                "run, or its configuration with --config_file."
            )
    params = _parse(experiment, files, params_override)
    kind = kind_of(params.task)
    if kind.exporter is None:
        exportable = [known.name for known in KINDS.values() if known.exporter]
        raise ConfigError(
            f"This experiment trains a {kind.name} model, and only "
            f"{', '.join(exportable)} models can be exported."
        )
    _check_options(kind, options)
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
    kind.exporter.configure(params.task, options)
    try:
        validate(params, "eval" if verify else None, kind.mistakes)
    except ConfigError as error:
        if not verify:
            raise
        raise ConfigError(
            f"{error}\nTo export without a comparison on validation data, add "
            "--noverify."
        ) from None
    return params, kind


def _parse(
    experiment: str | None, files: Sequence[str], params_override: Sequence[str]
) -> cfg.ExperimentConfig:
    """Reads the configuration; tries all kinds if the run does not name its experiment.

    A run's file says everything, so it does not matter whose defaults it changes. But
    keys of another kind's task are refused.
    """
    if experiment:
        return parse_config(experiment, files, params_override)
    refusals: list[UserError] = []
    for kind in KINDS.values():
        for candidate in kind.experiments:
            try:
                return parse_config(candidate, files, params_override)
            except ConfigError as error:
                refusals.append(error)
    # The experiment with the fewest mistakes is most likely the one that was meant.
    raise min(refusals, key=lambda error: len(str(error).splitlines()))


def _check_options(kind: Kind, options: Options) -> None:
    """Refuses flags that would be passed over with this kind of model."""
    for name in options.given():
        if kind.exporter and name in kind.exporter.options:
            continue
        takers = [
            known.name
            for known in KINDS.values()
            if known.exporter and name in known.exporter.options
        ]
        raise ConfigError(
            f"--{name} goes with {' and '.join(takers)} models; this is a {kind.name} "
            "model."
        )
