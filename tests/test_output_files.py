import json
import os
import threading
import time

import pytest
import tensorflow as tf

from hrnet_tf import output_files
from hrnet_tf.messages import UserError
from hrnet_tf.output_files import OutputError, check_output, written_whole


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "picture.png"
    with written_whole(path) as partial:
        assert partial.endswith("picture.png")
        with open(partial, "w") as file:
            file.write("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert os.listdir(path.parent) == ["picture.png"]


def test_texts_are_written_in_utf_8(tmp_path):
    output_files.write_text(tmp_path / "a.html", "é\n")
    assert (tmp_path / "a.html").read_bytes() == b"\xc3\xa9\n"


def test_a_folder_replaces_a_folder(tmp_path):
    path = tmp_path / "records"
    for name in ("old", "new"):
        with written_whole(path) as partial:
            os.mkdir(partial)
            with open(os.path.join(partial, name), "w"):
                pass
    assert os.listdir(path) == ["new"]
    assert os.listdir(tmp_path) == ["records"]


@pytest.mark.parametrize("is_folder", [False, True])
def test_after_a_failure_everything_is_as_before(is_folder, tmp_path):
    path = tmp_path / "output"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_whole(path) as partial:
        if is_folder:
            os.mkdir(partial)
        else:
            with open(partial, "w") as file:
                file.write("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["output"]


def test_a_name_without_a_folder_is_in_this_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output_files.write_json("numbers.json", {"a": [1, 2]}, indent=1)
    assert json.loads((tmp_path / "numbers.json").read_text()) == {"a": [1, 2]}


def test_a_file_of_an_address_is_no_file_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output_files.write_json("ram://output/run/numbers.json", [1, 2])
    with tf.io.gfile.GFile("ram://output/run/numbers.json") as file:
        assert file.read() == "[1, 2]"
    assert not os.listdir(tmp_path)


def test_existing_output_is_kept_unless_told(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(OutputError, match=f"{path} exists already.*--output_dir"):
            check_output(str(path), overwrite=False)
        check_output(str(path), overwrite=True)
    with pytest.raises(OutputError, match="choose another --output, .*--overwrite"):
        check_output(str(tmp_path), overwrite=False, flag="--output")
    for name in ("empty", "nothing"):
        check_output(str(tmp_path / name), overwrite=False)


@pytest.mark.parametrize(
    "message, told",
    [
        ("/my run/a; No space left on device", "/my run/a"),
        ("/my;run/a; No space left on device [Op:SaveV2] name: ", "/my;run/a"),
        ("my run/a; No space left on device", "my run/a"),
        (
            "{{function_node __wrapped__SaveV2_device_/job:localhost/device:CPU:0}} "
            "/my run/ckpt-2_temp/part-0; No space left on device [Op:SaveV2]",
            "/my run/ckpt-2",
        ),
        ("{{node a}} my run/ckpt-2_temp; No space left on device", "my run/ckpt-2"),
        (
            "2 root error(s) found.\n  (0) UNKNOWN: /my run/a; No space left on device"
            "\n\t [[{{node b}}]]\n  (1) UNKNOWN: /b; No space left on device",
            "/my run/a",
        ),
        ("Failed to create: /my run/a: b; No space left on device", "/my run/a: b"),
    ],
)
def test_tensorflow_s_message_is_a_path_and_a_cause(message, told):
    error = tf.errors.UnknownError(None, None, message)
    expected = f"{told}: No space left on device"
    assert output_files.failure_to_write(error) == expected


def test_a_sentence_that_quotes_such_a_message_is_told_whole():
    error = UserError("/a: record 3 is gone (/a; No such file or directory); mend it.")
    assert output_files.failure_to_write(error) is None


def test_long_messages_are_looked_through_in_time():
    begin = time.process_time()
    error = tf.errors.UnknownError(None, None, "x" * 100_000)
    assert output_files.failure_to_write(error) is None
    assert time.process_time() - begin < 5


def test_other_messages_are_no_failure_to_write():
    error = tf.errors.UnknownError(None, None, "shapes do not fit; try again")
    assert output_files.failure_to_write(error) is None


def test_threads_that_write_names_which_end_alike_do_not_meet(tmp_path):
    paths = [tmp_path / f"{letter}{'0' * 99}.txt" for letter in "ab"]
    with written_whole(paths[0]) as partial:
        thread = threading.Thread(
            target=output_files.write_json, args=(paths[1], "second")
        )
        with open(partial, "w") as file:
            thread.start()
            thread.join()
            file.write("first")
    assert [path.read_text() for path in paths] == ["first", '"second"']
