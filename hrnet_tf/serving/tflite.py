"""Writes a model as a .tflite file for phones.

It takes one `image`, uint8 [1, H, W, 3], RGB; the module of each kind lists its
outputs. Normalisation and decoding are inside. All operations are built-in ones.
"""

import re
import tempfile
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError

from hrnet_tf.messages import UserError
from hrnet_tf.serving.formats import QUANTIZATIONS
from hrnet_tf.serving.graphs import MobileModule
from hrnet_tf.serving.metadata import NetworkMetadata
from hrnet_tf.serving.tflite_metadata import add_metadata
from hrnet_tf.serving.tflite_quantization import SIGNATURE, Quantizer

# What may compute with 8 bits, by the names of operations: backbones and decoders, but
# OCR's. Heads and decoding stay in float32, which costs next to nothing: 8-bit heatmaps
# have flat tops, and the first pixel of one is not its middle.
QUANTIZED_PART = ".*/(hrnet|litehrnet|hrnetv2|hrnetv2p|litehrnet_decoder)/.*"


class UnsupportedError(UserError):
    """Something in the model cannot be expressed in TFLite's built-in operations."""


def convert(
    module: MobileModule,
    metadata: NetworkMetadata,
    quantize: str = "none",
    with_maps: bool = False,
    calibration_images: Iterable[np.ndarray] = (),
) -> bytes:
    """Returns the content of a .tflite file.

    Args:
        module: The model.
        metadata: Its description, which goes into the file.
        quantize: One of `QUANTIZATIONS` that .tflite files have. float16 halves the
            file and leaves the arithmetic to the device; dynamic stores 8-bit weights
            and quantises activations as they come; int8 fixes their ranges by
            calibration.
        with_maps: Whether `heatmaps` or `logits` are an output, too.
        calibration_images: For int8: inputs uint8 [H, W, 3] like those that the model
            is to see, from the pipeline of training without augmentation.

    Raises:
        UnsupportedError: If TFLite has no operation for something in the model.
        ValueError: If `quantize` is unknown, or images to calibrate with are missing.
    """
    names = [name for name, formats in QUANTIZATIONS.items() if "tflite" in formats]
    if quantize not in names:
        raise ValueError(
            f"quantize is {quantize!r}; it must be one of {', '.join(names)}."
        )
    if quantize == "int8":
        content = quantizer(module, with_maps, calibration_images).quantized()
    else:
        content = _converted(module, quantize, with_maps)
    return add_metadata(content, metadata)


def quantizer(
    module: MobileModule, with_maps: bool, calibration_images: Iterable[np.ndarray]
) -> Quantizer:
    """Returns what makes 8-bit files of a model; see `convert`."""
    content = _converted(module, "none", with_maps)
    return Quantizer(content, QUANTIZED_PART, calibration_images)


def _converted(module: MobileModule, quantize: str, with_maps: bool) -> bytes:
    """The content of a file without metadata, in float or as the converter shrinks it.

    Raises:
        UnsupportedError: See `convert`.
    """
    function = module.mobile_function(with_maps)
    with tempfile.TemporaryDirectory() as folder:
        # Straight from the function, the converter loses the signatures of some models.
        signatures = {SIGNATURE: function}
        tf.saved_model.save(tf.Module(), folder, signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[SIGNATURE]
        )
        if quantize in ("float16", "dynamic"):
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        try:
            return converter.convert()
        except ConverterError as error:
            raise UnsupportedError(_unsupported(str(error))) from error


def _unsupported(text: str) -> str:
    """The sentence on operations that a converter's long message names."""
    names = sorted(set(re.findall(r"tf\.([A-Z]\w+)", text)))
    what = ", ".join(names) or text.strip().splitlines()[0]
    return (
        f"TFLite's built-in operations do not cover this model: {what}. Export it as "
        "saved_model."
    )
