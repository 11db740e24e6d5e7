import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf import join, predict
from hrnet_tf.messages import UserError
from hrnet_tf.serving import checksums, loading, metadata
from hrnet_tf.serving.metadata import ModelError
from hrnet_tf.serving.predictors import load_predictor

OLD = Path(__file__).parents[1] / "testdata/version_0_1"
MANIFEST = checksums.MANIFEST


@pytest.fixture
def file(tflite_file, tmp_path) -> Path:
    return Path(shutil.copy(tflite_file, tmp_path / "pose.tflite"))


@pytest.fixture
def folder(saved_model_dir, tmp_path) -> Path:
    return Path(shutil.copytree(saved_model_dir, tmp_path / "1"))


def change_description(path: Path, **changes) -> None:
    """Edits what a model says of itself, and nothing else; None takes a key out."""

    def changed(description) -> str:
        values = {**description, **changes}.items()
        return json.dumps({key: value for key, value in values if value is not None})

    if path.is_dir():
        asset = path / "assets/hrnet_tf.json"
        asset.write_text(changed(json.loads(asset.read_text())))
        return
    with zipfile.ZipFile(path) as archive:
        description = json.loads(archive.read("hrnet_tf.json"))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning):
        archive.writestr("hrnet_tf.json", changed(description))


# ---- .tflite ----


def test_no_byte_of_a_file_can_change(file):
    content = file.read_bytes()
    generator = np.random.default_rng(0)
    end = range(len(content) - 1000, len(content))
    for place in [*generator.integers(0, len(content), 200).tolist(), *end]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(generator.integers(8))
        file.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"damaged or was edited|not a \.tflite"):
            load_predictor(str(file))


def test_a_file_can_be_no_shorter_and_no_longer(file):
    content = file.read_bytes()
    lengths = np.random.default_rng(1).integers(0, len(content), 50).tolist()
    for length in [*lengths, *range(len(content) - 100, len(content))]:
        file.write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"pose\.tflite"):
            load_predictor(str(file))
    for more in (b"\0", b"PK\5\6", content):
        file.write_bytes(content + more)
        with pytest.raises(ModelError, match=r"pose\.tflite"):
            load_predictor(str(file))


def test_other_tools_can_check_a_file(file):
    command = f"head -c -64 {file} | sha256sum | head -c 64; tail -c 64 {file}"
    done = subprocess.run(command, shell=True, capture_output=True, check=True)
    assert done.stdout[:64] == done.stdout[64:]


def test_what_was_edited_can_be_taken_as_it_is(file):
    change_description(file, keypoint_score_threshold=0.5)
    with pytest.raises(ModelError, match=r"or take it as it is with --unverified"):
        load_predictor(str(file))
    taken = load_predictor(str(file), verify=False)
    assert taken.metadata.keypoint_score_threshold == 0.5


def test_what_ends_the_process_ends_another(file, monkeypatch):
    monkeypatch.setattr(loading, "_TRIAL", "import os; os.abort()")
    with pytest.raises(ModelError, match="it ends the process that runs it"):
        load_predictor(str(file), verify=False)
    load_predictor(str(file))
    monkeypatch.setattr(loading, "_TRIAL", "import time; time.sleep(60)")
    monkeypatch.setattr(loading, "_TRIAL_SECONDS", 0.1)
    with pytest.raises(ModelError, match=r"it did not answer within 0\.1 seconds"):
        load_predictor(str(file), verify=False)


def test_a_damaged_graph_that_is_taken_as_it_is_gets_a_sentence(file):
    content = bytearray(file.read_bytes())
    content[200:4000] = bytes(3800)
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"pose\.tflite cannot be loaded: "):
        load_predictor(str(file), verify=False)


def test_a_description_that_is_too_large_is_called_so(file, monkeypatch):
    monkeypatch.setattr(metadata, "MAX_BYTES", 100)
    with pytest.raises(
        ModelError, match=r"hrnet_tf\.json has \d+ bytes and may have 100"
    ):
        load_predictor(str(file))


# ---- SavedModels ----


def test_other_tools_can_check_a_folder(folder):
    command = ["sha256sum", "--check", "--strict", MANIFEST]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.count(": OK") == 6


@pytest.mark.parametrize(
    "name", ["saved_model.pb", "variables/variables.index", "assets/hrnet_tf.json"]
)
def test_files_that_were_changed_are_named(name, folder):
    load_predictor(str(folder))
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"exported: {name} is damaged or edited"):
        load_predictor(str(folder))


def test_files_that_are_missing_or_too_many_are_named(folder):
    (folder / "variables/more").write_text("")
    with pytest.raises(ModelError, match="variables/more is no part of what was"):
        load_predictor(str(folder))
    (folder / "variables/more").unlink()
    (folder / "variables/variables.index").rename(folder / "variables/other")
    with pytest.raises(ModelError, match=r"variables/variables\.index is missing"):
        load_predictor(str(folder))


@pytest.mark.parametrize("place", ["odd", "variables/odd"])
@pytest.mark.parametrize("target", ["/etc", ".", "nowhere", None])
def test_folders_that_are_linked_or_empty_are_named(target, place, folder):
    if target is None:
        (folder / place).mkdir()
    else:
        (folder / place).symlink_to(target)
    with pytest.raises(ModelError, match=f"exported: {place} is no part of what was"):
        load_predictor(str(folder))
    if target != "nowhere":
        load_predictor(str(folder), verify=False)


