"""The probe from outside: plants what a sandboxed command must not reach, lets `escape.py` try, and judges.

Every canary is first shown to work from here, so that a refusal inside means the sandbox and not a broken canary.
"""

import importlib.util
import json
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from modelyard.core.errors import Broken, ModelyardError
from modelyard.protocol.processes import Limits
from modelyard.sandbox import escape
from modelyard.sandbox.base import Command, Running, Verdict

Start = Callable[[Mapping[str, str], Command, Callable[[str, str], None]], Running]
"""(environment of the launcher, command, on_line) to the running command."""

_LIMITS = Limits(memory=512 << 20, processes=64, disk=1 << 20, seconds=10)


class _Listeners:
    """Sockets that count who reaches them."""

    def __init__(self, folder: Path, name: str, stack: ExitStack) -> None:
        self.addresses: list[tuple[int, Any]] = [
            (socket.AF_INET, ("127.0.0.1", 0)),
            (socket.AF_UNIX, f"\0{name}"),
            (socket.AF_UNIX, str(folder / "socket")),
        ]
        self._sockets = [stack.enter_context(socket.socket(family)) for family, _ in self.addresses]
        for listener, (_, address) in zip(self._sockets, self.addresses, strict=True):
            listener.bind(address)
            listener.listen(8)
            listener.setblocking(False)
        (folder / "socket").chmod(0o777)
        self.port: int = self._sockets[0].getsockname()[1]
        self.addresses[0] = (socket.AF_INET, ("127.0.0.1", self.port))

    def reached(self) -> int:
        """How many connections came since the last call."""
        count = 0
        for listener in self._sockets:
            while True:
                try:
                    listener.accept()[0].close()
                except BlockingIOError:
                    break
                count += 1
        return count

    def work(self) -> bool:
        """Whether each can be reached from here."""
        for family, address in self.addresses:
            with socket.socket(family) as client:
                client.connect(address)
        return self.reached() == len(self.addresses)


@contextmanager
def _planted() -> Iterator[tuple[dict[str, Any], _Listeners]]:
    secret = secrets.token_hex(16)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelyard-canaries-")))
        folder.chmod(0o755)
        for name, mode in (("private", 0o600), ("public", 0o644)):
            (folder / name).write_text(secret)
            (folder / name).chmod(mode)
        listeners = _Listeners(folder, f"modelyard-{secret}", stack)
        yield (
            {
                "secret": secret,
                "private": str(folder / "private"),
                "public": str(folder / "public"),
                "socket": str(folder / "socket"),
                "abstract": f"modelyard-{secret}",
                "port": listeners.port,
                "platform_began": _began(os.getpid()),
                "needed": [_source_of(name) for name in ("modelyard", "numpy")],
            },
            listeners,
        )


def _source_of(module: str) -> str:
    """A file of a package that need not be loaded."""
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise Broken(f"The package {module} is not installed as it should be. Install Modelyard again.")
    return found.origin


def _began(pid: int) -> int:
    """When a process started, in clock ticks since boot: the same number in every process namespace."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def try_to_escape(start: Start) -> Verdict:
    """Whether what `start` starts is shut in, and can still work."""
    with _planted() as (orders, listeners), tempfile.TemporaryDirectory(prefix="modelyard-probe-") as work:
        if not listeners.work():
            return Verdict(holds=False, reason="the probe's own listeners cannot be reached, so that nothing was shown")
        Path(work, "orders.json").write_text(json.dumps(orders))
        lines: list[tuple[str, str]] = []
        command = Command(
            argv=[sys.executable, "-I", "-S", "-B", str(Path(escape.__file__)), "orders.json"],
            work=Path(work),
            limits=_LIMITS,
        )
        try:
            running = start({"MODELYARD_CANARY": orders["secret"]}, command, lambda *line: lines.append(line))
        except ModelyardError as error:
            return Verdict(holds=False, reason=error.message)
        outcome = running.wait()
        if outcome is None or outcome.exit_code != 0:
            said = next((line for stream, line in lines if stream == "err" and line), "no reason was given")
            return Verdict(holds=False, reason=(outcome.reason if outcome else "") or f"nothing runs in it: {said}")
        return _judge(lines, listeners.reached())


def _judge(lines: list[tuple[str, str]], reached: int) -> Verdict:
    found = json.loads(next((line for stream, line in lines if stream == "out"), "{}"))
    escaped, broken = found.get("escaped", ["say nothing"]), found.get("broken", [])
    if reached:
        escaped.append(f"reach {reached} sockets of this machine")
    if escaped:
        return Verdict(holds=False, reason=f"a command in it could {', '.join(escaped)}")
    if broken:
        return Verdict(holds=False, reason=f"a command in it could not {', '.join(broken)}")
    return Verdict(holds=True)
