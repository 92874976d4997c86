"""What is counted is what Prometheus reads, from whichever process it asks, and no total ever goes back."""

import asyncio
import bisect
import fcntl
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from fixtures.gateways import SALES_KEY, GatewayProcess, route, table
from fixtures.serving import ROW, publish
from fixtures.waiting import wait_until
from modelyard import __version__
from modelyard.core.errors import Unavailable
from modelyard.gateway.metrics import DeploymentGauge, Metrics
from modelyard.gateway.metrics.exposition import wants_open_metrics
from modelyard.protocol.load import BOUNDS, DeploymentLoad, ShadowLoad

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]

TOTAL = "modelyard_requests_total"
DAY = 24 * 3600.0
NASTY = 'sales/a"b\\c\nd\\n{}=,é☃'


def samples(page: bytes, *, open_metrics: bool = False) -> Samples:
    """The page's values by name and labels, as the official client reads them."""
    parse = parse_open_metrics if open_metrics else parse_text
    found: Samples = {}
    for family in parse(page.decode()):
        for sample in family.samples:
            key = tuple(sorted(sample.labels.items()))
            values = found.setdefault(sample.name, {})
            assert key not in values, f"{sample.name} {key} is there twice"
            values[key] = sample.value
    return found


def value(page: bytes, name: str, **labels: str) -> float:
    """The sum of the samples that have these labels."""
    wanted = set(labels.items())
    return sum(found for key, found in samples(page).get(name, {}).items() if wanted <= set(key))


def gateways(page: bytes) -> set[str]:
    """The processes that are on the page."""
    return {dict(key)["gateway"] for key in samples(page)["process_open_fds"]}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[list[Metrics]]:
    """Metrics that the test made; closed at its end."""
    found: list[Metrics] = []
    yield found
    for one in found:
        with suppress(OSError):
            one.close()


@pytest.fixture
def metrics(tmp_path: Path, made: list[Metrics]) -> Metrics:
    """The only process of its folder."""
    made.append(Metrics(tmp_path / "metrics", name="one"))
    return made[0]


@pytest.mark.parametrize("open_metrics", [False, True])
def test_the_page_says_what_was_observed(metrics: Metrics, open_metrics: bool) -> None:
    dice = random.Random(1)
    keys = [("sales/churn", 1, "dep-a"), ("sales/churn", 2, "dep-a"), ("a/b/c", 1, "dep-b"), (NASTY, 7, NASTY)]
    statuses: Counter[Any] = Counter()
    rows: Counter[Any] = Counter()
    latencies: dict[Any, list[float]] = {key: [] for key in keys}
    for _ in range(2000):
        key, status, count = dice.choice(keys), dice.choice([200, 200, 422, 500, 503]), dice.randrange(40)
        seconds = dice.lognormvariate(-7, 2)
        metrics.meter(*key).observe(status, seconds, count)
        statuses[key, status] += 1
        rows[key] += count
        latencies[key].append(seconds)
    page = metrics.text(None, open_metrics)
    found = samples(page, open_metrics=open_metrics)

    def labels(key: tuple[str, int, str], **more: str) -> tuple[tuple[str, str], ...]:
        named = {"model": key[0], "version": f"v{key[1]}", "deployment": key[2], **more}
        return tuple(sorted(named.items()))

    assert found[TOTAL] == {labels(key, status=str(status)): count for (key, status), count in statuses.items()}
    assert found["modelyard_rows_total"] == {labels(key): count for key, count in rows.items()}
    name = "modelyard_request_duration_seconds"
    for key, seconds in latencies.items():
        assert found[f"{name}_count"][labels(key)] == len(seconds)
        assert found[f"{name}_sum"][labels(key)] == pytest.approx(sum(seconds))
        for bound in (*(bound / 1e6 for bound in BOUNDS), float("inf")):
            below = [
                value
                for found_labels, value in found[f"{name}_bucket"].items()
                if set(labels(key)) <= set(found_labels) and float(dict(found_labels)["le"]) == bound
            ]
            assert below == [sum(one <= bound for one in seconds)]
    assert found["modelyard_build_info"] == {(("version", __version__),): 1}
    assert page.endswith(b"# EOF\n") is open_metrics


