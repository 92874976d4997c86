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
from pathlib import Path

import modelyard

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
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            ours = f"MODELYARD_DATA={data}" in (folder / "environ").read_text() or str(data) in words
            role = next((role for role in ROLES if f"modelyard.{role}" in words), None)
            if ours and role:
                mib = share_of_memory(folder)
                total += mib
                show(f"memory of {'up' if role == 'cli' else role}", f"{mib:.0f} MiB", "proportional share (PSS)")
        except OSError:
            continue
    show("memory of all", f"{total:.0f} MiB", "")


def share_of_memory(folder: Path) -> float:
    lines = (folder / "smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def start(data: Path) -> "subprocess.Popen[bytes]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}  # noqa: TID251
    return subprocess.Popen(
        [*COMMAND, "up", "--data", str(data), "--port", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )


def wait(data: Path, process: "subprocess.Popen[bytes]") -> modelyard.Client:
    begun = time.time()
    address = data / "url"
    while not (address.exists() and address.stat().st_mtime > begun - 0.5):
        if process.poll() is not None or time.time() - begun > 60:
            raise SystemExit("the platform did not start")
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
