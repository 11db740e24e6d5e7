"""What version 0.1 of this package trained and exported still works.

testdata/version_0_1 holds a run of a toy pose network on the data of the fixture
`toy_data`, what it was exported to, and what that version predicted with it. Its runs
did not record their experiment.
"""

import dataclasses
import importlib.util
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from hrnet_tf import export, registry_imports, train  # noqa: F401
from hrnet_tf.data.converters import coco_pose
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.serving.configuration import read_config
from hrnet_tf.serving.exporter import Options
from hrnet_tf.serving.predictors import load_predictor

OLD = Path(__file__).parent / "testdata/version_0_1"
IMAGE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
BOXES = np.array([[10, 5, 40, 60], [30, 20, 60, 65]], np.float32)


@pytest.fixture
def run_dir(tmp_path) -> Path:
    shutil.copytree(OLD / "run", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(scope="module")
def expected():
    return np.load(OLD / "expected.npz")


def test_a_run_is_evaluated_as_before(run_dir, toy_command, toy_data, tmp_path):
    # The mean loss depends on which people share a batch, and so on their order.
    coco_pose.convert(
        str(toy_data / "images/val"),
        str(toy_data / "annotations/person_keypoints_val.json"),
        str(tmp_path / "val"),
        load_skeleton("coco17"),
        num_shards=1,
    )
    records = f"task.validation_data.input_path={tmp_path}/val-*"
    flags = toy_command(run_dir, "--mode=eval", f"--params_override={records}")
    assert train.main(["train", *flags]) == 0
    before = json.loads((OLD / "run_metrics.json").read_text())
    now = json.loads((run_dir / "metrics.json").read_text())
    assert now["step"] == 4
    # Since then, the file also says how the numbers were found.
    assert now["codec"] == "msra" and now["flip_test"] is True
    told = {"codec", "flip_test", "metric"}
    assert now.keys() == before.keys() - {"best_keypoint_AP"} | told
    # Version 0.1 decoded JPEG files by the fast transform.
    assert now["validation_loss"] == pytest.approx(before["validation_loss"], rel=2e-3)
    for name, value in before.items():
        if name.startswith("keypoint_"):
            assert now[name] == pytest.approx(value, abs=1e-4), name


@pytest.mark.slow  # Trains and evaluates a network.
def test_a_run_goes_on(run_dir, toy_command):
    flags = toy_command(run_dir, "--params_override=trainer.train_steps=6")
    assert train.main(["train", *flags]) == 0
    assert (run_dir / "ckpt-6.index").exists() and not (
        run_dir / "ckpt-2.index"
    ).exists()
    assert json.loads((run_dir / "run.json").read_text())["experiment"] == (
        "hrnet_pose_coco"
    )


@pytest.mark.heavy
def test_a_run_is_exported_as_before(run_dir, tmp_path):
    flags = [f"--model_dir={run_dir}", "--noverify", f"--output_dir={tmp_path}/out"]
    assert export.main(["export", "--format=tflite", *flags]) == 0
    now = load_predictor(str(tmp_path / "out/pose_custom_64x64.tflite"))
    before = load_predictor(str(OLD / "pose.tflite"))
    said = dataclasses.replace(
        now.metadata,
        version=before.metadata.version,
        operators=None,
        file_tensors=None,
    )
    assert said.to_json() == before.metadata.to_json()
    crop = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    np.testing.assert_allclose(
        now.predict_crop(crop)["keypoints"],
        before.predict_crop(crop)["keypoints"],
        atol=1e-4,
    )


@pytest.mark.parametrize(
    ("name", "path"), [("saved_model", "saved_model"), ("tflite", "pose.tflite")]
)
def test_pose_models_predict_as_before(name, path, expected):
    predictor = load_predictor(str(OLD / path))
    keypoints, scores = predictor.predict_people(IMAGE, BOXES)
    np.testing.assert_allclose(scores, expected[f"{name}_scores"], atol=1e-4)
    # In a network of four steps two pixels may be all but equal peaks.
    same = np.abs(keypoints - expected[f"{name}_keypoints"]).max(axis=-1) < 1e-2
    assert same.mean() > 0.95


def test_segmentation_models_predict_as_before(expected):
    predictor = load_predictor(str(OLD / "segmentation.tflite"))
    labels = predictor.predict_image(IMAGE).labels
    assert (labels == expected["labels"]).mean() > 0.99


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("segmentation", "segmentation"),
        ("maskrcnn", "detection"),
        ("retinanet", "detection"),
    ],
)
def test_the_kind_of_a_run_is_found_out(name, kind, tmp_path):
    shutil.copy(OLD / f"params/{name}.yaml", tmp_path / "params.yaml")
    params, found = read_config(None, str(tmp_path), [], [], Options(), verify=False)
    assert found.name == kind
    assert hasattr(params.task.model, "roi_sampler") == (name == "maskrcnn")


def test_modules_that_took_others_places_exist():
    page = Path(__file__).parents[1] / "docs/upgrading.md"
    text = page.read_text(encoding="utf-8")
    rows = re.findall(r"^\| .*? \| (.*) \|$", text, re.MULTILINE)
    named = [n for row in rows for n in re.findall(r"`(hrnet_tf\.[\w.]+)`", row)]
    assert len(named) > 30
    assert [name for name in named if not importlib.util.find_spec(name)] == []


def test_every_module_that_moved_is_told():
    page = Path(__file__).parents[1] / "docs/upgrading.md"
    told = set()
    for row in re.findall(
        r"^\| (.*?) \| ", page.read_text(encoding="utf-8"), re.MULTILINE
    ):
        room = ""
        for name in re.findall(r"`([\w.]+)`", row):
            room = room if name.startswith(".") else name.rpartition(".")[0]
            told.add(room + name if name.startswith(".") else name)
    for name in (OLD / "modules.txt").read_text().split():
        place = name.rpartition(".")[0]
        # A room that moved as a whole, and one that is no more.
        is_told = {name, place} & told or name == "hrnet_tf.exporters"
        assert is_told or _is_there(name), name


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # Nor is its room.
        return False
