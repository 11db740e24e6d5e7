"""Learning rates over a run: what cannot work, and what does not fit its steps.

A schedule made for another number of steps works, only badly: the rate has not fallen
when training ends, or is 0 long before. That is a warning, since it may be meant.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from official.core import config_definitions as cfg
from official.modeling import hyperparams
from official.modeling.optimization import optimizer_factory

_PATH = "trainer.optimizer_config"
# A decay may end a little before training does, at a rate that is meant to be kept.
_SOON = 0.9
# Below this share of the first rate, nothing is learned any more.
_NEGLIGIBLE = 1e-4

_log = logging.getLogger(__name__)


def mistakes(trainer: cfg.TrainerConfig, trains: bool) -> Iterator[str]:
    """Checks learning rates; for training, warns of what does not fit."""
    config = trainer.optimizer_config
    found: list[str] = []
    for name in ("learning_rate", "warmup"):
        section = getattr(config, name)
        if section.type is not None:
            path = f"{_PATH}.{name}.{section.type}"
            found += _null_mistakes(path, section.get())
    yield from found
    if found or config.learning_rate.type is None:
        return
    schedule = config.learning_rate.get()
    path = f"{_PATH}.learning_rate.{config.learning_rate.type}"
    if hasattr(schedule, "boundaries"):
        if config.learning_rate.type == "stepwise":
            found = list(_stepwise_mistakes(path, schedule))
        else:
            found = list(_step_cosine_mistakes(path, schedule, trainer, trains))
        yield from found
    if trains and trainer.train_steps > 0 and not found:
        _warn_of_misfits(trainer, path, schedule)


def _null_mistakes(path: str, section: hyperparams.Config) -> Iterator[str]:
    for key, value in section.as_dict().items():
        values = value if isinstance(value, (list, tuple)) else [value]
        # Only `staircase` may be null, which turns it off.
        if None in values and key != "staircase":
            yield (
                f"{path}.{key} is {'null' if value is None else value}; it must be set."
            )


def _stepwise_mistakes(path: str, schedule: Any) -> Iterator[str]:
    boundaries, values = list(schedule.boundaries), list(schedule.values)
    if len(values) != len(boundaries) + 1:
        yield (
            f"{path}.values has {len(values)} numbers for {len(boundaries)} "
            "boundaries; it must have one more than there are boundaries."
        )
    if boundaries != sorted(set(boundaries)):
        yield f"{path}.boundaries is {boundaries}; it must increase."


def _step_cosine_mistakes(
    path: str, schedule: Any, trainer: cfg.TrainerConfig, trains: bool
) -> Iterator[str]:
    """Checks what the Garden's schedule divides by: the lengths of its pieces."""
    boundaries, values = list(schedule.boundaries), list(schedule.values)
    if len(values) < 2 or len(values) != len(boundaries):
        yield (
            f"{path}.values has {len(values)} numbers for {len(boundaries)} "
            "boundaries; it must have as many as there are boundaries, and 2 or more."
        )
    elif boundaries != sorted(set(boundaries)) or boundaries[0] != 0:
        yield f"{path}.boundaries is {boundaries}; it must begin with 0 and increase."
    elif trains and boundaries[-1] + schedule.offset < trainer.train_steps:
        yield (
            f"{path}.boundaries go up to step {boundaries[-1] + schedule.offset}; the "
            f"last one must be {trainer.train_steps} (trainer.train_steps) or more, "
            "since the Garden's learning rate is not a number from there on."
        )


# ---- what does not fit the run ----


def _warn_of_misfits(trainer: cfg.TrainerConfig, path: str, schedule: Any) -> None:
    steps = trainer.train_steps
    warmup = trainer.optimizer_config.warmup
    warmup_steps = 0 if warmup.type is None else warmup.get().warmup_steps
    if warmup_steps >= steps:
        _log.warning(
            "%s.warmup.%s.warmup_steps is %d, but training ends at step %d: the "
            "learning rate never gets to its full value.",
            _PATH,
            warmup.type,
            warmup_steps,
            steps,
        )
    kind = path.rpartition(".")[2]
    if sentence := _late_offset(kind, schedule, steps, warmup_steps):
        _log.warning("%s.%s", path, sentence)
    else:
        for check in _CHECKS.get(kind, ()):
            if sentence := check(schedule, steps, warmup_steps):
                _log.warning("%s.%s", path, sentence)
    ema = trainer.optimizer_config.ema
    if ema is not None and ema.start_step >= steps:
        _log.warning(
            "%s.ema.start_step is %d, but training ends at step %d: no averages of "
            "weights are made.",
            _PATH,
            ema.start_step,
            steps,
        )


