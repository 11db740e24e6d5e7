"""Official PyTorch weights into a TensorFlow model, and the model into a checkpoint.

No network is loaded in part by accident: a tensor of the file without a variable, or a
variable without a tensor, is an error that names it.
"""

import dataclasses
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import yaml

from hrnet_tf.configs import backbones, variants
from hrnet_tf.messages import listed, shown
from hrnet_tf.weights import (
    official_layout,
    official_names,
    official_networks,
    official_specs,
)
from hrnet_tf.weights.errors import WeightsError
from hrnet_tf.weights.official_networks import Network
from hrnet_tf.weights.saved_states import choose_network, choose_state
from hrnet_tf.weights.tensor_files import read_tensors

# InPlaceABN's norms compute with |scale| + epsilon in place of the scale
# (sync_bn/inplace_abn in the official segmentation repository's first version).
_INPLACE_ABN_EPSILON = 1e-5

# Of a weight, and of the standard deviation in a norm. Networks stay far below; a wrong
# bit in an exponent seldom does.
_LARGEST = 1_000_000

# How the official code of faces makes targets, and evaluates.
_OFFICIAL_FACES = {
    "codec": {"name": "msra_floor"},
    "evaluation": {"flip_test": False},
}

# How the names begin of what training code saves beside the network.
_TRAINING_PREFIXES = (
    "loss.",
    "criterion.",
    "optimizer",
    "scheduler",
    "lr_scheduler",
    "scaler",
    "amp_scaler",
)


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A network with the weights of a published checkpoint."""

    source: str  # the file
    network: Network
    notes: list[str]  # what was found out or decided on the way
    left_out: list[str]  # what an allowed partial load left out
    # Fields of the task, beside those of its model, that its publisher's code shows.
    usage: dict[str, Any] = dataclasses.field(default_factory=dict)


def load_pytorch_checkpoint(
    path: str,
    task: str | None = None,
    model_id: str | None = None,
    *,
    state: str | None = None,
    prefix: str | None = None,
    align_corners: bool | None = None,
    inplace_abn: bool = False,
    allow_partial: bool = False,
) -> Conversion:
    """Builds the network whose weights a checkpoint holds, and loads them.

    The flags of `hrnet_tf.convert_weights` describe the arguments; None stands for what
    the tensors show.

    Raises:
        WeightsError: If the file cannot be read or holds no HRNet, if its task or
            variant is another, if it does not fit the network and `allow_partial` is
            off, or if weights are NaN or infinite.
    """
    notes: list[str] = []
    raw = choose_state(path, read_tensors(path), state, notes)
    raw = choose_network(path, raw, prefix)
    choice = list(notes)
    tensors = official_names.to_official_names(raw)
    if tensors is None:
        raise WeightsError(
            f"{path} is not of an HRNet: it has no tensors whose names end in "
            "conv1.weight and stage2.0.branches.0.0.conv1.weight, as HRNet's do, or in "
            "stem.conv1.conv.weight and stage0.0.fuse_layers.0.1.0.weight, as "
            "Lite-HRNet's do. It begins with "
            f"{', '.join(map(shown, list(raw)[:3]))}."
        )
    requested, task = task, _decide_task(path, tensors, task, notes)
    if align_corners is None:
        is_official = not official_names.is_openmmlab(raw)
        align_corners = is_official and "cls_head.weight" in tensors
        if task == "segmentation":
            notes.append(
                f"Branches are enlarged with{'' if align_corners else 'out'} aligned "
                "corners, as is usual for such a network. Tensors do not show it: use "
                "--align_corners or --noalign_corners if you know better."
            )
    try:
        network = official_networks.build_network(task, tensors, align_corners)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    _check_model_id(path, network, tensors, model_id)
    if inplace_abn:
        tensors = _without_inplace_abn(tensors)
        notes.append("Scales of norms are taken as InPlaceABN does: |scale| + 1e-5.")
    # The head is dropped only if a body was asked for. Unknown tensors beside a body
    # that was merely found are an error.
    tensors = _without_the_rest(tensors, network, requested == "backbone", notes)
    tensors = _add_biases(tensors, network, notes)
    left_out = _differences(tensors, network)
    if left_out and not allow_partial:
        raise WeightsError(
            f"{path} does not fit the {task} network {network.model_id}: "
            f"{'; '.join(left_out)}. Nothing was written. "
            f"{' '.join([_advice(task, tensors, network), *choice])}"
        )
    _check_numbers(path, tensors, network, choice)
    _assign(tensors, network)
    usage = {}
    if network.finds_faces and official_names.is_openmmlab(raw):
        notes.append(
            "It finds landmarks of faces, with the codec msra unless its publisher "
            "names dark or udp: set task.codec.name then."
        )
    elif network.finds_faces:
        usage = _OFFICIAL_FACES
        notes.append(
            "It finds landmarks of faces, with the codec msra_floor, as its official "
            "code does."
        )
    return Conversion(path, network, notes, left_out, usage)


def write_checkpoint(conversion: Conversion, prefix: str) -> None:
    """Writes PREFIX.index, PREFIX.data-... and PREFIX.yaml, once they are verified.

    The checkpoint is read back and every variable compared before the files get their
    names. The YAML is a `--config_file` for training and evaluation: it configures the
    model and names the checkpoint to start from.

    Raises:
        WeightsError: If a variable differs when it is read back.
        OSError: If the files cannot be written.
    """
    network = conversion.network
    folder, name = os.path.split(os.path.abspath(prefix))
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as temporary:
        draft = os.path.join(temporary, name)
        tf.train.Checkpoint(**network.parts).write(draft)
        _verify(draft, network)
        with open(f"{draft}.yaml", "w", encoding="utf-8") as file:
            file.write(_config_file(conversion, name))
        # The index last: a checkpoint exists when its index does.
        for written in sorted(os.listdir(temporary), reverse=True):
            os.replace(os.path.join(temporary, written), os.path.join(folder, written))


def _decide_task(
    path: str, tensors: Mapping[str, np.ndarray], task: str | None, notes: list[str]
) -> str:
    found = official_names.find_task(tensors) or "backbone"
    if task is None:
        notes.append(f"Its tensors are those of a {found} network.")
        return found
    if task not in official_names.TASKS:
        raise WeightsError(
            f"The task is {task!r}; it must be {' or '.join(official_names.TASKS)}."
        )
    if found == "backbone" != task:
        raise WeightsError(
            f"{path} has the tensors of a body without the head of a {task} network: "
            "use --task=backbone."
        )
    if task not in (found, "backbone"):
        raise WeightsError(
            f"{path} has the tensors of a {found} network, not of a {task} network: "
            f"use --task={found}, or --task=backbone for the body alone."
        )
    return task


def _check_model_id(
    path: str, network: Network, tensors: Mapping[str, np.ndarray], model_id: str | None
) -> None:
    if model_id is None or model_id == network.model_id:
        return
    known = [*variants.ALL_VARIANTS, variants.CUSTOM]
    if model_id not in known:
        raise WeightsError(
            f"The model_id is {model_id!r}; it must be one of {', '.join(known)}."
        )
    spec = official_specs.infer_spec(tensors)
    blocks = ""
    if isinstance(spec, backbones.LiteHRNetSpec):
        blocks = f" of {spec.block} blocks"
    raise WeightsError(
        f"{path} is not of {model_id} but of {network.model_id}: its branches begin "
        f"{spec.width} wide, with {spec.modules} modules{blocks} in stages 2 to 4. "
        "Correct --model_id or leave it out."
    )


def _without_inplace_abn(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        name: np.abs(tensor) + _INPLACE_ABN_EPSILON
        if name.removesuffix(".weight") + ".running_var" in tensors
        and name.endswith(".weight")
        else tensor
        for name, tensor in tensors.items()
    }


def _without_the_rest(
    tensors: Mapping[str, np.ndarray],
    network: Network,
    only_body: bool,
    notes: list[str],
) -> dict[str, np.ndarray]:
    """Drops what training saved beside the network, and all but the body if asked.

    Whole numbers that the network does not have are counters and tables of training.
    """
    unwanted = [name for name in tensors if name.startswith(_TRAINING_PREFIXES)]
    unwanted += [
        name
        for name, tensor in tensors.items()
        if tensor.dtype != np.float32 and name not in network.variables
    ]
    if only_body:
        unwanted += [name for name in tensors if not official_names.is_body(name)]
    # Counters are nothing to miss.
    told = [shown(name) for name in dict.fromkeys(unwanted) if tensors[name].ndim]
    if told:
        notes.append(f"Left out as no part of the network: {listed(told)}.")
    return {name: tensor for name, tensor in tensors.items() if name not in unwanted}


def _add_biases(
    tensors: dict[str, np.ndarray], network: Network, notes: list[str]
) -> dict[str, np.ndarray]:
    """Adds zeros for biases before norms if the publisher left them all out."""
    biases = official_layout.normed_biases(network.variables)
    if not biases or any(name in tensors for name in biases):
        return tensors
    notes.append(
        f"Published without the biases {listed(biases)}, which norms make "
        "superfluous: they are set to zero."
    )
    zeros = {
        name: np.zeros(network.variables[name].shape, np.float32) for name in biases
    }
    return {**tensors, **zeros}


def _differences(tensors: Mapping[str, np.ndarray], network: Network) -> list[str]:
    """One line for each way in which tensors and variables do not match."""
    wanted = {
        name: official_layout.official_shape(variable)
        for name, variable in network.variables.items()
    }
    missing = [shown(name) for name in wanted if name not in tensors]
    unexpected = [shown(name) for name in tensors if name not in wanted]
    misshapen = [
        f"{shown(name)} is {list(tensors[name].shape)} instead of {list(shape)}"
        for name, shape in wanted.items()
        if name in tensors and tensors[name].shape != shape
    ]
    mistyped = [
        f"{shown(name)} is {tensor.dtype} instead of floating-point"
        for name, tensor in tensors.items()
        if name in wanted and tensor.dtype != np.float32
    ]
    kinds = {
        "missing": missing,
        "unexpected": unexpected,
        "of another shape": misshapen,
        "of another type": mistyped,
    }
    return [
        f"{len(names)} tensor{'s' if len(names) > 1 else ''} {kind}: {listed(names)}"
        for kind, names in kinds.items()
        if names
    ]


def _advice(task: str, tensors: Mapping[str, np.ndarray], network: Network) -> str:
    if any(
        tensors[name].dtype != np.float32
        for name in network.variables.keys() & tensors.keys()
    ):
        return (
            "Save weights as floating-point numbers: quantized ones with "
            "tensor.dequantize(), others with tensor.float()."
        )
    advice = (
        "--task=backbone takes the body alone; --allow_partial takes what fits and "
        "leaves the rest at its initial values."
    )
    if task == "detection":
        advice += (
            " The heads of detectors (rpn_head, roi_head, bbox_head, mask_head) have "
            "no counterpart here: --allow_partial takes backbone and pyramid."
        )
    return advice


def _fitting(
    tensors: Mapping[str, np.ndarray], network: Network
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields what the network takes, in its own layout."""
    for name, variable in network.variables.items():
        tensor = tensors.get(name)
        if tensor is None or tensor.dtype != np.float32:
            continue
        value = official_layout.from_official(tensor, variable)
        if value.shape == variable.shape:
            yield name, value


