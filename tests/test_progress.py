"""Progress: plain lines with a fake clock, and the bar on a fake terminal."""

import fcntl
import io
import os
import pty
import struct
import termios
import types
from collections.abc import Callable
from typing import TextIO

import pytest

from hrnet_tf import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown_on_terminal(write: Callable[[TextIO], None], rows: int, columns: int) -> str:
    """All that `write` writes to a pseudo-terminal of the given size."""
    reading_end, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
    with os.fdopen(terminal, "w") as stream:
        write(stream)
    shown = b""
    try:
        # What was written arrives in several pieces; the end is an error on Linux.
        while piece := os.read(reading_end, 4096):
            shown += piece
    except OSError:
        pass
    os.close(reading_end)
    return shown.decode()


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when told."""
    fake = types.SimpleNamespace(now=100.0, monotonic=lambda: fake.now)
    monkeypatch.setattr(progress, "time", fake)
    return fake


def test_plain_lines_keep_their_distance(clock):
    stream = io.StringIO()
    with progress.Progress(
        40, "Converting", interval_seconds=10.0, stream=stream
    ) as bar:
        for _ in range(25):
            clock.now += 1.0
            bar.advance(skipped=3)
    assert stream.getvalue().splitlines() == [
        "Converting: 10/40 images, 1.0 images/s, 30 s left, skipped=3",
        "Converting: 20/40 images, 1.0 images/s, 20 s left, skipped=3",
        "Converting: 25/40 images, 1.0 images/s, took 25 s, skipped=3",
    ]


def test_remaining_time_forgets_a_slow_start(clock):
    stream = io.StringIO()
    with progress.Progress(1000, "Training", "step", 10.0, stream) as bar:
        clock.now += 100.0
        bar.advance()
        for _ in range(99):
            clock.now += 0.125
            bar.advance()
    running = stream.getvalue().splitlines()[1]
    assert "8.0 steps/s" in running
    assert "left" in running and "min" in running  # 919 steps at 8 a second


def test_count_status_and_unknown_total(clock):
    stream = io.StringIO()
    with progress.Progress(None, "Reading", "batch", 1.0, stream) as bar:
        clock.now += 2.0
        bar.advance(8, loss=0.123456, step=3)
        clock.now += 0.5
        bar.advance(2, step=4)
    assert stream.getvalue().splitlines() == [
        "Reading: 8 batches, 4.0 batches/s, loss=0.1235, step=3",
        "Reading: 10 batches, 4.0 batches/s, took 2.5 s, loss=0.1235, step=4",
    ]


def test_nothing_done_still_says_so(clock):
    stream = io.StringIO()
    with progress.Progress(0, "Converting", stream=stream):
        pass
    assert stream.getvalue() == "Converting: 0/0 images, 0.0 images/s, took 0.0 s\n"


def test_the_last_line_comes_after_an_error_too(clock):
    stream = io.StringIO()
    bar = progress.Progress(5, "Converting", stream=stream)
    with pytest.raises(KeyError), bar:
        clock.now += 1.0
        bar.advance(2)
        raise KeyError
    assert stream.getvalue().startswith("Converting: 2/5 images")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.31, "0.3 s"), (12.4, "12 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s")]
    + [(3900, "1 h 05 min")],
)
def test_duration_text(seconds, text):
    assert progress._duration_text(seconds) == text


def test_a_terminal_gets_a_bar():
    stream = Terminal()
    with progress.Progress(4, "Converting", stream=stream) as bar:
        for _ in range(4):
            bar.advance(skipped=2)
    written = stream.getvalue()
    assert "\r" in written
    assert "Converting: 100%" in written and "4/4" in written
    assert "skipped=2" in written and "images/s" in written


@pytest.mark.parametrize("rows, columns", [(24, 120), (0, 0), (24, 0), (0, 120)])
def test_the_last_state_stays_on_a_terminal_of_any_reported_size(rows, columns):
    def convert(stream):
        with progress.Progress(400, "Converting", stream=stream) as bar:
            # Too fast for tqdm, which redraws ten times a second at most.
            for _ in range(392):
                bar.advance()
            bar.advance(0, skipped=2)

    shown = shown_on_terminal(convert, rows, columns)
    last = shown.rstrip().split("\r")[-1]
    assert last.startswith("Converting:  98%|") and "392/400" in last
    assert "skipped=2" in last and "images/s" in last
    assert len(last) <= (columns or 80)


def test_standard_error_is_the_default(clock, capsys):
    with progress.Progress(1, "Converting") as bar:
        clock.now += 1.0
        bar.advance()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "Converting: 1/1 images, 1.0 images/s, took 1.0 s\n"


def test_work_goes_on_when_nobody_reads():
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", buffering=1)
    with progress.Progress(2, "Training", interval_seconds=0, stream=stream) as shown:
        shown.advance()
        shown.advance()
    with pytest.raises(BrokenPipeError):
        stream.close()
