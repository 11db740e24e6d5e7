"""What tests of several converters need."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str, str]]:
    """Runs a converter: exit code, standard output and error."""

    def run(module: ModuleType, *flags: Any) -> tuple[int, str, str]:
        capsys.readouterr()
        code = module.main([module.__name__, *map(str, flags)])
        return code, *capsys.readouterr()

    return run