def _check_numbers(
    path: str, tensors: Mapping[str, np.ndarray], network: Network, choice: list[str]
) -> None:
    bad = []
    for name, value in _fitting(tensors, network):
        usable = np.abs(value) <= _LARGEST
        if name.endswith("running_var"):
            usable = (value >= 0) & (value <= _LARGEST**2)
        if count := value.size - np.count_nonzero(usable):
            bad.append(f"{name} ({count} of {value.size} numbers)")
    if bad:
        raise WeightsError(
            " ".join(
                [
                    f"{path} has weights that no trained network has (NaN or infinite, "
                    f"beyond {_LARGEST:,}, or negative variances) in {listed(bad)}; "
                    "nothing was written: the file is damaged, or its training "
                    "diverged. Download it again, or take an earlier checkpoint.",
                    *choice,
                ]
            )
        )


def _assign(tensors: Mapping[str, np.ndarray], network: Network) -> None:
    for name, value in _fitting(tensors, network):
        network.variables[name].assign(value)


def _verify(path: str, network: Network) -> None:
    """Reads a checkpoint back and compares it with what the network held before."""
    written = {name: variable.numpy() for name, variable in network.variables.items()}
    for variable in network.variables.values():
        variable.assign(tf.fill(variable.shape, float("nan")))
    status = tf.train.Checkpoint(**network.parts).read(path)
    status.assert_consumed()
    for name, value in written.items():
        if not np.array_equal(network.variables[name].numpy(), value):
            raise WeightsError(
                f"The checkpoint read back has another {name} than was written: the "
                "disk may be full or damaged. The checkpoint is removed again."
            )


def _config_file(conversion: Conversion, checkpoint: str) -> str:
    network = conversion.network
    modules = {"detection": ["backbone", "decoder"], "backbone": "backbone"}
    config = {
        "task": {
            # From the folder of this file, so that both can be moved.
            "init_checkpoint": f"./{checkpoint}",
            "init_checkpoint_modules": modules.get(network.task, "all"),
            "model": network.config,
            **conversion.usage,
        }
    }
    name = os.path.basename(conversion.source)
    return (
        f"# The {network.task} network of {name}. Give this file to hrnet_tf.train as "
        f"a --config_file.\n{yaml.safe_dump(config, sort_keys=False)}"
    )
