"""The contract of every command: `--help`, one-sentence errors and exit codes.

0 is success, 1 a failure that the message explains, 2 a command line that could not
be understood. A command keeps its flags in a `FlagValues` of its own, not in absl's
process-wide set, so that its module can be imported beside any other.
"""

import logging
import sys
from collections.abc import Callable, Sequence

from absl import flags


class UsageError(ValueError):
    """The command line asks for something impossible; exit code 2."""


def run(
    command: Callable[[flags.FlagValues], None],
    values: flags.FlagValues,
    argv: Sequence[str],
    failures: tuple[type[Exception], ...] = (),
) -> int:
    """Parses the flags and runs a command.

    Args:
        command: Does the work. The documentation of its module is the help text.
        values: The command's flags, not parsed yet. `--flagfile` is always understood.
        argv: The command line, the program's name first.
        failures: Exceptions whose message is for the user. Others pass through, with
            their traceback.

    Returns:
        The exit code.
    """
    if {"--help", "-h"} & set(argv[1:]):
        description = sys.modules[command.__module__].__doc__
        print(f"{description}\nFlags:\n{values.get_help()}")
        return 0
    _show_log()
    try:
        rest = values(list(argv))
        if len(rest) > 1:
            raise UsageError(
                f"Unexpected argument {rest[1]!r}: every option is a flag, written "
                "--name=value."
            )
        command(values)
    except (flags.Error, UsageError) as error:
        print(f"{error}\nSee --help.", file=sys.stderr)
        return 2
    except failures as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 1
    return 0


def _show_log() -> None:
    """Writes what this package logs to standard error, without that of others."""
    log = logging.getLogger("hrnet_tf")
    log.setLevel(logging.INFO)
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.propagate = False