def test_every_metric_has_its_kind_and_is_explained(metrics: Metrics) -> None:
    metrics.meter("sales/churn", 1, "dep").observe(200, 0.001, 1)
    metrics.refused("dep")
    metrics.shadow("sales/churn", 1, "same")
    metrics.gauges = lambda: [DeploymentGauge("dep", 1, 2, 3)]
    families = list(parse_open_metrics(metrics.text(None, True).decode()))
    assert {family.name: family.type for family in families} == {
        "modelyard_requests": "counter",
        "modelyard_request_duration_seconds": "histogram",
        "modelyard_rows": "counter",
        "modelyard_in_flight": "gauge",
        "modelyard_waiting": "gauge",
        "modelyard_replicas": "gauge",
        "modelyard_refused": "counter",
        "modelyard_shadow": "counter",
        "modelyard_build": "info",
        "process_cpu_seconds": "counter",
        "process_resident_memory_bytes": "gauge",
        "process_open_fds": "gauge",
        "process_max_fds": "gauge",
        "process_start_time_seconds": "gauge",
    }
    assert all(family.documentation and family.samples for family in families)


def test_both_formats_have_the_same_series(metrics: Metrics) -> None:
    metrics.meter("sales/churn", 1, "dep").observe(200, 0.001, 1)
    text, other = samples(metrics.text(None, False)), samples(metrics.text(None, True), open_metrics=True)
    assert {name: set(values) for name, values in text.items()} == {name: set(values) for name, values in other.items()}


def test_prometheus_asks_for_open_metrics_by_its_accept_header() -> None:
    assert wants_open_metrics(
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
    )
    assert not wants_open_metrics("text/plain;version=0.0.4;q=0.2,*/*;q=0.1")
    assert not wants_open_metrics("")


def test_quantiles_of_the_histogram_are_in_the_bucket_of_the_true_ones(metrics: Metrics) -> None:
    dice = random.Random(2)
    latencies = sorted(dice.lognormvariate(-6, 1.5) for _ in range(5000))
    meter = metrics.meter("sales/churn", 1, "dep")
    for seconds in latencies:
        meter.observe(200, seconds, 1)
    buckets = samples(metrics.text(None, False))["modelyard_request_duration_seconds_bucket"]
    cumulative = sorted((float(dict(labels)["le"]), count) for labels, count in buckets.items())
    for quantile in (0.01, 0.25, 0.5, 0.9, 0.99, 0.999):
        rank = quantile * len(latencies)
        upper = next(bound for bound, count in cumulative if count >= rank)
        bounds = [0.0, *(bound for bound, _ in cumulative)]
        lower = bounds[bisect.bisect_left(bounds, upper) - 1]
        assert lower < latencies[int(rank) - 1] <= upper


@pytest.mark.parametrize("bound", BOUNDS)
def test_what_takes_exactly_a_bound_is_not_above_it(metrics: Metrics, bound: int) -> None:
    metrics.meter("sales/churn", 1, "dep").observe(200, bound / 1e6, 1)
    name = "modelyard_request_duration_seconds_bucket"
    assert value(metrics.text(None, False), name, le=repr(bound / 1e6)) == 1


def test_a_meter_is_the_same_one_across_tables(metrics: Metrics) -> None:
    meter = metrics.meter("sales/churn", 1, "dep")
    assert metrics.meter("sales/churn", 1, "dep") is meter
    others = [("sales/churn", 2, "dep"), ("sales/churn", 1, "other"), ("sales/other", 1, "dep")]
    assert all(metrics.meter(*other) is not meter for other in others)


def test_a_version_that_answered_nothing_yet_is_there_with_zero(metrics: Metrics) -> None:
    metrics.meter("sales/churn", 1, "dep")
    page = metrics.text(None, False)
    assert samples(page)[TOTAL] == {
        (("deployment", "dep"), ("model", "sales/churn"), ("status", "200"), ("version", "v1")): 0
    }


