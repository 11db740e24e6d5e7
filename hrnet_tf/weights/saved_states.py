"""Chooses which weights are taken of a file that holds several.

They may be a model's own and their averages, or those of several networks.

Training scripts average weights over the last steps, and keep the averages beside the
model's own weights under keys such as `state_dict_ema`, `model_ema` and `ema`.
"""

from collections.abc import Iterable

import numpy as np

from hrnet_tf.messages import listed, shown
from hrnet_tf.weights import official_names, wrappers
from hrnet_tf.weights.errors import WeightsError

Tensors = dict[str, np.ndarray]

# What mmengine's EMAHook saves beside `state_dict`. It swaps the two, so that whoever
# loads `state_dict` gets the averages. No other averages count their steps so.
_SWAPPED = "ema_state_dict."
_PROOF_OF_SWAP = "ema_state_dict.steps"


def choose_state(
    path: str, saved: Tensors, state: str | None, notes: list[str]
) -> Tensors:
    """The tensors of one state of a model, without wrappers around their names.

    Args:
        path: The file, for messages.
        saved: All of its tensors.
        state: One of `official_names.STATES`; None for the averages if there are any.
        notes: Is told what was taken where there was a choice.

    Raises:
        WeightsError: If the file has no such state, or two tensors have one name.
    """
    tensors = _unwrapped(path, saved)
    own, averages = _states(tensors)
    places = {"model": _place(own), "ema": _place(averages)}
    if _PROOF_OF_SWAP in tensors:
        own, averages = averages, own
        places = {"model": places["ema"], "ema": places["model"]}
    states = {
        name: held
        for name, held in (("ema", averages), ("model", own))
        if official_names.body_prefixes(held)
    }
    if not states:
        return tensors
    if state is None:
        state = next(iter(states))
    if state not in states:
        held = "averaged weights" if state == "ema" else "weights but averaged ones"
        raise WeightsError(f"{path} holds no {held}: leave out --state={state}.")
    if "ema" in states:
        notes.append(_note(state, len(states) > 1, places))
    return _without_copies(_without_wrappers(states[state]), notes)


def choose_network(path: str, tensors: Tensors, prefix: str | None) -> Tensors:
    """The tensors of one network of a file.

    Args:
        path: The file, for messages.
        tensors: Those of one state.
        prefix: What the names of the network's tensors begin with, up to a dot; None if
            there is but one.

    Raises:
        WeightsError: If there are several and none is named, or none of that name.
    """
    found = official_names.network_prefixes(tensors)
    if not found or (prefix is None and len(found) == 1):
        return tensors
    networks = {name.removesuffix("."): name for name in found}
    chosen = None if prefix is None else networks.get(prefix.removesuffix("."))
    if chosen is None:
        names = listed([shown(name) for name in networks], most=10)
        fault = f"{len(networks)} networks, whose tensors' names begin with {names}"
        if prefix is not None:
            fault = f"no network under {shown(prefix)}, only under {names}"
        raise WeightsError(
            f"{path} holds {fault}: name the one to take, for example with "
            f"--prefix={shown(max(networks, key=len))}."
        )
    others = tuple(name for name in found if len(name) > len(chosen))
    return {
        name: tensor
        for name, tensor in tensors.items()
        if name.startswith(chosen) and not name.startswith(others)
    }


def _unwrapped(path: str, saved: Tensors) -> Tensors:
    tensors: Tensors = {}
    origins: dict[str, str] = {}
    for name, tensor in saved.items():
        short = wrappers.unwrapped(name)
        if short in origins:
            raise WeightsError(
                f"{path} holds {short} twice, as {origins[short]} and as {name}: save "
                "one of the two models in a file of its own."
            )
        origins[short], tensors[short] = name, tensor
    return tensors


def _states(tensors: Tensors) -> tuple[Tensors, Tensors]:
    """Divides tensors into a model's own and, by what stands before them, averages."""
    roots = tuple(
        {root for prefix in official_names.body_prefixes(tensors)
         if (root := _average_root(prefix))}
    )  # fmt: skip
    own = {name: value for name, value in tensors.items() if not name.startswith(roots)}
    return own, {name: tensors[name] for name in tensors if name not in own}


def _average_root(prefix: str) -> str:
    """The part of a prefix up to the first key that names averages; '' if none does."""
    parts = prefix.split(".")
    for count, part in enumerate(parts, start=1):
        if wrappers.is_average(part):
            return ".".join(parts[:count]) + "."
    return ""


def _place(tensors: Tensors) -> str:
    """Under which key a state is found, as messages say it."""
    prefix = _common_wrapper(tensors)
    return f"under {prefix}" if prefix else "without a key"


def _note(state: str, is_choice: bool, places: dict[str, str]) -> str:
    kinds = {"ema": "averages of the weights", "model": "model's own weights"}
    taken = f"Took the {kinds[state]}, {places[state]}"
    if not is_choice:
        return f"{taken}: there are no others."
    other = "model" if state == "ema" else "ema"
    return f"{taken}; --state={other} takes the {kinds[other]}, {places[other]}."


def _common_wrapper(names: Iterable[str]) -> str:
    """The key that all names begin with, if it is one that wraps a model; else ''."""
    firsts = {first for first, dot, _ in (name.partition(".") for name in names) if dot}
    (first,) = firsts if len(firsts) == 1 else ("",)
    return first if wrappers.is_wrapper(first) else ""


def _without_wrappers(tensors: Tensors) -> Tensors:
    while wrapper := _common_wrapper(tensors):
        tensors = {
            name.removeprefix(f"{wrapper}."): tensor for name, tensor in tensors.items()
        }
    return tensors


def _without_copies(tensors: Tensors, notes: list[str]) -> Tensors:
    """Leaves out the second set of weights of OpenMMLab's older EMAHook.

    It has no dots in its names and is the averages or the model's own: which one,
    depends on whether the checkpoint was written at an epoch's end.
    """
    flat = {"ema_" + name.replace(".", "_") for name in tensors if "." in name}
    copies = [name for name in tensors if name in flat]
    if copies:
        notes.append(
            f"Left out as another state of the model, which OpenMMLab's older EMAHook "
            f"keeps: {listed(copies)}."
        )
    return {name: tensors[name] for name in tensors if name not in copies}
