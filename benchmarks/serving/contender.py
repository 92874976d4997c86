"""What takes part: how it is installed, started, asked and read. One folder in `peers/` for each, and `ours.py`."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load.questions import Question, close, post
from benchmarks.serving.pipeline import Row
from benchmarks.serving.processes import Processes

Asked = Sequence[tuple[Row, float]]


@dataclass(frozen=True)
class Stage:
    """Where one contender performs once: a port, an empty folder, the graph, the machine's cores."""

    port: int
    folder: Path
    model: Path
    cores: int
    processes: Processes

    def start(self, command: Sequence[str | Path], **environment: str) -> None:
        """Start one of its processes."""
        self.processes.start([str(word) for word in command], environment, folder=self.folder)


class Contender(ABC):
    """One server. `name` is its name on the command line, `set_up` how it was tuned."""

    name: str
    title: str
    set_up: str
    version: str
    path = "/predict"
    headers: Sequence[tuple[str, str]] = ()

    def install(self) -> None:  # noqa: B027 - most need nothing
        """See that it can be started. Raises NotThere."""

    @abstractmethod
    def start(self, stage: Stage) -> None:
        """Start it; it need not answer yet."""

    def question(self, rows: Sequence[Row]) -> Question:
        """The request that asks about these rows."""
        return Question(post(self.path, json.dumps(self.body(rows)).encode(), self.headers))

    def right(self, body: bytes, expected: Sequence[float]) -> bool:
        """Whether an answer with status 200 holds these probabilities of Yes, in this order."""
        got = self.read(json.loads(body))
        return len(got) == len(expected) and all(map(close, got, expected))

    def body(self, rows: Sequence[Row]) -> Any:
        """The request's JSON."""
        return {"instances": list(rows)}

    def read(self, answer: Any) -> list[float]:
        """The probabilities of Yes in an answer's JSON."""
        return [row["probabilities"]["Yes"] for row in answer["predictions"]]
