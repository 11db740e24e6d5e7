"""Runs a checked experiment: trains, evaluates, and writes the model directory."""

import contextlib
import dataclasses
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping

import tensorflow as tf
from official.common import distribute_utils
from official.core import base_task, train_utils
from official.core import config_definitions as cfg
from official.modeling import hyperparams, performance
from official.vision.utils import summary_manager

from hrnet_tf import signals
from hrnet_tf.evaluation.report import Report
from hrnet_tf.output_files import failure_to_write
from hrnet_tf.tasks.evaluation import EvaluatedTask
from hrnet_tf.tasks.garden import get_task
from hrnet_tf.tasks.records import naming_culprits
from hrnet_tf.training import (
    actions,
    best_checkpoint,
    checkpoints,
    devices,
    networks,
    optimizers,
    repeatability,
    run_file,
    run_files,
    run_lock,
    tpus,
    workers,
)
from hrnet_tf.training.experiment import ConfigError
from hrnet_tf.training.record_watch import RecordWatch
from hrnet_tf.training.trainer import COMPILING, Runner, Trainer
from hrnet_tf.weights import whole_checkpoints

# The Garden's folder of averaged weights.
_AVERAGES = "ema_checkpoints"

_log = logging.getLogger(__name__)


def run(
    params: cfg.ExperimentConfig,
    mode: str,
    model_dir: str,
    experiment: str,
    report: Callable[[base_task.Task], Report],
    checkpoint: str | None = None,
) -> bool:
    """Runs a checked experiment in a model directory, continued if it has checkpoints.

    `mode` is train, eval, train_and_eval or continuous_eval. In mode eval, `checkpoint`
    is evaluated, or the latest one. `report` says what belongs beside a task's metrics.

    Returns:
        Whether this process is the worker that writes the directory.

    Raises:
        ConfigError: If there is no checkpoint to evaluate, or one does not fit.
        actions.TrainingError: If training had to stop.
        workers.LostWorkerError: If another worker has ended.
    """
    trains = "train" in mode
    latest = None if trains or checkpoint else whole_checkpoints.newest(model_dir)
    if mode == "eval" and not (checkpoint or latest):
        raise ConfigError(
            f"--model_dir={model_dir} holds no checkpoint to evaluate: train first, or "
            "name one with --checkpoint."
        )
    params = _with_weights_to_use(params, mode, checkpoint)
    strategy = _make_strategy(params, mode, model_dir, checkpoint)
    is_chief = strategy.extended.should_checkpoint
    output = sys.stdout
    with (
        workers.naming_lost(strategy, model_dir),
        contextlib.ExitStack() as stack,
    ):
        writes = trains and is_chief
        guard = _writing(model_dir) if writes else run_lock.unmoved(model_dir)
        check_kept = stack.enter_context(guard)
        if trains:
            latest = whole_checkpoints.survey(model_dir).prefix
            repeatability.prepare(params.trainer, latest)
        # Orbit prints every line that it also logs, in between ours.
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        worker_dir = stack.enter_context(workers.worker_dir(model_dir, is_chief))
        stack.enter_context(strategy.scope())
        sources = _sources(params.task, mode)
        stack.enter_context(naming_culprits(params.task, *sources))
        watch = RecordWatch(*sources)

        _log.info("Building the model.")
        task = _make_task(params.task, model_dir, mode)
        trainer = Trainer(
            params,
            task,
            networks.build(task),
            train_utils.create_optimizer(task, params),
            train=trains,
            evaluate="eval" in mode,
            checkpoint_exporter=None
            if mode == "eval"
            else best_checkpoint.exporter(params, model_dir, worker_dir, check_kept),
            check_kept=check_kept,
        )
        if latest:
            # The runner restores it, but does not mind if it is another model's.
            checkpoints.restore_model(trainer.model, latest)
        told = report(task)
        if is_chief:
            _record(params, model_dir, experiment, told.categories, trains, latest)
        step = trainer.global_step
        # The manager of evaluation summaries keeps the step that it finds set.
        tf.summary.experimental.set_step(step)
        train_steps = params.trainer.train_steps
        report_progress = actions.ReportProgress(
            step, train_steps, params.task.train_data.global_batch_size
        )
        profiled = getattr(params.trainer, "profile_steps", [])
        profile = actions.Profile(step, profiled if is_chief else [], model_dir)
        report_evaluation = actions.ReportEvaluation(step, model_dir, told, output)
        runner = Runner(
            distribution_strategy=strategy,
            task=task,
            mode=mode,
            params=params,
            model_dir=worker_dir,
            trainer=trainer,
            train_actions=[
                profile,
                report_progress,
                actions.StopOnDivergence(step, params.trainer, model_dir),
                watch,
            ],
            eval_actions=[report_evaluation] if is_chief else None,
            eval_summary_manager=summary_manager.maybe_build_eval_summary_manager(
                params=params, model_dir=worker_dir
            ),
        )
        if mode == "eval":
            _restore_to_evaluate(trainer, latest, checkpoint)
        if trains:
            _announce_first_step(params, step)
            stack.enter_context(report_progress)
            stack.enter_context(profile)
        if mode == "train_and_eval" and step.numpy() >= train_steps:
            # Trained before, and perhaps stopped before or in the last evaluation.
            runner.controller.evaluate(params.trainer.validation_steps)
        runner.run()
        watch.check()
    return is_chief


