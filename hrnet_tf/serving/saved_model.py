"""Writes a model as a SavedModel for TensorFlow Serving.

The names of its signatures are a promise; the module of each kind lists them.
"""

import hashlib
import os
import tempfile

import tensorflow as tf
from tensorflow.core.protobuf import fingerprint_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

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
        metadata: Its description, which becomes the asset hrnet_tf.json.
        folder: Where to.
        warmup: Whether to add requests for TensorFlow Serving to warm up with.
    """
    with tempfile.TemporaryDirectory() as assets:
        path = os.path.join(assets, FILE_NAME)
        with open(path, "w", encoding="utf-8") as file:
            file.write(metadata.to_json())
        exported = tf.Module()
        exported.metadata = tf.saved_model.Asset(path)
        tf.saved_model.save(exported, folder, module.signatures())
    _name_by_content(folder)
    if warmup:
        _write_warmup_requests(os.path.join(folder, _WARMUP_FILE), module)


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


def _name_by_content(folder: str) -> None:
    """Gives a SavedModel an id that depends on nothing but its graphs.

    TensorFlow draws one at random, and the same export would differ each time.
    """
    with open(os.path.join(folder, "saved_model.pb"), "rb") as file:
        digest = hashlib.sha256(file.read()).digest()
    path = os.path.join(folder, "fingerprint.pb")
    with open(path, "rb") as file:
        fingerprint = fingerprint_pb2.FingerprintDef.FromString(file.read())
    fingerprint.uuid = str(int.from_bytes(digest[:16], "big"))
    with open(path, "wb") as file:
        file.write(fingerprint.SerializeToString(deterministic=True))
