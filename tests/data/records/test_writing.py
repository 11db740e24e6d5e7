import fcntl
import itertools
import json
import os
import re
import subprocess
import sys
import textwrap

import pytest
import tensorflow as tf

from hrnet_tf.data.records import conversions, names, sets
from hrnet_tf.data.records.conversions import Choices
from hrnet_tf.data.records.shards import read_serialized
from hrnet_tf.data.records.writing import RecordShards, check_output_prefix
from hrnet_tf.output_files import OutputError

# ---- one process ----


def write(prefix, texts, num_shards=3, overwrite=False):
    with RecordShards(str(prefix), num_shards, overwrite) as shards:
        for text in texts:
            shards.write(text.encode())
        shards.publish(lambda files: conversions.describe(Choices(), {}, files))
    return shards.files


def read(prefix):
    """The records of a set, and what is wrong with it."""
    files = names.match([f"{prefix}-*.tfrecord"])
    found = list(sets.faults(f"{prefix}-*.tfrecord"))
    return [r.decode() for path in files for r in read_serialized(path)], found


def test_the_description_lists_the_files(tmp_path):
    files = write(tmp_path / "train", ["a", "bb", "ccc", "dddd"])
    described = conversions.read(str(tmp_path / "train")).shards
    assert list(described) == [os.path.basename(path) for path in files]
    assert [shard.records for shard in described.values()] == [2, 1, 1]
    assert [s.size for s in described.values()] == [os.path.getsize(f) for f in files]
    found = subprocess.run(["sha256sum", *files], capture_output=True, text=True).stdout
    assert [s.sha256 for s in described.values()] == re.findall(r"^\w{64}", found, re.M)
    assert read(tmp_path / "train") == (["a", "dddd", "bb", "ccc"], [])
    assert sorted(os.listdir(tmp_path)) == sorted([*described, "train.conversion.json"])


def test_a_prefix_is_written_by_one_process_at_a_time(tmp_path):
    with RecordShards(str(tmp_path / "train"), 1) as first:
        first.write(b"first")
        with pytest.raises(OutputError, match=rf"process {os.getpid()} on .* is writ"):
            write(tmp_path / "train", ["second"], overwrite=True)
        write(tmp_path / "val", ["another prefix"])
        first.publish(lambda files: conversions.describe(Choices(), {}, files))
    assert read(tmp_path / "train") == (["first"], [])
    with pytest.raises(OutputError, match="exist already"):
        write(tmp_path / "train", ["second"])
    write(tmp_path / "train", ["second"], overwrite=True)
    assert read(tmp_path / "train") == (["second"], [])


def test_without_locks_two_processes_never_mix(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "fcntl.flock", lambda *_: (_ for _ in ()).throw(OSError(37, "No locks"))
    )
    with RecordShards(str(tmp_path / "train"), 2) as slow:
        slow.write(b"slow")
        rename = tf.io.gfile.rename

        def rename_late(source, target, overwrite):
            rename(source, target, overwrite=overwrite)
            monkeypatch.setattr(tf.io.gfile, "rename", rename)
            write(tmp_path / "train", ["fast", "faster"])

        monkeypatch.setattr(tf.io.gfile, "rename", rename_late)
        with pytest.raises(OutputError, match="at the same time: convert again"):
            slow.publish(lambda files: conversions.describe(Choices(), {}, files))
    found = read(tmp_path / "train")
    assert found[1] or found[0] in (["fast", "faster"], ["slow"])


def test_leftovers_of_killed_converters_are_removed(tmp_path):
    (tmp_path / ".train.0123456789abcdef.partial").mkdir()
    (tmp_path / ".train.0123456789abcdef.partial/00000").write_text("half")
    (tmp_path / ".train-00003.partial").write_text("of an older version")
    (tmp_path / ".train.conversion.json.partial").write_text("{}")
    (tmp_path / ".train.lock").write_text("process 1 on nowhere")
    others = [".train.more.0123456789abcdef.partial", ".trainer-00003.partial"]
    for other in others:
        (tmp_path / other).write_text("of another prefix")
    (file,) = write(tmp_path / "train", ["a"])
    left = [*others, "train.conversion.json", os.path.basename(file)]
    assert sorted(os.listdir(tmp_path)) == sorted(left)


