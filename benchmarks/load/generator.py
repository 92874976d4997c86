"""Runs the load: load.c, compiled once for each state of its source, or client.py where there is no C compiler."""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from benchmarks.load.questions import Question, write

SOURCE = Path(__file__).with_name("load.c")
FALLBACK = Path(__file__).with_name("client.py")
CACHE = Path(__file__).parents[2] / ".bench"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a load found, counted from its beginning; `measured` and the latencies (ms) leave out the warm-up.

    `acknowledged` are answers with status 200, `by_answer` which of a question's right answers they were, `wrong` the
    ones that were none of them. `busy` are 503 with Retry-After, `others` all other statuses. `lost` are connections
    that broke with a question on them, `unconnected` attempts to connect that failed. `at` is Unix time in seconds.
    """

    at: float
    elapsed: float
    seconds: float
    measured: int
    p50: float
    p99: float
    acknowledged: int
    wrong: int
    busy: int
    lost: int
    unconnected: int
    unreadable: int
    by_answer: tuple[int, ...]
    others: dict[str, int]

    @property
    def rate(self) -> float:
        """Right answers a second."""
        return self.measured / self.seconds if self.seconds else 0.0

    @property
    def failed(self) -> dict[str, int]:
        """Everything that is neither a right answer nor a 503 with Retry-After, by what it is."""
        counts = {"wrong": self.wrong, "lost": self.lost, "unconnected": self.unconnected, **self.others}
        return {name: count for name, count in (counts | {"unreadable": self.unreadable}).items() if count}


def command() -> list[str]:
    """What runs the load: the compiled generator, or the one in Python."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return [sys.executable, str(FALLBACK)]
    made = CACHE / f"load-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]}"
    if not made.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            draft = Path(folder) / "load"
            subprocess.run([compiler, "-O2", "-o", str(draft), str(SOURCE), "-lm"], check=True)
            draft.rename(made)
    return [str(made)]


class Load:
    """A load that runs in a process of its own until its time is over or it is ended."""

    def __init__(
        self,
        port: int,
        questions: Sequence[Question],
        *,
        connections: int,
        seconds: float,
        warm_up: float = 0.0,
        every: float = 0.0,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="modelyard-load-")
        file = Path(self._folder.name) / "questions"
        write(file, questions)
        words = [str(word) for word in (port, connections, seconds, warm_up, every, file)]
        self.process = subprocess.Popen([*command(), *words], stdout=subprocess.PIPE)

    @property
    def lines(self) -> IO[bytes]:
        """Its reports, a line of JSON each; see `read`."""
        assert self.process.stdout is not None
        return self.process.stdout

    def stop(self) -> None:
        """Ask no more; what was asked is still answered."""
        with suppress(ProcessLookupError):
            self.process.terminate()

    def close(self) -> int:
        """Wait for its end; its exit code."""
        code = self.process.wait()
        self.lines.close()
        self._folder.cleanup()
        return code

    def wait(self) -> Result:
        """The last report. Raises RuntimeError where there is none."""
        last = b""
        for line in self.lines:
            last = line
        code = self.close()
        if code or not last:
            raise RuntimeError(f"the load generator ended with {code}")
        return read(last)


def read(line: bytes) -> Result:
    """A report."""
    return msgspec.convert(json.loads(line), Result)


def load(port: int, questions: Sequence[Question], *, connections: int, seconds: float, warm_up: float = 0.0) -> Result:
    """Ask `questions` in turn over so many connections, and wait for the result."""
    return Load(port, questions, connections=connections, seconds=seconds, warm_up=warm_up).wait()
