"""What a benchmark of an algorithm says: what it reached on one set, and what there was to beat."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

DATA = Path(__file__).resolve().parents[1] / "data"


class Result(NamedTuple):
    """One figure. `goal` is the number to beat, None where there is none; `seconds` is what learning took."""

    scenario: str
    set: str
    algorithm: str
    metric: str
    value: float
    goal: float | None
    higher_is_better: bool
    seconds: float


class Benchmark(Protocol):
    """What each module of this folder that is called after a scenario offers."""

    def results(self, *, quick: bool) -> Iterator[Result]:
        """Every figure of the scenario; with `quick` those that take less than a minute together."""
        ...
