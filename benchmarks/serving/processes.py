"""The processes of one contender: started with a mark, found by it wherever they went, weighed, and ended together."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

MARK = "BENCHMARK_MARK"
REPOSITORY = Path(__file__).parents[2]
STOP_SECONDS = 15.0


class Processes:
    """Started here, with all that they start in turn. Their output goes to `log`."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._mark = secrets.token_hex(8)
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, command: Sequence[str], more: Mapping[str, str], *, folder: Path) -> None:
        """Start one, in `folder` and a session of its own; it can import this package."""
        variables = environment()
        if os.sep in command[0]:
            # Some start a program of their own environment by name.
            variables["PATH"] = f"{Path(command[0]).parent}:{variables['PATH']}"
        with self.log.open("ab") as log:
            self._started.append(
                subprocess.Popen(
                    command,
                    env={**variables, **more, MARK: self._mark},
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    @property
    def alive(self) -> bool:
        """Whether all that were started here still run."""
        return all(process.poll() is None for process in self._started)

    @property
    def last_words(self) -> str:
        """The end of what they printed."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(line for line in lines[-15:] if line.strip())

    def memory(self) -> float:
        """What all of them weigh together, as their proportional share (PSS), in MiB."""
        return sum(share_of_memory(pid) for pid in self.family())

    def family(self) -> set[int]:
        """They and everything they started, children of children and those that left for a session of their own."""
        parents, marked = {}, set()
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            with suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if fields[0] == "Z":
                    continue
                parents[int(folder.name)] = int(fields[1])
                if f"{MARK}={self._mark}\0".encode() in (folder / "environ").read_bytes():
                    marked.add(int(folder.name))
        found = marked | {process.pid for process in self._started if process.poll() is None}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found

    def stop(self) -> None:
        """Ask them to leave, then end whatever is left."""
        for process in self._started:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self.family() and time.monotonic() < deadline:
            for process in self._started:
                process.poll()
            time.sleep(0.02)
        for pid in self.family():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._started:
            process.wait()


def environment() -> dict[str, str]:
    """What processes of contenders are started with: this environment, and this package to import."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MODELYARD_"))}  # noqa: TID251
    return {**outside, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}


def share_of_memory(pid: int) -> float:
    """The proportional share (PSS) of one process in MiB; 0 for one that is gone."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return 0.0


def our_python() -> str:
    """The interpreter that runs this."""
    return sys.executable
