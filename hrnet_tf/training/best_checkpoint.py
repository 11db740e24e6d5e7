"""The best checkpoint of a run, and info.json, which says how good it is.

The Garden writes info.json first: killed between the two, it would take the score of a
checkpoint that was never saved for that of the one before. Here both change together.

A training and continuous evaluations may keep one best checkpoint together: the folder
has a lock, held while one of them saves.
"""

import contextlib
import logging
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from official.core import config_definitions as cfg
from official.core import train_utils

from hrnet_tf.input_files import MISSING, InputFileError, names_in, read_json
from hrnet_tf.messages import UserError
from hrnet_tf.training import run_files, run_lock, workers
from hrnet_tf.training.actions import is_scalar
from hrnet_tf.training.checkpoints import saved_step
from hrnet_tf.training.run_files import write_json
from hrnet_tf.weights import whole_checkpoints

INFO_FILE = "info.json"
# The info of a checkpoint that is being saved.
_NEXT_FILE = "info.next.json"
_STEP = "best_ckpt_global_step"
# How long another process may take for its save.
_PATIENCE = 60.0  # seconds

_log = logging.getLogger(__name__)


class BestCheckpointError(UserError):
    """An info.json that does not say how good the best checkpoint is."""


class Exporter(train_utils.BestCheckpointExporter):
    """Saves the best checkpoint so far, whole and with its own info, or not at all."""

    _best_ckpt_logs: Mapping[str, Any] | None

    def __init__(
        self,
        export_dir: str,
        trainer: cfg.TrainerConfig,
        best: Mapping[str, Any] | None,
        check_kept: Callable[[], None],
    ):
        metric = trainer.best_checkpoint_eval_metric
        super().__init__(export_dir, metric, trainer.best_checkpoint_metric_comp)
        self._metric = metric
        self._best_ckpt_logs = best
        self._latest: Mapping[str, Any] = {}
        self._check_kept = check_kept

    @property
    def best_ckpt_logs(self) -> Mapping[str, Any]:
        """How good the best checkpoint is; if there is none yet, the latest."""
        best = self._best_ckpt_logs
        return self._latest if best is None else best

    def maybe_export_checkpoint(
        self,
        checkpoint: tf.train.Checkpoint,
        eval_logs: Mapping[str, Any],
        global_step: int,
        write_logs: bool = True,
    ) -> bool:
        self._latest = eval_logs
        self._check_kept()
        # Several workers save together, and so must know the same.
        are_several = workers.are_several(tf.distribute.get_strategy())
        try:
            with run_lock.held(self._export_dir, _PATIENCE):
                if not are_several:
                    self._look_again()
                return self._save_if_best(checkpoint, eval_logs, global_step)
        except run_lock.LockedError as error:
            if are_several:
                raise
            _log.warning("The best checkpoint is left as it is: %s", error)
            return False

    def _look_again(self) -> None:
        """Sees what another process may have saved since."""
        # Otherwise its own knowledge is as good as any.
        with contextlib.suppress(BestCheckpointError):
            self._best_ckpt_logs = _repaired(self._export_dir, self._metric)
        self._checkpoint_manager = None

    def _save_if_best(
        self,
        checkpoint: tf.train.Checkpoint,
        eval_logs: Mapping[str, Any],
        global_step: int,
    ) -> bool:
        best = self._best_ckpt_logs
        if best is not None and not self._new_metric_is_better(best, eval_logs):
            return False
        content = {
            name: float(value) for name, value in eval_logs.items() if is_scalar(value)
        }
        pending = os.path.join(self._export_dir, _NEXT_FILE)
        write_json(pending, {**content, _STEP: int(global_step)})
        # A name of its own: what is there stays whole until the new one is.
        manager = self._get_checkpoint_manager(checkpoint)
        manager.save(checkpoint_number=_next_number(self._export_dir))
        tf.io.gfile.rename(pending, self.best_ckpt_logs_path, overwrite=True)
        self._best_ckpt_logs = eval_logs
        return True

    def _maybe_load_best_eval_metric(self) -> None:
        """Knows of none; `exporter` tells."""


