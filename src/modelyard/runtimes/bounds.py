"""Holding a process with all that comes of it to its limits: by control groups where they can be made, else by rlimits.

A control group bounds the whole tree and tells why it ended a process; a resource limit bounds each process alone, and
cores and processes not at all.
"""

import hashlib
import resource
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress

from modelyard.core.cgroups import Leaf
from modelyard.core.quantities import size
from modelyard.protocol.jobs import Failure
from modelyard.protocol.processes import Limits


def bound(pid: int, family: Iterable[int], limits: Limits, *, name: str, cgroups: bool) -> tuple[Leaf, str]:
    """Hold process `pid` and its `family` to `limits`: the leaf that does, an empty one where none can, and the words.

    `name` names the process on this machine; without `cgroups` only resource limits are used.
    """
    bounded = {"memory": limits.memory, "pids": limits.processes, "cpu": limits.cpus}
    wanted = [controller for controller, limit in bounded.items() if limit is not None]
    leaf = _leaf(pid, family, limits, name) if cgroups and wanted else Leaf()
    missing = [controller for controller in wanted if controller in leaf.missing]
    _set_rlimits(pid, limits, memory="memory" in missing)
    return leaf, _words(wanted, missing)


def why_killed(leaf: Leaf, code: int | None, limits: Limits) -> Failure | None:
    """Why a process ended with `code`, negative for a signal, where that was its memory limit; else None."""
    if code not in {None, -signal.SIGKILL} or not leaf.out_of_memory():
        return None
    said = f"it used more than its {size(limits.memory or 0)} of memory"
    return Failure(code="out_of_memory", message=said, detail={"memory": limits.memory})


def _leaf(pid: int, family: Iterable[int], limits: Limits, name: str) -> Leaf:
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    leaf = Leaf.make(digest, memory=limits.memory, processes=limits.processes, cpus=limits.cpus)
    if not leaf.join(pid):
        leaf.remove(patience=0.0)
        return Leaf()
    for member in family:
        leaf.join(member)
    return leaf


def _set_rlimits(pid: int, limits: Limits, *, memory: bool) -> None:
    bounds = {resource.RLIMIT_DATA: limits.memory if memory else None, resource.RLIMIT_FSIZE: limits.disk}
    for kind, value in bounds.items():
        if value is not None:
            # An inherited bound that is lower still may not be raised, and need not be.
            with suppress(ProcessLookupError, PermissionError, ValueError):
                resource.prlimit(pid, kind, (value, value))


def _words(wanted: Sequence[str], missing: Sequence[str]) -> str:
    held = ", ".join(controller for controller in wanted if controller not in missing)
    said = [f"{held} limited by control groups"] if held else []
    if "memory" in missing:
        said.append("memory limited for each process alone (RLIMIT_DATA)")
    if others := ", ".join(controller for controller in missing if controller != "memory"):
        said.append(f"{others} not limited")
    return "; ".join(said) + (": no control group can be used here" if missing else "")
