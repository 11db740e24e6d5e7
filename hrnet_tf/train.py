r"""Trains and evaluates: python -m hrnet_tf.train --experiment=... --model_dir=...

The configuration is the experiment's, changed by every --config_file in turn and then
by --params_override. It is checked as a whole before the first step. A run that was
interrupted goes on from its last checkpoint when the same command is given again.

  python -m hrnet_tf.train --flagfile=configs/pose/synthetic.flags
  python -m hrnet_tf.train --experiment=hrnet_pose_coco --mode=train_and_eval \
    --config_file=configs/pose/coco_w32_256x192.yaml --model_dir=runs/w32 \
    --params_override=task.train_data.input_path=data/coco/train-*.tfrecord

The model directory receives checkpoints, TensorBoard logs, params.yaml, run.json (which
experiment it was) and, from the latest evaluation, metrics.json and pictures:
predictions.png, for segmentation also confusion.png. Pose and detection add
results.json (COCO results). With --mode=eval, pose tells which errors there are, and
writes report.html with the worst of them.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from absl import flags

from hrnet_tf import command_line, next_steps
from hrnet_tf.messages import UserError
from hrnet_tf.training.modes import MODES


def define_flags() -> flags.FlagValues:
    """Returns the command's flags."""
    define = command_line.Flags()
    define.string(
        "experiment", "Registered experiment, e.g. hrnet_pose_coco.", required=True
    )
    define.string("model_dir", "Directory of checkpoints and results.", required=True)
    define.enum("mode", MODES, "What to do.", default="train_and_eval")
    define.changes("the experiment")
    define.string(
        "checkpoint",
        "With --mode=eval: the checkpoint to evaluate instead of the latest one in "
        "--model_dir, e.g. RUN/best_checkpoint/best_ckpt-3.",
    )
    define.string("tpu", "Address of the TPU, with strategy tpu.")
    define.string("tf_data_service", "Address of a tf.data service.")
    return define.values


def train(values: flags.FlagValues) -> None:
    """Parses the configuration, checks it and runs the experiment.

    Raises:
        UserError: If the flags or the configuration cannot work, or training had to
            stop.
    """
    if values.checkpoint and values.mode != "eval":
        raise command_line.UsageError(
            f"--checkpoint goes with --mode=eval; got --mode={values.mode}. To start "
            "training from a checkpoint set task.init_checkpoint."
        )

    _check_model_dir(values.model_dir)

    from hrnet_tf import registry_imports  # noqa: F401
    from hrnet_tf.serving import kinds
    from hrnet_tf.training.devices import use_gpus
    from hrnet_tf.training.experiment import parse_config
    from hrnet_tf.training.run import run
    from hrnet_tf.training.validation import validate
    from hrnet_tf.training.workers import LostWorkerError
    from hrnet_tf.weights import whole_checkpoints

    params = parse_config(
        values.experiment,
        values.config_file,
        values.params_override,
        tpu=values.tpu,
        tf_data_service=values.tf_data_service,
    )
    use_gpus(params, values.mode)
    kind = kinds.kind_of(params.task)
    surveyed = whole_checkpoints.survey(values.model_dir)
    if "train" in values.mode:
        whole_checkpoints.check(surveyed)
    continues = surveyed.newest is not None
    validate(params, values.mode, kind.mistakes, continues)
    try:
        is_chief = run(
            params,
            values.mode,
            values.model_dir,
            values.experiment,
            kind.report,
            values.checkpoint,
        )
    except LostWorkerError as error:
        _end_at_once(error)
    if is_chief:
        _tell_what_is_next(values, kind.name, can_be_exported=kind.exporter is not None)


def _end_at_once(error: UserError) -> NoReturn:
    """Ends this process as an error ends a command, but lets go of nothing first.

    TensorFlow's iterators would wait for minutes for the worker that is lost.
    """
    with contextlib.suppress(OSError):
        print(error.message, file=sys.stderr)
        sys.stderr.flush()
        sys.stdout.flush()
    os._exit(1)


def _tell_what_is_next(
    values: flags.FlagValues, task: str, can_be_exported: bool
) -> None:
    if values.mode == "train":
        next_steps.tell(
            "evaluate the model",
            "train",
            "--mode=eval",
            *next_steps.given(values, "mode"),
        )
    elif can_be_exported:
        picture = os.path.join(values.model_dir, "predictions.png")
        is_there = os.path.exists(picture)
        model = [f"--model_dir={values.model_dir}"]
        if values.checkpoint:  # Then the directory holds no configuration of it.
            not_exporters = ("mode", "model_dir", "tpu", "tf_data_service")
            model = next_steps.given(values, *not_exporters)
        next_steps.tell_of_run(task, picture if is_there else None, *model)
    else:
        next_steps.tell_of_curves(values.model_dir)


def _check_model_dir(path: str) -> None:
    """Raises `UserError` if a path cannot be a model directory."""
    if not path.strip():
        raise UserError(
            "--model_dir is empty: name a directory, which is created if there is none."
        )
    if path.startswith("~"):
        raise UserError(
            f"--model_dir={path} begins with ~, which stands for no folder here: write "
            "the path out, or $HOME in its place."
        )
    if set("*?[\\") & set(path):
        raise UserError(
            f"--model_dir={path} has one of * ? [ \\ in it, which TensorFlow takes for "
            "a pattern when it reads checkpoints: choose another."
        )
    if os.path.lexists(path) and not os.path.isdir(path):
        raise UserError(
            f"--model_dir={path} is a file, or a link to nothing: name a directory, "
            "which is created if there is none."
        )


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return command_line.run(train, define_flags(), argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
