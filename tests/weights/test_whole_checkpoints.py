"""The newest whole checkpoint of a folder is found, whatever has happened to it."""

import os
import random
import shutil
from pathlib import Path

import pytest
import tensorflow as tf

from hrnet_tf.weights import restoring, whole_checkpoints
from hrnet_tf.weights.whole_checkpoints import DamagedCheckpointError

INDEX, DATA = ".index", ".data-00000-of-00001"


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A folder with three checkpoints, at the steps 4, 8 and 12."""
    folder = tmp_path_factory.mktemp("saved")
    step = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(
        global_step=step, kernel=tf.Variable(tf.random.normal([40, 5]))
    )
    manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=5)
    for number in (4, 8, 12):
        step.assign(number)
        manager.save(checkpoint_number=number)
    return folder


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "run"))


def values(prefix: str) -> dict[str, bytes]:
    reader = tf.train.load_checkpoint(prefix)
    return {
        name: bytes(memoryview(reader.get_tensor(name)))
        for name in reader.get_variable_to_shape_map()
        if not name.startswith("_")
    }


def newest(folder: Path) -> str | None:
    prefix = whole_checkpoints.newest(str(folder))
    return prefix and os.path.relpath(prefix, folder)


def test_all_is_well(folder, log):
    assert newest(folder) == "ckpt-12"
    surveyed = whole_checkpoints.survey(str(folder))
    assert surveyed.older == ["ckpt-4", "ckpt-8"] and not surveyed.damaged
    before = (folder / "checkpoint").read_text()
    whole_checkpoints.repair(surveyed)
    assert (folder / "checkpoint").read_text() == before and log() == ""


def test_a_folder_without_checkpoints_never_had_one(tmp_path, log):
    for path in (tmp_path, tmp_path / "none"):
        assert newest(path) is None
        whole_checkpoints.repair(whole_checkpoints.survey(str(path)))
    assert not os.listdir(tmp_path) and log() == ""


@pytest.mark.parametrize(
    "content, why",
    [
        (None, "is missing"),
        (b"", "is empty"),
        (b"\0" * 40, "cannot be understood"),
        (b"\xff\xfe{", "cannot be understood"),
        (b"model_checkpoint_path: 7", "cannot be understood"),
        (b"model_checkpoint_path: ", "cannot be understood"),
        (b'model_checkpoint_path: "ckpt-8"', "names ckpt-8"),
        (b'model_checkpoint_path: "/moved/ckpt-12"', None),
        (b'model_checkpoint_path: "other-3"', "names other-3"),
        (b'model_checkpoint_path: "ckpt-16"', "ckpt-16 is damaged (its files"),
    ],
)
def test_the_state_file_is_not_needed(content, why, folder, log):
    state = folder / "checkpoint"
    state.unlink()
    if content is not None:
        state.write_bytes(content)
    assert newest(folder) == "ckpt-12"
    assert log().count("newest whole checkpoint") == (why is not None)
    assert why is None or why in log()
    whole_checkpoints.repair(whole_checkpoints.survey(str(folder)))
    assert tf.train.latest_checkpoint(str(folder)) == str(folder / "ckpt-12")


def test_a_repaired_folder_is_kept_to_its_size(folder):
    (folder / "checkpoint").unlink()
    whole_checkpoints.repair(whole_checkpoints.survey(str(folder)))
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(a=tf.Variable(1.0)), str(folder), max_to_keep=2
    )
    manager.save(checkpoint_number=16)
    kept = sorted(path.stem for path in folder.glob("*.index"))
    assert kept == ["ckpt-12", "ckpt-16"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 16
    path.write_bytes(content)


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("spoil", [truncate, flip, make_pipe, Path.unlink, Path.touch])
@pytest.mark.parametrize("suffix", [INDEX, DATA])
def test_a_damaged_one_is_passed_over(spoil, suffix, folder, log):
    path = folder / f"ckpt-12{suffix}"
    if spoil is Path.touch:
        path.write_bytes(b"")
    else:
        spoil(path)
    assert newest(folder) == "ckpt-8"
    assert log().count("\n") == 1
    assert f"newest whole checkpoint in {folder} is ckpt-8: ckpt-12 is damaged" in log()
    whole_checkpoints.repair(whole_checkpoints.survey(str(folder)))
    assert tf.train.latest_checkpoint(str(folder)) == str(folder / "ckpt-8")


@pytest.mark.parametrize("seed", range(40))
def test_no_flipped_bit_changes_what_is_restored(seed, saved, folder):
    """Those in the padding of an index change nothing; all others are noticed."""
    choose = random.Random(seed)
    path = folder / f"ckpt-12{choose.choice([INDEX, DATA])}"
    content = bytearray(path.read_bytes())
    content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
    path.write_bytes(content)
    found = newest(folder)
    assert found in ("ckpt-8", "ckpt-12")
    assert values(str(folder / found)) == values(str(saved / found))


def test_damage_within_a_second_is_seen(folder):
    prefix = str(folder / "ckpt-12")
    assert whole_checkpoints.damage(prefix) is None
    data = folder / "ckpt-12.data-00000-of-00001"
    content = data.read_bytes()
    data.write_bytes(bytes(len(content)))
    assert whole_checkpoints.damage(prefix) is not None
    data.write_bytes(content)
    assert whole_checkpoints.damage(prefix) is None


def test_files_of_two_checkpoints_do_not_make_one(folder):
    shutil.copy(folder / f"ckpt-8{DATA}", folder / f"ckpt-12{DATA}")
    assert newest(folder) == "ckpt-8"


@pytest.mark.parametrize("with_state", [False, True])
def test_without_a_whole_one_nothing_starts(with_state, folder):
    for path in folder.glob("*.data-*"):
        truncate(path)
    if not with_state:
        (folder / "checkpoint").unlink()
    for find in (newest, lambda path: restoring.find_checkpoint(str(path))):
        with pytest.raises(DamagedCheckpointError) as error:
            find(folder)
        text = str(error.value)
        assert str(folder) in text and "to start afresh" in text and "ckpt-12" in text
        assert "\n" not in text


@pytest.mark.parametrize("pattern", ["*.index", "*.data-*", "ckpt-*"])
def test_checkpoints_that_are_gone_are_missed(pattern, folder):
    for path in folder.glob(pattern):
        path.unlink()
    with pytest.raises(DamagedCheckpointError, match="to start afresh"):
        newest(folder)


@pytest.mark.parametrize(
    "left",
    [
        ["ckpt-16_temp/part-00000-of-00001.data-00000-of-00001"],
        ["ckpt-16_temp/part-00000-of-00001.index", f"ckpt-16{DATA}"],
        [f"ckpt-16{DATA}"],
        [f"ckpt-16{DATA}", "ckpt-16.index.tempstate7"],
        ["checkpoint.tmp0123abcd"],
        ["ckpt-12_temp/part-00000-of-00001.index"],
    ],
)
def test_leftovers_of_a_killed_save_are_removed(left, folder):
    before = sorted(os.listdir(folder))
    for name in left:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"half")
    assert newest(folder) == "ckpt-12"
    whole_checkpoints.repair(whole_checkpoints.survey(str(folder)))
    assert sorted(os.listdir(folder)) == before
    assert newest(folder) == "ckpt-12"


@pytest.mark.parametrize("left", [[DATA], [DATA, INDEX], ["_temp"]])
def test_a_first_save_that_was_killed_is_no_checkpoint(left, tmp_path, log):
    for suffix in left:
        if suffix == "_temp":
            (tmp_path / f"ckpt-2{suffix}").mkdir()
        else:
            (tmp_path / f"ckpt-2{suffix}").write_bytes(b"")
    assert newest(tmp_path) is None
    assert "has no checkpoint yet: a save of ckpt-2 was not finished" in log()
    whole_checkpoints.repair(whole_checkpoints.survey(str(tmp_path)))
    assert not os.listdir(tmp_path)


def test_leftovers_of_several_saves_are_not_of_the_first(tmp_path):
    for step in (2, 4):
        (tmp_path / f"ckpt-{step}{DATA}").write_bytes(b"half")
    with pytest.raises(DamagedCheckpointError, match="ckpt-2 is damaged"):
        newest(tmp_path)


def test_a_pipe_is_no_leftover(tmp_path):
    os.mkfifo(tmp_path / "ckpt-2.index")
    with pytest.raises(DamagedCheckpointError, match="ckpt-2.index is a pipe"):
        newest(tmp_path)


def test_a_state_file_that_is_a_pipe(folder, log):
    make_pipe(folder / "checkpoint")
    assert newest(folder) == "ckpt-12"
    assert "its file checkpoint is a pipe, not a file" in log()
    whole_checkpoints.repair(whole_checkpoints.survey(str(folder)))
    assert tf.train.latest_checkpoint(str(folder)) == str(folder / "ckpt-12")


@pytest.mark.parametrize("content", [None, b"garbage"])
def test_another_series_does_not_take_the_place_of_a_run(content, folder):
    for suffix in (INDEX, DATA):
        shutil.copy(folder / f"ckpt-8{suffix}", folder / f"backbone-100{suffix}")
    assert newest(folder) == "ckpt-12"
    (folder / "checkpoint").unlink()
    if content:
        (folder / "checkpoint").write_bytes(content)
    assert newest(folder) == "ckpt-12"
    whole_checkpoints.repair(whole_checkpoints.survey(str(folder)))
    assert (folder / "backbone-100.index").exists()
    assert "backbone" not in (folder / "checkpoint").read_text()


@pytest.mark.parametrize("number", [1, 99])
def test_a_copied_best_checkpoint_does_not_either(number, folder, log):
    for suffix in (INDEX, DATA):
        shutil.copy(folder / f"ckpt-8{suffix}", folder / f"best_ckpt-{number}{suffix}")
    name = f"best_ckpt-{number}"
    whole_checkpoints.write_state(str(folder), [name])
    assert newest(folder) == "ckpt-12"
    assert f"its file checkpoint names {name}" in log()
    surveyed = whole_checkpoints.survey(str(folder))
    assert "ckpt-8" in surveyed.older and name not in surveyed.older
    whole_checkpoints.repair(surveyed)
    assert tf.train.latest_checkpoint(str(folder)) == str(folder / "ckpt-12")
    assert (folder / f"{name}.index").exists()


def test_names_with_unusual_letters(saved, tmp_path):
    folder = Path(shutil.copytree(saved, tmp_path / "a {1}, +(é)"))
    assert newest(folder) == "ckpt-12"
    (folder / f"ckpt-12{DATA}").unlink()
    assert newest(folder) == "ckpt-8"


def test_an_unnumbered_checkpoint_is_found_where_it_is_listed(saved, tmp_path):
    for suffix in (INDEX, DATA):
        shutil.copy(saved / f"ckpt-8{suffix}", tmp_path / f"hrnet{suffix}")
    assert newest(tmp_path) is None
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "hrnet"')
    assert newest(tmp_path) == "hrnet"


def test_names_that_are_no_text_are_nobody_s(folder):
    beside = os.fsencode(folder)
    for name in (b"\xff.jpg", b"ckpt-16\xff.index", b"ckpt-12.data-\xff"):
        with open(os.path.join(beside, name), "wb"):
            pass
    assert newest(folder) == "ckpt-12"
    whole_checkpoints.repair(whole_checkpoints.survey(str(folder)))
    assert whole_checkpoints.damage(str(folder / "ckpt-12")) is None
    assert b"\xff.jpg" in os.listdir(beside)


def make_dangling(path: Path) -> None:
    path.symlink_to("/nothing/here")


def make_loop(path: Path) -> None:
    path.symlink_to(path)


def make_link_below_a_file(path: Path) -> None:
    path.symlink_to(f"{__file__}/x")


ODD = [make_dangling, make_loop, make_link_below_a_file, Path.mkdir, os.mkfifo]


@pytest.mark.parametrize("make", ODD)
def test_an_index_that_is_no_file_is_damaged(make, tmp_path):
    make(tmp_path / "ckpt-2.index")
    with pytest.raises(DamagedCheckpointError, match="ckpt-2 is damaged"):
        newest(tmp_path)


@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize("suffix", [INDEX, DATA])
def test_an_older_one_that_is_no_file_is_left_alone(make, suffix, folder):
    odd = folder / f"ckpt-8{suffix}"
    odd.unlink()
    make(odd)
    (folder / "checkpoint").unlink()
    whole_checkpoints.repair(whole_checkpoints.survey(str(folder)))
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(a=tf.Variable(1.0)), str(folder), max_to_keep=1
    )
    manager.save(checkpoint_number=16)
    assert newest(folder) == "ckpt-16" and os.path.lexists(odd)


def test_the_advice_names_the_files_of_what_is_damaged(saved, tmp_path):
    shutil.copy(saved / f"ckpt-8{INDEX}", tmp_path / f"hrnet{INDEX}")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "hrnet"')
    with pytest.raises(DamagedCheckpointError, match=r"checkpoint and hrnet\.\* in it"):
        newest(tmp_path)
