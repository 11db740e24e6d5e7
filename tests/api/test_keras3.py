"""The layer of Keras 3 in docs/python.md, in a process that has no tf_keras."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hrnet_tf

PAGE = Path(__file__).parents[2] / "docs/python.md"

# After what the page shows: the model's answer, and that no other Keras was there.
REST = """
import json, sys
import numpy as np

visible = keras.layers.Lambda(lambda points: points[..., 2])(model.output)
model = keras.Model(crops, [model.output, visible])
assert keras.__version__ >= "3" and "tf_keras" not in sys.modules
pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
keypoints, scores = model.predict(pixels, verbose=0)
print(json.dumps({"keypoints": keypoints.tolist(), "scores": scores.tolist()}))
"""


@pytest.mark.slow
def test_a_saved_model_is_a_layer_of_keras_3(exported):
    (block,) = re.findall(r"```python\n(import keras\n.*?)```", PAGE.read_text(), re.S)
    assert "(256, 192, 3)" in block
    # The export, in this process, chose tf_keras for itself.
    environment = {**os.environ}
    environment.pop("TF_USE_LEGACY_KERAS", None)
    done = subprocess.run(
        [sys.executable, "-c", block.replace("256, 192", "64, 64") + REST],
        capture_output=True,
        text=True,
        cwd=exported.parent,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    pose = hrnet_tf.load(str(exported / "pose/1"))
    expected = np.concatenate([pose.predict_crop(crop)["keypoints"] for crop in pixels])
    np.testing.assert_allclose(answer["keypoints"], expected, atol=1e-3)
    np.testing.assert_allclose(answer["scores"], expected[..., 2], rtol=1e-5, atol=1e-5)
