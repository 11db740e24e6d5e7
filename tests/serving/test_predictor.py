import shutil

import numpy as np
import pytest

from hrnet_tf.serving import saved_model, tflite
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.metadata import ModelError
from hrnet_tf.serving.pose import predictor as pose_predictor
from hrnet_tf.serving.predictors import load_predictor

IMAGE = np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)
BOXES = np.array(
    [[10, 5, 40, 60], [0, 0, 0, 30], [-20, -20, 100, 80], [5, np.nan, 9, 9]]
)


@pytest.fixture(scope="module")
def predictors(saved_model_dir, tflite_file):
    return [load_predictor(str(path)) for path in (saved_model_dir, tflite_file)]


def test_both_formats_predict_the_same(predictors):
    answers = [predictor.predict_people(IMAGE, BOXES) for predictor in predictors]
    (keypoints, scores), (lite_keypoints, lite_scores) = answers
    assert keypoints.shape == (4, 17, 3) and scores.shape == (4,)
    # In a random network two pixels may be all but equal peaks. Scores are some tens
    # of them, and crops differ by a grey level here and there.
    agree = np.abs(keypoints - lite_keypoints).max(axis=-1) < 0.2
    assert agree.mean() > 0.95
    np.testing.assert_allclose(lite_scores, scores, atol=0.1)
    for broken in (1, 3):
        assert not keypoints[broken].any() and not lite_keypoints[broken].any()
    assert keypoints[0].any() and keypoints[2].any()


def test_an_image_without_people_has_no_keypoints(predictors):
    for predictor in predictors:
        keypoints, scores = predictor.predict_people(IMAGE, np.zeros((0, 4)))
        assert keypoints.shape == (0, 17, 3) and scores.shape == (0,)


@pytest.mark.parametrize("most_crops", [1, 2, 16])
def test_several_images_are_predicted_as_each_alone(
    most_crops, predictors, monkeypatch
):
    monkeypatch.setattr(pose_predictor, "_MOST_CROPS", most_crops)
    images = [IMAGE, IMAGE[:50, :70], IMAGE[::-1], IMAGE[:30]]
    boxes = [BOXES, BOXES[2:3], np.zeros((0, 4)), BOXES[:1]]
    for loaded in predictors:
        found = loaded.predict_people_of(images, boxes)
        alone = map(loaded.predict_people, images, boxes)
        for received, expected in zip(found, alone, strict=True):
            np.testing.assert_allclose(received[0], expected[0], atol=1e-3)
            np.testing.assert_allclose(received[1], expected[1], atol=1e-6)
            assert received[1].dtype == np.float32
    nobody = loaded.predict_people_of(images[:2], [BOXES[3:], np.zeros((0, 4))])
    assert [person.shape for person, _ in nobody] == [(1, 17, 3), (0, 17, 3)]
    assert not nobody[0][0].any()


def test_heatmaps_belong_to_the_crop(predictors):
    (crop, maps), (lite_crop, lite_maps) = (
        predictor.predict_heatmaps(IMAGE, BOXES[0]) for predictor in predictors
    )
    assert crop.shape == (64, 32, 3) and crop.dtype == np.uint8
    assert maps.shape == (16, 8, 17)
    assert np.abs(crop.astype(int) - lite_crop).max() <= 1
    assert maps.shape == lite_maps.shape
    for predictor in predictors:
        of_same_crop = predictor.predict_crop(crop)["heatmaps"][0]
        assert np.abs(maps - of_same_crop).max() < 1e-3 * maps.std()


def test_the_highest_version_is_taken(saved_model_dir, tmp_path):
    for version in ("1", "10", "9"):
        shutil.copytree(saved_model_dir, tmp_path / version)
    (tmp_path / "10/assets/hrnet_tf.json").unlink()
    with pytest.raises(
        ModelError, match="10 is not as it was exported: assets/hrnet_tf.json"
    ):
        load_predictor(str(tmp_path))


def test_what_is_no_model_is_named(tmp_path, tflite_file):
    with pytest.raises(ModelError, match="There is no model .*nowhere"):
        load_predictor(str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match="holds no SavedModel"):
        load_predictor(str(tmp_path))
    text = tmp_path / "text.tflite"
    text.write_text("not a model")
    with pytest.raises(ModelError, match="text.tflite is not a .tflite file"):
        load_predictor(str(text))
    foreign = tmp_path / "foreign.tflite"
    foreign.write_bytes(tflite_file.read_bytes().split(b"PK\x03\x04")[0])
    with pytest.raises(
        ModelError, match="foreign.tflite was not exported by hrnet_tf, or"
    ):
        load_predictor(str(foreign))


def drawn_boxes(seed: int, count: int) -> np.ndarray:
    """Boxes of any floats there are, each as likely as any other: NaN, subnormals..."""
    numbers = np.random.default_rng(seed).integers(0, 2**32, [count, 4], np.uint32)
    return numbers.view(np.float32)


def extreme_boxes() -> np.ndarray:
    largest, tiny = np.finfo(np.float32).max, np.float32(1e-45)
    values = [largest, -largest, tiny, np.inf, -np.inf, np.nan, 1e9, 1e10, 0, 20]
    return np.array(
        [
            [*np.random.default_rng(seed).choice(values, 2), *size]
            for seed in range(3)
            for size in np.stack(np.meshgrid(values, values), axis=-1).reshape(-1, 2)
        ],
        np.float32,
    )


@pytest.mark.parametrize(
    # Another network to export in both forms.
    "udp",
    [False, pytest.param(True, marks=pytest.mark.slow)],
)
def test_any_box_gets_finite_keypoints(udp, predictors, build_module, tmp_path):
    if udp:
        built = build_module("udp", True)
        saved_model.write_saved_model(*built, str(tmp_path / "1"))
        (tmp_path / "m.tflite").write_bytes(tflite.convert(*built))
        predictors = [load_predictor(str(tmp_path / n)) for n in ("1", "m.tflite")]
    boxes = np.concatenate([extreme_boxes(), drawn_boxes(0, 300)])
    image = np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)
    with np.errstate(invalid="ignore"):
        is_sensible = (np.abs(boxes) <= 1e9).all(axis=-1) & (boxes[:, 2:] > 0).all(-1)
    assert 20 < is_sensible.sum() < len(boxes) - 20
    for predictor in predictors:
        keypoints, scores = predictor.predict_people(image, boxes)
        assert np.isfinite(keypoints).all() and np.isfinite(scores).all()
        assert not keypoints[~is_sensible].any() and not scores[~is_sensible].any()
        found = predictor.predict(image, Boxes.found(boxes, np.ones(len(boxes))))
        np.testing.assert_array_equal(found.boxes, boxes[is_sensible])