def test_a_failure_leaves_the_earlier_files(tmp_path):
    write(tmp_path / "train", ["a", "b"])
    before = sorted(os.listdir(tmp_path))
    with (
        pytest.raises(KeyboardInterrupt),
        RecordShards(str(tmp_path / "train"), 2, overwrite=True) as shards,
    ):
        shards.write(b"c")
        raise KeyboardInterrupt
    assert sorted(os.listdir(tmp_path)) == before
    assert read(tmp_path / "train") == (["a", "b"], [])


@pytest.mark.parametrize(
    "spelling", ["a//train", "a/./train", "a///train", "a/../a/train"]
)
def test_a_prefix_is_the_same_however_it_is_spelled(tmp_path, spelling):
    write(tmp_path / "a/train", ["a"])
    for prefix in (f"{tmp_path}/{spelling}", f"{tmp_path}/a/train"):
        with pytest.raises(OutputError, match="1 files of this prefix exist already"):
            write(prefix, ["b"], num_shards=1)
        write(prefix, ["b", "c"], num_shards=2, overwrite=True)
        assert read(tmp_path / "a/train") == (["b", "c"], [])
        write(prefix, ["a"], overwrite=True)


def test_names_that_are_no_text_are_let_be(tmp_path):
    strange = os.fsencode(tmp_path) + b"/tr\xe4in-00000-of-00001.tfrecord"
    open(strange, "wb").close()
    write(tmp_path / "train", ["a"])
    assert read(tmp_path / "train") == (["a"], [])
    write(tmp_path / "train", ["b"], overwrite=True)
    assert read(tmp_path / "train") == (["b"], []) and os.path.exists(strange)
    with pytest.raises(tf.errors.OpError, match="that are no UTF-8 text; rename"):
        names.match([f"{tmp_path}/tr*"])
    with pytest.raises(tf.errors.OpError, match="it is no UTF-8 text"):
        names.match([os.fsdecode(strange)])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tr\udce4in", "is no UTF-8 text, or holds a NUL"),
        ("tr\0ain", "is no UTF-8 text, or holds a NUL"),
        ("a,train", "holds a comma, at which task"),
        ("..", "ends in a folder"),
        ("", "ends in a folder"),
    ],
)
def test_prefixes_that_no_pattern_would_match_are_refused(tmp_path, name, reason):
    with pytest.raises(OutputError, match=reason):
        check_output_prefix(f"{tmp_path}/{name}", overwrite=True)


def test_a_tilde_is_no_folder():
    with pytest.raises(OutputError, match="begins with ~"):
        check_output_prefix("~/train", overwrite=False)