def _make_task(config: cfg.TaskConfig, model_dir: str, mode: str) -> base_task.Task:
    task = get_task(config, model_dir)
    if isinstance(task, EvaluatedTask):
        task.explains_by_default = mode == "eval"
    return task


def _make_strategy(
    params: cfg.ExperimentConfig, mode: str, model_dir: str, checkpoint: str | None
) -> tf.distribute.Strategy:
    runtime = params.runtime
    devices.log_devices(runtime)
    if runtime.mixed_precision_dtype:
        performance.set_mixed_precision_policy(runtime.mixed_precision_dtype)
    if tpus.is_used(runtime):
        return tpus.connect(params, mode, model_dir, checkpoint)
    strategy = distribute_utils.get_distribution_strategy(
        distribution_strategy=runtime.distribution_strategy,
        all_reduce_alg=runtime.all_reduce_alg,
        num_gpus=runtime.num_gpus,
    )
    # What connects several workers has taken SIGTERM for itself.
    signals.heed_again()
    return strategy


def _sources(config: cfg.TaskConfig, mode: str) -> list[cfg.DataConfig]:
    """The data that a mode reads."""
    data = {"train": config.train_data, "eval": config.validation_data}
    return [source for name, source in data.items() if name in mode]


@contextlib.contextmanager
def _writing(model_dir: str) -> Iterator[Callable[[], None]]:
    """Keeps other trainings out of a model directory, and cleans it up.

    Yields a check that ends training when the directory is no longer its own.

    Raises:
        actions.TrainingError: If something could not be written.
    """
    try:
        with run_lock.held(model_dir) as check_kept:
            run_files.remove_leftovers(model_dir)
            surveyed = whole_checkpoints.survey(model_dir)
            whole_checkpoints.check(surveyed)
            whole_checkpoints.tell(surveyed)
            whole_checkpoints.repair(surveyed)
            averages = whole_checkpoints.survey(os.path.join(model_dir, _AVERAGES))
            whole_checkpoints.repair(averages)
            yield check_kept
    except Exception as error:
        reason = failure_to_write(error)
        if reason is None:
            raise
        whole = whole_checkpoints.survey(model_dir).prefix
        raise actions.TrainingError(
            f"Training had to stop: {reason}. "
            + (
                f"Once that is mended, the same command goes on from {whole}, which "
                "is whole."
                if whole
                else f"{model_dir} has no checkpoint."
            )
        ) from error


def _with_weights_to_use(
    params: cfg.ExperimentConfig, mode: str, checkpoint: str | None
) -> cfg.ExperimentConfig:
    """The experiment without the weights that this mode does not use.

    Raises:
        ConfigError: If the checkpoint to evaluate is missing or damaged.
    """
    if checkpoint:
        checkpoints.check_exists(checkpoint)
        # Evaluated as it is: if averages were kept, a best checkpoint holds them.
        params = params.replace(trainer={"optimizer_config": {"ema": None}})
    if "train" not in mode:
        params = params.replace(task={"init_checkpoint": None})
    return params


def _restore_to_evaluate(
    trainer: Trainer, latest: str | None, checkpoint: str | None
) -> None:
    """Restores the checkpoint that the user names, as it is, or the latest one."""
    if checkpoint:
        checkpoints.restore_model(trainer.model, checkpoint)
        trainer.global_step.assign(checkpoints.saved_step(checkpoint))
    else:
        trainer.checkpoint.restore(latest)


def _announce_first_step(params: cfg.ExperimentConfig, step: tf.Variable) -> None:
    if step.numpy() < params.trainer.train_steps:
        _log.info(
            "First step: TensorFlow compiles it, %s. Progress is shown every %d steps "
            "(trainer.steps_per_loop).",
            COMPILING,
            params.trainer.steps_per_loop,
        )


def _record(
    params: cfg.ExperimentConfig,
    model_dir: str,
    experiment: str,
    categories: Mapping[int, str],
    trains: bool,
    latest: str | None,
) -> None:
    """Writes params.yaml and run.json, as `_record_run` does."""
    if trains:
        if latest:
            optimizers.log_changes(params.trainer.optimizer_config, model_dir)
        with run_files.written(os.path.join(model_dir, "params.yaml")) as path:
            hyperparams.save_params_dict_to_yaml(params, path)
    _record_run(model_dir, experiment, categories, trains)


def _record_run(
    model_dir: str, experiment: str, categories: Mapping[int, str], trains: bool
) -> None:
    """Writes run.json; an evaluation only adds the categories to that of an old run."""
    if trains:
        run_file.write(model_dir, run_file.RunFile(experiment, categories))
        return
    written = run_file.read(model_dir)
    if written and categories and not written.categories:
        run_file.write(model_dir, dataclasses.replace(written, categories=categories))