def test_refusals_and_shadows_are_counted(metrics: Metrics) -> None:
    metrics.meter("sales/churn", 1, "dep")
    for outcome, count in {"same": 5, "different": 3, "failed": 2}.items():
        for _ in range(count):
            metrics.shadow("sales/churn", 1, outcome)  # type: ignore[arg-type]
    metrics.refused("dep")
    metrics.refused("dep")
    page = metrics.text(None, False)
    assert value(page, "modelyard_refused_total", deployment="dep") == 2
    shadows = samples(page)["modelyard_shadow_total"]
    assert {dict(key)["outcome"]: count for key, count in shadows.items()} == {"same": 5, "different": 3, "failed": 2}


def test_a_credential_sees_the_models_of_its_prefixes_alone(metrics: Metrics) -> None:
    for model, deployment in (("sales/churn", "a"), ("sales/eu/lead", "b"), ("salesroom/x", "c"), ("other/y", "d")):
        metrics.meter(model, 1, deployment).observe(200, 0.001, 1)
        metrics.refused(deployment)
        metrics.shadow(model, 1, "same")
    metrics.gauges = lambda: [DeploymentGauge(key, 1, 1, 1) for key in "abcde"]
    by_model = (TOTAL, "modelyard_rows_total", "modelyard_shadow_total")
    by_deployment = ("modelyard_in_flight", "modelyard_waiting", "modelyard_replicas", "modelyard_refused_total")

    def seen(prefixes: tuple[str, ...] | None) -> tuple[set[str], set[str]]:
        found = samples(metrics.text(prefixes, False))
        assert found["process_open_fds"]
        models = [{dict(key)["model"] for key in found.get(name, {})} for name in by_model]
        deployments = [{dict(key)["deployment"] for key in found.get(name, {})} - {"e"} for name in by_deployment]
        assert all(one == models[0] for one in models)
        assert all(one == deployments[0] for one in deployments)
        return models[0], deployments[0]

    assert seen(("sales",)) == ({"sales/churn", "sales/eu/lead"}, {"a", "b"})
    assert seen(("sales/eu", "other")) == ({"sales/eu/lead", "other/y"}, {"b", "d"})
    assert seen(("sales/churn",)) == (set(), set()), "a prefix of that name is another one"
    assert seen(()) == (set(), set())
    assert seen(None)[1] == set("abcd")
    assert value(metrics.text(None, False), "modelyard_in_flight", deployment="e") == 1


def test_a_version_that_left_the_table_and_is_idle_leaves_the_page_and_comes_back_whole(
    tmp_path: Path, made: list[Metrics]
) -> None:
    time = 1e9
    metrics = Metrics(tmp_path / "metrics", name="one", now=lambda: time)
    made.append(metrics)
    old = metrics.meter("sales/churn", 1, "dep")
    unused = metrics.meter("sales/churn", 2, "dep")
    old.observe(200, 0.001, 1)
    unused.observe(200, 0.001, 1)

    def shown() -> dict[str, float]:
        totals = samples(metrics.text(None, False))[TOTAL]
        return {dict(key)["version"]: count for key, count in totals.items()}

    assert shown() == {"v1": 1, "v2": 1}
    time += 2 * DAY
    assert shown() == {"v1": 1, "v2": 1}, "idle, but deployed"
    metrics.meter("sales/churn", 2, "dep")
    assert shown() == {"v2": 1}, "idle, and in no table"
    old.observe(200, 0.001, 1)
    assert shown() == {"v1": 2, "v2": 1}
    time += 2 * DAY
    metrics.meter("sales/churn", 1, "dep")
    assert shown() == {"v1": 2}


