"""Apache Beam for commands: its options beside their flags, its runners, its errors.

Beam is an extra, apache-beam, and takes a second to import: this module imports it
where it is needed. Its options are written as all flags are, --name=value.
"""

import argparse
import importlib.util
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from hrnet_tf import beam_workers
from hrnet_tf.command_line import UsageError
from hrnet_tf.messages import UserError, one_line

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

_ALWAYS = ("help", "flagfile", "undefok")


class BeamError(UserError):
    """Beam, or a runner, is missing; or the runner could not run the pipeline."""


def split(argv: Sequence[str], values: flags.FlagValues) -> tuple[list[str], list[str]]:
    """Divides a command line into that of a command and the options of Beam.

    What neither knows stays with the command, which refuses it; without Beam, all that
    the command does not know counts as Beam's.
    """
    others = [argument for argument in argv[1:] if not _is_of(argument, values)]
    if others and is_installed():
        known = _names()
        others = [other for other in others if other.partition("=")[0] in known]
    return [argument for argument in argv if argument not in others], others


def _is_of(argument: str, values: flags.FlagValues) -> bool:
    """Whether an argument is a flag of a command, or no flag at all."""
    if not argument.startswith("--"):
        return True
    name = argument[2:].partition("=")[0]
    return name in values or name.removeprefix("no") in values or name in _ALWAYS


def _names() -> set[str]:
    """All options of Beam, with their dashes."""
    _import_quietly()
    from apache_beam.options.pipeline_options import PipelineOptions

    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    return set(parsers[0]._option_string_actions) - {"-h", "--help"}


def is_installed() -> bool:
    """Whether there is Beam."""
    return importlib.util.find_spec("apache_beam") is not None


def options_of(arguments: Sequence[str]) -> "PipelineOptions":
    """Beam's options; the runner that they name is there.

    Raises:
        UsageError: If one has an impossible value.
        BeamError: If Beam or the runner is not installed.
    """
    if not is_installed():
        raise BeamError(
            "This needs Apache Beam, which is not installed: pip install "
            "'hrnet_tf[beam]'."
        )
    _import_quietly()
    from apache_beam.options.pipeline_options import (
        PipelineOptions,
        StandardOptions,
        WorkerOptions,
    )
    from apache_beam.runners.runner import create_runner

    def refuse(message: str) -> None:
        raise UsageError(f"{one_line(message)}.")

    def tell_errors(parser: argparse.ArgumentParser) -> None:
        parser.error = refuse  # type: ignore[method-assign,assignment]

    options = PipelineOptions(list(arguments))
    options.get_all_options(add_extra_args_fn=tell_errors)
    standard = options.view_as(StandardOptions)
    standard.runner = standard.runner or "DirectRunner"
    try:
        create_runner(standard.runner)
    except (ValueError, ImportError, AttributeError, TypeError) as error:
        raise BeamError(
            f"--runner={standard.runner} cannot be used: {one_line(error)}."
        ) from error
    workers = options.view_as(WorkerOptions)
    workers.default_sdk_harness_log_level = (
        workers.default_sdk_harness_log_level or "ERROR"
    )
    _show_log(is_direct=standard.runner.lower().startswith("direct"))
    return options


def _import_quietly() -> None:
    """Imports Beam, which warns of parts that are missing and not asked for."""
    logging.disable(logging.WARNING)
    try:
        importlib.import_module("apache_beam")
    finally:
        logging.disable(logging.NOTSET)


def _show_log(is_direct: bool) -> None:
    """Shows what runners on other machines tell, and of the one here errors alone."""
    log = logging.getLogger("apache_beam")
    log.setLevel(logging.ERROR if is_direct else logging.INFO)
    if not log.handlers:
        log.addHandler(logging.StreamHandler())
        log.propagate = False


def run(
    options: "PipelineOptions",
    build: Callable[["beam.Pipeline"], None],
    clean: Callable[[], None],
) -> Any:
    """Runs a pipeline to its end; returns what Beam tells of it.

    Args:
        options: From `options_of`.
        build: Adds the steps to a pipeline.
        clean: Removes what a pipeline that failed has left.

    Raises:
        BeamError: If it fails.
    """
    import apache_beam as beam

    pipeline = beam.Pipeline(options=options)
    build(pipeline)
    try:
        with beam_workers.watched(clean):
            result = pipeline.run()
            state = result.wait_until_finish()
    except Exception as error:
        raise BeamError(f"The pipeline failed: {_last_line(error)}") from error
    if state != beam.runners.runner.PipelineState.DONE:
        raise BeamError(f"The pipeline ended as {state}.")
    return result


def _last_line(error: BaseException) -> str:
    """What an error comes down to: workers send the text of whole tracebacks."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return one_line(lines[-1])
