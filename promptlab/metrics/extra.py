"""Libraries of an extra: imported when a metric is made, so that a lack is told before anything is spent."""

from __future__ import annotations

import importlib
from typing import Any


def extra(module: str, package: str, name: str) -> Any:
    """The module; ValueError with the command that brings it if it is not there."""
    try:
        return importlib.import_module(module)
    except ImportError:
        remedy = f'pip install "promptlab-workbench[{name}]"'
        raise ValueError(f"it needs the package {package}, which is not installed. Run: {remedy}") from None
