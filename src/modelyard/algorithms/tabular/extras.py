"""Libraries that are not installed with the platform."""

import importlib
from typing import Any

from modelyard.core.errors import Invalid


def imported(name: str) -> Any:
    """The library, or Invalid with what installs it: the extra of the same name."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Invalid(
            f"The library {name} cannot be loaded where this is learned: {error}. "
            f"Install it with what it needs: pip install 'modelyard[{name}]'."
        ) from error
