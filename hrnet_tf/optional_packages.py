"""Packages that come with an extra, which not everybody has installed."""

import importlib
from typing import Any


def import_package(name: str) -> Any:
    """Imports a package.

    Raises:
        ImportError: It is not installed, or damaged, or nothing but a folder of it is
            left, which Python would take for a package without content.
    """
    package = importlib.import_module(name)
    if getattr(package, "__file__", None) is None:
        raise ImportError(f"only a folder of {name} is left")
    return package
