"""`python -m benchmarks.algorithms`: every figure against the number to beat, printed and in docs/algorithms.md.

--quick         what takes less than a minute for each scenario
--only NAME     one scenario; may be repeated. Then nothing is written
"""

import argparse
import importlib
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.algorithms.base import Benchmark, Result
from benchmarks.serving.report import conditions

PAGE = Path(__file__).resolve().parents[2] / "docs" / "algorithms.md"
SCENARIOS = (
    "tabular_classification",
    "tabular_regression",
    "text_classification",
    "anomaly_detection",
    "time_series_prediction",
    "log_clustering",
)


def main(arguments: argparse.Namespace) -> int:
    """Run them one after the other; 1 where a number to beat was not reached."""
    results: list[Result] = []
    where = conditions(1, 0)
    begun = time.monotonic()
    for name in arguments.only or SCENARIOS:
        benchmark: Benchmark = importlib.import_module(f"benchmarks.algorithms.{name.replace('-', '_')}")
        for result in benchmark.results(quick=arguments.quick):
            results.append(result)
            print(line(result), flush=True)
    missed = [result for result in results if reached(result) is False]
    print(f"\n{len(results)} figures in {time.monotonic() - begun:.0f} s; {len(missed)} goals missed.")
    if not arguments.only and not arguments.quick:
        PAGE.write_text(page(results, where), encoding="utf-8")
        print(f"{PAGE.relative_to(Path.cwd())} is written.")
    return int(bool(missed))


def reached(result: Result) -> bool | None:
    """Whether the goal is reached; None where there is none."""
    if result.goal is None or math.isnan(result.value):
        return None
    return result.value >= result.goal if result.higher_is_better else result.value <= result.goal


def line(result: Result) -> str:
    """One figure in a line of a terminal."""
    goal = "" if result.goal is None else f"{'>=' if result.higher_is_better else '<='} {result.goal:g}"
    mark = {True: "reached", False: "MISSED", None: ""}[reached(result)]
    return (
        f"{result.set:30} {result.algorithm:40} {result.metric:34} {result.value:>10.5g} "
        f"{goal:>12} {mark:8}{result.seconds:7.1f} s"
    )


def page(results: Sequence[Result], where: Mapping[str, str]) -> str:
    """The page of the documentation."""
    parts = [
        "# How good the algorithms are",
        "With default parameters, on sets that lie in `benchmarks/data` (each with its source and licence) or that the "
        "benchmark makes itself. Test labels are never seen by the algorithm, but where the set's usual measure has "
        "none to hide. Where a number to beat is known from the literature or from peers on the same split, it stands "
        f"beside. Printed and written by `make bench-algorithms`, on {where['machine']}, {where['system']}, "
        f"{where['date']}.",
    ]
    for scenario in dict.fromkeys(result.scenario for result in results):
        parts += [f"## {scenario}", table([result for result in results if result.scenario == scenario])]
    return "\n\n".join(parts) + "\n"


def table(results: Sequence[Result]) -> str:
    """The figures of one scenario."""
    lines = ["| set | algorithm | metric | value | to beat | | seconds |", "|---|---|---|---:|---:|---|---:|"]
    for result in results:
        goal = "" if result.goal is None else f"{result.goal:g}"
        mark = {True: "reached", False: "missed", None: ""}[reached(result)]
        cells = (
            result.set, result.algorithm, result.metric, f"{result.value:.5g}", goal, mark, f"{result.seconds:.1f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.algorithms")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", metavar="SCENARIO")
    sys.exit(main(parser.parse_args()))
