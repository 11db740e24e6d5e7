"""Prediction with exported models imports no more than it needs."""

import dataclasses
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from hrnet_tf.configs import pose, segmentation
from hrnet_tf.serving.kinds import KINDS
from hrnet_tf.serving.loading import LoadedSavedModel, LoadedTFLite
from hrnet_tf.serving.metadata import ModelError
from hrnet_tf.serving.pose.metadata import Codec
from hrnet_tf.serving.predictors import predictor_of
from hrnet_tf.serving.segmentation.metadata import Resizing

# The trainer and the tasks of the Garden with what these bring, and our own. Keras
# itself imports pandas, and TensorFlow matplotlib if they are there.
HEAVY = ["official.core", "official.vision", "tensorflow_datasets", "tensorflow_text"]
HEAVY += ["tensorflow_hub", "hrnet_tf.tasks", "hrnet_tf.modeling", "ai_edge_quantizer"]
# A .tflite file needs none of TensorFlow, which takes seconds to import.
HEAVIEST = ["tensorflow", "tf_keras", "keras", "official"]

PROGRAM = """
import json, sys
from hrnet_tf import predict

code = predict.main(["predict", "--whole_image", *sys.argv[2:]])
names = sys.argv[1].split()
print(json.dumps([code, [name for name in names if name in sys.modules]]))
"""


@pytest.mark.parametrize(
    ("form", "heavy"),
    [("saved_model_dir", HEAVY), ("tflite_file", HEAVY + HEAVIEST)],
)
def test_a_first_prediction_imports_little(form, heavy, request, tmp_path):
    model = request.getfixturevalue(form)
    for name in ("1.png", "2.png"):
        cv2.imwrite(str(tmp_path / name), np.full((60, 40, 3), 90, np.uint8))
    flags = [f"--model={model}", f"--input={tmp_path}", f"--output_dir={tmp_path}/out"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, " ".join(heavy), *flags],
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []], done.stderr[-2000:]
    assert len(json.loads((tmp_path / "out/results.json").read_text())) == 2


@pytest.mark.parametrize(
    ("told", "configured"), [(Codec, pose.Codec), (Resizing, segmentation.Resizing)]
)
def test_descriptions_have_the_fields_of_configurations(told, configured):
    assert dataclasses.asdict(told()) == configured().as_dict()


def test_every_kind_that_is_exported_can_be_loaded(tmp_path):
    """That is, the two tables of kinds name the same."""
    exported = [*(name for name, kind in KINDS.items() if kind.exporter), "people"]
    assert len(exported) == 4
    for name in exported:
        loaded = LoadedSavedModel("m", {"task": name}, {}, {}, None)
        with pytest.raises(ModelError, match="m: its hrnet_tf.json .* is missing"):
            predictor_of(loaded)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("people", "m.tflite is a people model, which cannot be loaded from such"),
        ("classification", "'classification' is missing or unknown"),
    ],
)
def test_other_kinds_of_files_are_refused(kind, sentence):
    loaded = LoadedTFLite("m.tflite", {"task": kind}, {}, dict, ())
    with pytest.raises(ModelError, match=sentence):
        predictor_of(loaded)
