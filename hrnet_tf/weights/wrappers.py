"""Names that training scripts put before those of a network's weights."""

import re

# Models around a model, which leave their names anywhere in those of its weights:
# DataParallel, torch.compile, DeepSpeed, FSDP and activation checkpointing.
_MODELS_AROUND = {
    "module",
    "_orig_mod",
    "_forward_module",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
}

# Words of keys such as state_dict_ema, model_state, EMAModel and net.
_AVERAGE = {"ema", "swa", "avg", "average", "averaged", "averages", "shadow"}
_MODEL = {"state", "dict", "model", "module", "net", "network", "params", "weights"}

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def unwrapped(name: str) -> str:
    """The name of a tensor as it is without wrappers such as DataParallel."""
    parts = name.split(".")
    return ".".join(part for part in parts if part not in _MODELS_AROUND)


def is_average(key: str) -> bool:
    """Whether a key says that what it holds is averaged over the training."""
    return not _words(key).isdisjoint(_AVERAGE)


def is_wrapper(key: str) -> bool:
    """Whether a key holds a whole model's weights, or their averages."""
    words = _words(key)
    return bool(words) and words <= _AVERAGE | _MODEL


def _words(key: str) -> set[str]:
    return {word.lower() for word in _WORDS.findall(key)}
