"""Official PyTorch weights into a TensorFlow model, and the model into a checkpoint.

Nothing is loaded in part by accident: every tensor of the file must find its variable
and every variable its tensor, or there is an error that names those that did not.
"""

import dataclasses
import os
import tempfile
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
import yaml

from hrnet_tf.configs import backbones
from hrnet_tf.weights import official_layout, official_names, official_networks
from hrnet_tf.weights.official_networks import Network
from hrnet_tf.weights.tensor_files import WeightsError, read_tensors

TASKS = (*official_names.TASKS, "backbone")

# Added to every |scale| where a network was trained with InPlaceABN, whose norms
# compute with it in place of the scale itself (sync_bn/inplace_abn in the official
# segmentation repository's first version).
INPLACE_ABN_EPSILON = 1e-5

# In what training code saves beside the network.
_TRAINING_PREFIXES = ("loss.",)

# How many tensors of a kind an error names.
_NAMED = 3


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A network with the weights of a published checkpoint.

    Attributes:
        source: The file.
        network: The model and its parts, weights loaded.
        notes: What was found out or decided on the way, a sentence each.
        left_out: What an allowed partial load left, a line each; else empty.
    """

    source: str
    network: Network
    notes: list[str]
    left_out: list[str]


def load_pytorch_checkpoint(
    path: str,
    task: str | None = None,
    model_id: str | None = None,
    *,
    align_corners: bool | None = None,
    inplace_abn: bool = False,
    allow_partial: bool = False,
) -> Conversion:
    """Builds the network that a checkpoint is of, and loads it.

    Args:
        path: A file of the official repositories, OpenMMLab or timm; see
            `tensor_files.read_tensors`.
        task: One of `TASKS`; None takes what the tensors show. `backbone` takes the
            body alone, of any checkpoint.
        model_id: The variant it should be; None takes what the tensors show.
        align_corners: Whether a segmentation network enlarges its branches with
            aligned corners. None: only official OCR networks do.
        inplace_abn: Whether it was trained with InPlaceABN: official segmentation
            weights for torch 0.4.
        allow_partial: Whether to go on if tensors are missing, left over or of another
            shape. Variables without a tensor keep the values they were drawn with.

    Raises:
        WeightsError: If the file cannot be read, is of no HRNet, not of this task or
            variant, or does not fit the network and `allow_partial` is off.
    """
    raw = read_tensors(path)
    tensors = official_names.to_official_names(raw)
    if tensors is None:
        raise WeightsError(
            f"{path} is not of an HRNet: it has no tensors named conv1.weight and "
            "stage2.0.branches.0.0.conv1.weight, whatever stands before these names. "
            f"It begins with {', '.join(list(raw)[:_NAMED])}."
        )
    notes = []
    requested, task = task, _decide_task(path, tensors, task, notes)
    if align_corners is None:
        is_official = not official_names.is_openmmlab(raw)
        align_corners = is_official and "cls_head.weight" in tensors
        if task == "segmentation":
            notes.append(
                f"Branches are enlarged with{'' if align_corners else 'out'} aligned "
                "corners, as is usual for such a network; the tensors do not tell. "
                "--align_corners or --noalign_corners decides."
            )
    try:
        network = official_networks.build_network(task, tensors, align_corners)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    _check_model_id(path, network, tensors, model_id)
    if inplace_abn:
        tensors = _without_inplace_abn(tensors)
        notes.append("Scales of norms are taken as InPlaceABN does: |scale| + 1e-5.")
    # A body that was asked for comes without its head; one that was merely found, with
    # something unknown beside it, is not taken for granted.
    tensors = _without_the_rest(tensors, requested == "backbone", notes)
    tensors = _add_biases(tensors, network, notes)
    left_out = _differences(tensors, network)
    if left_out and not allow_partial:
        lines = "\n".join(f"  {line}" for line in left_out)
        raise WeightsError(
            f"{path} does not fit the {task} network {network.model_id}:\n{lines}\n"
            f"Nothing was written. {_advice(task)}"
        )
    _assign(tensors, network)
    return Conversion(path, network, notes, left_out)


def write_checkpoint(conversion: Conversion, prefix: str) -> None:
    """Writes PREFIX.index, PREFIX.data-... and PREFIX.yaml, once they are verified.

    The checkpoint is read back and every variable compared, before the files get their
    names. The YAML is a `--config_file` for training and evaluation: it configures the
    model and names the checkpoint as the one to start from.

    Raises:
        WeightsError: If what was read back differs.
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
            file.write(_config_file(conversion, os.path.abspath(prefix)))
        # The index last: a checkpoint exists when its index does.
        for file in sorted(os.listdir(temporary), reverse=True):
            os.replace(os.path.join(temporary, file), os.path.join(folder, file))


def _decide_task(
    path: str,
    tensors: Mapping[str, np.ndarray],
    task: str | None,
    notes: list[str],
) -> str:
    found = official_names.find_task(tensors) or "backbone"
    if task is None:
        notes.append(f"Its tensors are those of a {found} network.")
        return found
    if task not in TASKS:
        raise WeightsError(f"The task is {task!r}; it must be one of {TASKS}.")
    if task not in (found, "backbone"):
        raise WeightsError(
            f"{path} has the tensors of a {found} network, not of a {task} network: "
            f"say --task={found}, or --task=backbone for the body alone."
        )
    return task