def test_the_report_holds_what_this_process_counted(tmp_path: Path, made: list[Metrics]) -> None:
    times = iter(range(100, 1000))
    metrics = Metrics(tmp_path / "metrics", name="gateway-1", now=lambda: float(next(times)))
    other = Metrics(tmp_path / "metrics", name="gateway-2")
    made += [metrics, other]
    other.meter("sales/churn", 1, "dep").observe(200, 1.0, 1)
    meter = metrics.meter("sales/churn", 1, "dep")
    for status in (200, 200, 422, 500, 503, 504):
        meter.observe(status, 0.002, 3)
    metrics.gauges = lambda: [DeploymentGauge("dep", 4, 5, 6), DeploymentGauge("new", 0, 0, 0)]
    metrics.refused("dep")
    for outcome in ("same", "different", "failed"):
        metrics.shadow("sales/churn", 2, outcome)  # type: ignore[arg-type]
    report = metrics.report()
    assert (report.gateway, report.started_at) == ("gateway-1", 100.0)
    assert report.at > 100
    (load,) = report.versions
    assert (load.model, load.version, load.deployment) == ("sales/churn", 1, "dep")
    assert (load.requests, load.errors, load.rows, load.micros) == (6, 2, 18, 12_000)
    assert [(BOUNDS[place], count) for place, count in enumerate(load.buckets) if count] == [(2500, 6)]
    assert len(load.buckets) == len(BOUNDS) + 1
    assert report.deployments == (
        DeploymentLoad(key="dep", in_flight=4, waiting=5, refused=1),
        DeploymentLoad(key="new", in_flight=0, waiting=0, refused=0),
    )
    assert report.shadows == (ShadowLoad(model="sales/churn", version=2, compared=2, different=1, failed=1),)


# Several processes


def test_whichever_process_is_asked_shows_all_of_them(tmp_path: Path, made: list[Metrics]) -> None:
    one, two = (Metrics(tmp_path / "metrics", name=name) for name in ("one", "two"))
    made += [one, two]
    for metrics, count, replicas in ((one, 3, 2), (two, 4, 1)):
        for _ in range(count):
            metrics.meter("sales/churn", 1, "dep").observe(200, 0.001, 2)
        metrics.refused("dep")
        metrics.shadow("sales/churn", 1, "same")
        metrics.gauges = lambda count=count, replicas=replicas: [  # type: ignore[misc]
            DeploymentGauge("dep", count, 1, replicas)
        ]
    assert value(one.text(None, False), TOTAL) == 3, "the other one has shown nothing yet"
    for page in (two.text(None, False), one.text(None, False)):
        assert value(page, TOTAL, model="sales/churn", version="v1", status="200") == 7
        assert value(page, "modelyard_request_duration_seconds_count") == 7
        assert value(page, "modelyard_rows_total") == 14
        assert value(page, "modelyard_refused_total") == 2
        assert value(page, "modelyard_shadow_total", outcome="same") == 2
        assert value(page, "modelyard_in_flight", deployment="dep") == 7
        assert value(page, "modelyard_waiting", deployment="dep") == 2
        assert value(page, "modelyard_replicas", deployment="dep") == 2, "both see the same replicas"
        assert gateways(page) == {"one", "two"}


CHILD = """
import asyncio, os, sys, threading
from pathlib import Path
from modelyard.gateway.metrics import DeploymentGauge, Metrics

async def main():
    metrics = Metrics(Path(sys.argv[1]), name=sys.argv[2])
    metrics.gauges = lambda: [DeploymentGauge("dep", 1, 0, 1)]
    meter, stopping = metrics.meter("sales/churn", 1, "dep"), threading.Event()

    def answer():
        for line in sys.stdin:
            if line == "stop\\n":
                break
            page = metrics.text(None, False)
            sys.stdout.buffer.write(b"%d\\n%b" % (len(page), page))
            sys.stdout.buffer.flush()
        stopping.set()

    threading.Thread(target=answer).start()
    running = asyncio.create_task(metrics.run())
    while not stopping.is_set():
        for _ in range(20):
            meter.observe(200, 0.001, 3)
        await asyncio.sleep(0.001)
    running.cancel()
    metrics.close()
    print(meter.requests, flush=True)

asyncio.run(main())
"""


