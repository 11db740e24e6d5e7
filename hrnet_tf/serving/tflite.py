"""Writes a model as a .tflite file for phones.

Of pose, one crop in, its keypoints out; of segmentation, an image in, its classes out:

    image      uint8 [1, H, W, 3], RGB
    keypoints  float32 [1, K, 3]: x and y as shares of the crop's width and height, and
               the score
    heatmaps   float32 [1, H/4, W/4, K], if asked for
    label_map  uint8 [1, H, W]
    logits     float32 [1, H/4, W/4, C], if asked for

Normalisation and decoding are inside. All operations are built-in ones, all shapes
fixed and no tensor has more than four dimensions, so that GPU delegates take the whole
graph.
"""

import contextlib
import io
import warnings
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from ai_edge_quantizer import qtyping, quantizer

from hrnet_tf.serving.metadata import Metadata, SegmentationMetadata
from hrnet_tf.serving.pose_module import PoseModule
from hrnet_tf.serving.segmentation_module import SegmentationModule
from hrnet_tf.serving.tflite_metadata import add_metadata

QUANTIZATIONS = ("none", "float16", "dynamic", "int8")

_SIGNATURE = "serving_default"


def convert(
    module: PoseModule | SegmentationModule,
    metadata: Metadata | SegmentationMetadata,
    quantize: str = "none",
    with_maps: bool = False,
    calibration_images: Iterable[np.ndarray] = (),
) -> bytes:
    """Returns the content of a .tflite file.

    Args:
        module: The model.
        metadata: Its description, which goes into the file.
        quantize: One of `QUANTIZATIONS`. float16 halves the file and leaves the
            arithmetic to the device; dynamic stores 8-bit weights and quantises
            activations as they come; int8 fixes their ranges by calibration.
        with_maps: Whether `heatmaps` or `logits` are an output, too.
        calibration_images: For int8: inputs uint8 [H, W, 3] like those that the model
            is to see, from the pipeline of training without augmentation.

    Raises:
        ValueError: If `quantize` is unknown, or images to calibrate with are missing.
    """
    if quantize not in QUANTIZATIONS:
        raise ValueError(
            f"quantize is {quantize!r}; it must be one of {', '.join(QUANTIZATIONS)}."
        )
    function = module.mobile_function(with_maps)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], module
    )
    if quantize in ("float16", "dynamic"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    content = converter.convert()
    if quantize == "int8":
        content = _quantize(content, module.quantized_part, calibration_images)
    return add_metadata(content, metadata)


def _quantize(content: bytes, part: str, images: Iterable[np.ndarray]) -> bytes:
    """Gives operations whose names match `part` 8-bit weights and activations."""
    samples = [{"image": image[np.newaxis]} for image in images]
    if not samples:
        raise ValueError("int8 needs images to calibrate with; there are none.")
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
