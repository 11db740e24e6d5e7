"""Packages that come with an extra, which not everybody has installed."""

import importlib
from typing import Any


def import_package(name: str) -> Any:
    """Imports a package.

    Raises:
        ImportError: It is not installed, or damaged, or nothing but a folder of it is
            left, which Python would take for a package without content.
    """
    try:
        package = importlib.import_module(name)
    except OSError as error:  # PyTorch's, for a library of the system that is missing.
        raise ImportError(str(error)) from error
    if getattr(package, "__file__", None) is None:
        raise ImportError(f"only a folder of {name} is left")
    return package
