"""One command in the sandbox, for a person at a terminal."""

import sys
from collections.abc import Sequence
from pathlib import Path

from modelyard.core.settings import Settings
from modelyard.protocol.processes import Limits
from modelyard.sandbox.base import Command, Outcome
from modelyard.sandbox.choose import choose


def run_command(argv: Sequence[str], work: Path, limits: Limits, *, settings: Settings | None = None) -> Outcome:
    """Run `argv` with `work` as its `/job`, printing its lines as they come, and one more where a limit ended it.

    Raises Unavailable (code `sandbox_missing`) where nothing holds here.
    """
    chosen = choose(settings or Settings())
    running = chosen.sandbox.start(Command(argv=argv, work=work, limits=limits), on_line=_print)
    try:
        outcome = None
        while outcome is None:
            outcome = running.wait(1)
    finally:
        running.stop()
    if outcome.reason:
        _print("err", f"modelyard: the command {outcome.reason}.")
    return outcome


def _print(stream: str, line: str) -> None:
    file = sys.stdout if stream == "out" else sys.stderr
    file.write(line + "\n")
    file.flush()
