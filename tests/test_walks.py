"""The pages' commands, walked as printed, in a folder with a reader's files.

Networks and trainings are small, and the people are drawn ones.
"""

import json
import shutil
from pathlib import Path

import pages
import pytest
import reader

from hrnet_tf import (
    registry_imports,  # noqa: F401
    train,
)
from tests.conftest import TOY_BACKBONE, TOY_MASK_RCNN

# What makes networks small, by experiments.
SMALLER = {
    "hrnet_seg_custom": {
        "task": {"model": {"backbone": TOY_BACKBONE}, "resizing": {"long_side": 96}},
    },
    "hrnet_maskrcnn_coco": {
        "task": {
            "model": {k: v for k, v in TOY_MASK_RCNN.items() if k != "num_classes"}
        },
    },
}


@pytest.fixture
def working_dir(tmp_path, monkeypatch) -> Path:
    """A folder with drawn people in the reader's own places."""
    reader.draw(tmp_path)
    (tmp_path / "configs").symlink_to(pages.REPO / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def walk(name: str) -> None:
    """Runs the commands of a page, but those with a note above them."""
    reader.get_ready(Path.cwd(), name)
    for block in pages.blocks(pages.REPO / name):
        if block.language != "sh" or block.note:
            continue
        for words in block.commands():
            _, _, command, *flags = reader.shortened(words, SMALLER)
            more = reader.EXPORT if command == "hrnet_tf.export" else []
            code = pages.command(command).main([command, *flags, *more])
            assert reader.is_fine(words, code), block


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
