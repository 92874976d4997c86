"""`python -m benchmarks.soak --minutes 10 --connections 64`: load, swaps and kills, and a verdict on each promise.

Exits with 1 where something does not hold.
"""

import argparse
import csv
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import modelyard
from benchmarks import platform
from benchmarks.load.generator import Load, Result, read
from benchmarks.load.questions import Question, ask, post, same
from benchmarks.serving.pipeline import labels, rows
from benchmarks.soak.chores import MODEL, Chores
from benchmarks.soak.memory import Scales
from benchmarks.soak.verdicts import Verdict, judge

QUESTIONS = 32
KEY = "soak"
USAGE_SECONDS = 30.0


def main() -> int:
    chosen = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        data = Path(folder) / "data"
        process = platform.start(data, MODELYARD_SERVER_GATEWAYS=str(len(os.sched_getaffinity(0))))
        try:
            verdicts = soak(platform.wait(data, process), data, chosen)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    print()
    for holds, text in verdicts:
        print(f"{'holds' if holds else 'FAILS'}  {text}")
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def soak(client: modelyard.Client, data: Path, chosen: argparse.Namespace) -> list[Verdict]:
    """Two versions, the load, the chores; what came of it."""
    print("Two versions of one model are built …", flush=True)
    for number in (1, 2):
        build = client.builds.create("predict y", data=table(data.parent, number), model=MODEL, target="y")
        build.wait(progress=False)
    questions = learn(client, json.loads((data / "first-login.json").read_text())["api_key"], chosen.lane)
    load = Load(
        urlsplit(client.url).port or 80,
        questions,
        connections=chosen.connections,
        seconds=24 * 3600,
        every=1.0,
    )
    reports: list[Result] = []
    reader = threading.Thread(target=lambda: reports.extend(read(line) for line in load.lines))
    reader.start()
    scales = Scales(data)
    scales.start()
    chores = Chores(client, data, KEY)
    print(f"{chosen.connections} connections for {chosen.minutes:g} minutes:", flush=True)
    try:
        until = time.monotonic() + chosen.minutes * 60
        chores.run(until, chosen.pause)
        time.sleep(max(0.0, until - time.monotonic()))
    finally:
        load.stop()
        reader.join()
        load.close()
        scales.stop()
    return judge(reports, chores.done, scales.lives.values(), recorded(client, reports[-1]))


def table(folder: Path, seed: int) -> Path:
    """A small table; each seed has a rule of its own, so that versions answer differently."""
    made = rows(400, seed=seed)
    file = folder / f"table-{seed}.csv"
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, [*made[0], "y"])
        writer.writeheader()
        writer.writerows({**row, "y": label} for row, label in zip(made, labels(made, seed=seed), strict=True))
    return file


def learn(client: modelyard.Client, api_key: str, lane: str) -> list[Question]:
    """Questions with the answers of both versions, asked one by one while nothing else goes on."""
    port, path = urlsplit(client.url).port or 80, f"/models/{MODEL}/"
    asked = [json.dumps({"instances": [row]}).encode() for row in rows(QUESTIONS, seed=9)]
    data = [post(path, body, [("x-api-key", api_key)]) for body in asked]
    answers: list[list[bytes]] = []
    for number in (1, 2):
        wanted = {} if lane == "auto" else {"lane": lane}
        client.deployments.publish(f"{MODEL}/v{number}", key=KEY, replicas=2, **wanted)
        replies = [ask(port, request) for request in data]
        if any(status != 200 for status, _ in replies):
            raise SystemExit(f"v{number} does not answer: {replies[0]}")
        answers.append([body for _, body in replies])
    alike = [one for one, other in zip(*answers, strict=True) if same(one.replace(b'"v1"', b'"v2"'), other)]
    if alike:
        raise SystemExit(f"both versions answer alike, so a swap would not be seen: {alike[0]!r}")
    return [Question(request, bodies) for request, *bodies in zip(data, *answers, strict=True)]


def recorded(client: modelyard.Client, last: Result) -> dict[int, int] | str:
    """How many of the load's calls with status 200 were recorded of each version; else why that cannot be said.

    Waited for until they are as many as were acknowledged and grow no more.
    """
    deadline, seen = time.monotonic() + USAGE_SECONDS, dict[int, int]()
    while True:
        try:
            totals = client.usage.totals(["version", "status"], model=MODEL)
        except Exception as error:  # noqa: BLE001 - it is a finding
            return f"{type(error).__name__}: {error}"
        # Each version was asked every question once before.
        now = {
            int(total.version.rpartition("v")[2]): total.requests - QUESTIONS
            for total in totals
            if total.status == 200 and total.version
        }
        if (now == seen and sum(now.values()) >= last.acknowledged) or time.monotonic() > deadline:
            return now
        seen = now
        time.sleep(2)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--pause", type=float, default=3.0, help="seconds between two chores")
    parser.add_argument("--lane", choices=["auto", "isolated"], default="auto", help="auto lets gateways hold versions")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
