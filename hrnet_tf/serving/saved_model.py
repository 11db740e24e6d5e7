"""Writes a model as a SavedModel for TensorFlow Serving.

Its signatures, whose names are a promise. Of pose:

    serving_default  image_bytes string [B], boxes float32 [B, N, 4]
                     -> keypoints float32 [B, N, K, 3], scores float32 [B, N]
    image            images uint8 [B, H, W, 3], boxes float32 [B, N, 4]
                     -> as serving_default
    crops            crops uint8 [N, H, W, 3]
                     -> keypoints float32 [N, K, 3], heatmaps float32 [N, H/4, W/4, K]

Boxes are x, y, width, height in image pixels, and so are the keypoints' x and y beside
their score; those of crops are in crop pixels. `PoseModule` says more.

Of segmentation:

    serving_default  image_bytes string [B]
                     -> label_map uint8 [B, H, W], image_sizes int32 [B, 2]
    logits           image_bytes string [B]
                     -> logits float32 [B, H, W, C], image_sizes int32 [B, 2]
    image            images uint8 [B, H, W, 3] -> label_map uint8 [B, H, W]

Label maps have the sizes of the images, height and width in image_sizes, and are
filled with 255 below and at the right to the largest of the request; logits with 0.

Of detection, N being the most objects that are found:

    serving_default  image_bytes string [B]
                     -> boxes float32 [B, N, 4], classes int32 [B, N],
                        scores float32 [B, N], num_detections int32 [B],
                        with masks: masks float32 [B, N, h, w]
    image            images uint8 [B, H, W, 3] -> as serving_default

Boxes are as above; masks are probabilities within them.

Of a detector and a pose model in one, N being the most people:

    serving_default  image_bytes string [B]
                     -> boxes float32 [B, N, 4], box_scores float32 [B, N],
                        keypoints float32 [B, N, K, 3], scores float32 [B, N],
                        num_people int32 [B]
    image            images uint8 [B, H, W, 3] -> as serving_default
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
