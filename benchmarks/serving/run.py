"""The run: rounds in which each contender is started, asked under every load, weighed and stopped."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load.generator import Result, load
from benchmarks.load.ports import free_port
from benchmarks.load.questions import Question, ask
from benchmarks.serving.contender import Asked, Contender, Stage
from benchmarks.serving.environments import NotThere
from benchmarks.serving.processes import Processes

WEIGHED_AT = "c=64"
START_SECONDS = 120.0
SETTLE_SECONDS = 1.0
WARM_UP_SECONDS = 0.3


@dataclass(frozen=True)
class Kind:
    """One load: so many connections, each asking for so many rows at a time."""

    connections: int
    rows: int = 1


LOADS = {
    "c=1": Kind(1),
    "c=16": Kind(16),
    "c=64": Kind(64),
    "c=512": Kind(512),
    "16 × 32 rows": Kind(16, 32),
}


@dataclass
class Found:
    """What the rounds found of one contender. `started` in seconds until the first right answer, `memory` in MiB."""

    loads: dict[str, list[Result]] = field(default_factory=lambda: {name: [] for name in LOADS})
    started: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def compete(
    contenders: Sequence[Contender], asked: Asked, model: Path, *, rounds: int, seconds: float, cores: int
) -> tuple[dict[str, Found], dict[str, str]]:
    """Findings by contender's name, and why others were left out. Says on the way what it does."""
    left_out: dict[str, str] = {}
    for contender in contenders:
        try:
            contender.install()
        except NotThere as reason:
            left_out[contender.name] = str(reason)
            print(f"left out: {reason}", flush=True)
    present = [contender for contender in contenders if contender.name not in left_out]
    found = {contender.name: Found() for contender in present}
    for number in range(rounds):
        # Each round begins with another one, so that none is always first or last.
        shift = number * len(present) // rounds if rounds else 0
        for contender in [*present[shift:], *present[:shift]]:
            if contender.name in left_out:
                continue
            print(f"round {number + 1} of {rounds}: {contender.title}", end="", flush=True)
            try:
                perform(contender, asked, model, found[contender.name], seconds=seconds, cores=cores)
            except (NotThere, OSError, RuntimeError) as reason:
                left_out[contender.name] = str(reason)
                print(f"\n  left out: {reason}", flush=True)
    return {name: entry for name, entry in found.items() if name not in left_out}, left_out


def perform(contender: Contender, asked: Asked, model: Path, found: Found, *, seconds: float, cores: int) -> None:
    """One start of one contender under every load. Raises NotThere with its last words."""
    with stage(model, cores) as place:
        begun = time.monotonic()
        contender.start(place)
        single, many = questions(contender, asked, 1), questions(contender, asked, LOADS["16 × 32 rows"].rows)
        wait_for(contender, place, *single[0])
        found.started.append(time.monotonic() - begun)
        proved = {rows: prove(contender, place, asked_with) for rows, asked_with in ((1, single), (32, many))}
        load(place.port, proved[1], connections=64, seconds=SETTLE_SECONDS)
        for name, kind in LOADS.items():
            result = load(
                place.port, proved[kind.rows], connections=kind.connections, seconds=seconds, warm_up=WARM_UP_SECONDS
            )
            found.loads[name].append(result)
            if name == WEIGHED_AT:
                found.memory.append(place.processes.memory())
            print(f" · {name}: {result.rate:,.0f}/s", end="", flush=True)
            if not place.processes.alive:
                raise NotThere(f"{contender.title} ended under {name}: {place.processes.last_words}")
        print(flush=True)


def questions(contender: Contender, asked: Asked, rows: int) -> list[tuple[Question, list[float]]]:
    """Questions with so many rows, and the probabilities that are right. Each begins with another row."""
    turned = [[asked[(first + place) % len(asked)] for place in range(rows)] for first in range(len(asked))]
    return [(contender.question([row for row, _ in chosen]), [value for _, value in chosen]) for chosen in turned]


def wait_for(contender: Contender, place: Stage, question: Question, expected: Sequence[float]) -> None:
    """Until the first right answer. Raises NotThere."""
    deadline, last = time.monotonic() + START_SECONDS, ""
    while time.monotonic() < deadline:
        try:
            status, body = ask(place.port, question.data)
            if status == 200 and contender.right(body, expected):
                return
            last = f"HTTP {status}: {body[:300].decode(errors='replace')}"
        except OSError as error:
            last = str(error)
        if not place.processes.alive:
            raise NotThere(f"{contender.title} ended before it answered: {place.processes.last_words}")
        time.sleep(0.01)
    raise NotThere(f"{contender.title} did not answer rightly: {last}\n{place.processes.last_words}")


def prove(contender: Contender, place: Stage, asked_with: Sequence[tuple[Question, list[float]]]) -> list[Question]:
    """The questions with the answers that this contender gives, each held against the right probabilities once.

    Raises NotThere where one is wrong.
    """
    proved = []
    for question, expected in asked_with:
        status, body = ask(place.port, question.data)
        if status != 200 or not contender.right(body, expected):
            said = body[:300].decode(errors="replace")
            raise NotThere(f"{contender.title} answers wrongly, HTTP {status}: {said}; right is {expected[:3]} …")
        proved.append(Question(question.data, (body,)))
    return proved


@contextmanager
def stage(model: Path, cores: int) -> Iterator[Stage]:
    """An empty folder and a free port; whatever was started there is ended."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    processes = Processes(folder / "log")
    try:
        yield Stage(free_port(), folder, model, cores, processes)
    finally:
        processes.stop()
        shutil.rmtree(folder, ignore_errors=True)
