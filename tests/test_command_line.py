"""A command for tests: it greets somebody.

Call it as greet --name=NAME.
"""

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import gin
import pytest
from absl import flags

from hrnet_tf import command_line
from hrnet_tf.messages import UserError
from hrnet_tf.progress import Progress


class GreetingError(UserError):
    pass


def _flags() -> flags.FlagValues:
    add = command_line.Flags()
    add.string("name", "Whom to greet.", required=True)
    add.integer("times", "How often.", default=1, least=1)
    return add.values


def _greet(values: flags.FlagValues) -> None:
    if values.name == "nobody":
        raise GreetingError("There is nobody to greet.")
    if values.name == "":
        raise command_line.UsageError("--name is empty.")
    if values.name == "disk":
        raise OSError("The disk is full.")
    if values.name == "bug":
        raise RuntimeError("a fault of the program")
    if values.name == "patience":
        raise KeyboardInterrupt
    print("Hello " + ", ".join([values.name] * values.times))


def _run(*arguments: str) -> int:
    return command_line.run(_greet, _flags(), ["greet", *arguments])


def test_success(capsys):
    assert _run("--name=Ada", "--times", "2") == 0
    assert capsys.readouterr().out == "Hello Ada, Ada\n"


def test_an_argument_that_is_no_text(capsys):
    assert _run("--name=caf\udce9") == 2
    told = capsys.readouterr().err
    assert told.startswith(r"'--name=caf\udce9' is no UTF-8 text")


@pytest.mark.parametrize("name", ["TF_ENABLE_ONEDNN_OPTS", "TF_USE_LEGACY_KERAS"])
def test_tensorflow_is_set_up_unless_somebody_has(name, monkeypatch):
    monkeypatch.setenv(name, "0")
    assert _run("--name=Ada") == 0
    assert os.environ[name] == "0"
    monkeypatch.delenv(name)
    assert _run("--name=Ada") == 0
    assert os.environ[name] == "1"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--times=x", "--help"]])
def test_help_explains_the_command_and_its_flags(arguments, capsys):
    assert _run(*arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("A command for tests: it greets somebody.")
    for text in ("--name", "Whom to greet.", "--times", "How often.", "default: '1'"):
        assert text in captured.out
    assert not captured.err


@pytest.mark.parametrize(
    ("name", "told"),
    [("nobody", "There is nobody to greet.\n"), ("disk", "The disk is full.\n")],
)
def test_a_failure_is_one_sentence(name, told, capsys):
    assert _run(f"--name={name}") == 1
    captured = capsys.readouterr()
    assert captured.err == told
    assert not captured.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--name"),
        (["--name="], "--name is empty."),
        (["--name=Ada", "--tmies=2"], "tmies"),
        (["--name=Ada", "--times=0"], "times"),
        (["--name=Ada", "--times=two"], "two"),
        (["--name=Ada", "extra"], "Unexpected argument 'extra'"),
        (["--name=Ada", "--flagfile=no/such/file"], "no/such/file"),
    ],
)
def test_bad_usage(arguments, told, capsys):
    assert _run(*arguments) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.err.endswith("\nSee --help.\n")
    assert "Traceback" not in captured.err
    assert not captured.out


def test_flags_come_from_a_file_too(tmp_path, capsys):
    flagfile = tmp_path / "greet.flags"
    flagfile.write_text("# whom\n--name=Ada\n\n--times=3\n")
    assert _run(f"--flagfile={flagfile}", "--times=2") == 0
    assert capsys.readouterr().out == "Hello Ada, Ada\n"


def test_tensorflow_s_errors_about_files_are_failures(tmp_path, capsys):
    import tensorflow as tf

    def write(values: flags.FlagValues) -> None:
        with tf.io.gfile.GFile(f"{values.name}/metrics.json", "w") as file:
            file.write("{}")

    (tmp_path / "file").touch()
    arguments = ["greet", f"--name={tmp_path}/file"]
    assert command_line.run(write, _flags(), arguments) == 1
    error = capsys.readouterr().err
    assert f"{tmp_path}/file" in error and len(error.splitlines()) == 1


def test_what_gin_appends_is_not_shown(capsys):
    @gin.configurable
    def train():
        raise UserError("The boxes are of other images.")

    assert command_line.run(lambda values: train(), _flags(), ["x", "--name=y"]) == 1
    assert capsys.readouterr().err == "The boxes are of other images.\n"


def test_what_tensorflow_says_of_its_operations_is_not_shown(tmp_path, capsys):
    file = tmp_path / "my file"
    file.write_text("")

    def work(values: flags.FlagValues) -> None:
        import tensorflow as tf

        tf.summary.create_file_writer(str(file / "folder"))

    assert command_line.run(work, _flags(), ["greet", "--name=x"]) == 1
    assert capsys.readouterr().err == f"{file} is not a directory\n"


def test_interruption_is_no_traceback(capsys):
    assert _run("--name=patience") == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_faults_of_the_program_keep_their_traceback():
    with pytest.raises(RuntimeError, match="a fault of the program"):
        _run("--name=bug")


def test_help_lists_flags_under_the_command(capsys):
    _run("--help")
    assert "hrnet_tf.command_line" not in capsys.readouterr().out


def test_flags_of_every_kind(capsys):
    add = command_line.Flags()
    add.strings("tag", "Tags.")
    add.list("sizes", "Sizes.")
    add.enum("mode", ["fast", "slow"], "Mode.", default="fast")
    add.enums("task", ["pose", "detection"], "Tasks.")
    add.boolean("verbose", "Whether to tell more.")
    add.float("rate", "A share.", default=0.5)
    seen = []
    arguments = ["command", "--tag=a", "--tag=b", "--sizes=1,2", "--noverbose"]

    def note(values):
        seen.append({name: values[name].value for name in names})

    names = list(add.values)
    assert command_line.run(note, add.values, arguments) == 0
    assert seen[0] == {
        "tag": ["a", "b"],
        "sizes": ["1", "2"],
        "mode": "fast",
        "task": ["pose", "detection"],
        "verbose": False,
        "rate": 0.5,
    }
    assert command_line.run(note, add.values, ["command", "--mode=swift"]) == 2
    assert "fast" in capsys.readouterr().err


def test_flags_stay_out_of_the_process_wide_set():
    assert _run("--name=Ada") == 0
    assert "times" not in flags.FLAGS


def test_the_log_is_written_above_progress_bars(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    def command(values):
        with Progress(10, "Training") as progress:
            progress.advance(4)
            logging.getLogger("hrnet_tf.training").info("First evaluation.")

    assert command_line.run(command, flags.FlagValues(), ["command"]) == 0
    # The bar is wiped before the sentence, and drawn again on the line after it.
    before, after = terminal.getvalue().split("First evaluation.\n")
    wiped = before.rstrip("\r").rpartition("\r")[2]
    assert "Training" in before and not wiped.strip()
    assert "Training" in after


def test_the_package_s_log_is_shown_and_nobody_else_s(capsys):
    def command(values):
        logging.getLogger("hrnet_tf.weights").info("Restored 3 of 3 variables.")
        logging.getLogger("somebody").info("Noise.")

    assert command_line.run(command, flags.FlagValues(), ["command"]) == 0
    assert capsys.readouterr().err == "Restored 3 of 3 variables.\n"


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "is a pipe, not a file"),
        (os.mkdir, "is a folder, not a file"),
        (lambda path: path.write_bytes(b"\xff\xfe--name"), "is not a text"),
    ],
)
def test_flags_come_from_texts_alone(make, reason, nested, tmp_path, capsys):
    path = tmp_path / "greet.flags"
    make(path)
    if nested:
        (tmp_path / "outer").write_text(f"--flagfile={path}\n")
    assert _run(f"--flagfile={tmp_path / 'outer' if nested else path}") == 2
    assert f"--flagfile={path} {reason}" in capsys.readouterr().err


def test_messages_are_without_the_lines_of_gin(capsys):
    from gin import utils

    def command(values):
        try:
            raise OSError(5, "Input/output error", "/data/a.tfrecord")
        except OSError as error:
            utils.augment_exception_message_and_reraise(
                error, "\n  In call to configurable 'Trainer' (<class 'Trainer'>)"
            )

    assert command_line.run(command, flags.FlagValues(), ["command"]) == 1
    told = capsys.readouterr().err
    assert told == "[Errno 5] Input/output error: '/data/a.tfrecord'\n"


PROGRAM = """
import os, sys
from hrnet_tf import command_line, messages

class PublicError(messages.UserError):
    pass

def work(values):
    print("x" * values.size, flush=values.flush)
    if values.fails:
        raise PublicError("It fails.")
    if values.ends:
        os.kill(os.getpid(), 15)
        import time
        time.sleep(60)

define = command_line.Flags()
define.integer("size", "", 1)
for name in ("flush", "fails", "ends"):
    define.boolean(name, "")
sys.exit(command_line.run(work, define.values, sys.argv))
"""


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def _program(*arguments: str, **streams: Any) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(program, text=True, timeout=60, **streams)


def test_help_may_be_read_in_part(unread):
    result = _program("--help", stdout=unread, stderr=subprocess.PIPE)
    assert result.returncode == 0 and not result.stderr


@pytest.mark.parametrize("argument, code", [("--fails", 1), ("--ends", 143)])
def test_exit_codes_do_not_need_a_reader(argument, code, unread):
    streams = {"stdout": subprocess.DEVNULL, "stderr": unread}
    assert _program(argument, **streams).returncode == code


@pytest.mark.parametrize("arguments", [[], ["--flush"], ["--size=100000"]])
def test_output_that_cannot_be_written_is_a_failure(arguments, unread):
    result = _program(*arguments, stdout=unread, stderr=subprocess.PIPE)
    assert result.returncode == 1
    assert result.stderr == "[Errno 32] Broken pipe\n"
    with open("/dev/full", "w") as full:
        result = _program(*arguments, stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 1
    assert result.stderr == "No space left on device.\n"


def test_names_of_files_do_not_move_the_cursor(capsys):
    def command(values):
        raise UserError("a\x1b[2K\r\x07b \x85 é \u4e2d\ud800\tc is no image.")

    assert command_line.run(command, command_line.Flags().values, ["command"]) == 1
    told = capsys.readouterr().err
    assert told == "a\\x1b[2K\\r\\x07b \\x85 é \u4e2d\\ud800\tc is no image.\n"