@pytest.mark.parametrize(
    "name", ["train.conversion.json", "train-00000-of-00001.tfrecord"]
)
def test_folders_in_the_way_are_named(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(OutputError) as error:
        check_output_prefix(f"{tmp_path}/train", overwrite=True)
    assert str(error.value).startswith(f"{tmp_path / name} is a folder where a file")


def test_a_damaged_description_does_not_hide_how_to_replace(tmp_path):
    write(tmp_path / "train", ["a"])
    (tmp_path / "train.conversion.json").write_text("garbage")
    with pytest.raises(OutputError, match="replace them with --overwrite"):
        write(tmp_path / "train", ["b"])
    write(tmp_path / "train", ["b"], overwrite=True)
    assert read(tmp_path / "train") == (["b"], [])


def test_a_lock_that_somebody_removes_is_no_failure(tmp_path):
    with RecordShards(str(tmp_path / "train"), 1) as shards:
        shards.write(b"a")
        (tmp_path / ".train.lock").unlink()
        shards.publish(lambda files: conversions.describe(Choices(), {}, files))
    assert read(tmp_path / "train") == (["a"], [])


def test_a_lock_that_was_removed_before_it_was_taken_is_no_lock(tmp_path, monkeypatch):
    flock = fcntl.flock

    def remove_and_lock(*args):
        monkeypatch.setattr("fcntl.flock", flock)
        (tmp_path / ".train.lock").unlink()
        (tmp_path / ".train.lock").touch()  # by another process
        flock(*args)

    monkeypatch.setattr("fcntl.flock", remove_and_lock)
    with RecordShards(str(tmp_path / "train"), 1) as first:
        first.write(b"first")
        with pytest.raises(OutputError, match="is writing records of the prefix"):
            write(tmp_path / "train", ["second"])


# ---- killed at every change of the disk ----

# Ends the process without a word at a given change of the file system.
KILLED = """
    import os, sys
    import tensorflow as tf
    from hrnet_tf.data.records import conversions
    from hrnet_tf.data.records.writing import RecordShards

    moments, cases = eval(sys.argv[1])
    for name in ("rename", "remove", "makedirs"):
        def changed(*args, _change=getattr(tf.io.gfile, name), **options):
            global left
            if left == 0:
                os._exit(9)
            left -= 1
            return _change(*args, **options)
        setattr(tf.io.gfile, name, changed)
    for prefix, texts, num_shards, overwrite in cases:
        for left in range(moments):
            child = os.fork()
            if child == 0:
                target = prefix.format(left)
                with RecordShards(target, num_shards, overwrite) as shards:
                    for text in texts:
                        shards.write(text.encode())
                    shards.publish(
                        lambda files: conversions.describe(
                            conversions.Choices(), {}, files
                        )
                    )
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


OLD, NEW, MOMENTS = [f"old{i}" for i in range(8)], [f"new{i}" for i in range(6)], 14
NUMBERS_OF_EARLIER_FILES = 0, 2, 3


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder for each number of earlier files and moment, and the exit codes."""
    folder = tmp_path_factory.mktemp("killed")
    cases = []
    for number in NUMBERS_OF_EARLIER_FILES:
        for moment in range(MOMENTS) if number else ():
            write(folder / f"{number}/{moment}/train", OLD, number)
        cases.append((f"{folder}/{number}/{{}}/train", NEW, 3, number > 0))
    program = textwrap.dedent(KILLED)
    codes = subprocess.run(
        [sys.executable, "-c", program, repr((MOMENTS, cases))],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    places = itertools.product(NUMBERS_OF_EARLIER_FILES, range(MOMENTS))
    return folder, dict(zip(places, codes, strict=True))


@pytest.mark.parametrize("num_earlier", NUMBERS_OF_EARLIER_FILES)
def test_killed_at_any_change_the_set_is_the_old_or_the_new_or_refused(
    killed, num_earlier
):
    folder, codes = killed
    seen = set()
    for moment in range(MOMENTS):
        prefix = folder / str(num_earlier) / str(moment) / "train"
        code = codes[num_earlier, moment]
        records, faults = read(prefix)
        if faults:
            seen.add("refused")
            assert "train.conversion.json says: a converter is at work, or" in faults[0]
        elif code == "0":
            seen.add("new")
            assert sorted(records) == NEW
        elif records:
            seen.add("old")
            assert sorted(records) == OLD and num_earlier
        # The same command, or with --overwrite where an earlier set is left, mends it.
        write(prefix, NEW, overwrite=sorted(records) == OLD or code == "0")
        assert (sorted(read(prefix)[0]), read(prefix)[1]) == (NEW, [])
        assert not [name for name in os.listdir(prefix.parent) if name[0] == "."]
    assert seen == {"refused", "new"} | ({"old"} if num_earlier else set())


def test_an_unfinished_conversion_may_be_repeated_without_overwrite(tmp_path):
    write(tmp_path / "train", ["a", "b"])
    (tmp_path / "train.conversion.json").write_text(json.dumps({"unfinished": "x"}))
    assert "unfinished" in read(tmp_path / "train")[1][0]
    write(tmp_path / "train", ["c"])
    assert read(tmp_path / "train") == (["c"], [])
