"""Modelyard: build, keep, publish and watch machine-learning models on your own machines."""

import importlib

__version__ = "0.1.0"

# Loaded when asked for: every process imports this package, few need the client. `__init__.pyi` says the types.
_LAZY = {
    "Client": "modelyard.sdk.client",
    "AsyncClient": "modelyard.sdk.client",
    "region": "modelyard.sdk.region",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'modelyard' has no attribute {name!r}")
    found = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
