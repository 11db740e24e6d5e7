"""The range of every number and text of a configuration, stated once and checked once.

A key is looked up by the ends of its dotted path, the longest first:
`optimizer.sgd.momentum`, `sgd.momentum`, `momentum`. What the keys of a run have to do
with each other, and with its files, is checked afterwards by the tasks' modules.
"""

import re
from collections.abc import Iterator
from typing import Any

from hrnet_tf.training.validation.ranges import networks, tasks, trainer
from hrnet_tf.training.validation.ranges.kinds import (
    Range,
    text_mistakes,
    whole_mistakes,
)

RANGES: dict[str, Range] = {
    **trainer.TRAINER,
    **trainer.OPTIMIZERS,
    **trainer.RUNTIME,
    **trainer.DATA,
    **networks.OURS,
    **networks.BACKBONES,
    **networks.DECODERS,
    **networks.MODELS,
    **networks.DETECTORS,
    **tasks.POSE,
    **tasks.SEGMENTATION,
    **tasks.LOSSES_AND_SCORES,
    **tasks.PARSERS,
    **tasks.AUGMENTERS,
}


def range_of(path: str) -> Range | None:
    """What the key `path` may hold; None if it is not stated."""
    end = re.sub(r"\[\d+\]", "", path)
    while end not in RANGES:
        _, dot, end = end.partition(".")
        if not dot:
            return None
    return RANGES[end]


def value_mistakes(path: str, value: Any) -> Iterator[str]:
    """Yields a sentence if the value of the key `path` is not in its range."""
    stated = range_of(path)
    if unfit := list(text_mistakes(path, value)):
        yield from unfit
    elif stated is not None and (wrong := list(stated.mistakes(path, value))):
        yield from wrong
    else:
        yield from whole_mistakes(path, value)
