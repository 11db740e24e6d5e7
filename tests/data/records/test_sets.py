import functools
import json
import os
import shutil

import hypothesis
import pytest
import record_damage as damage
import tensorflow as tf
from hypothesis import strategies as st

from hrnet_tf.data.records import conversions, sets
from hrnet_tf.data.records.conversions import Choices
from hrnet_tf.data.records.shards import RecordError, check_first_record, read_examples
from hrnet_tf.data.records.writing import RecordShards


def write(prefix, num_records=9, num_shards=3):
    with RecordShards(str(prefix), num_shards) as shards:
        for number in range(num_records):
            example = tf.train.Example()
            example.features.feature["n"].int64_list.value[:] = [number] * 8
            shards.write(example.SerializeToString())
        shards.publish(functools.partial(conversions.describe, Choices(), {}))
    return shards.files


@pytest.fixture
def files(tmp_path):
    return write(tmp_path / "train")


@pytest.fixture
def pattern(tmp_path, files):
    return f"{tmp_path}/train-*"


def told(pattern):
    found = list(sets.faults(pattern))
    assert len(found) <= 1
    return found[0] if found else ""


# ---- damaged files ----

BY_NAME = {change.__name__: change for change in damage.DAMAGES}
TOLD = {
    "delete": "train-*' matches 2 of 3 files: {path} is missing. Bring what is missing",
    "empty": "{path} is empty: convert the data again with --overwrite",
    "folder": "{path} is a folder, not a TFRecord file",
    "cut_at_a_border": "{path} has 228 bytes, not 342, and 2 records of 3: it was cut",
    "cut_within_the_last": "{path}: record 3 is damaged (",
    "cut_within_a_length": "{path}: record 3 is damaged (the file ends within it)",
    "flip_in_the_length": "{path}: record 3 is damaged (the file ends within it)",
    "flip_in_the_record": "{path}: record 3 is damaged (corrupted record at",
    "flip_in_the_checksum": "{path}: record 3 is damaged (corrupted record at",
    "lie_about_the_length": "{path}: record 3 is damaged (the file ends within it)",
}


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_file_and_the_record_are_named(files, pattern, name, place):
    assert told(pattern) == ""
    size = os.path.getsize(files[place])
    BY_NAME[name](files[place])
    expected = TOLD[name].replace("342", str(size)).replace("228", str(size * 2 // 3))
    sentence = told(pattern)
    assert expected.format(path=files[place]) in sentence
    assert "convert the data again with --overwrite" in sentence or name == "folder"


@pytest.mark.parametrize("name", sorted(set(TOLD) - {"cut_at_a_border"}))
def test_files_of_older_versions_are_looked_into(files, pattern, tmp_path, name):
    (tmp_path / "train.conversion.json").unlink()
    assert told(pattern) == ""
    BY_NAME[name](files[1])
    assert TOLD[name].format(path=files[1]) in told(pattern)


@pytest.mark.parametrize("name", ["empty", "folder", "cut_at_a_border", "delete"])
def test_of_large_sets_the_sizes_are_compared(files, pattern, monkeypatch, name):
    monkeypatch.setattr(sets, "_READ_WHOLE", 0)
    damage.flip_in_the_record(files[0])
    assert told(pattern) == ""
    BY_NAME[name](files[1])
    assert files[1] in told(pattern)


def test_exchanged_content_is_noticed(files, pattern):
    damage.rewrite(files[1], lambda record: record.replace(b"\7", b"\6"))
    assert f"{files[1]} has another checksum, and 3 records of 3" in told(pattern)


def test_compressed_files_are_not_looked_into(tmp_path):
    path = str(tmp_path / "train-00000-of-00001.tfrecord")
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        writer.write(b"x")
    assert "damaged" in told(path)
    assert not list(sets.faults(path, reads=False))


# ---- missing files ----


@pytest.mark.parametrize(
    ("chosen", "fault"),
    [
        ("train-*", "matches 2 of 3 files: {missing} is missing"),
        ("train-?????-of-00003.tfrecord", "matches 2 of 3 files"),
        ("train-0000[0-1]*", "matches 1 of 3 files"),
        ("train-00000-of-00003.tfrecord", ""),
        ("train-00000-of-00003.tfrecord,{folder}train-00002-of-00003.tfrecord", ""),
        ("train-00000-of-00003.tfrecord,{folder}train-*", "matches 2 of 3 files"),
    ],
)
def test_a_pattern_needs_whole_sets_and_names_do_not(tmp_path, files, chosen, fault):
    os.remove(files[1])
    chosen = f"{tmp_path}/{chosen}".replace("{folder}", f"{tmp_path}/")
    assert fault.format(missing=files[1]) in told(chosen)
    assert told([*chosen.split(",")]) == told(chosen)
    assert bool(told(chosen)) == bool(fault)


def test_a_pattern_may_choose_from_a_whole_set(tmp_path, files, caplog):
    caplog.set_level("INFO")
    assert told(f"{tmp_path}/train-0000[0-1]*") == ""
    assert "matches 2 of 3 files" in caplog.text
    caplog.clear()
    assert told(f"{tmp_path}/train-*") == "" and caplog.text == ""


@pytest.mark.parametrize("suffix", ["", ".tfrecord", ".records", ".tfrecord.gz"])
@pytest.mark.parametrize("there", [(0, 1), (2,), (0, 1, 2, 3), (0, 1, 2, 5)])
def test_any_set_whose_names_tell_its_size_is_counted(tmp_path, suffix, there):
    source = tmp_path / "source"
    with tf.io.TFRecordWriter(str(source)) as writer:
        writer.write(b"")
    for place in there:
        shutil.copy(source, tmp_path / f"train-{place:05d}-of-00004{suffix}")
    sentence = told(f"{tmp_path}/train-*")
    assert bool(sentence) == (there != (0, 1, 2, 3))
    if there == (2,):
        assert "train-00000-of-00004" in sentence
        assert "train-00003-of-00004" in sentence


def test_a_set_of_a_number_without_end_takes_no_time(tmp_path, files):
    shutil.copy(files[0], tmp_path / "x-00000-of-99999999999999.tfrecord")
    assert "and 99999999999995 more are missing" in told(f"{tmp_path}/x-*")


def test_files_beyond_the_number_are_strange(tmp_path, files):
    (tmp_path / "train.conversion.json").unlink()
    shutil.copy(files[0], tmp_path / "train-00003-of-00003.tfrecord")
    assert "number beyond those of its set" in told(f"{tmp_path}/train-*")


def test_two_conversions_under_one_prefix_are_refused(tmp_path, files):
    write(tmp_path / "other/train", num_shards=2)
    for path in (tmp_path / "other").glob("*.tfrecord"):
        shutil.copy(path, tmp_path)
    strange = f"{tmp_path}/train-00000-of-00002.tfrecord, "
    assert strange in told(f"{tmp_path}/train-*")
    assert "not of the conversion that" in told(f"{tmp_path}/train-*")
    assert strange in told(f"{tmp_path}/train-*-of-00002.tfrecord")
    assert told(f"{tmp_path}/train-*-of-00003.tfrecord") == ""
    (tmp_path / "train.conversion.json").unlink()
    assert "two conversions to" in told(f"{tmp_path}/train-*")
    assert told(f"{tmp_path}/train-*-of-00002.tfrecord") == ""


def test_a_name_with_brackets_is_a_name(tmp_path):
    (path,) = write(tmp_path / "train[1]", num_shards=1)
    assert told(path) == ""
    damage.flip_in_the_record(path)
    assert f"{path}: record 9 is damaged" in told(path)


# ---- the description ----


@pytest.mark.parametrize(
    ("shards", "reason"),
    [
        (3, "is damaged"),
        ([3], "is damaged"),
        ([{}], "is damaged"),
        ([{"name": "../x", "size": 1, "records": 1, "sha256": ""}], "shards holds"),
        ([{"name": "x", "size": -1, "records": 1, "sha256": ""}], "shards holds"),
        ([{"name": "x", "size": 1, "records": "1", "sha256": ""}], "shards holds"),
        ([{"name": "x", "size": 1, "records": 1, "sha256": None}], "shards holds"),
        ([{"name": [], "size": 1, "records": 1, "sha256": ""}], "shards holds"),
        ({"name": "x"}, "is damaged"),
    ],
)
def test_a_damaged_description_is_told(tmp_path, files, pattern, shards, reason):
    path = tmp_path / "train.conversion.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "shards": shards}))
    assert reason in told(pattern) and str(path) in told(pattern)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"x"', '"unfinished"'])
def test_garbage_for_a_description_is_told(tmp_path, files, pattern, text):
    (tmp_path / "train.conversion.json").write_text(text)
    assert str(tmp_path / "train.conversion.json") in told(pattern)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (["unfinished"], "it holds no JSON object"),
        ({"a": 1}, "category_ids is missing"),
        ({"left_out": 3}, "left_out is 3, not a list"),
        ({"left_out": [3]}, "left_out holds 3"),
        ({"left_out": [{"group": "images"}]}, "left_out holds {'group': 'images'}"),
        ({"shards": {}}, "shards is {}, not a list"),
        ({"shards": [{}]}, "shards holds {}"),
        ({"shards": [None]}, "shards holds null"),
        ({"area_from": "x"}, "area_from is 'x'"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_is_wrong_with_a_description_is_told(
    tmp_path, files, pattern, content, reason, encoding
):
    path = tmp_path / "train.conversion.json"
    if isinstance(content, dict) and "a" not in content:
        content = json.loads(path.read_text()) | content
    path.write_text(json.dumps(content), encoding=encoding)
    assert (
        told(pattern) == f"{path} is damaged ({reason}); convert the annotations again."
    )


def test_descriptions_of_older_versions_are_read(tmp_path, files, pattern):
    path = tmp_path / "train.conversion.json"
    content = json.loads(path.read_text())
    del content["shards"]
    path.write_text(json.dumps(content))
    assert told(pattern) == ""


# ---- any damage ----


@hypothesis.settings(deadline=None, max_examples=300)
@hypothesis.given(
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), max_size=4),
    length=st.integers(0, 10**6),
    added=st.binary(max_size=20),
)
def test_any_bytes_give_the_same_records_or_an_error(
    tmp_path_factory, flips, length, added
):
    folder = tmp_path_factory.getbasetemp() / "fuzzed"
    if not folder.exists():
        write(folder / "train", num_shards=1)
    path = folder / "train-00000-of-00001.tfrecord"
    whole = path.read_bytes()
    content = bytearray(whole)
    for place, bit in flips:
        content[place % len(content)] ^= 1 << bit
    content = bytes(content[: len(whole) - length % len(whole)]) + added
    other = folder / "other.tfrecord"
    other.write_bytes(content)
    records = [example.SerializeToString() for example in read_examples([str(path)])]
    found, is_whole = [], True
    try:
        for example in read_examples([str(other)]):
            found.append(example.SerializeToString())
    except RecordError as error:
        is_whole = False
        assert str(other) in str(error)
        assert f"record {len(found) + 1} is damaged" in str(error)
    assert found == records[: len(found)]
    assert (told(str(other)) == "") == (is_whole and bool(found))


@pytest.mark.parametrize("length", [1 << 40, (1 << 63) - 20, (1 << 63) + 5])
def test_a_length_beyond_memory_is_a_sentence(files, length):
    damage.lie_about_the_length(files[0], length)
    with pytest.raises(RecordError) as error:
        list(read_examples(files))
    assert str(error.value) == (
        f"{files[0]}: record 3 is damaged (the file ends within it); convert the data "
        "again with --overwrite."
    )


def test_a_first_length_beyond_memory_is_a_sentence(tmp_path):
    (file,) = write(tmp_path / "train", 1, 1)
    damage.lie_about_the_length(file)
    with pytest.raises(RecordError, match="damaged or not a TFRecord file: x."):
        check_first_record([file], lambda serialized: None, "x")


def test_a_file_that_cannot_be_opened_is_named_with_its_record(files):
    os.remove(files[0])
    with pytest.raises(RecordError) as error:
        list(read_examples(files))
    assert str(error.value) == (
        f"{files[0]}: record 1 cannot be read ({files[0]}; No such file or directory); "
        "convert the data again with --overwrite."
    )


@pytest.mark.parametrize(
    "ending", [".tfrecord.bak", ".tfrecord~", " (1).tfrecord", ".tfrecord.gz"]
)
@pytest.mark.parametrize("moves", [False, True])
def test_copies_beside_a_set_are_told_as_such(tmp_path, files, pattern, ending, moves):
    copy = files[1].removesuffix(".tfrecord") + ending
    (shutil.move if moves else shutil.copy)(files[1], copy)
    assert told(pattern) == (
        f"{pattern!r} matches {copy}, too, which is named like a copy: remove it, or "
        "end the pattern with -of-00003.tfrecord."
    )
    lacks = f"{files[1]} is missing" if moves else ""
    assert lacks in told(f"{tmp_path}/train-*-of-00003.tfrecord")
    assert bool(told(f"{tmp_path}/train-*-of-00003.tfrecord")) == moves
