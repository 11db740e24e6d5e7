"""What tests of label tools share: files that the tools made, and the command's run."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml

from hrnet_tf.data import import_annotations
from hrnet_tf.data.converters import coco_pose
from hrnet_tf.data.records.pose import parse_image_record
from hrnet_tf.data.vocabularies.skeletons import load_skeleton

TESTDATA = Path(__file__).parents[2] / "testdata/label_tools"


@dataclasses.dataclass
class Imported:
    """What the command wrote and said."""

    path: Path
    out: str
    err: str

    @property
    def content(self) -> dict[str, Any]:
        return json.loads(self.path.read_text())

    @property
    def skeleton(self) -> dict[str, Any]:
        return yaml.safe_load(self.path.with_suffix(".skeleton.yaml").read_text())

    @property
    def objects(self) -> list[dict[str, Any]]:
        return self.content["annotations"]

    def keypoints(self, place: int) -> list[list[float]]:
        """The keypoints of an object, x, y, v of each."""
        flat = self.objects[place]["keypoints"]
        return [flat[start : start + 3] for start in range(0, len(flat), 3)]

    def records(self, image_dir: Path, **options: Any) -> list[dict[str, np.ndarray]]:
        """Goes on to pose records, and reads them back."""
        skeleton = load_skeleton(str(self.path.with_suffix(".skeleton.yaml")))
        prefix = str(self.path.parent / "records" / "train")
        summary = coco_pose.convert(
            str(image_dir), str(self.path), prefix, skeleton, **options
        )
        parsed = tf.data.TFRecordDataset(summary.files).map(
            lambda record: parse_image_record(record, skeleton.num_keypoints)
        )
        return sorted(parsed.as_numpy_iterator(), key=lambda r: int(r["image_id"]))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with the files that label tools made."""
    return Path(shutil.copytree(TESTDATA, tmp_path / "data"))


@pytest.fixture
def importing(tmp_path: Path, capsys) -> Callable[..., Imported]:
    """Runs the command on a file or folder; it must succeed."""

    def run(tool: str, path: Path, *flags: str) -> Imported:
        output = tmp_path / "out" / "people.json"
        command = ["import", f"--from={tool}", f"--input={path}", f"--output={output}"]
        capsys.readouterr()
        code = import_annotations.main([*command, *flags])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return Imported(output, captured.out, captured.err)

    return run


@pytest.fixture
def refused(tmp_path: Path, capsys) -> Callable[..., str]:
    """Runs the command on what it must refuse; returns the sentence."""

    def run(tool: str, path: Path, *flags: str, code: int = 1) -> str:
        folder = tmp_path / "refused"
        command = ["import", f"--from={tool}", f"--input={path}"]
        command.append(f"--output={folder}/people.json")
        capsys.readouterr()
        assert import_annotations.main([*command, *flags]) == code
        assert not folder.exists() or not list(folder.iterdir())
        captured = capsys.readouterr()
        assert not captured.out
        assert "Traceback" not in captured.err
        return captured.err

    return run
