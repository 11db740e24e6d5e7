"""Progress of long work: a bar on a terminal, plain log lines anywhere else.

    with Progress(total=5000, description='Converting', unit='image') as progress:
        for image in images:
            ...
            progress.advance(skipped=skipped)

A terminal gets a tqdm bar with rate, remaining time and the status values. A file
or a pipe gets at most one line per `interval_seconds`, and one last line:

    Converting: 1200/5000 images, 310.2 images/s, 12 s left, skipped=3
"""

import contextlib
import os
import sys
import time
from typing import Any, TextIO

import tqdm


class Progress:
    """Context manager that shows how far a loop has come."""

    def __init__(
        self,
        total: int | None,
        description: str,
        unit: str = "image",
        interval_seconds: float = 10.0,
        stream: TextIO | None = None,
    ):
        """Shows nothing yet: the clock starts on entering the `with` block.

        A `total` that is not known is None. `unit` is what is counted, in the singular.
        Plain lines come every `interval_seconds` at most, by default on `sys.stderr`.
        """
        self._total = total
        self._description = description
        self._units = unit + ("es" if unit.endswith(("s", "x", "ch", "sh")) else "s")
        self._interval_seconds = interval_seconds
        self._stream = sys.stderr if stream is None else stream
        self._count = 0
        self._status: dict[str, Any] = {}
        self._bar: tqdm.tqdm | None = None

    def __enter__(self) -> "Progress":
        self._start_time = self._line_time = time.monotonic()
        self._line_count = 0
        if self._stream.isatty():
            self._bar = tqdm.tqdm(
                total=self._total,
                desc=self._description,
                unit=f" {self._units}",
                file=self._stream,
                **_bar_size(self._stream),
            )
        return self

    def advance(self, count: int = 1, **status: Any) -> None:
        """Counts `count` more units done; `status` values stay until replaced."""
        self._count += count
        self._status.update(status)
        if self._bar is not None:
            if status:
                self._bar.set_postfix_str(self._status_text(), refresh=False)
            self._bar.update(count)
        elif time.monotonic() - self._line_time >= self._interval_seconds:
            self._write_running_line()

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()
        else:
            self._write_last_line()

    def _write_running_line(self) -> None:
        # The rate since the previous line, not since the start: a slow first step
        # (tracing a graph, a cold disk) must not spoil the estimate of what is left.
        now = time.monotonic()
        rate = (self._count - self._line_count) / max(now - self._line_time, 1e-9)
        parts = [self._count_text(), f"{rate:.1f} {self._units}/s"]
        if self._total is not None and rate > 0:
            left = max(self._total - self._count, 0) / rate
            parts.append(f"{_duration_text(left)} left")
        self._line_time, self._line_count = now, self._count
        self._write(parts)

    def _write_last_line(self) -> None:
        elapsed = time.monotonic() - self._start_time
        rate = self._count / max(elapsed, 1e-9)
        self._write(
            [
                self._count_text(),
                f"{rate:.1f} {self._units}/s",
                f"took {_duration_text(elapsed)}",
            ]
        )

    def _write(self, parts: list[str]) -> None:
        if self._status:
            parts = [*parts, self._status_text()]
        line = f"{self._description}: {', '.join(parts)}"
        # The work goes on when nobody reads of it any more.
        with contextlib.suppress(OSError):
            print(line, file=self._stream, flush=True)

    def _count_text(self) -> str:
        of_total = "" if self._total is None else f"/{self._total}"
        return f"{self._count}{of_total} {self._units}"

    def _status_text(self) -> str:
        return ", ".join(
            f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in self._status.items()
        )


def _bar_size(terminal: TextIO) -> dict[str, Any]:
    """Tqdm's size arguments: the terminal's size, or 80x24 if it reports none.

    Serial consoles and some containers report 0 columns and 0 rows, where tqdm would
    show nothing at all.
    """
    try:
        is_unknown = 0 in os.get_terminal_size(terminal.fileno())
    except OSError:
        is_unknown = False  # No device behind it; tqdm does not limit the bar then.
    return {"ncols": 80, "nrows": 24} if is_unknown else {"dynamic_ncols": True}


def _duration_text(seconds: float) -> str:
    """'0.4 s', '12 s', '3 min 20 s' or '1 h 05 min'."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
