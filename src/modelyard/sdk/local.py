"""What needs no platform: reading a table and planning over it. Only here the client reaches below its wire types."""

import tempfile
from pathlib import Path
from typing import Any

import msgspec

from modelyard.features.builder.schemas import Plan
from modelyard.sdk.bodies import FileBody


def plan(intent: str, profile: dict[str, Any], *, target: str | None = None) -> Plan:
    """How an intent is understood over data with this profile. Raises TargetUnclear, NothingToPredict."""
    from modelyard.features.builder import planner

    return planner.plan(intent, profile, target=target)


def profile(path: Path) -> dict[str, Any]:
    """The profile of a table on disk, as an upload makes it. Raises what an upload is refused for.

    The file is the caller's own and is read in this process.
    """
    from modelyard.features.datasets.importers import run

    wanted_path = path.expanduser().absolute()
    wanted = FileBody(wanted_path)
    with tempfile.TemporaryDirectory(prefix="modelyard-plan-") as scratch:
        found: dict[str, Any] = msgspec.to_builtins(run.import_file(wanted_path, wanted.name, Path(scratch)))
        return found
