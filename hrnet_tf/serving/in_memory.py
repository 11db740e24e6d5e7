"""A trained model in memory as if it had been exported: nothing is written."""

import json
from collections.abc import Sequence
from typing import Any

from official.core import task_factory

from hrnet_tf.serving.configuration import read_config
from hrnet_tf.serving.exporter import Options
from hrnet_tf.serving.loading import LoadedSavedModel
from hrnet_tf.serving.predictor import DEFAULT_STYLE, Predictor, Style
from hrnet_tf.serving.predictors import predictor_of
from hrnet_tf.training import checkpoints, run_file


def load_checkpoint(
    model_dir: str | None,
    checkpoint: str | None,
    config_files: Sequence[str] = (),
    params_override: Sequence[str] = (),
    options: Options | None = None,
    style: Style = DEFAULT_STYLE,
    name: str | None = None,
) -> Predictor[Any]:
    """Makes a predictor of a checkpoint.

    Args:
        model_dir: The run that it is of, or None.
        checkpoint: The checkpoint; the run's best, or latest, if None.
        config_files: YAML files that change the run's configuration, or are it.
        params_override: Last changes of the configuration.
        options: What it would be exported with.
        style: How predictions are told and drawn.
        name: What messages call it; the checkpoint's path if None.

    Raises:
        ConfigError: If there is no checkpoint or configuration, or they do not fit.
    """
    options = options or Options()
    params, kind = read_config(
        None, model_dir, config_files, params_override, options, verify=False
    )
    assert kind.exporter is not None
    exporter = kind.exporter(
        task_factory.get_task(params.task),
        options,
        run=run_file.read_of_model(model_dir, checkpoint),
    )
    model = exporter.task.build_model()
    path = checkpoints.restore_to_export(model, params, model_dir, checkpoint)
    module = exporter.module(model)
    description = json.loads(exporter.metadata.to_json())
    # That of the model's files would be checked; these functions are the module's own.
    interface = exporter.metadata.saved_model_interface()
    # Each graph is made when it is first called: few are.
    graphs = module.signatures()
    loaded = LoadedSavedModel(name or path, description, interface, graphs, module)
    return predictor_of(loaded, style)
