"""A .tflite file that takes several crops at once finds what one for one crop does."""

import dataclasses

import numpy as np
import pytest

from hrnet_tf.serving import tflite
from hrnet_tf.serving.metadata import ModelError
from hrnet_tf.serving.pose.module import PoseModule
from hrnet_tf.serving.pose.predictor import TFLitePosePredictor
from hrnet_tf.serving.predictors import load_predictor

IMAGE = np.random.default_rng(5).integers(0, 256, (150, 120, 3), np.uint8)
# Five people, and what is no box.
PEOPLE = [[9 * place, 5, 30, 90 + place] for place in range(5)]
BOXES = np.array([*PEOPLE, [0, 0, 0, 0]], np.float32)


@pytest.fixture(scope="module")
def load(build_module, tmp_path_factory):
    """Returns a function of a batch size and a quantisation to a predictor."""
    module, metadata = build_module()
    folder = tmp_path_factory.mktemp("batches")
    crops = np.random.default_rng(2).integers(0, 256, (5, 64, 32, 3), np.uint8)

    def load(batch_size: int, quantize: str = "none") -> TFLitePosePredictor:
        described = dataclasses.replace(metadata, batch_size=batch_size)
        batched = PoseModule.__new__(PoseModule)
        vars(batched).update({**vars(module), "_metadata": described})
        content = tflite.convert(batched, described, quantize, True, crops)
        path = folder / f"{batch_size}_{quantize}.tflite"
        path.write_bytes(content)
        return load_predictor(str(path))

    return load


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_people_are_predicted_several_at_a_time(quantize, load, monkeypatch):
    one, four = load(1, quantize), load(4, quantize)
    assert four.metadata.batch_size == 4
    calls = []
    run = four._model.run

    def counted(image):
        calls.append(image.shape)
        return run(image=image)

    object.__setattr__(four._model, "run", counted)
    expected, scores = one.predict_people(IMAGE, BOXES)
    found, found_scores = four.predict_people(IMAGE, BOXES)
    assert calls == [(4, 64, 32, 3)] * 2
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(found_scores, scores, atol=1e-5)
    assert found[:5].any(axis=(1, 2)).all() and not found[5].any()
    _, heatmaps = four.predict_heatmaps(IMAGE, BOXES[0])
    _, expected = one.predict_heatmaps(IMAGE, BOXES[0])
    np.testing.assert_allclose(heatmaps, expected, atol=1e-4)


def test_people_of_several_images_fill_a_batch(load, monkeypatch):
    four = load(4)
    images = [IMAGE, IMAGE[:100], IMAGE[:, :80]]
    boxes = [BOXES[:1], BOXES[:2], BOXES[4:5]]
    expected = [four.predict_people(*pair) for pair in zip(images, boxes, strict=True)]
    calls = []
    run = four._model.run
    object.__setattr__(
        four._model, "run", lambda image: calls.append(len(image)) or run(image=image)
    )
    found = four.predict(images, boxes)
    assert calls == [4]
    for prediction, (keypoints, scores) in zip(found, expected, strict=True):
        np.testing.assert_allclose(prediction.keypoints, keypoints, atol=1e-3)
        np.testing.assert_allclose(prediction.scores, scores, atol=1e-5)
    assert not load(1).batches_any_sizes


def test_files_of_one_crop_say_nothing_of_it(build_module):
    _, metadata = build_module()
    assert "batch_size" not in metadata.to_dict()
    assert metadata.tensors["image"].startswith("uint8 RGB crop of one person, [1, 64")


@pytest.mark.parametrize("batch_size", [0, -4, 1000, 2.0, "4"])
def test_other_sizes_are_refused(batch_size, build_module):
    _, metadata = build_module()
    values = {**metadata.to_dict(), "batch_size": batch_size}
    with pytest.raises(ModelError, match="batch_size is"):
        type(metadata).from_dict(values, "m.tflite")