class Child:
    """A process that observes as fast as it can and shows a page when asked."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def page(self) -> bytes:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"page\n")
        self.process.stdin.flush()
        return self.process.stdout.read(int(self.process.stdout.readline()))

    def stop(self) -> int:
        """End it; how many it observed."""
        out, _ = self.process.communicate(b"stop\n", timeout=20)
        assert self.process.returncode == 0
        return int(out)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def children() -> Iterator[list[Child]]:
    """Children that the test started; gone at its end."""
    found: list[Child] = []
    yield found
    for child in found:
        if child.process.returncode is None:
            child.kill()


def test_totals_never_go_back_while_processes_come_and_are_killed(tmp_path: Path, children: list[Child]) -> None:
    folder, dice = tmp_path / "metrics", random.Random(3)
    for number in range(3):
        children.append(Child(folder, f"gateway-{number}"))
    living, last = list(children), [0.0, 0.0, 0.0]
    names = (TOTAL, "modelyard_request_duration_seconds_count", "modelyard_rows_total")
    for turn in range(40):
        page = dice.choice(living).page()
        found = [value(page, name) for name in names]
        assert all(now >= before for now, before in zip(found, last, strict=True)), turn
        last = found
        if turn % 10 == 9:
            dead = dice.choice(living)
            dead.kill()
            living.remove(dead)
            children.append(Child(folder, f"gateway-{len(children)}"))
            living.append(children[-1])
    page = wait_until(lambda: len(gateways(page := living[0].page())) == len(living) and page)
    assert gateways(page) == {child.name for child in living}
    assert value(page, "modelyard_in_flight", deployment="dep") == len(living)
    assert value(page, TOTAL) > 0


def test_what_ended_processes_counted_is_there_to_the_one(
    tmp_path: Path, children: list[Child], made: list[Metrics]
) -> None:
    folder = tmp_path / "metrics"
    children += [Child(folder, f"gateway-{number}") for number in range(3)]
    for child in children:
        child.page()
    counted = sum(child.stop() for child in children)
    for name in ("next", "after"):
        made.append(Metrics(folder, name=name))
        assert value(made[-1].text(None, False), TOTAL) == counted
    left = {path.name for path in folder.iterdir()}
    assert left == {"lock", "totals", "next.lock", "next.snapshot", "after.lock", "after.snapshot"}


def test_a_stopped_process_that_holds_the_folder_holds_up_nobody(metrics: Metrics, tmp_path: Path) -> None:
    with (tmp_path / "metrics" / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="adding up"):
            metrics.text(None, False)
    assert metrics.text(None, False)


class Killed(BaseException):
    """Stands for a SIGKILL at that very moment."""


class Fleet:
    """Gateway processes of one folder that count, publish, die and are asked, with what they must show."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.living: list[Metrics] = []
        self.published: Counter[str] = Counter()
        self.born = 0

    def start(self) -> None:
        self.born += 1
        self.living.append(Metrics(self.folder, name=f"gateway-{self.born}"))

    def count(self, place: int, times: int) -> None:
        for _ in range(times):
            self.at(place).meter("sales/churn", 1, "dep").observe(200, 0.001, 1)

    def publish(self, place: int) -> None:
        self.at(place)._publish()
        self._note(self.at(place))

    def kill(self, place: int) -> None:
        """What was not published is lost."""
        if len(self.living) > 1:
            self.living.remove(dying := self.at(place))
            os.close(dying._shared._held)

    def kill_while_it_adds_up(self, place: int, steps: int) -> None:
        """Killed right before the `steps`-th time that it would remove a file."""
        if len(self.living) < 2:
            return
        dying, left = self.at(place), [steps]

        def unlink(path: Path, missing_ok: bool = False) -> None:
            if not left[0]:
                raise Killed
            left[0] -= 1
            unlinked(path, missing_ok=missing_ok)

        unlinked = Path.unlink
        with pytest.MonkeyPatch.context() as patch, suppress(Killed):
            patch.setattr(Path, "unlink", unlink)
            dying.text(None, False)
        self._note(dying)
        self.kill(place)

    def total(self, place: int) -> float:
        page = self.at(place).text(None, False)
        self._note(self.at(place))
        return value(page, TOTAL)

    def at(self, place: int) -> Metrics:
        return self.living[place % len(self.living)]

    def _note(self, metrics: Metrics) -> None:
        self.published[metrics._name] = metrics.meter("sales/churn", 1, "dep").requests

    def close(self) -> None:
        for metrics in self.living:
            os.close(metrics._shared._held)


