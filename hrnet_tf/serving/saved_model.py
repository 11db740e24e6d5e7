"""Writes a model as a SavedModel for TensorFlow Serving.

The names of its signatures are a promise; the module of each kind lists them.
"""

import dataclasses
import hashlib
import os
import tempfile

import tensorflow as tf
from tensorflow.core.protobuf import fingerprint_pb2, saved_model_pb2
from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from hrnet_tf.serving import checksums, operators
from hrnet_tf.serving.graphs import ServingModule
from hrnet_tf.serving.metadata import FILE_NAME, Metadata

# TensorFlow Serving runs them before it answers the first client.
_WARMUP_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")


def write_saved_model(
    module: ServingModule,
    metadata: Metadata,
    folder: str,
    warmup: bool = True,
) -> None:
    """Writes the SavedModel into a folder that is not there yet, or empty.

    Args:
        module: The model.
        metadata: Its description, which becomes the asset hrnet_tf.json, with its
            operations.
        folder: Where to.
        warmup: Whether to add requests for TensorFlow Serving to warm up with.
    """
    signatures = module.signatures()
    graphs = [
        function.get_concrete_function().graph for function in signatures.values()
    ]
    metadata = dataclasses.replace(metadata, operators=operators.of_graphs(graphs))
    with tempfile.TemporaryDirectory() as assets:
        path = os.path.join(assets, FILE_NAME)
        with open(path, "w", encoding="utf-8") as file:
            file.write(metadata.to_json())
        exported = tf.Module()
        exported.metadata = tf.saved_model.Asset(path)
        tf.saved_model.save(exported, folder, signatures)
    _make_reproducible(folder)
    if warmup:
        _write_warmup_requests(os.path.join(folder, _WARMUP_FILE), module)
    checksums.write_manifest(folder)


def _write_warmup_requests(path: str, module: ServingModule) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tf.io.TFRecordWriter(path) as writer:
        for arrays in module.warmup_inputs():
            inputs = {name: tf.make_tensor_proto(a) for name, a in arrays.items()}
            request = predict_pb2.PredictRequest(inputs=inputs)
            request.model_spec.signature_name = "serving_default"
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString(deterministic=True))


def _make_reproducible(folder: str) -> None:
    """Makes the files of a SavedModel depend on nothing but what it computes.

    TensorFlow writes functions, and the nodes of frozen ones, in the order of a set,
    and draws the id of a SavedModel at random: the same export would differ each time.
    """
    path = os.path.join(folder, "saved_model.pb")
    with open(path, "rb") as file:
        model = saved_model_pb2.SavedModel.FromString(file.read())
    functions = model.meta_graphs[0].graph_def.library.function
    # Functions and nodes are referred to by name, so that their order means nothing.
    functions.sort(key=lambda function: function.signature.name)
    for function in functions:
        function.node_def.sort(key=lambda node: node.name)
    content = model.SerializeToString(deterministic=True)
    with open(path, "wb") as file:
        file.write(content)
    fingerprint = fingerprint_pb2.FingerprintDef.FromString(
        fingerprinting.CreateFingerprintDef(folder)
    )
    digest = hashlib.sha256(content).digest()
    fingerprint.uuid = str(int.from_bytes(digest[:16], "big"))
    with open(os.path.join(folder, "fingerprint.pb"), "wb") as file:
        file.write(fingerprint.SerializeToString(deterministic=True))
