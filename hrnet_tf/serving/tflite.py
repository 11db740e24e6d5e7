"""Writes a model as a .tflite file for phones.

It takes one `image`, uint8 [1, H, W, 3], RGB; the module of each kind lists its
outputs. Normalisation and decoding are inside. All operations are built-in ones.
"""

import contextlib
import io
import re
import tempfile
import warnings
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError

from hrnet_tf.messages import UserError
from hrnet_tf.serving.formats import QUANTIZATIONS
from hrnet_tf.serving.graphs import MobileModule
from hrnet_tf.serving.metadata import NetworkMetadata
from hrnet_tf.serving.tflite_metadata import add_metadata

_SIGNATURE = "serving_default"


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
    function = module.mobile_function(with_maps)
    with tempfile.TemporaryDirectory() as folder:
        # Straight from the function, the converter loses the signatures of some models.
        signatures = {_SIGNATURE: function}
        tf.saved_model.save(tf.Module(), folder, signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[_SIGNATURE]
        )
        if quantize in ("float16", "dynamic"):
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        try:
            content = converter.convert()
        except ConverterError as error:
            raise UnsupportedError(_unsupported(str(error))) from error
    if quantize == "int8":
        content = _quantize(content, module.quantized_part, calibration_images)
    return add_metadata(content, metadata)


def _unsupported(text: str) -> str:
    """The sentence on operations that a converter's long message names."""
    names = sorted(set(re.findall(r"tf\.([A-Z]\w+)", text)))
    what = ", ".join(names) or text.strip().splitlines()[0]
    return (
        f"TFLite's built-in operations do not cover this model: {what}. Export it as "
        "saved_model."
    )


def _quantize(content: bytes, part: str, images: Iterable[np.ndarray]) -> bytes:
    """Gives operations whose names match `part` 8-bit weights and activations."""
    samples = [{"image": image[np.newaxis]} for image in images]
    if not samples:
        raise ValueError("int8 needs images to calibrate with; there are none.")
    from ai_edge_quantizer import qtyping, quantizer  # Seconds, for int8 alone.

    recipe = quantizer.Quantizer(bytearray(content))
    recipe.add_static_config(
        regex=part,
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        activation_num_bits=8,
        weight_num_bits=8,
    )
    # It draws progress bars of its own and prints what the exporter says better.
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        ranges = recipe.calibrate({_SIGNATURE: samples})
        return bytes(recipe.quantize(ranges).quantized_model)
