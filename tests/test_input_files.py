"""Files that would keep a reader waiting, fill the memory or break a parser."""

import json
import os
import socket
import time

import pytest
import yaml

from hrnet_tf.input_files import (
    MISSING,
    InputFileError,
    check_input,
    open_input,
    parse_json,
    parse_yaml,
    read_bytes,
    read_json,
    read_yaml,
)


@pytest.fixture(autouse=True)
def quickly():
    start = time.monotonic()
    yield
    assert time.monotonic() - start < 10


def make_socket(path):
    # A socket's path is short.
    folder = os.getcwd()
    os.chdir(path.parent)
    socket.socket(socket.AF_UNIX).bind(path.name)
    os.chdir(folder)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "is a pipe, not a file"),
        (os.mkdir, "is a folder, not a file"),
        (make_socket, "is a socket or a device, not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
        (lambda path: path.symlink_to(path), "cannot be read: Too many levels"),
        (lambda path: path.symlink_to("gone"), r"does not exist \(.*link to gone\)"),
        (lambda path: None, "does not exist"),
    ],
)
def test_what_is_no_file_is_refused_at_once(tmp_path, make, reason):
    path = tmp_path / "a.json"
    make(path)
    for read in (open_input, read_bytes, read_json, read_yaml, check_input):
        for name in (path, f"file://{path}"):
            with pytest.raises(InputFileError, match=rf"^{path} {reason}.*\.$"):
                read(str(name))


@pytest.mark.parametrize("name", ["", "a\0b", "a\ud800b"])
def test_names_that_no_file_has(name):
    with pytest.raises(InputFileError) as error:
        read_bytes(name)
    assert error.value.fault == MISSING
    str(error.value).encode()


def test_a_file_has_a_limit(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1234")
    assert read_bytes(str(path), 4) == b"1234"
    with pytest.raises(InputFileError, match="has more than 3 bytes"):
        read_bytes(str(path), 3)


def test_addresses_are_left_to_tensorflow():
    with pytest.raises(InputFileError, match="foo://a.json cannot be read: .*foo"):
        read_json("foo://a.json")
    check_input("foo://a.json")


@pytest.mark.parametrize("folder", ["", "a", "a-b"])
def test_an_address_begins_with_its_scheme(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    name = os.path.join(folder, "a-b:/p.jpg")
    os.makedirs(os.path.dirname(name))
    os.mkfifo(name)
    with pytest.raises(InputFileError, match="is a pipe, not a file"):
        read_bytes(name.replace(":/", "://"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_in_all_its_encodings(encoding):
    assert parse_json('{"ä": [1, NaN]}'.encode(encoding), "f").keys() == {"ä"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is not valid JSON: Expecting value"),
        ("[" * 100_000, "is not valid JSON: it is nested too deeply"),
        ('{"a":' * 100_000, "is not valid JSON: it is nested too deeply"),
        ("9" * 5000, "is not valid JSON: it has a whole number of more than 4300"),
        (b'"\xe9"', "is not valid JSON: it is not text in UTF-8"),
        (b"\0\0\0", "is not valid JSON"),
        ('[{"a": 1, "b": 2, "a": 3}]', "has the key 'a' twice in an object"),
    ],
)
def test_json_that_cannot_be_read(content, reason):
    with pytest.raises(InputFileError, match=f"^f.json {reason}"):
        parse_json(content, "f.json")


def test_a_doubled_key_is_found_in_time():
    content = json.dumps({str(number): 0 for number in range(200_000)})
    content = content[:-1] + ', "199999": 0}'
    with pytest.raises(InputFileError, match="has the key '199999' twice"):
        parse_json(content, "f.json")


def test_entries_of_json_are_read_one_by_one():
    assert parse_json('[{"a": 1}]', "f", lambda entry: entry["a"]) == [1]


def laughs(step):
    """Aliases of aliases, which stand for 10**9 values."""
    lines = ["a0: &a0 " + step.format("1, 2")]
    lines += [
        f"a{i}: &a{i} " + step.format(", ".join([f"*a{i - 1}"] * 10))
        for i in range(1, 10)
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[" * 100_000, "nested more than 100 levels"),
        ("- " * 100_000, "nested more than 100 levels"),
        ("{a: " * 100_000, "nested more than 100 levels"),
        (
            "- &a0 []\n" + "".join(f"- &a{i + 1} [*a{i}]\n" for i in range(5000)),
            "line 101, column 3: it is nested more than 100 levels",
        ),
        (laughs("[{}]"), "aliases make it more than 500000 values"),
        (laughs("{{<<: [{}]}}").replace("1, 2", "{x: 1}"), "aliases make it more"),
        ("&a [*a]", "it holds itself"),
        ("&a {<<: *a}", "it holds itself"),
        ("a: 1\nb:\n  c: 2\n  c: 3", "line 4, column 3: the key 'c' is given twice"),
        ("[a, b]: 1", "a key must be a plain text or number"),
        ("!!python/object/apply:os.getcwd []", "tag '!!python/object/apply:os.getcwd'"),
        ("!!python/name:os.getcwd", "tag '!!python/name:os.getcwd'"),
        ("a: !!timestamp x", "line 1, column 4: the tag '!!timestamp' is not read"),
        ("a: !!int x", "the tag '!!int' is not read"),
        ("!!binary x", "the tag '!!binary' is not read"),
        ("a: " + "9" * 5000, "a number has 5000 digits"),
        ("a: 0x" + "f" * 5000, "a number has 5002 digits"),
        ("a: 1" + ":59" * 3000 + ".5", "a number has 9003 digits"),
        ("a: 2001-99-99", "month must be in 1..12"),
        ("a: 0b_", "invalid literal"),
        ("a: \0", "special characters are not allowed"),
        (b"a: \xe9", "unacceptable character"),
        (b"\xff\xfe\x00", "truncated data"),
        ("a: =", "could not determine a constructor"),
        ("a: 1\n---\nb: 1", "found another document"),
        ("a: &x 1\nb: &x 2\nc: [", "line 3|duplicate anchor"),
    ],
)
@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.FullLoader])
def test_yaml_that_cannot_be_read(content, reason, loader):
    with pytest.raises(InputFileError, match=rf"^f is not valid YAML: .*({reason})"):
        parse_yaml(content, "f", loader)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"", None),
        (b"\xef\xbb\xbfa: 1", {"a": 1}),
        ("a: 1".encode("utf-16"), {"a": 1}),
        ("a: !!str 1\nb: !!int 2\nc: !!float 2.5", {"a": "1", "b": 2, "c": 2.5}),
        ("a: &a {x: 1}\nb: {<<: *a, y: 2}", {"a": {"x": 1}, "b": {"x": 1, "y": 2}}),
        ("[&a [1], *a, *a]", [[1], [1], [1]]),
    ],
)
def test_yaml_that_can_be_read(content, value):
    assert parse_yaml(content, "f") == value


def test_tuples_of_the_gardens_files_are_read():
    content = "a: !!python/tuple [1, 2]"
    assert parse_yaml(content, "f", yaml.FullLoader) == {"a": (1, 2)}
    with pytest.raises(InputFileError, match="could not determine a constructor"):
        parse_yaml(content, "f")


def test_a_large_yaml_file_is_not_parsed(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("- a\n" * 200_000)
    with pytest.raises(InputFileError, match="has more than 200000 bytes"):
        read_yaml(str(path))
