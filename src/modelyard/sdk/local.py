"""What needs no platform: reading a table, and planning over it. The one place where the client reaches below itself."""

import tempfile
from pathlib import Path
from typing import Any

from modelyard.features.builder.schemas import Plan


def plan(intent: str, profile: dict[str, Any], *, target: str | None = None) -> Plan:
    """How an intent is understood over data with this profile. Raises TargetUnclear, NothingToPredict."""
    from modelyard.features.builder import planner

    return planner.plan(intent, profile, target=target)
