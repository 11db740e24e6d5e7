"""Runs a checked experiment: trains, evaluates, and writes the model directory."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable

import tensorflow as tf
from official.common import distribute_utils
from official.core import base_task, task_factory, train_lib, train_utils
from official.core import config_definitions as cfg
from official.modeling import performance
from official.vision.utils import summary_manager

from hrnet_tf import __version__
from hrnet_tf.evaluation.report import Report
from hrnet_tf.messages import one_line
from hrnet_tf.training import actions, checkpoints
from hrnet_tf.training.experiment import ConfigError

# Beside params.yaml: which experiment the run is of.
RUN_FILE = "run.json"


def run(
    params: cfg.ExperimentConfig,
    mode: str,
    model_dir: str,
    experiment: str,
    report: Callable[[base_task.Task], Report],
    checkpoint: str | None = None,
) -> None:
    """Runs a checked experiment in a model directory, continued if it has checkpoints.

    `mode` is train, eval, train_and_eval or continuous_eval. In mode eval, `checkpoint`
    is evaluated, or the latest one. `report` says what belongs beside a task's metrics.

    Raises:
        ConfigError: If there is no checkpoint to evaluate, or one does not fit.
        actions.TrainingError: If training had to stop.
    """
    trains = "train" in mode
    if checkpoint:
        checkpoints.check_exists(checkpoint)
        # Evaluated as it is: if averages were kept, a best checkpoint holds them.
        params = params.replace(
            trainer={"optimizer_config": {"ema": None}}, task={"init_checkpoint": None}
        )
    elif mode == "eval" and not tf.train.latest_checkpoint(model_dir):
        raise ConfigError(
            f"--model_dir={model_dir} holds no checkpoint to evaluate: train first, or "
            "name one with --checkpoint."
        )
    if params.runtime.mixed_precision_dtype:
        performance.set_mixed_precision_policy(params.runtime.mixed_precision_dtype)

    strategy = distribute_utils.get_distribution_strategy(
        distribution_strategy=params.runtime.distribution_strategy,
        all_reduce_alg=params.runtime.all_reduce_alg,
        num_gpus=params.runtime.num_gpus,
        tpu_address=params.runtime.tpu,
    )
    is_chief = strategy.extended.should_checkpoint
    output = sys.stdout
    with contextlib.ExitStack() as stack:
        # Orbit prints every line that it also logs, in between ours.
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        worker_dir = stack.enter_context(
            checkpoints.worker_dir(params, model_dir, is_chief)
        )
        stack.enter_context(strategy.scope())

        task = task_factory.get_task(params.task, logging_dir=model_dir)
        trainer = train_utils.create_trainer(
            params,
            task,
            train=trains,
            evaluate="eval" in mode,
            checkpoint_exporter=None
            if mode == "eval"
            else train_lib.maybe_create_best_ckpt_exporter(params, worker_dir),
            trainer_cls=checkpoints.Trainer,
        )
        if latest := tf.train.latest_checkpoint(model_dir):
            # The runner restores it, but does not mind if it is another model's.
            checkpoints.restore_model(trainer.model, latest)
        if trains and is_chief:
            train_utils.serialize_config(params, model_dir)
            _record(model_dir, experiment)
        step = trainer.global_step
        # The manager of evaluation summaries keeps the step that it finds set.
        tf.summary.experimental.set_step(step)
        train_steps = params.trainer.train_steps
        report_progress = actions.ReportProgress(
            step, train_steps, params.task.train_data.global_batch_size
        )
        report_evaluation = actions.ReportEvaluation(
            step, model_dir, report(task), output
        )
        runner = checkpoints.Runner(
            distribution_strategy=strategy,
            task=task,
            mode=mode,
            params=params,
            model_dir=worker_dir,
            trainer=trainer,
            train_actions=[
                report_progress,
                actions.StopOnDivergence(step, params.trainer, model_dir),
            ],
            eval_actions=[report_evaluation] if is_chief else None,
            eval_summary_manager=summary_manager.maybe_build_eval_summary_manager(
                params=params, model_dir=worker_dir
            ),
        )
        if checkpoint:
            checkpoints.restore_model(trainer.model, checkpoint)
            step.assign(checkpoints.saved_step(checkpoint))
        if trains:
            stack.enter_context(report_progress)
        if mode == "train_and_eval" and step.numpy() >= train_steps:
            # Trained before, and perhaps stopped before or in the last evaluation.
            runner.controller.evaluate(params.trainer.validation_steps)
        runner.run()


def _record(model_dir: str, experiment: str) -> None:
    actions.write_json(
        os.path.join(model_dir, RUN_FILE),
        {"experiment": experiment, "hrnet_tf_version": __version__},
    )


def read_experiment(model_dir: str) -> str | None:
    """The name of a run's experiment; None for older runs. Raises `ConfigError`."""
    path = os.path.join(model_dir, RUN_FILE)
    if not tf.io.gfile.exists(path):
        return None
    try:
        with tf.io.gfile.GFile(path) as file:
            experiment = json.load(file)["experiment"]
        if not isinstance(experiment, str):
            raise TypeError("the experiment is not a text")
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} must be a JSON file that names the run's experiment, as training "
            f'writes it: {{"experiment": "hrnet_pose_coco"}} ({one_line(error)}). '
            "Correct it, or delete it and name the experiment with --experiment."
        ) from error
    return experiment
