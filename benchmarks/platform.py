"""The platform as a newcomer meets it: how long the command, the start, the first model and the first answer take, and
what each process weighs."""

import csv
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import modelyard
from benchmarks.serving.processes import share_of_memory

TITANIC = Path(__file__).parent.parent / "tests" / "data" / "titanic" / "train.csv"
COMMAND = [sys.executable, "-m", "modelyard.cli"]
ROLES = ("cli", "api", "controller", "gateway", "replica")


def main() -> None:
    empty = median_seconds([sys.executable, "-c", "pass"])
    help_page = median_seconds([*COMMAND, "--help"])
    show("modelyard --help", f"{help_page:.3f} s", f"{help_page / empty:.1f} × an empty Python process, goal 0.35 s")
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as folder:
        data = Path(folder) / "data"
        begun = time.monotonic()
        process = start(data)
        try:
            client = wait(data, process)
            show("first start, answering", f"{time.monotonic() - begun:.2f} s", "goal 3 s")
            measure_first_model(client)
            show_memory(data)
            # kept for last: it stops the platform.
            process.send_signal(signal.SIGINT)
            begun = time.monotonic()
            process.wait(15)
            show("Ctrl-C to nothing left", f"{time.monotonic() - begun:.2f} s", "goal 5 s")
            begun = time.monotonic()
            process = start(data)
            wait(data, process)
            show("second start, answering", f"{time.monotonic() - begun:.2f} s", "goal 3 s")
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(15)


def measure_first_model(client: modelyard.Client) -> None:
    begun = time.monotonic()
    build = client.builds.create("predict who survived", data=TITANIC, model="bench/titanic")
    build.wait(progress=False)
    show(
        "first Titanic model",
        f"{time.monotonic() - begun:.2f} s",
        "upload, release, two candidates, version; goal 10 s",
    )
    show("  largest difference from the training pipeline", f"{build.version.evaluation['parity']:.1e}", "goal 1e-6")
    begun = time.monotonic()
    endpoint = client.deployments.publish(build.version)
    with TITANIC.open() as file:
        row = next(csv.DictReader(file))
    instance = {
        field["name"]: value_of(row[field["name"]], field["kind"]) for field in build.version.signature["inputs"]
    }
    endpoint.predict([instance])
    show("publish to the first answer", f"{time.monotonic() - begun:.2f} s", "")


def value_of(text: str, kind: str) -> object:
    if not text:
        return None
    return json.loads(text) if kind in {"number", "integer", "boolean"} else text


def show_memory(data: Path) -> None:
    total = 0.0
    for pid, role in processes(data):
        mib = share_of_memory(pid)
        total += mib
        show(f"memory of {'up' if role == 'cli' else role}", f"{mib:.0f} MiB", "proportional share (PSS)")
    show("memory of all", f"{total:.0f} MiB", "")


def processes(data: Path) -> list[tuple[int, str]]:
    """(pid, role) of every process of the platform with this data folder."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            environment = (folder / "environ").read_bytes().decode(errors="replace")
            role = next((role for role in ROLES if f"modelyard.{role}" in words), None)
            if role and (f"MODELYARD_DATA={data}\0" in environment or str(data) in words):
                found.append((int(folder.name), role))
    return found


def start(data: Path, **variables: str) -> "subprocess.Popen[bytes]":
    """`modelyard up` on a free port, with these settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}  # noqa: TID251
    with data.with_name("up.log").open("ab") as log:
        return subprocess.Popen(
            [*COMMAND, "up", "--data", str(data), "--port", "0"],
            stdout=log,
            stderr=log,
            env=environment | variables,
            start_new_session=True,
        )


def wait(data: Path, process: "subprocess.Popen[bytes]") -> modelyard.Client:
    """Until it answers; a client of the administrator's."""
    begun = time.time()
    address = data / "url"
    while not (address.exists() and address.stat().st_mtime > begun - 0.5):
        if process.poll() is not None or time.time() - begun > 60:
            raise SystemExit(f"the platform did not start:\n{data.with_name('up.log').read_text()[-2000:]}")
        time.sleep(0.005)
    login = json.loads((data / "first-login.json").read_text())
    return modelyard.Client(url=address.read_text().strip(), api_key=login["api_key"])


def median_seconds(command: list[str], times: int = 7) -> float:
    taken = []
    for _ in range(times):
        begun = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.monotonic() - begun)
    return statistics.median(taken)


def show(what: str, figure: str, remark: str) -> None:
    print(f"{what:<50} {figure:>12}   {remark}", flush=True)
