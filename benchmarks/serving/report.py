"""What a run found, as tables: for the terminal, and as a page of the documentation with its plot."""

import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.load.generator import Result
from benchmarks.serving import chart
from benchmarks.serving.contender import Contender
from benchmarks.serving.processes import REPOSITORY
from benchmarks.serving.run import LOADS, WEIGHED_AT, Found

PAGE = REPOSITORY / "docs" / "benchmarks.md"
PLOT = REPOSITORY / "docs" / "assets" / "benchmarks.svg"
OURS = "ours"
BUSY = 0.25
"""Load average per core above which somebody else works too."""

LEAST_ROUNDS = 3


def conditions(rounds: int, seconds: float) -> dict[str, str]:
    """Under what the figures were measured; asked before the run, which is itself a load."""
    info = Path("/proc/cpuinfo").read_text()
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{len(os.sched_getaffinity(0))} cores ({names[0] if names else platform.machine()}), "
        f"{memory:.0f} GiB, load average before the run {os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "rounds": f"{rounds}, each with a fresh start of every server, in rotating order; {seconds:g} s a load",
    }


def doubts(rounds: int) -> list[str]:
    """What speaks against the figures of a run that begins now."""
    found = []
    if os.getloadavg()[0] > BUSY * len(os.sched_getaffinity(0)):
        found.append("**The machine was busy with other work: these figures prove nothing but that everything runs.**")
    if rounds < LEAST_ROUNDS:
        found.append(f"**Only {rounds} of {LEAST_ROUNDS} rounds: nothing says how far the figures vary.**")
    return found


@dataclass(frozen=True)
class Report:
    """The findings about those who took part, in their order, and why others did not."""

    contenders: Sequence[Contender]
    found: Mapping[str, Found]
    left_out: Mapping[str, str]
    conditions: Mapping[str, str]
    doubts: Sequence[str] = ()

    @property
    def wrong(self) -> int:
        """How many answers were wrong, of everybody."""
        return sum(
            result.wrong for found in self.found.values() for results in found.loads.values() for result in results
        )

    def text(self) -> str:
        """Everything for the terminal."""
        parts = [*self.doubts, self.figures()]
        parts += [f"{one.title}, times as much as …\n\n{self.ratios(one)}" for one in self.ours]
        parts.append("Every answer was right." if not self.wrong else f"{self.wrong} ANSWERS WERE WRONG.")
        parts += [f"left out: {reason}" for reason in self.left_out.values()]
        return "\n\n".join(["", *parts])

    def write(self) -> list[Path]:
        """The page and its plot."""
        PAGE.write_text(self.page())
        rates = {one.title: {name: rate(self.found[one.name], name) for name in LOADS} for one in self.contenders}
        PLOT.write_text(chart.dots(rates, highlighted=[one.title for one in self.ours]))
        return [path.relative_to(REPOSITORY) for path in (PAGE, PLOT)]

    def page(self) -> str:
        """The page."""
        about = [[name, value] for name, value in self.conditions.items()]
        set_ups = [[one.title, one.version, one.set_up] for one in self.contenders]
        left_out = [f"{name} took no part: {reason.splitlines()[0]}" for name, reason in self.left_out.items()]
        ratios = [f"### {one.title}, times as much as …\n\n{self.ratios(one)}" for one in self.ours]
        return (
            "\n\n".join(
                [
                    "# Benchmarks",
                    "<!-- Written by `make bench`. -->",
                    INTRODUCTION,
                    *self.doubts,
                    "![Answers a second of each server under each load](assets/benchmarks.svg)",
                    "## Figures",
                    "Right answers a second (median latency in milliseconds).",
                    self.figures(),
                    LEGEND,
                    "## Ratios",
                    "More is better for answers a second, less for latency and memory.",
                    *ratios,
                    "## Conditions",
                    table(["", ""], about),
                    table(["server", "version", "set-up"], set_ups),
                    *left_out,
                    REPEAT,
                ]
            )
            + "\n"
        )

    @property
    def ours(self) -> list[Contender]:
        """Our lanes."""
        return [one for one in self.contenders if one.name.startswith(OURS)]

    def figures(self) -> str:
        """Start, memory, answers a second and latency of each."""
        rows = []
        for one in self.contenders:
            found = self.found[one.name]
            cells = [cell(found.loads[name]) for name in LOADS]
            spread = f"{max(map(spread_of, found.loads.values())):.0%}" if len(found.started) > 1 else "–"
            start, memory = statistics.median(found.started), statistics.median(found.memory)
            rows.append([one.title, f"{start:.1f}", f"{memory:.0f}", *cells, spread, failures(found)])
        return table(["server", "start s", "PSS MiB", *LOADS, "spread", "failed"], rows)

    def ratios(self, ours: Contender) -> str:
        """One of our lanes against everybody else."""
        rows = []
        mine = self.found[ours.name]
        for one in self.contenders:
            if one is ours:
                continue
            other = self.found[one.name]
            throughput = [ratio(rate(mine, name), rate(other, name)) for name in LOADS]
            latency = ratio(p50(mine, "c=1"), p50(other, "c=1"))
            memory = ratio(statistics.median(mine.memory), statistics.median(other.memory))
            rows.append([one.title, *throughput, latency, memory])
        return table(["", *LOADS, "latency at c=1", "memory"], rows)


