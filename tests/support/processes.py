"""Processes that tests start."""

import contextlib
import subprocess
from collections.abc import Iterator


@contextlib.contextmanager
def killed_at_the_end(process: subprocess.Popen) -> Iterator[subprocess.Popen]:
    """Ends a process with the block, and with the test that fails in it.

    What trains or computes for hours would otherwise slow down all tests after it.
    """
    with process:  # Closes its pipes and waits.
        try:
            yield process
        finally:
            process.kill()
