"""No sandbox: limits, a session of its own and a clean environment, and nothing that keeps a command from the machine.

Never chosen silently: only for code that comes with the platform, and only where an administrator allowed it.
"""

import tempfile
from collections.abc import Callable, Mapping

from modelyard.sandbox import interpreter
from modelyard.sandbox.base import Command, Running, Sandbox, Verdict
from modelyard.sandbox.supervised import BASIC_ENVIRONMENT, Plan, Supervised, make_leaf, standard_rlimits


class Unconfined(Sandbox):
    """Runs a command in its working folder on the host itself; `/job` and `readable` do not exist for it."""

    def probe(self) -> Verdict:
        return Verdict(holds=False, reason="it shuts nothing in, by design")

    def start(self, command: Command, *, on_line: Callable[[str, str], None]) -> Running:
        return self.start_from({}, command, on_line)

    def start_from(
        self, environment: Mapping[str, str], command: Command, on_line: Callable[[str, str], None]
    ) -> Running:
        """`start`, with an environment for the launcher."""
        plan = Plan(limits=command.limits, work=command.work, started_in=environment, leaf=make_leaf(command.limits))
        path = f"{interpreter.executables()}:{BASIC_ENVIRONMENT['PATH']}"
        if command.work is None:
            folder = plan.at_end.enter_context(tempfile.TemporaryDirectory(prefix="modelyard-job-"))
        else:
            folder = str(command.work.absolute())
        rlimits = standard_rlimits(command.limits)
        if command.limits.memory is not None and "memory" in plan.leaf.missing:
            rlimits["RLIMIT_DATA"] = command.limits.memory
        if command.events_fd is not None:
            plan.pass_on(3, command.events_fd)
        plan.orders |= {
            "argv": ["/usr/bin/env", "--", *command.argv],
            "environment": {
                **BASIC_ENVIRONMENT,
                "HOME": folder,
                "PATH": path,
                **interpreter.variables(),
                **command.environment,
            },
            "folder": folder,
            "cgroups": plan.leaf.members,
            "rlimits": rlimits,
        }
        return Supervised(plan, on_line)
