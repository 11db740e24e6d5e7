"""Detection by command: train, evaluate, export, predict, and boxes for pose."""

import json
import re

import cv2
import pytest

from hrnet_tf import export, join, predict, train

# A Mask R-CNN of the smallest backbone is still traced for half a minute.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(detection_command, tmp_path_factory):
    """The directory of a finished training."""
    model_dir = tmp_path_factory.mktemp("detection_run")
    assert train.main(["train", *detection_command(model_dir)]) == 0
    return model_dir


def test_training_leaves_metrics_results_and_pictures(run, detection_data):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["step"] == 4 and {"AP", "mask_AP", "AP/person"} <= metrics.keys()
    assert metrics["annotation_file"].endswith("instances_val.json")
    assert metrics["canvas"] == "128x128"
    categories = json.loads((run / "run.json").read_text())["categories"]
    assert categories == {"1": "person", "2": "disc", "3": "box", "4": "bar"}
    results = json.loads((run / "results.json").read_text())
    assert {row["image_id"] for row in results} <= {1, 2, 3, 4}
    assert all(row["segmentation"]["size"] for row in results)
    assert cv2.imread(str(run / "predictions.png")) is not None


def test_pose_is_evaluated_on_the_boxes_of_a_detector(
    run, toy_command, toy_data, tmp_path
):
    # Four steps make no detector: whatever it found is taken for people.
    rows = json.loads((run / "results.json").read_text())
    assert rows
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps([{**row, "category_id": 1} for row in rows]))
    model_dir = tmp_path / "pose"
    detections = f"task.validation_data.detections_file={path}"
    assert (
        train.main(
            ["train", *toy_command(model_dir, f"--params_override={detections}")]
        )
        == 0
    )
    metrics = json.loads((model_dir / "metrics.json").read_text())
    assert 0 <= metrics["keypoint_AP"] <= 1
    assert metrics["box_source"] == str(path)
    # Boxes without an extent are left out.
    boxed = {row["image_id"] for row in rows if min(row["bbox"][2:]) > 0}
    people = json.loads((model_dir / "results.json").read_text())
    assert {row["image_id"] for row in people} == boxed


def test_export_and_predict(run, toy_data, tmp_path, capsys):
    arguments = [f"--model_dir={run}", f"--output_dir={tmp_path}/exported/1"]
    assert export.main(["export", "--format=saved_model", *arguments]) == 0
    printed = capsys.readouterr().out
    assert "4 images, box AP" in printed and "Pyramids differ by at most" in printed
    images = toy_data / "images" / "val"
    flags = [f"--input={images}", f"--output_dir={tmp_path}/out"]
    assert predict.main(["predict", f"--model={tmp_path}/exported", *flags]) == 0
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    assert f"{len(rows)} objects" in capsys.readouterr().out
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 4
    # The same objects as in the evaluation, but for the resizing of JPEG's pixels.
    expected = json.loads((run / "results.json").read_text())
    assert abs(len(rows) - len(expected)) <= 0.1 * len(expected) + 1
    for flag in ("score_threshold=0.5", "category_id=2", "nodraw_boxes"):
        wrong = [f"--model={tmp_path}/exported", f"--{flag}", "--overwrite"]
        assert predict.main(["predict", *wrong, *flags]) == 2
        assert "changes nothing here" in capsys.readouterr().err
    wrong = [f"--model={tmp_path}/exported", "--num_threads=2", "--overwrite"]
    assert predict.main(["predict", *wrong, *flags]) == 2
    assert "--num_threads goes with .tflite files" in capsys.readouterr().err
    wrong = [f"--model={tmp_path}/exported", f"--detector={tmp_path}/exported"]
    assert predict.main(["predict", *wrong, *flags, "--overwrite"]) == 2
    assert "--detector goes with pose models" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("task.model.num_classes=4", "must be above 4, the highest category id"),
        ("task: {model: {input_size: [96, 128, 3]}}", "must be multiples of 64"),
        ("task.annotation_file=", "annotation_file is empty"),
        ("task.annotation_file=no_such.json", "no_such.json"),
        (
            "task.model.backbone.hrnet.freeze_norm_statistics=true",
            "init_checkpoint is empty; .*statistics must not be frozen",
        ),
        (
            "task: {model: {roi_sampler: {cascade_iou_thresholds: [0.6, 0.7]}}}",
            "class_agnostic_bbox_pred is false",
        ),
        ("trainer.best_checkpoint_eval_metric=mAP", "mask_AP"),
        ("task.use_wod_metrics=true", "use_wod_metrics is true; it must be false"),
        ("task.validation_data.drop_remainder=true", "must be false, or the images"),
    ],
)
def test_mistakes_are_named(overrides, message, detection_command, tmp_path, capsys):
    flags = detection_command(tmp_path / "run", f"--params_override={overrides}")
    assert train.main(["train", *flags]) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--pipeline"], "python -m hrnet_tf.join"),
        (["--pipeline", "--model_dir=x", "--format=tflite"], "hrnet_tf.join"),
        (["--pipeline", "--detector=a", "--pose=b"], "hrnet_tf.join"),
        (["--pose=x"], "--pose: joining a detector and a pose model has become"),
        (["--max_people=5", "--format=tflite"], "--max_people: joining"),
        (["--model_dir=x"], "--format is missing"),
    ],
)
def test_export_sends_to_join(flags, message, tmp_path, capsys):
    assert export.main(["export", f"--output_dir={tmp_path}/out", *flags]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--detector=a"], "--pose"),
        (["--pose=b"], "--detector"),
        (["--detector=a", "--pose=b", "--quantize=int8"], "flag 'quantize'"),
        (["--detector=a", "--pose=b", "--max_people=0"], "max_people"),
    ],
)
def test_flags_of_join(flags, message, tmp_path, capsys):
    assert join.main(["join", f"--output_dir={tmp_path}/out", *flags]) == 2
    assert message in capsys.readouterr().err


def test_nothing_is_joined(tmp_path, capsys):
    flags = [f"--detector={tmp_path}/a", f"--pose={tmp_path}/b"]
    assert join.main(["join", f"--output_dir={tmp_path}/out", *flags]) == 1
    assert f"There is no model {tmp_path}/a" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
