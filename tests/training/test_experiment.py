"""Where a configuration file's `task.init_checkpoint` is looked for."""

import os

import pytest
import tensorflow as tf

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.training.experiment import ConfigError, parse_config


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of configurations, seen from another one; both have a checkpoint."""
    folder = tmp_path / "configurations"
    (tmp_path / "here" / "weights").mkdir(parents=True)
    (folder / "run").mkdir(parents=True)
    for path in ("ckpt", "configurations/ckpt"):
        (tmp_path / f"{path}.index").touch()
    # A folder's newest checkpoint must be whole.
    saved = tf.train.Checkpoint(step=tf.Variable(7))
    tf.train.CheckpointManager(saved, str(folder / "run"), max_to_keep=1).save(7)
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


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[" * 100_000, "nested more than 100 levels deep"),
        ("task: &a {model: *a}", "it holds itself"),
        ("task: {}\ntask: {}", "line 2, column 1: the key 'task' is given twice"),
        ("task: !!python/name:os.system", "tag '!!python/name:os.system'"),
        ("task: 0x" + "f" * 5000, "a number has 5002 digits"),
        (b"task: \xff", "is not valid YAML"),
        ("- a\n" * 200_000, "has more than 200000 bytes"),
    ],
)
def test_files_that_would_break_the_parser(tmp_path, content, reason):
    path = tmp_path / "a.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for key in ("config_files", "params_override"):
        with pytest.raises(ConfigError, match=f"a.yaml .*{reason}"):
            parse_config("hrnet_pose_coco", **{key: [str(path)]})


def test_a_long_override_is_quoted_by_its_beginning():
    with pytest.raises(ConfigError, match="cannot be understood") as error:
        parse_config("hrnet_pose_coco", [], f"a.b[1]=[{'1,' * 9999}]")
    assert len(str(error.value)) < 600


@pytest.mark.parametrize(
    "text", ["a[99999999999]=1", f"a[{10**30}]=1", "a" + ".a" * 5000 + "=1"]
)
def test_overrides_that_the_garden_cannot_take(text):
    with pytest.raises(ConfigError, match="cannot be understood|no key"):
        parse_config("hrnet_pose_coco", params_override=text)


def test_a_pipe_is_no_configuration(tmp_path):
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(ConfigError, match="a.yaml is a pipe, not a file"):
        parse_config("hrnet_pose_coco", [str(tmp_path / "a.yaml")])


@pytest.mark.parametrize("value", ["[]", "[{}]", "[{a: 1}, {}]"])
@pytest.mark.parametrize("key", ["train_steps", "max_to_keep", "checkpoint_interval"])
def test_lists_in_place_of_numbers(key, value):
    with pytest.raises(ConfigError, match=rf"trainer.{key} must be .*; got \["):
        parse_config("hrnet_pose_coco", [], f"trainer: {{{key}: {value}}}")
