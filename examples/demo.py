"""From a table to a URL: starts the platform, builds a model from an intent, publishes it, calls it over HTTP.

    python examples/demo.py [--once] [--data FOLDER] [--port PORT]

It uses nothing but the `modelyard` command and the SDK, as a user would. With `--once` it stops by itself.
"""

import argparse
import csv
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import modelyard

HERE = Path(__file__).parent
TABLE = HERE / "data" / "telco_churn" / "customers.csv"
NEW = HERE / "data" / "telco_churn" / "new_customers.csv"
INTENT = "predict which customers churn"
MODEL = "sales/churn"


class Steps:
    """Says what is being done, and at the end how long each step took."""

    def __init__(self) -> None:
        self.times: list[tuple[str, float]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        print(f"\n▸ {name}", flush=True)
        begun = time.monotonic()
        yield
        self.times.append((name, time.monotonic() - begun))

    def report(self) -> None:
        print("\nTime each step took")
        for name, seconds in self.times:
            print(f"  {seconds:6.1f} s  {name}")
        print(f"  {sum(seconds for _, seconds in self.times):6.1f} s  in all")


def main() -> int:
    arguments = parse()
    # Both end it in order, also where it was started in the background, which ignores Ctrl-C otherwise.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    steps = Steps()
    with steps.step("Start the platform"):
        platform = start(arguments)
        login = wait_for_platform(platform, arguments.data)
        client = modelyard.Client(url=login["url"], api_key=login["api_key"])
    try:
        run(client, login, steps)
        if not arguments.once:
            print(f"\nThe platform stays up at {login['url']} until Ctrl-C.", flush=True)
            platform.wait()
    except KeyboardInterrupt:
        print("\nStopping …")
    finally:
        stop(platform)
    return 0


def run(client: modelyard.Client, login: dict[str, str], steps: Steps) -> None:
    with steps.step(f'Build: "{INTENT}" from {TABLE.name}'):
        build = client.builds.create(INTENT, data=TABLE, model=MODEL)
        for reason in build.plan.reasons:
            print(f"  {reason.decision}: {reason.value}, because {reason.because}")
        build.wait(progress=True)
        version = build.version
    label = f"{version.model}/{version.version}"
    show_metrics(version, label)
    with steps.step(f"Publish {label}"):
        endpoint = client.deployments.publish(version)
    with steps.step("Call it"):
        with NEW.open() as file:
            customers = list(csv.DictReader(file))
        instances = [typed(customer, version.signature) for customer in customers[:3]]
        for customer, answer in zip(customers, endpoint.predict(instances), strict=False):
            print(f"  {customer['customerID']}: {answer['prediction']} ({answer['probability']:.0%})")
    steps.report()
    show_access(login, endpoint.url, instances[0])


def show_metrics(version: "modelyard.sdk.models.Version", label: str) -> None:
    evaluation = version.evaluation
    tried = ", ".join(f"{item['algorithm']} {item['validation']:.4f}" for item in evaluation["candidates"])
    print(f"\n  {label}: {version.algorithm}, chosen on validation rows from {tried}")
    head = f"on {evaluation['rows']['test']:,} held-out rows"
    print(f"  {head:<26}{'value':>9}   95 % interval    baseline")
    for metric in evaluation["metrics"]:
        interval = f"{metric['lower']:.4f} … {metric['upper']:.4f}"
        print(f"  {metric['name']:<26}{metric['value']:>9.4f}   {interval}  {metric['baseline']:>9.4f}")


def show_access(login: dict[str, str], url: str, instance: dict[str, object]) -> None:
    body = json.dumps({"instances": [instance]})
    print(f"\nURL      {url}\nKey      {login['api_key']}\nConsole  {login['url']}/api/docs")
    print("\nTry it:")
    print(
        f"curl -sS {shlex.quote(url)} -H {shlex.quote('x-api-key: ' + login['api_key'])}"
        f" -H 'content-type: application/json' -d {shlex.quote(body)}",
        flush=True,
    )


def typed(row: dict[str, str], signature: dict[str, object]) -> dict[str, object]:
    """A CSV row as the JSON instance that the version's signature asks for."""
    numeric = {"number": float, "integer": int, "boolean": lambda text: text.lower() in {"true", "1"}}
    fields = signature["inputs"]
    return {
        field["name"]: None if not row[field["name"]].strip() else numeric.get(field["kind"], str)(row[field["name"]])
        for field in fields
    }


def start(arguments: argparse.Namespace) -> "subprocess.Popen[bytes]":
    """`modelyard up` on a free port, its log in the data folder."""
    arguments.data.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "modelyard.cli",
        "up",
        "--data",
        str(arguments.data),
        "--port",
        str(arguments.port),
    ]
    log = (arguments.data / "demo.log").open("wb")
    # Its own session: Ctrl-C reaches this script, which then stops the platform in order.
    return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def wait_for_platform(platform: "subprocess.Popen[bytes]", data: Path, seconds: float = 60) -> dict[str, str]:
    """The login of this data folder with the URL that answers now."""
    begun = time.time()
    address, login = data / "url", data / "first-login.json"
    while time.time() - begun < seconds:
        if platform.poll() is not None:
            sys.exit(f"The platform did not start:\n{(data / 'demo.log').read_text()}")
        if login.exists() and address.exists() and address.stat().st_mtime >= begun - 1:
            return json.loads(login.read_text()) | {"url": address.read_text().strip()}
        time.sleep(0.05)
    stop(platform)
    sys.exit(f"The platform did not answer within {seconds:.0f} s. Its log: {data / 'demo.log'}")


def stop(platform: "subprocess.Popen[bytes]") -> None:
    if platform.poll() is None:
        platform.send_signal(signal.SIGINT)
        try:
            platform.wait(15)
        except subprocess.TimeoutExpired:
            platform.kill()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="From a table to a URL.")
    parser.add_argument("--once", action="store_true", help="stop at the end instead of staying up")
    parser.add_argument("--data", type=Path, default=Path("modelyard-data"), help="the platform's folder")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
