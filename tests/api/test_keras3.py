"""An exported model as a layer of Keras 3, in a process that has no tf_keras."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import hrnet_tf

PROGRAM = """
import sys, json
import keras, numpy as np

crops = keras.Input((64, 64, 3), dtype="uint8")
pose = keras.layers.TFSMLayer(sys.argv[1], call_endpoint="crops")
outputs = pose(crops)
visible = keras.layers.Lambda(lambda points: points[..., 2])(outputs["keypoints"])
model = keras.Model(crops, [outputs["keypoints"], visible])
assert keras.__version__ >= "3" and "tf_keras" not in sys.modules
pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
keypoints, scores = model.predict(pixels, verbose=0)
print(json.dumps({"keypoints": keypoints.tolist(), "scores": scores.tolist()}))
"""


@pytest.mark.slow
def test_a_saved_model_is_a_layer_of_keras_3(exported):
    folder = str(exported / "pose/1")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), folder],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    pose = hrnet_tf.load(folder)
    expected = np.concatenate([pose.predict_crop(crop)["keypoints"] for crop in pixels])
    np.testing.assert_allclose(answer["keypoints"], expected, atol=1e-3)
    np.testing.assert_allclose(answer["scores"], expected[..., 2], atol=1e-5)