def exporter(
    params: cfg.ExperimentConfig,
    model_dir: str,
    worker_dir: str,
    check_kept: Callable[[], None] = lambda: None,
) -> Exporter | None:
    """The exporter that a run is configured to have.

    It saves into `worker_dir`, which is `model_dir` or, for workers that do not write
    there, another; the best checkpoint so far is that in `model_dir` for all.
    `check_kept` raises an error if nothing may be saved any more.
    """
    trainer = params.trainer
    subdir, metric = (
        trainer.best_checkpoint_export_subdir,
        trainer.best_checkpoint_eval_metric,
    )
    if not subdir or not metric:
        return None
    folder = os.path.join(model_dir, subdir)
    if worker_dir == model_dir:
        with run_lock.held(folder, _PATIENCE):
            info = _repaired(folder, metric)
    else:
        info = _known(folder, metric)
    return Exporter(os.path.join(worker_dir, subdir), trainer, info, check_kept)


def _repaired(folder: str, metric: str) -> dict[str, Any] | None:
    """As `_known`, when interrupted saves have been finished or taken back."""
    run_files.remove_leftovers(folder)
    surveyed = whole_checkpoints.survey(folder)
    whole_checkpoints.tell(surveyed)
    whole_checkpoints.repair(surveyed)
    _finish(folder)
    return _known(folder, metric)


def _known(folder: str, metric: str) -> dict[str, Any] | None:
    """How good the best checkpoint is, if there is one and that is known."""
    surveyed = whole_checkpoints.survey(folder)
    info = read_info(folder, metric)
    unknown = f"no {INFO_FILE} says how good {surveyed.newest} is"
    if info is None:
        problem = surveyed.newest and unknown
    elif surveyed.prefix is None:
        problem = "the best checkpoint is damaged or missing"
    else:
        step = saved_step(surveyed.prefix)
        problem = None if info.get(_STEP, step) == step else unknown
    if not problem:
        return info
    _log.warning(
        "%s: %s; the next evaluation's checkpoint becomes the best.", folder, problem
    )
    return None


def read_info(folder: str, metric: str) -> dict[str, Any] | None:
    """How good the best checkpoint is; None before there is one.

    Raises:
        BestCheckpointError: If its file cannot tell.
    """
    path = os.path.join(folder, INFO_FILE)
    for name in (_NEXT_FILE, INFO_FILE):
        content = _read(os.path.join(folder, name))
        if name == _NEXT_FILE and not _is_saved(folder, content):
            continue
        if content is None:
            return None
        try:
            value = train_utils.get_leaf_nested_dict(content, metric.split("|"))
        except (KeyError, TypeError):
            value = None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            # Whatever comes next is better than what is no number.
            return content if math.isfinite(value) else None
        break
    raise BestCheckpointError(
        f"{path} must be the JSON file that training writes, with a number for "
        f"{metric} (trainer.best_checkpoint_eval_metric). Put back a copy, or delete "
        "it: then the next evaluation's checkpoint takes the place of the best one."
    )


def _read(path: str) -> Any:
    """A JSON file; None if it is not there, and an empty object if it is damaged."""
    try:
        content = read_json(path)
    except InputFileError as error:
        return None if error.fault == MISSING else {}
    return content if isinstance(content, dict) else {}


def _is_saved(folder: str, pending: Any) -> bool:
    """Whether the checkpoint that a pending info is about was saved after all."""
    best = whole_checkpoints.survey(folder).prefix if pending else None
    return best is not None and saved_step(best) == pending.get(_STEP)


def _finish(folder: str) -> None:
    """Finishes, or takes back, a save that was interrupted."""
    pending = os.path.join(folder, _NEXT_FILE)
    if not tf.io.gfile.exists(pending):
        return
    if _is_saved(folder, _read(pending)):
        info = os.path.join(folder, INFO_FILE)
        tf.io.gfile.rename(pending, info, overwrite=True)
    else:
        tf.io.gfile.remove(pending)


def _next_number(folder: str) -> int:
    """A number above those of all checkpoints in the folder, whole or not."""
    stems = [name.partition(".")[0].rpartition("-")[2] for name in names_in(folder)]
    return max((int(stem) for stem in stems if stem.isdecimal()), default=0) + 1