def _check_model_id(
    path: str,
    network: Network,
    tensors: Mapping[str, np.ndarray],
    model_id: str | None,
) -> None:
    if model_id is None or model_id == network.model_id:
        return
    known = [*backbones.VARIANTS, backbones.CUSTOM]
    if model_id not in known:
        raise WeightsError(
            f"The model_id is {model_id!r}; it must be one of {', '.join(known)}."
        )
    spec = official_networks.infer_spec(tensors)
    raise WeightsError(
        f"{path} is not of {model_id} but of {network.model_id}: its branches begin "
        f"{spec.width} wide, with {spec.modules} modules in stages 2 to 4. Correct "
        "--model_id or leave it out."
    )


def _without_inplace_abn(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        name: np.abs(tensor) + INPLACE_ABN_EPSILON
        if name.removesuffix(".weight") + ".running_var" in tensors
        and name.endswith(".weight")
        else tensor
        for name, tensor in tensors.items()
    }


def _without_the_rest(
    tensors: Mapping[str, np.ndarray], only_body: bool, notes: list[str]
) -> dict[str, np.ndarray]:
    """Leaves out what training saved beside the network, and the head if unwanted."""
    unwanted = [name for name in tensors if name.startswith(_TRAINING_PREFIXES)]
    if only_body:
        unwanted += [name for name in tensors if not official_names.is_body(name)]
    if unwanted:
        notes.append(f"Left out as no part of the network: {_listed(unwanted)}.")
    return {name: tensor for name, tensor in tensors.items() if name not in unwanted}


def _add_biases(
    tensors: dict[str, np.ndarray], network: Network, notes: list[str]
) -> dict[str, np.ndarray]:
    """Zeros for biases before norms, where the publisher has none of them."""
    biases = official_layout.normed_biases(network.variables)
    if not biases or any(name in tensors for name in biases):
        return tensors
    notes.append(
        f"Published without the biases {_listed(biases)}, which norms make "
        "superfluous: they are zero."
    )
    zeros = {
        name: np.zeros(network.variables[name].shape, np.float32) for name in biases
    }
    return {**tensors, **zeros}


def _differences(tensors: Mapping[str, np.ndarray], network: Network) -> list[str]:
    """One line for each way in which tensors and variables do not go together."""
    wanted = {
        name: official_layout.official_shape(variable.shape)
        for name, variable in network.variables.items()
    }
    missing = [name for name in wanted if name not in tensors]
    unexpected = [name for name in tensors if name not in wanted]
    misshapen = [
        f"{name} is {list(tensors[name].shape)} instead of {list(shape)}"
        for name, shape in wanted.items()
        if name in tensors and tensors[name].shape != shape
    ]
    lines = []
    for kind, names in (
        ("missing", missing),
        ("unexpected", unexpected),
        ("of another shape", misshapen),
    ):
        if names:
            lines.append(f"{len(names)} tensors {kind}: {_listed(names)}")
    return lines


def _advice(task: str) -> str:
    advice = (
        "--task=backbone takes the body alone; --allow_partial takes what fits and "
        "leaves the rest as it is drawn."
    )
    if task == "detection":
        advice += (
            " Detectors' own heads (rpn_head, roi_head, bbox_head, mask_head) have no "
            "counterpart here: with --allow_partial, backbone and pyramid are taken."
        )
    return advice


def _assign(tensors: Mapping[str, np.ndarray], network: Network) -> None:
    for name, variable in network.variables.items():
        tensor = tensors.get(name)
        if tensor is None:
            continue
        value = official_layout.from_official(tensor)
        if value.shape == variable.shape:
            variable.assign(value)


def _verify(path: str, network: Network) -> None:
    """Reads a checkpoint into the network and compares with what it held before."""
    written = {name: variable.numpy() for name, variable in network.variables.items()}
    for variable in network.variables.values():
        variable.assign(tf.fill(variable.shape, float("nan")))
    status = tf.train.Checkpoint(**network.parts).read(path)
    status.assert_consumed()
    for name, value in written.items():
        if not np.array_equal(network.variables[name].numpy(), value):
            raise WeightsError(
                f"The checkpoint read back has another {name} than was written: the "
                "disk may be full or damaged. Nothing is left behind."
            )


def _config_file(conversion: Conversion, prefix: str) -> str:
    network = conversion.network
    modules = {"detection": ["backbone", "decoder"], "backbone": "backbone"}
    config = {
        "task": {
            "init_checkpoint": prefix,
            "init_checkpoint_modules": modules.get(network.task, "all"),
            "model": network.config,
        }
    }
    name = os.path.basename(conversion.source)
    return (
        f"# The {network.task} network of {name}. Give this file to hrnet_tf.train as "
        f"a --config_file.\n{yaml.safe_dump(config, sort_keys=False)}"
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    more = len(names) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown
