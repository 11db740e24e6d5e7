"""The contract of every command: `--help`, one-sentence errors and exit codes.

0 is success, 1 a failure that the message explains, 2 a command line that could not
be understood, 128 and a signal's number the end that the signal asked for: 130 for
Ctrl-C, 143 for SIGTERM.

A command keeps its flags in a `FlagValues` of its own, not in absl's process-wide set,
so that its module can be imported beside any other.

Help and bad usage must not wait for TensorFlow, which takes seconds to import: the
modules of commands import it, and all that imports it, inside the function that works.
"""

import contextlib
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from hrnet_tf import preset_files, signals
from hrnet_tf.input_files import MAX_PIXELS, InputFileError, is_text, read_bytes
from hrnet_tf.messages import UserError, shown
from hrnet_tf.output_files import failure_to_write

# Flags that `Flags` defines belong to the command, not to this module.
flags.disclaim_key_flags()


_LARGEST_FLAGFILE = 1_000_000  # bytes
_OF_ABSL = ("flagfile", "undefok")

# Control characters but for ends of lines, and halves of pairs.
_UNSEEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

# What TensorFlow reads from the environment when it is imported, if nobody has decided.
_TENSORFLOW = {
    # Hides what its C++ side has to tell.
    "TF_CPP_MIN_LOG_LEVEL": "2",
    # Convolutions of oneDNN are faster on all x86 CPUs; TensorFlow takes them on those
    # with VNNI or AMX alone.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    # tf_keras, which the Garden is written in. Keras 3 takes a second to import.
    "TF_USE_LEGACY_KERAS": "1",
}


class UsageError(ValueError):
    """The command line asks for something impossible; exit code 2."""


class _FlagValues(flags.FlagValues):
    """absl's, which would wait at a pipe that is named as a --flagfile.

    Attributes:
        passed_on: Flags of the command line that are another library's.
    """

    passed_on: Sequence[str] = ()
    beside: str | None = None  # the flag that lets them be so

    def __call__(self, argv: Sequence[str], known_only: bool = False) -> list[str]:
        """Parses flags; see `Flags.pass_on_beside`."""
        known = {*self, *(f"no{name}" for name in self), *_OF_ABSL, ""}
        others = [a for a in argv if a.startswith("--") and flag_name(a) not in known]
        if self.beside not in {*map(flag_name, argv)}:
            others = []
        self.__dict__["passed_on"] = others  # What absl sets is a flag.
        return super().__call__([a for a in argv if a not in others], known_only)

    def _get_flag_file_lines(self, filename: str, parsed_file_stack: Any = None) -> Any:
        path = preset_files.resolve(filename, ".flags")
        if filename:
            try:
                read_bytes(path, _LARGEST_FLAGFILE).decode()
            except InputFileError as error:
                raise UsageError(f"--flagfile={error}") from None
            except UnicodeDecodeError:
                raise UsageError(f"--flagfile={filename} is not a text.") from None
        return super()._get_flag_file_lines(path, parsed_file_stack)


def flag_name(argument: str) -> str:
    """The name of the flag that an argument of a command line sets; "" if none."""
    is_flag = argument.startswith("-")
    return argument.lstrip("-").partition("=")[0] if is_flag else ""


class Flags:
    """Defines a command's flags, one call each, as absl's `values`."""

    def __init__(self) -> None:
        self.values = _FlagValues()

    def string(
        self, name: str, text: str, default: str | None = None, required: bool = False
    ) -> None:
        """A text; --name=value."""
        flags.DEFINE_string(
            name, default, text, flag_values=self.values, required=required
        )

    def strings(self, name: str, text: str) -> None:
        """Texts; the flag may be given several times."""
        flags.DEFINE_multi_string(name, [], text, flag_values=self.values)

    def list(self, name: str, text: str) -> None:
        """Texts with commas between them."""
        flags.DEFINE_list(name, None, text, flag_values=self.values)

    def enum(
        self,
        name: str,
        allowed: Sequence[str],
        text: str,
        default: str | None = None,
        required: bool = False,
    ) -> None:
        """One of the allowed texts."""
        flags.DEFINE_enum(
            name,
            default,
            list(allowed),
            text,
            flag_values=self.values,
            required=required,
        )

    def enums(self, name: str, allowed: Sequence[str], text: str) -> None:
        """Some of the allowed texts, one by one; all of them if not given."""
        flags.DEFINE_multi_enum(
            name, list(allowed), list(allowed), text, flag_values=self.values
        )

    def boolean(self, name: str, text: str, default: bool | None = False) -> None:
        """--name or --noname."""
        flags.DEFINE_boolean(name, default, text, flag_values=self.values)

    def integer(
        self,
        name: str,
        text: str,
        default: int | None = None,
        least: int | None = None,
        most: int | None = None,
    ) -> None:
        """A whole number in a range."""
        flags.DEFINE_integer(
            name,
            default,
            text,
            lower_bound=least,
            upper_bound=most,
            flag_values=self.values,
        )

    def pass_on_beside(self, name: str) -> None:
        """Beside this flag, others written --name=value are the values' `passed_on`."""
        self.values.__dict__["beside"] = name

    def float(self, name: str, text: str, default: float | None = None) -> None:
        """A number."""
        flags.DEFINE_float(name, default, text, flag_values=self.values)

    def overwrite(self, text: str = "Whether to replace existing output.") -> None:
        """Whether what is there already may be replaced; see `output_files`."""
        self.boolean("overwrite", text)

    def changes(
        self, changed: str, written: str = "a.b.c=value,... or a YAML string or file"
    ) -> None:
        """Files, and then values, that change a configuration."""
        self.strings(
            "config_file",
            f"YAML file or preset that changes {changed}; may be repeated.",
        )
        self.strings("params_override", f"Last changes: {written}; may be repeated.")

    def on_error(self, text: str) -> None:
        """What becomes of faulty labels; see `data.files.faults`."""
        self.enum("on_error", ["fail", "skip"], text, default="fail")

    def area_from(
        self,
        text: str = "Where the area of an annotation comes from that has none, or 0.",
        with_crowdpose: bool = False,
    ) -> None:
        """Where areas come from that labels do not have; None if not given."""
        sources = ["box", "segmentation", *(["crowdpose"] if with_crowdpose else [])]
        self.enum("area_from", sources, text)

    def exif(self, text: str) -> None:
        """Whether pictures are turned by their EXIF orientation; None if not given."""
        self.enum("exif", ["apply", "ignore"], text)

    def max_pixels(self) -> None:
        """The largest image that is read; see `data.files.pictures`."""
        self.integer(
            "max_pixels",
            "Images of more pixels (width x height, as the file's header has them) are "
            "refused before they are decoded. Decoding takes 6 to 12 bytes a pixel.",
            MAX_PIXELS,
            least=1,
        )


def run(
    command: Callable[[flags.FlagValues], Any],
    values: flags.FlagValues,
    argv: Sequence[str],
) -> int:
    """Parses the flags and runs a command.

    Args:
        command: Does the work. The documentation of its module is the help text.
            `UserError`, `OSError` and TensorFlow's errors about files end it with
            their message; other exceptions pass through, with their traceback. A
            signal raises `signals.Stopped` in it, so that it can clean up.
        values: The command's flags, not parsed yet. `--flagfile` is always understood.
        argv: The command line, the program's name first.

    Returns:
        The exit code.
    """
    try:
        return _run(command, values, argv)
    finally:
        _drop_what_nobody_reads()


def _run(
    command: Callable[[flags.FlagValues], Any],
    values: flags.FlagValues,
    argv: Sequence[str],
) -> int:
    if {"--help", "-h"} & set(argv[1:]):
        description = sys.modules[command.__module__].__doc__
        # A pager may have seen enough.
        with contextlib.suppress(BrokenPipeError):
            print(f"{description}\nFlags:\n{values.get_help()}", flush=True)
        return 0
    _show_log()
    prepare_tensorflow()
    try:
        rest = values(list(argv))
        if len(rest) > 1:
            raise UsageError(
                f"Unexpected argument {rest[1]!r}: every option is a flag, written "
                "--name=value."
            )
        with signals.heeded():
            command(values)
            sys.stdout.flush()
    except (flags.Error, UsageError) as error:
        _tell(f"{error}\nSee --help.")
        return 2
    except UnicodeEncodeError:
        # Python keeps bytes that are no text as letters that nobody else can take.
        odd = [argument for argument in argv if not is_text(argument)]
        if not odd:
            raise
        _tell(f"{shown(odd[0])} is no UTF-8 text: rename what it names.\nSee --help.")
        return 2
    except Exception as error:
        failures = (UserError, OSError, *_tensorflow_file_errors())
        failure = failure_to_write(error)
        if failure is None and not isinstance(error, failures):
            raise
        told = _plain(str(getattr(error, "message", error)))
        _tell(told if failure is None else f"{failure}.")
        return 1
    except KeyboardInterrupt as error:
        _tell(f"Interrupted{f' ({error})' if str(error) else ''}.")
        return getattr(error, "exit_code", 128 + signal.SIGINT)
    return 0


def prepare_tensorflow() -> None:
    """Decides what nobody has decided of TensorFlow, before it is imported."""
    for name, value in _TENSORFLOW.items():
        os.environ.setdefault(name, value)


def _tell(text: str) -> None:
    """Writes to standard error, if its terminal or its reader is still there."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _drop_what_nobody_reads() -> None:
    """Keeps Python from failing at its end with what could not be written before."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _plain(message: str) -> str:
    """A message without what gin and TensorFlow say about places in the program.

    Names of files may hold what moves a terminal's cursor, or colours it.
    """
    message = re.split(r"\s*In call to configurable ", message)[0]
    message = re.sub(r"\{\{.*?\}\} | \[Op:\w+\]( name: *)?", "", message)
    return _UNSEEN.sub(lambda match: ascii(match[0])[1:-1], message)


def _tensorflow_file_errors() -> tuple[type[Exception], ...]:
    """What TensorFlow raises in place of OSError, if it has been imported."""
    if "tensorflow" not in sys.modules:
        return ()
    errors = sys.modules["tensorflow"].errors
    return (
        errors.AlreadyExistsError,
        errors.FailedPreconditionError,
        errors.NotFoundError,
        errors.PermissionDeniedError,
    )


class _LogHandler(logging.StreamHandler):
    """Writes above the progress bars on a terminal, not into them."""

    def emit(self, record: logging.LogRecord) -> None:
        progress = sys.modules.get("tqdm")
        if progress is None:
            super().emit(record)
            return
        with progress.tqdm.external_write_mode(file=self.stream):
            super().emit(record)


def _show_log() -> None:
    """Writes this package's log, and no other, to standard error."""
    log = logging.getLogger("hrnet_tf")
    log.setLevel(logging.INFO)
    if not log.handlers:
        handler = _LogHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.propagate = False
