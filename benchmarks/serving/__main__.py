"""`python -m benchmarks.serving`: both servers in turn, load by load, round by round; every answer is checked."""

import argparse
import hashlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from benchmarks.serving import model
from benchmarks.serving.client import Question, Result, load
from modelyard.core.settings import Server, Settings, child_environment
from modelyard.gateway.gateway import TABLE
from modelyard.protocol.processes import HeldVersion, ReplicaSpec
from modelyard.protocol.routing import Caller, ModelRoute, RoutingTable, Target, VersionRoute
from modelyard.storage.objects.opened import open_store

KEY = "my_benchmark_key"
LOADS = {"c=1": (1, 1), "c=16": (16, 1), "c=64": (64, 1), "c=16, 32 rows": (16, 32)}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def questions(path: str, rows: int) -> list[Question]:
    """Different requests, so that an answer that belongs to another is seen."""
    made = []
    for number in range(64):
        asked = model.rows(rows, seed=number)
        body = json.dumps({"instances": asked}).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        made.append(Question(head.encode() + body, [model.expected(row) for row in asked]))
    return made


@contextmanager
def process(arguments: list[str], environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    started = subprocess.Popen([sys.executable, *arguments], env=environment, start_new_session=True)
    try:
        yield started
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        started.wait()


def wait_for(port: int, question: Question) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if load(port, [question], connections=1, seconds=0.05).latencies:
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"nothing right was answered on port {port}")


def start_ours(stack: ExitStack, folder: Path, *, gateways: int, replicas: int) -> int:
    """The platform's data plane without its control plane; its port."""
    port = free_port()
    settings = Settings(data=folder / "data", secret="0" * 64, log_level="warning", server=Server(port=port))
    version_folder = folder / "version"
    checksum = model.write_version(version_folder)
    store = open_store(settings.objects_url)
    for path in version_folder.iterdir():
        store.put(f"v1/{path.name}", path)
    held = HeldVersion(slot=0, prefix="bench", model="model", number=1, folder="v1", checksum=checksum)
    settings.run_folder.mkdir(parents=True, exist_ok=True)
    addresses = [f"unix:{settings.run_folder}/r{number}.sock" for number in range(replicas)]
    for number, address in enumerate(addresses):
        spec = settings.run_folder / f"r{number}.spec"
        spec.write_bytes(
            msgspec.json.encode(ReplicaSpec(id=f"r{number}", deployment="d", address=address, versions=(held,)))
        )
        stack.enter_context(process(["-m", "modelyard.replica", str(spec)], child_environment(settings)))
    targets = tuple(Target(address, 0) for address in addresses)
    route = VersionRoute(number=1, deployment="d", weight=1, state="ready", targets=targets)
    keys = {
        hashlib.sha256(f"my_other_{number}".encode()).hexdigest(): Caller(id=str(number), user="u")
        for number in range(1000)
    }
    keys[hashlib.sha256(KEY.encode()).hexdigest()] = Caller(id="key", user="u", prefixes=("bench",))
    table = RoutingTable(number=1, models=(ModelRoute(prefix="bench", name="model", versions=(route,)),), keys=keys)
    (settings.data / TABLE).write_bytes(msgspec.json.encode(table))
    for _ in range(gateways):
        stack.enter_context(process(["-m", "modelyard.gateway"], child_environment(settings)))
    return port


def start_peer(stack: ExitStack, folder: Path) -> int:
    port = free_port()
    environment = {**os.environ, "BENCHMARK_MODEL": str(folder / "version" / "model.onnx")}  # noqa: TID251 - not the platform's
    arguments = ["-m", "uvicorn", "benchmarks.serving.peer:app", "--port", str(port), "--workers", "2"]
    stack.enter_context(process([*arguments, "--no-access-log", "--log-level", "warning"], environment))
    return port


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gateways", type=int, default=1)
    parser.add_argument("--replicas", type=int, default=1)
    chosen = parser.parse_args()
    found: dict[tuple[str, str], list[Result]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {
            "ours": (
                start_ours(stack, folder, gateways=chosen.gateways, replicas=chosen.replicas),
                "/models/bench/model/",
            ),
            "FastAPI": (start_peer(stack, folder), "/predict"),
        }
        for port, path in servers.values():
            wait_for(port, questions(path, 1)[0])
        for _ in range(chosen.rounds):
            for name, (connections, rows) in LOADS.items():
                for server, (port, path) in servers.items():
                    result = load(port, questions(path, rows), connections=connections, seconds=chosen.seconds)
                    found.setdefault((server, name), []).append(result)
    return report(found, chosen.gateways, chosen.replicas)


def report(found: Mapping[tuple[str, str], list[Result]], gateways: int, replicas: int) -> int:
    """Print the table; the exit code: 1 where any answer was wrong or refused."""
    print(f"{gateways} gateway(s) + {replicas} replica(s) with keys and routing, against FastAPI + ONNX with 2 workers")
    print(f"{'load':<16}{'ours/s':>10}{'p50 ms':>9}{'FastAPI/s':>12}{'p50 ms':>9}{'ratio':>8}")
    for name in LOADS:
        ours, theirs = found["ours", name], found["FastAPI", name]
        rates = [statistics.median(result.rate for result in results) for results in (ours, theirs)]
        medians = [statistics.median(result.median for result in results) for results in (ours, theirs)]
        ratio = rates[0] / rates[1]
        print(f"{name:<16}{rates[0]:>10.0f}{medians[0]:>9.2f}{rates[1]:>12.0f}{medians[1]:>9.2f}{ratio:>7.2f}x")
    bad = {key: (sum(r.wrong for r in results), sum(r.refused for r in results)) for key, results in found.items()}
    failed = {key: counts for key, counts in bad.items() if counts != (0, 0)}
    print("every answer was right" if not failed else f"wrong, refused: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
