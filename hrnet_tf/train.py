"""Trains and evaluates: python -m hrnet_tf.train --experiment=... --model_dir=...

The configuration is the experiment's, changed by every --config_file in turn and then
by --params_override. It is checked as a whole before the first step. A run that was
interrupted goes on from its last checkpoint when the same command is given again.

  python -m hrnet_tf.train --flagfile=configs/pose/synthetic.flags
  python -m hrnet_tf.train --experiment=hrnet_pose_coco --mode=train_and_eval \\
    --config_file=configs/pose/coco_w32_256x192.yaml --model_dir=runs/w32 \\
    --params_override=task.train_data.input_path=data/coco/train-*.tfrecord

The model directory receives checkpoints, TensorBoard logs, params.yaml and, from the
latest evaluation, metrics.json; of pose and detection also results.json (COCO results)
and predictions.png; of segmentation predictions.png and confusion.png.
"""

import contextlib
import functools
import io
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from absl import flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from official.common import distribute_utils
from official.core import (
    base_task,
    task_factory,
    train_lib,
    train_utils,
)
from official.core import (
    config_definitions as cfg,
)
from official.modeling import performance
from official.vision.utils import summary_manager

from hrnet_tf import command_line, registry_imports  # noqa: F401
from hrnet_tf.data.files.detections import DetectionsError
from hrnet_tf.data.records.shards import RecordError
from hrnet_tf.evaluation import coco_instances, coco_keypoints, segmentation
from hrnet_tf.evaluation.coco_files import AnnotationFileError
from hrnet_tf.tasks.detection import DetectionTask
from hrnet_tf.tasks.pose import PoseTask
from hrnet_tf.tasks.segmentation import SegmentationTask
from hrnet_tf.training import actions, checkpoints
from hrnet_tf.training.experiment import ConfigError, parse_config
from hrnet_tf.training.validation import validate

MODES = ("train", "eval", "train_and_eval", "continuous_eval")


def define_flags() -> flags.FlagValues:
    """Returns the command's flags."""
    values = flags.FlagValues()

    def string(name: str, help_text: str) -> None:
        flags.DEFINE_string(name, None, help_text, flag_values=values)

    def strings(name: str, help_text: str) -> None:
        flags.DEFINE_multi_string(name, [], help_text, flag_values=values)

    string("experiment", "Registered experiment, e.g. hrnet_pose_coco.")
    string("model_dir", "Directory of checkpoints and results.")
    flags.DEFINE_enum(
        "mode", "train_and_eval", MODES, "What to do.", flag_values=values
    )
    strings("config_file", "YAML file that changes the experiment; may be repeated.")
    strings(
        "params_override",
        "Last changes: a.b.c=value,... or a YAML string or file; may be repeated.",
    )
    string(
        "checkpoint",
        "With --mode=eval: the checkpoint to evaluate instead of the latest one in "
        "--model_dir, e.g. RUN/best_checkpoint/best_ckpt-3.",
    )
    string("tpu", "Address of the TPU, with strategy tpu.")
    string("tf_data_service", "Address of a tf.data service.")
    flags.mark_flags_as_required(["experiment", "model_dir"], flag_values=values)
    return values


def train(values: flags.FlagValues) -> None:
    """Parses the configuration, checks it and runs the experiment.

    Raises:
        ConfigError: If the flags or the configuration cannot work.
        actions.TrainingError: If training had to stop.
    """
    params = parse_config(
        values.experiment,
        values.config_file,
        values.params_override,
        tpu=values.tpu,
        tf_data_service=values.tf_data_service,
    )
    validate(params, values.mode)
    run(params, values.mode, values.model_dir, values.checkpoint)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return command_line.run(
        train,
        define_flags(),
        argv,
        failures=(
            ConfigError,
            AnnotationFileError,
            coco_keypoints.PredictionError,
            DetectionsError,
            RecordError,
            actions.TrainingError,
        ),
    )


def run(
    params: cfg.ExperimentConfig,
    mode: str,
    model_dir: str,
    checkpoint: str | None = None,
) -> None:
    """Runs a checked experiment.

    Args:
        params: The experiment.
        mode: One of `MODES`.
        model_dir: Directory of checkpoints and results; continued if it has some.
        checkpoint: In mode eval, the checkpoint to evaluate; the latest when None.

    Raises:
        ConfigError: If there is no checkpoint to evaluate, or one does not fit.
        actions.TrainingError: If training had to stop.
    """
    trains = "train" in mode
    _check_checkpoint(mode, model_dir, checkpoint)
    if checkpoint:
        # Evaluated as it is: where there are averages, a best checkpoint holds them.
        params = params.replace(
            trainer={"optimizer_config": {"ema": None}}, task={"init_checkpoint": None}
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
        step = trainer.global_step
        # The manager of evaluation summaries keeps the step that it finds set.
        tf.summary.experimental.set_step(step)
        train_steps = params.trainer.train_steps
        report_progress = actions.ReportProgress(
            step, train_steps, params.task.train_data.global_batch_size
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
            eval_actions=[_report_evaluation(task, step, model_dir, output)]
            if is_chief
            else None,
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


def _report_evaluation(
    task: base_task.Task, step: tf.Variable, model_dir: str, stream: TextIO
) -> actions.ReportEvaluation:
    """The report of a task's evaluations: a table of its own, or metrics by name."""
    config = task.task_config
    if isinstance(task, PoseTask):
        data = config.evaluation.annotation_file
        table = functools.partial(
            coco_keypoints.format_table, box_source=task.box_source
        )
        facts = {"box_source": task.box_source, "annotation_file": data}
    elif isinstance(task, DetectionTask):
        data = config.annotation_file
        table, facts = coco_instances.format_table, {"annotation_file": data}
    elif isinstance(task, SegmentationTask):
        data = str(config.validation_data.input_path)
        table = functools.partial(
            segmentation.format_table,
            classes=task.label_set.classes,
            protocol=task.protocol,
        )
        facts = {"protocol": task.protocol, "data": data}
    else:
        data = str(
            config.validation_data.tfds_name or config.validation_data.input_path
        )
        table, facts = actions.format_metrics, {}
    return actions.ReportEvaluation(step, model_dir, data, table, facts, stream)


def _check_checkpoint(mode: str, model_dir: str, checkpoint: str | None) -> None:
    """Refuses flags that leave nothing, or nothing sensible, to restore."""
    if checkpoint and mode != "eval":
        raise command_line.UsageError(
            f"--checkpoint goes with --mode=eval; got --mode={mode}. To start training "
            "from a checkpoint set task.init_checkpoint."
        )
    if checkpoint and not tf.io.gfile.exists(f"{checkpoint}.index"):
        raise ConfigError(
            f"--checkpoint={checkpoint} names no checkpoint: there is no file "
            f"{checkpoint}.index."
        )
    if mode == "eval" and not checkpoint and not tf.train.latest_checkpoint(model_dir):
        raise ConfigError(
            f"--model_dir={model_dir} holds no checkpoint to evaluate: train first, or "
            "name one with --checkpoint."
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv))