def rate(found: Found, name: str) -> float:
    """Right answers a second, the median of the rounds."""
    return statistics.median(result.rate for result in found.loads[name])


def p50(found: Found, name: str) -> float:
    """The median latency in milliseconds, its median over the rounds."""
    return statistics.median(result.p50 for result in found.loads[name])


def cell(results: Sequence[Result]) -> str:
    """Answers a second, latency, and how many were told to come back later."""
    middle: Callable[[Sequence[float]], float] = statistics.median
    busy = middle([result.busy / result.elapsed for result in results])
    refused = f" + {busy:,.0f} × 503" if busy else ""
    answers, latency = middle([result.rate for result in results]), middle([result.p50 for result in results])
    return f"{answers:,.0f} ({latency:.2f}){refused}"


def spread_of(results: Sequence[Result]) -> float:
    """How far the rounds lie apart, as a share of their median."""
    rates = [result.rate for result in results]
    return (max(rates) - min(rates)) / statistics.median(rates) if any(rates) else 0.0


def ratio(ours: float, theirs: float) -> str:
    """With two digits that mean something."""
    if not theirs:
        return "–"
    value = ours / theirs
    return f"{value:.0f} ×" if value >= 9.95 else f"{value:.1f} ×" if value >= 0.995 else f"{value:.2g} ×"


def failures(found: Found) -> str:
    """Everything that is no right answer and no 503 with Retry-After, over all rounds."""
    counts: dict[str, int] = {}
    for results in found.loads.values():
        for result in results:
            for name, count in result.failed.items():
                counts[name] = counts.get(name, 0) + count
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "0"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that is aligned for the eye too."""
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    lines = [
        "| " + " | ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) + " |"
        for row in [head, *rows]
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


INTRODUCTION = """\
One prediction over HTTP: the platform's data plane with everything on (an API key among a thousand, a route among two
hundred models, rates for key and prefix, the usage journal, metrics) against servers that do none of this, and against
nginx, which answers the same to everybody without looking. All serve one model: 20 numbers and 2 categories, scaled and
one-hot encoded, a logistic regression; the scikit-learn pipeline itself, or its ONNX graph.

The load generator asks different rows in turn and holds **every answer** against the probabilities that the original
pipeline gave. It runs on the same cores as the servers: compare figures of one table, not those of two machines."""

LEGEND = f"""\
`c=n` are *n* connections with one row a request, the last load has 16 connections with 32 rows a request. *start* is
the time from the first process to the first right answer; *PSS* the memory of all processes at {WEIGHED_AT}, shared
pages counted once; *spread* the largest distance between two rounds of one load, as a share of their median. 503 with
`Retry-After` is a refusal and shown beside the answers; *failed* is everything else."""

REPEAT = """\
## Repeat it

```console
$ make bench                       # everything, about twenty minutes; writes this page
$ make bench QUICK=1               # ours, FastAPI and nginx, under two minutes
$ make bench ONLY=litserve,ours    # some, by the beginnings of their names
$ .venv/bin/python -m benchmarks.soak --minutes 10 --connections 64    # swaps and kills under load, and what must hold
```

Each peer is installed once, in an environment of its own below `.bench/`, from the pinned requirements in
`benchmarks/serving/peers/`. One that cannot be installed or started is left out by name. `nginx` is the system's:
`apt-get install nginx`."""
