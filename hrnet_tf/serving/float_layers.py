"""Which layers of an 8-bit .tflite file stay in float: chosen by what was measured.

Layers are ordered by what each loses when it alone has 8 bits. As many of the worst as
it takes stay in float, until the file loses no more than it may of the checkpoint's AP,
mIoU or whatever evaluations compute.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from hrnet_tf.messages import UserError
from hrnet_tf.output_files import write_json
from hrnet_tf.serving.formats import AUTO
from hrnet_tf.serving.metadata import NetworkMetadata
from hrnet_tf.serving.tflite_metadata import add_metadata
from hrnet_tf.serving.tflite_quantization import Damage, Layer, Quantizer
from hrnet_tf.serving.verification import VerificationError

# Inputs that the damage is measured with, and rows of the report that are printed.
_MEASURED = 4
_PRINTED = 20
# The number of layers in float is as small as it can be, but for one in so many.
_PRECISION = 8


@dataclasses.dataclass(frozen=True)
class Int8:
    """How an 8-bit file is made.

    Attributes:
        images: Inputs uint8 [H, W, 3] to calibrate with.
        float_layers: How many of the most damaging layers stay in float, or `AUTO`.
        is_reported: Whether what each layer loses is told.
    """

    images: Sequence[np.ndarray]
    float_layers: int | str = 0
    is_reported: bool = False


def write(
    path: str,
    quantizer: Quantizer,
    metadata: NetworkMetadata,
    wanted: Int8,
    loss: Callable[[], float],
    max_loss: float,
) -> list[Damage]:
    """Writes the file, and tells which layers stay in float and why.

    Args:
        path: Where to.
        quantizer: Makes it.
        metadata: Its description.
        wanted: How it is made.
        loss: Says what the file at `path` loses, when layers are chosen by it.
        max_loss: What it may lose.

    Returns:
        What each layer loses, the most damaging first; nothing if nobody asks.

    Raises:
        UserError: If there are not so many layers.
        VerificationError: If it loses more with all layers in float.
    """

    def write_with(in_float: Sequence[Layer]) -> None:
        names = [layer.name for layer in in_float]
        described = dataclasses.replace(metadata, float_layers=names or None)
        with open(path, "wb") as file:
            file.write(add_metadata(quantizer.quantized(in_float), described))

    def loss_with(in_float: Sequence[Layer]) -> float:
        write_with(in_float)
        lost = loss()
        print(f"{len(in_float)} of {total} layers in float: {lost:.4f} lost.")
        return lost

    total = len(quantizer.layers)
    if wanted.float_layers != AUTO and int(wanted.float_layers) > total:
        raise UserError(
            f"--float_layers={wanted.float_layers} is too large; {total} layers of "
            "this model can have 8 bits."
        )
    damage: list[Damage] = []
    if wanted.float_layers or wanted.is_reported:
        step = max(len(wanted.images) // _MEASURED, 1)
        damage = quantizer.damage(wanted.images[::step][:_MEASURED])
    if wanted.is_reported:
        _print_worst(damage)
    ranked = [layer for layer, _ in damage]
    if wanted.float_layers == AUTO:
        write_with(choose(ranked, loss_with, max_loss))
    else:
        write_with(ranked[: int(wanted.float_layers)])
    return damage


def choose(
    ranked: Sequence[Layer],
    loss_with: Callable[[Sequence[Layer]], float],
    max_loss: float,
) -> Sequence[Layer]:
    """The worst layers, hardly more than it takes.

    Args:
        ranked: All layers, the most damaging first.
        loss_with: What is lost with some of them in float.
        max_loss: What may be lost.

    Raises:
        VerificationError: If that is lost without 8 bits, too.
    """
    enough, too_few = 0, -1
    while loss_with(ranked[:enough]) > max_loss:
        if enough == len(ranked):
            raise VerificationError(
                f"The exported model loses more than {max_loss:g} with all layers in "
                "float, so that 8 bits are not to blame; nothing was written."
            )
        enough, too_few = min(max(2 * enough, 1), len(ranked)), enough
    while enough - too_few > max(enough // _PRECISION, 1):
        middle = (enough + too_few) // 2
        if loss_with(ranked[:middle]) > max_loss:
            too_few = middle
        else:
            enough = middle
    return ranked[:enough]


def _print_worst(damage: Sequence[Damage]) -> None:
    count = min(_PRINTED, len(damage))
    print(
        "What layers lose with 8 bits, each alone (error of what the 8-bit part hands"
    )
    print(f"on, as a share of its standard deviation); the worst {count} of them:")
    for layer, error in damage[:_PRINTED]:
        print(f"{error:8.4f}  {layer.kind:18} {layer.name.split(';')[0]}")


def write_report(path: str, damage: Sequence[Damage]) -> None:
    """Writes what each layer loses, as JSON."""
    rows = [
        {"layer": layer.name, "kind": layer.kind, "error": error}
        for layer, error in damage
    ]
    write_json(path, rows)