PLACE = st.integers(0, 5)
STEPS = st.lists(
    st.one_of(
        st.just(("start",)),
        st.tuples(st.just("count"), PLACE, st.integers(1, 9)),
        st.tuples(st.just("publish"), PLACE),
        st.tuples(st.just("kill"), PLACE),
        st.tuples(st.just("kill_while_it_adds_up"), PLACE, st.integers(0, 8)),
        st.tuples(st.just("total"), PLACE),
    ),
    max_size=25,
)


DEATHS = [("count", 0, 3), ("publish", 0), ("kill", 0), ("count", 1, 4), ("publish", 1), ("kill", 1)]


@example(steps=[*DEATHS, ("kill_while_it_adds_up", 0, 0)])
@example(steps=[*DEATHS, ("kill_while_it_adds_up", 0, 2), ("kill_while_it_adds_up", 0, 1)])
@example(steps=[*DEATHS, ("kill_while_it_adds_up", 0, 4), ("start",), ("count", 0, 2)])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_what_was_published_is_shown_once_whoever_dies_when(
    steps: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    fleet = Fleet(tmp_path_factory.mktemp("fleet") / "metrics")
    for _ in range(4):
        fleet.start()
    try:
        for name, *arguments in [*steps, ("total", 0)]:
            found = getattr(fleet, name)(*arguments)
            if name == "total":
                assert found == sum(fleet.published.values())
    finally:
        fleet.close()


def test_a_new_start_goes_on_with_the_totals_and_forgets_what_was_idle_for_a_day(
    tmp_path: Path, made: list[Metrics]
) -> None:
    time = 1e9

    def start(name: str) -> Metrics:
        made.append(Metrics(tmp_path / "metrics", name=name, now=lambda: time))
        return made[-1]

    first = start("first")
    first.meter("sales/old", 1, "dep-a").observe(200, 0.001, 1)
    first.refused("dep-a")
    first.shadow("sales/old", 1, "same")
    first.text(None, False)
    time += DAY - 10
    first.meter("sales/new", 1, "dep-b").observe(200, 0.001, 1)
    first.close()
    made.remove(first)

    second = start("second")
    assert value(second.text(None, False), TOTAL) == 2
    second.close()
    made.remove(second)
    time += 20
    third = start("third")
    third.meter("sales/old", 1, "dep-a")
    page = third.text(None, False)
    assert value(page, TOTAL, model="sales/new") == 1
    assert value(page, TOTAL, model="sales/old") == 0
    assert value(page, "modelyard_refused_total") == value(page, "modelyard_shadow_total") == 0


def test_files_that_cannot_be_read_are_left_out(
    tmp_path: Path, made: list[Metrics], caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "metrics"
    one, two = (Metrics(folder, name=name) for name in ("one", "two"))
    made += [one, two]
    one.meter("sales/churn", 1, "dep").observe(200, 0.001, 1)
    for name in ("totals", "two.snapshot"):
        (folder / name).write_bytes(b"\xc1 not ours")
    assert value(one.text(None, False), TOTAL) == 1
    assert {record.args[0].name for record in caplog.records} == {"totals", "two.snapshot"}  # type: ignore[index,union-attr]


def test_a_process_that_cannot_share_still_shows_its_own(
    metrics: Metrics, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "metrics" / "one.snapshot").mkdir()
    metrics.meter("sales/churn", 1, "dep").observe(200, 0.001, 1)
    for _ in range(3):
        assert value(metrics.text(None, False), TOTAL) == 1
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "The metrics cannot be shared with other gateways"
    ]
    (tmp_path / "metrics" / "one.snapshot").rmdir()


def test_a_name_of_any_kind_is_a_file_of_its_own(tmp_path: Path, made: list[Metrics]) -> None:
    names = {"host.example-1", "../x", "a/b", "ü☃.lock"}
    made += [Metrics(tmp_path / "metrics", name=name) for name in sorted(names)]
    for metrics in made:
        page = metrics.text(None, False)
    assert gateways(page) == names
    assert [path.name for path in tmp_path.iterdir()] == ["metrics"]


def test_a_running_process_lets_others_see_how_far_it_is(
    metrics: Metrics, tmp_path: Path, made: list[Metrics], caplog: pytest.LogCaptureFixture
) -> None:
    other = Metrics(tmp_path / "metrics", name="other")
    made.append(other)
    broken = iter([True])

    def gauges() -> list[DeploymentGauge]:
        if next(broken, False):
            raise LookupError("gauges")
        return []

    async def story() -> None:
        metrics.gauges = gauges
        running = asyncio.create_task(metrics.run())
        for expected in (1, 2):
            metrics.meter("sales/churn", 1, "dep").observe(200, 0.001, 1)
            await asyncio.to_thread(
                wait_until, lambda expected=expected: value(other.text(None, False), TOTAL) == expected
            )
        running.cancel()

    asyncio.run(story())
    assert [record.message for record in caplog.records] == ["The metrics could not be published"]


def test_a_gateway_shows_what_it_and_its_neighbours_answered(stage: Any) -> None:
    version = publish(stage.settings, 1)
    stage.api.publish(table(1, route(version, stage.replica("r", version))))
    one, two = stage.gateway(), stage.gateway()
    for asked, times in ((one, 3), (two, 4)):
        for _ in range(times):
            assert asked.post("/models/sales/churn/", {"instances": [ROW, ROW]}).status_code == 200
        assert asked.post("/models/sales/churn/", {"instances": [{}]}).status_code == 422

    def page(asked: GatewayProcess) -> bytes:
        answer = httpx.get(f"{asked.url}/metrics", headers={"authorization": f"Bearer {SALES_KEY}"}, timeout=10)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return answer.content

    def answered(found: bytes) -> tuple[float, ...]:
        labels = {"model": "sales/churn", "version": "v1", "deployment": "dep"}
        statuses = [value(found, TOTAL, status=status, **labels) for status in ("200", "422")]
        rows = value(found, "modelyard_rows_total", **labels)
        return *statuses, rows, value(found, "modelyard_request_duration_seconds_count", **labels)

    assert answered(page(two))[:2] >= (4, 1)
    found = page(one)
    assert answered(found) == (7, 2, 14, 9)
    assert value(found, "modelyard_replicas", deployment="dep") == 1
    assert len(gateways(found)) == 2
    two.stop(signal.SIGKILL)
    found = page(one)
    assert answered(found) == (7, 2, 14, 9)
    assert len(gateways(found)) == 1


def test_the_process_figures_are_those_of_the_kernel(metrics: Metrics) -> None:
    page = metrics.text(None, False)
    status = Path("/proc/self/status").read_text()
    resident = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))) * 1024
    assert value(page, "process_resident_memory_bytes", gateway="one") == pytest.approx(resident, rel=0.2)
    assert value(page, "process_open_fds") == pytest.approx(len(list(Path("/proc/self/fd").iterdir())), abs=3)
    assert value(page, "process_cpu_seconds_total") == pytest.approx(sum(os.times()[:2]), abs=0.5)
    age = float(Path("/proc/uptime").read_text().split()[0])
    boot = next(
        float(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime")
    )
    assert boot <= value(page, "process_start_time_seconds") <= boot + age + 2
