"""The pages' commands, walked as printed, in a folder with a reader's files.

Networks and trainings are small, and the people are drawn ones.
"""

import importlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pages
import pytest
import yaml

from hrnet_tf import (
    registry_imports,  # noqa: F401
    train,
)
from hrnet_tf.data.synthetic import dataset as synthetic
from hrnet_tf.data.vocabularies.label_sets import load_label_set
from tests.conftest import TOY_BACKBONE, TOY_MASK_RCNN

_STEPS = {
    "train_steps": 4,
    "steps_per_loop": 2,
    "summary_interval": 2,
    "checkpoint_interval": 2,
    "validation_interval": 2,
}
_WARMUP = {"linear": {"warmup_steps": 1}}


def _schedule(name: str) -> dict:
    rate = {name: {"decay_steps": 4}}
    return {**_STEPS, "optimizer_config": {"learning_rate": rate, "warmup": _WARMUP}}


# What makes the pages' trainings short, by their experiments.
SHORT = {
    "hrnet_pose_coco": {"trainer": _schedule("cosine")},
    "hrnet_seg_custom": {
        "task": {"model": {"backbone": TOY_BACKBONE}, "resizing": {"long_side": 96}},
        "trainer": _schedule("polynomial"),
    },
    "hrnet_maskrcnn_coco": {
        "task": {
            "model": {k: v for k, v in TOY_MASK_RCNN.items() if k != "num_classes"}
        },
        "trainer": _schedule("cosine"),
    },
}
# Four steps have no AP that could be lost.
MORE = {"hrnet_tf.export": ["--max_loss=1", "--verification_images=2"]}


@pytest.fixture
def working_dir(tmp_path, monkeypatch) -> Path:
    """A folder with drawn people in the reader's own places."""
    synthetic.draw_dataset(str(tmp_path / "drawn"), 20, 16, image_size=96, max_people=2)
    mine = tmp_path / "my"
    mine.mkdir()
    for split in synthetic.SPLITS:
        (mine / split).symlink_to(tmp_path / "drawn/images" / split)
    for name, drawn in (
        *(("images", "images"), ("labels", "parts")),
        *(("annotations", "annotations"), ("people.json", "annotations")),
    ):
        (mine / name).symlink_to(tmp_path / "drawn" / drawn)
    (mine / "people.json").unlink()
    shutil.copy(mine / "annotations/person_keypoints_val.json", mine / "people.json")
    names = list(load_label_set("synthetic_parts").classes)
    classes = {"classes": names, "flip_pairs": "auto"}
    (mine / "classes.yaml").write_text(yaml.safe_dump(classes))
    (tmp_path / "photos").symlink_to(mine / "val")
    (tmp_path / "configs").symlink_to(pages.REPO / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def walk(name: str) -> None:
    """Runs the commands of a page, but those that say why they are not run."""
    for block in pages.blocks(pages.REPO / name):
        if block.language != "sh" or block.note:
            continue
        for _, _, command, *flags in block.commands():
            more = list(MORE.get(command, []))
            if command == "hrnet_tf.train":
                values = train.define_flags()
                values([command, *flags])
                more.append(f"--params_override={json.dumps(SHORT[values.experiment])}")
            code = pages.command(command).main([command, *flags, *more])
            # Drawn people may look doubtful, which --strict tells by its exit code.
            assert code == 0 or (code == 1 and "--strict" in flags), block


@pytest.mark.slow
def test_from_annotations_to_a_tflite_file(working_dir):
    walk("docs/keypoints.md")
    results = json.loads((working_dir / "predicted/results.json").read_text())
    assert len(results) == 16


@pytest.mark.slow
@pytest.mark.parametrize("name", ["docs/segmentation.md", "docs/detection.md"])
def test_from_labels_to_a_trained_network(name, working_dir):
    walk(name)
    (folder,) = (working_dir / "runs").iterdir()
    assert (folder / "metrics.json").exists()


@pytest.mark.slow
def test_a_look_at_a_data_set(working_dir):
    (working_dir / "my/images").unlink()
    (working_dir / "my/images").symlink_to(working_dir / "my/val")
    convert = importlib.import_module("hrnet_tf.data.coco_pose").main
    annotations = "--annotations=my/annotations/person_keypoints_train.json"
    data = ("--image_dir=my/train", annotations, "--output_prefix=records/train")
    assert convert(["convert", *data]) == 0
    walk("docs/inspect.md")
    assert (working_dir / "looks/w48/sheet.png").exists()
    assert json.loads((working_dir / "train.json").read_text())["kind"] == "pose"


@pytest.mark.slow
def test_from_runs_to_predictions(
    working_dir, toy_command, parsing_command, detection_command
):
    for command, run in (
        (toy_command, "synthetic"),
        (parsing_command, "synthetic_segmentation"),
        (detection_command, "synthetic_detection"),
    ):
        assert train.main(["train", *command(f"runs/{run}")]) == 0
    walk("docs/export.md")
    assert json.loads(Path("exported/people/1/assets/hrnet_tf.json").read_text())
    (pose,) = Path("exported").glob("pose_*.tflite")
    (segmentation,) = Path("exported_segmentation").glob("*.tflite")
    pose.rename("pose.tflite")
    segmentation.rename("segmentation.tflite")
    shutil.copy("my/people.json", "boxes.json")
    film = cv2.VideoWriter("me.mp4", cv2.VideoWriter_fourcc(*"mp4v"), 5, (96, 96))
    for shade in range(0, 250, 50):
        film.write(np.full((96, 96, 3), shade, np.uint8))
    film.release()
    walk("docs/predict.md")
    found = sorted(
        path.parent.name for path in Path("predicted").glob("*/results.json")
    )
    assert found == ["boxes", "classes", "joined", "objects", "people", "video"]
    walk("docs/video.md")
    rows = json.loads(Path("followed/film/results.json").read_text())
    assert all("seconds" in row and "track_id" in row for row in rows)
    shutil.rmtree("exported")
    walk("README.md")
    assert Path("exported/pose/1/saved_model.pb").exists()


def test_every_page_with_commands_to_run_is_walked():
    text = Path(__file__).read_text(encoding="utf-8")
    for block in pages.all_blocks("sh"):
        name = str(block.page.relative_to(pages.REPO))
        assert block.note or f'"{name}"' in text, block