def _late_offset(kind: str, schedule: Any, steps: int, warmup_steps: int) -> str:
    """What the Garden makes of steps before the offset: it goes on with the formula."""
    if kind not in ("cosine", "polynomial", "exponential"):
        return ""
    start, end = warmup_steps, min(schedule.offset, steps)
    if end <= start:
        return ""
    # In a session of its own, since a strategy must be what starts the eager runtime.
    no_gpu = tf.compat.v1.ConfigProto(device_count={"GPU": 0})
    with tf.Graph().as_default(), tf.compat.v1.Session(config=no_gpu) as session:
        rate = optimizer_factory.LR_CLS[kind](**schedule.as_dict())
        rates = session.run([rate(start), rate(end)])
    return (
        f"offset is {schedule.offset}, but the warm-up lasts until step {start}: the "
        f"learning rate is {rates[0]:.3g} there and {rates[1]:.3g} at step {end}."
    )


def _late_boundaries(schedule: Any, steps: int, warmup_steps: int) -> str:
    last = max(schedule.boundaries, default=0) + schedule.offset
    # A cosine ends at its last boundary; a step needs one step more to count.
    if last < steps or (last == steps and 0 in schedule.boundaries):
        return ""
    return f"boundaries go up to step {last}, but training ends at step {steps}."


def _passed_boundaries(schedule: Any, steps: int, warmup_steps: int) -> str:
    steps_at = [boundary + schedule.offset for boundary in schedule.boundaries]
    # A boundary at 0 begins a cosine.
    passed = [step for step in steps_at if step < warmup_steps and step != 0]
    if not passed:
        return ""
    after = f"the learning rate after {len(passed)} of {len(steps_at)} boundaries"
    if warmup_steps == 0:
        return f"boundaries has step {passed[0]}: training begins at {after}."
    return (
        f"boundaries has step {passed[0]}, but the warm-up lasts until step "
        f"{warmup_steps}: it ends at {after}."
    )


def _decay_end(key: str, lowest: str) -> Callable[[Any, int, int], str]:
    """Makes a check of a decay that ends at a step, and stays at `lowest` then."""

    def check(schedule: Any, steps: int, warmup_steps: int) -> str:
        decay_steps = getattr(schedule, key)
        end = decay_steps + schedule.offset
        last = getattr(schedule, lowest) if lowest else 0.0
        if lowest == "alpha":
            last *= schedule.initial_learning_rate
        if last == schedule.initial_learning_rate:
            return ""
        stays = f"{last:g}"
        named = f"{key} is {decay_steps}"
        if schedule.offset:
            named += f" and offset {schedule.offset}"
        if end > steps:
            return (
                f"{named}, but training ends at step {steps}, before the learning rate "
                f"is {stays}."
            )
        if end <= warmup_steps:
            return (
                f"{named}, but the warm-up lasts until step {warmup_steps}: after it "
                f"the learning rate is {stays}."
            )
        if end < _SOON * steps and not getattr(schedule, "cycle", False):
            return (
                f"{named}, but training ends at step {steps}: from step {end} on the "
                f"learning rate is {stays}."
            )
        return ""

    return check


def _exponential(schedule: Any, steps: int, warmup_steps: int) -> str:
    named = f"decay_steps is {schedule.decay_steps}"
    last = steps - max(schedule.offset, 0)
    if schedule.decay_steps > last:
        share = schedule.decay_rate ** max(last / schedule.decay_steps, 0)
        share = 1.0 if schedule.staircase else share
        return (
            f"{named}, but training ends at step {steps}: the learning rate ends at "
            f"{share:.0%} of its first value."
        )
    if schedule.decay_rate ** (_SOON * last / schedule.decay_steps) < _NEGLIGIBLE:
        share = schedule.decay_rate ** (last / schedule.decay_steps)
        return (
            f"{named} and decay_rate {schedule.decay_rate:g}, but training ends at "
            f"step {steps}: the learning rate falls to {share:.1g} of its first value."
        )
    return ""


def _offset_beyond_run(schedule: Any, steps: int, warmup_steps: int) -> str:
    if schedule.offset < steps and schedule.offset <= warmup_steps:
        return ""
    rate = f"pre_offset_learning_rate {schedule.pre_offset_learning_rate:g}"
    until = min(schedule.offset, steps)
    return (
        f"offset is {schedule.offset}, but the warm-up lasts until step "
        f"{warmup_steps}: until step {until} the learning rate is {rate}."
    )


_CHECKS: dict[str, tuple[Callable[[Any, int, int], str], ...]] = {
    "stepwise": (_late_boundaries, _passed_boundaries),
    "step_cosine_with_offset": (_late_boundaries, _passed_boundaries),
    "cosine": (_decay_end("decay_steps", "alpha"),),
    "polynomial": (_decay_end("decay_steps", "end_learning_rate"),),
    "power_linear": (_decay_end("total_decay_steps", ""),),
    "exponential": (_exponential,),
    "power_with_offset": (_offset_beyond_run,),
}