def test_a_list_with_other_line_ends_is_called_so(folder):
    content = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).write_bytes(content.replace(b"\n", b"\r\n"))
    with pytest.raises(ModelError, match="has line ends as of Windows"):
        load_predictor(str(folder))


def test_the_list_itself_is_checked(folder):
    path = folder / MANIFEST
    content = path.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match="as it was exported|is no list"):
            load_predictor(str(folder))
    path.unlink()
    with pytest.raises(ModelError, match=r"checksum in assets\.extra/.* is missing"):
        load_predictor(str(folder))
    load_predictor(str(folder), verify=False)


@pytest.mark.parametrize("verify", [True, False])
def test_a_pipe_does_not_hang(verify, folder, tmp_path):
    name = "variables/variables.data-00000-of-00001"
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(UserError, match=f"{name} is a pipe"):
        load_predictor(str(folder), verify=verify)
    os.mkfifo(tmp_path / "m.tflite")
    with pytest.raises(UserError, match=r"m\.tflite is a pipe"):
        load_predictor(str(tmp_path / "m.tflite"), verify=verify)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("name", ["more", "variables/more"])
def test_no_file_of_a_folder_is_overlooked(name, verify, folder, monkeypatch):
    os.mkfifo(folder / name)
    # TensorFlow may wait for a pipe for ever.
    monkeypatch.setattr(tf.saved_model, "load", lambda path: pytest.fail(path))
    sentence = f"{name} is no part of what" if verify else f"{name} is a pipe"
    with pytest.raises(UserError, match=sentence):
        load_predictor(str(folder), verify=verify)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 500])
def test_a_graph_that_is_none_gets_a_sentence(content, folder):
    (folder / "saved_model.pb").write_bytes(content)
    with pytest.raises(ModelError, match="/1 cannot be loaded: "):
        load_predictor(str(folder), verify=False)


# ---- descriptions ----


@pytest.mark.parametrize("format", ["file", "folder"])
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"input": {"height": 64, "width": 64}},
            r"uint8 \[[1?], 64, 32, 3\], not uint8 \[[1?], 64, 64, 3\]",
        ),
        (
            {"skeleton": {"name": "s", "keypoints": ["nose"], "limb_colors": []}},
            r"17, 3\], not float32 \[.*1, 3\]",
        ),
        ({"task": "segmentation"}, "label_set' is missing"),
        ({"task": "people"}, "people model, which cannot|category_id' is missing"),
    ],
)
def test_a_description_of_another_model_is_refused(changes, sentence, format, request):
    path = request.getfixturevalue(format)
    change_description(path, **changes)
    with pytest.raises(ModelError, match=sentence):
        load_predictor(str(path), verify=False)


def lose_checksum(path: Path) -> None:
    """Takes out what the model's files are compared with, and nothing else."""
    if path.is_dir():
        (path / MANIFEST).unlink()
        return
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b""


@pytest.mark.parametrize("format", ["file", "folder"])
@pytest.mark.parametrize("key", ["sha256", None])
def test_a_checksum_that_was_lost_is_missed(key, format, request):
    path = request.getfixturevalue(format)
    change_description(path, checksum=key)
    lose_checksum(path)
    with pytest.raises(ModelError, match=r"the checksum in .* is missing"):
        load_predictor(str(path))
    load_predictor(str(path), verify=False)


@pytest.mark.parametrize("format", ["file", "folder"])
def test_a_description_that_is_silent_about_the_checksum_is_refused(format, request):
    path = request.getfixturevalue(format)
    change_description(path, checksum=None)
    if format == "file":
        path.write_bytes(checksums.sealed(path.read_bytes()))
    else:
        checksums.write_manifest(str(path))
    with pytest.raises(ModelError, match=r"hrnet_tf\.json does not say that it has a"):
        load_predictor(str(path))


@pytest.mark.parametrize("name", ["pose.tflite", "saved_model"])
def test_models_without_a_checksum_are_taken_with_a_warning(name, caplog):
    load_predictor(str(OLD / name))
    assert f"{name} has no checksum" in caplog.text


def test_a_later_version_is_warned_of(file, caplog):
    change_description(file, hrnet_tf_version="99.0")
    load_predictor(str(file), verify=False)
    assert "exported by hrnet_tf 99.0, which is newer" in caplog.text
    change_description(file, hrnet_tf_version="x")
    with pytest.raises(ModelError, match="hrnet_tf_version is 'x', which is no"):
        load_predictor(str(file), verify=False)


# ---- commands ----


def test_commands_take_it_as_it_is_when_told(file, folder, tmp_path, capsys):
    (folder / "more").write_text("")
    change_description(file, keypoint_score_threshold=0.5)
    flags = [f"--input={tmp_path}/image.png", "--whole_image"]
    (tmp_path / "image.png").write_bytes(_png())
    for model in (file, folder):
        command = ["predict", f"--model={model}", *flags]
        assert predict.main([*command, f"--output_dir={model}.out"]) == 1
        assert "with --unverified." in capsys.readouterr().err
        command += [f"--output_dir={model}.out", "--unverified"]
        assert predict.main(command) == 0
    command = ["join", f"--detector={folder}", f"--pose={folder}"]
    assert join.main([*command, f"--output_dir={tmp_path}/joined"]) == 1
    assert "with --unverified." in capsys.readouterr().err
    command += [f"--output_dir={tmp_path}/joined", "--unverified"]
    assert join.main(command) == 1
    assert "must be the SavedModel of a detector" in capsys.readouterr().err


def _png() -> bytes:
    return cv2.imencode(".png", np.zeros((50, 60, 3), np.uint8))[1].tobytes()
