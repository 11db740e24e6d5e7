"""Apache Beam: the flags of commands that can work on it, and its faults in sentences.

Nothing of it is imported before a command was given --runner.
"""

import contextlib
import dataclasses
import importlib
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from absl import flags

from hrnet_tf import command_line
from hrnet_tf.messages import UserError, did_you_mean, one_line, shortened
from hrnet_tf.optional_packages import import_package

_LONGEST_REASON = 300  # characters


class BeamError(UserError):
    """A runner that is not there, options that it does not have, a failed pipeline."""


@dataclasses.dataclass(frozen=True)
class BeamOptions:
    """Where a pipeline runs.

    Attributes:
        runner: Beam's name of a runner, or the path of its class.
        options: Further options of the pipeline, each --name=value.
    """

    runner: str
    options: Sequence[str] = ()

    def check(self) -> None:
        """Raises `BeamError` if Beam, the runner or an option is not there."""
        self._runner()
        self._parsed()

    def with_quiet_workers(self) -> "BeamOptions":
        """The same, with workers that log errors alone, unless an option says more."""
        name = "--default_sdk_harness_log_level"
        if any(option.startswith(name) for option in self.options):
            return self
        return BeamOptions(self.runner, (*self.options, f"{name}=ERROR"))

    def run(self, build: Callable[[Any], None]) -> Any:
        """Runs the pipeline that `build` adds to, to its end; raises `BeamError`.

        Returns what Beam tells of it, such as its metrics. Whatever else ends this, a
        signal for example, cancels the pipeline first.
        """
        beam = _import("apache_beam")
        pipeline = beam.Pipeline(runner=self._runner(), options=self._parsed())
        build(pipeline)
        try:
            result = pipeline.run()
            try:
                state = result.wait_until_finish()
            except BaseException:
                # Not every runner can.
                with contextlib.suppress(Exception):
                    result.cancel()
                raise
        except Exception as error:
            raise BeamError(
                f"The pipeline failed on {self.runner}: {_reason(error)}."
            ) from error
        if state not in (None, "DONE"):
            raise BeamError(f"The pipeline ended on {self.runner} as {state}.")
        return result

    def _runner(self) -> Any:
        runners = _import("apache_beam.runners.runner")
        try:
            return runners.create_runner(self.runner)
        except (ImportError, AttributeError, ValueError) as error:
            reason = one_line(error).rstrip(".")
            raise BeamError(
                f"--runner={self.runner} is not installed: {reason}."
            ) from None

    def _parsed(self) -> Any:
        parsed = _with_options([f"--runner={self.runner}", *self.options])
        told = io.StringIO()
        try:
            # It prints what it does not like, and ends.
            with contextlib.redirect_stderr(told), _silent():
                parsed.get_all_options()
        except SystemExit:
            fault = told.getvalue().strip().rpartition("error: ")[2]
            raise BeamError(f"An option of Beam is wrong: {fault}.") from None
        return parsed

    def unknown_names(self) -> list[str]:
        """The names of options that Beam, with the modules of the runner, has not."""
        known = _names(_with_options([]))
        every = _names(_with_options(self.options), retain_unknown_options=True)
        # As Beam names what it reads, and as they were written.
        others = every - known
        names = map(command_line.flag_name, self.options)
        return [name for name in names if name.replace("-", "_") in others]

    def asks_a_server(self) -> bool:
        """Whether the runner's options are those of a server that it sends work to.

        Flink's and Spark's are in Java, and nobody here knows all of their options.
        """
        portability = _import("apache_beam.runners.portability.portable_runner")
        return isinstance(self._runner(), portability.PortableRunner)


def _with_options(options: Sequence[str]) -> Any:
    module = _import("apache_beam.options.pipeline_options")
    return module.PipelineOptions([*options])


def _names(parsed: Any, **how: bool) -> set[str]:
    with _silent():
        return {*parsed.get_all_options(**how)}


def define(flag: command_line.Flags, what: str, default: str | None = None) -> None:
    """Defines --runner, beside which flags that are not known are Beam's."""
    flag.string(
        "runner",
        f"{what} on this runner of Apache Beam, such as DirectRunner (this machine), "
        "DataflowRunner, FlinkRunner or SparkRunner. All flags that are not listed "
        "here are options of its pipeline then.",
        default,
    )
    flag.pass_on_beside("runner")


def given(values: flags.FlagValues) -> BeamOptions | None:
    """What the flags say, which `chosen` has checked; None without a runner."""
    if values.runner is None:
        return None
    return BeamOptions(values.runner, tuple(values.passed_on))


def chosen(values: flags.FlagValues) -> BeamOptions | None:
    """What the flags say, checked; None without a runner.

    Raises:
        BeamError: See `BeamOptions.check`.
        UsageError: If neither the command nor Beam has an option.
    """
    options = given(values)
    if options is None:
        return None
    if not options.runner:
        raise command_line.UsageError("--runner names none, such as DirectRunner.")
    try:
        with _silent():
            import_package("apache_beam")
    except ImportError as error:
        what = "--runner" if values["runner"].present else "This"
        raise BeamError(
            f"{what} needs Apache Beam ({error}): pip install 'hrnet_tf[beam]'."
        ) from None
    options.check()
    for name in options.unknown_names():
        own = did_you_mean(name, list(values))
        if own or not options.asks_a_server():
            advice = own or did_you_mean(name, _names(_with_options([])))
            raise command_line.UsageError(
                f"Neither this command nor Beam has a flag --{name}{advice}."
            )
    return options


def _import(name: str) -> Any:
    """A module of Beam's, without what it tells of Google's packages that are missing.

    Nor does it tell, later on, what happens within pipelines: `_reason` does.
    """
    with _silent():
        module = importlib.import_module(name)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    return module


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _reason(error: Exception) -> str:
    """The last line of an error, which within a pipeline holds those of workers."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = ": ".join([type(error).__name__, *lines]) if len(lines) < 2 else lines[-1]
    return shortened(told, _LONGEST_REASON).rstrip(".")
