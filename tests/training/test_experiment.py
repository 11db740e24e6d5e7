"""Where a configuration file's `task.init_checkpoint` is looked for."""

import pytest

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.training.experiment import parse_config


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of configurations, seen from another one; both have a checkpoint."""
    folder = tmp_path / "configurations"
    (tmp_path / "here" / "weights").mkdir(parents=True)
    (folder / "run").mkdir(parents=True)
    for path in ("ckpt", "configurations/ckpt", "configurations/run/ckpt-7"):
        (tmp_path / f"{path}.index").touch()
    (folder / "run" / "checkpoint").write_text('model_checkpoint_path: "ckpt-7"')
    (tmp_path / "here" / "ckpt.index").touch()
    monkeypatch.chdir(tmp_path / "here")
    return folder


@pytest.mark.parametrize(
    "written, expected",
    [
        ("./ckpt", "{folder}/ckpt"),
        ("./none", "{folder}/none"),  # Whatever is in the working directory.
        ("ckpt", "{folder}/ckpt"),
        ("../ckpt", "{folder}/../ckpt"),
        ("run", "{folder}/run"),  # A directory with checkpoints.
        ("weights/ckpt", "weights/ckpt"),  # As from the working directory.
        ("{folder}/ckpt", "{folder}/ckpt"),
        ("/nowhere/ckpt", "/nowhere/ckpt"),
        ("gs://bucket/ckpt", "gs://bucket/ckpt"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("place", ["absolute", "relative", "override"])
def test_a_relative_checkpoint_is_looked_for_beside_the_file(
    place, written, expected, folder
):
    (folder / "file.yaml").write_text(
        f"task: {{init_checkpoint: '{written.format(folder=folder)}'}}"
    )
    path = str(folder / "file.yaml")
    if place == "relative":
        path = "../configurations/file.yaml"
    files, override = ([], path) if place == "override" else ([path], "")
    task = parse_config("hrnet_pose_coco", files, override).task
    expected = expected.format(folder=folder).replace("/configurations/..", "")
    assert task.init_checkpoint == expected


def test_an_override_in_text_is_from_the_working_directory(folder):
    override = "task.init_checkpoint=./ckpt"
    task = parse_config("hrnet_pose_coco", [], override).task
    assert task.init_checkpoint == "./ckpt"
