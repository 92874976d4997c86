"""`python -m benchmarks.serving`: our data plane, its peers and the limit; every answer is checked."""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.serving import model, pipeline, report
from benchmarks.serving.contender import Contender
from benchmarks.serving.ours import Ours
from benchmarks.serving.peers.bentoml import BentoMl
from benchmarks.serving.peers.fastapi import FastApi
from benchmarks.serving.peers.litserve import LitServe
from benchmarks.serving.peers.mlflow import MlFlow
from benchmarks.serving.peers.mlserver import MlServer
from benchmarks.serving.peers.nginx import Nginx
from benchmarks.serving.peers.ray_serve import RayServe
from benchmarks.serving.run import compete

QUICK = ("ours", "fastapi-tuned", "nginx")


def main() -> int:
    chosen = parse()
    # Ended from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    all_of_them = everyone(gateways=chosen.gateways, replicas=chosen.replicas)
    wanted = tuple(chosen.only.split(",")) if chosen.only else QUICK if chosen.quick else ("",)
    contenders = [contender for contender in all_of_them if contender.name.startswith(wanted)]
    if not contenders:
        print(f"There is none of {', '.join(wanted)}. There are: {', '.join(one.name for one in all_of_them)}.")
        return 2
    rounds = chosen.rounds or (2 if chosen.quick else 3)
    seconds = chosen.seconds or (1.0 if chosen.quick else 3.0)
    conditions, doubts = report.conditions(rounds, seconds), report.doubts(rounds)
    fitted = pipeline.fit()
    with tempfile.TemporaryDirectory(prefix="bench-model-") as folder:
        graph = Path(folder) / "model.onnx"
        graph.write_bytes(model.graph(fitted))
        cores = len(os.sched_getaffinity(0))
        found, left_out = compete(contenders, model.asked(fitted), graph, rounds=rounds, seconds=seconds, cores=cores)
    there = [contender for contender in contenders if contender.name in found]
    made = report.Report(there, found, left_out, conditions, doubts)
    print(made.text())
    if len(contenders) == len(all_of_them) and not chosen.quick:
        print(f"\n{', '.join(str(path) for path in made.write())} written.")
    return 1 if made.wrong else 0


def everyone(*, gateways: int = 0, replicas: int = 0) -> list[Contender]:
    """All contenders, in the order of the tables."""
    return [
        Ours("embedded", gateways=gateways),
        Ours("isolated", gateways=gateways, replicas=replicas),
        FastApi("tuned"),
        FastApi("plain"),
        RayServe(),
        LitServe("onnx"),
        LitServe("sklearn"),
        BentoMl(),
        MlServer(),
        MlFlow(),
        Nginx(),
    ]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.serving", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="ours, FastAPI tuned by hand and nginx only, in two short rounds"
    )
    parser.add_argument("--only", help="names, or beginnings of names, with commas between: ours,litserve-onnx")
    parser.add_argument("--rounds", type=int, help="starts of each contender (3)")
    parser.add_argument("--seconds", type=float, help="length of one measurement (3)")
    parser.add_argument("--gateways", type=int, default=0, help="our gateway processes (one per core)")
    parser.add_argument("--replicas", type=int, default=0, help="our replicas in the isolated lane (one per core)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
