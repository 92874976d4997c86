"""The page that Prometheus reads, in its text format 0.0.4 or as OpenMetrics 1.0.

https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md

Written here rather than by a library: a gateway answers predictions meanwhile, and for a thousand versions this takes a
tenth of the time that the official client takes. That client's parser reads every page in the tests.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from modelyard import __version__
from modelyard.gateway.metrics.counts import SECONDS, Counts, DeploymentGauge, Meter
from modelyard.gateway.metrics.process import Process

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_BUCKETS = (*(f'le="{bound!r}"' for bound in SECONDS), 'le="+Inf"')
_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_NONE = {200: 0}


def wants_open_metrics(accept: str) -> bool:
    """Whether the header `accept` asks for OpenMetrics: the content type to answer with is OPEN_METRICS then."""
    return "application/openmetrics-text" in accept


def page(
    counts: Counts, gauges: Iterable[DeploymentGauge], processes: Mapping[str, Process], *, open_metrics: bool
) -> bytes:
    """Everything given, as the answer's body. `processes` is by the name of the gateway."""
    made = _Page(open_metrics)
    # A version that has answered nothing yet is there with 0: what appears as 1 has not grown, for Prometheus.
    meters = [(_labels(*key), counts.meters[key]) for key in sorted(counts.meters)]
    made.family(
        "modelyard_requests", "counter", "Predictions answered, by HTTP status.",
        (
            (f'_total{{{labels},status="{status}"}}', count)
            for labels, meter in meters
            for status, count in sorted((meter.statuses or _NONE).items())
        ),
    )  # fmt: skip
    made.family(
        "modelyard_request_duration_seconds", "histogram",
        "Time from the last byte of a request to its answer, in seconds.",
        (sample for labels, meter in meters for sample in _histogram(labels, meter)),
    )  # fmt: skip
    made.family(
        "modelyard_rows",
        "counter",
        "Rows predicted.",
        ((f"_total{{{labels}}}", meter.rows) for labels, meter in meters),
    )
    deployments = [(f'{{deployment="{_escaped(gauge.key)}"}}', gauge) for gauge in gauges]
    for name, text, values in (
        ("modelyard_in_flight", "Requests that are at a replica.", [gauge.in_flight for _, gauge in deployments]),
        ("modelyard_waiting", "Requests that wait for a replica.", [gauge.waiting for _, gauge in deployments]),
        ("modelyard_replicas", "Replicas that are ready.", [gauge.replicas for _, gauge in deployments]),
    ):
        made.family(
            name, "gauge", text, ((labels, value) for (labels, _), value in zip(deployments, values, strict=True))
        )
    made.family(
        "modelyard_refused", "counter", "Requests refused with 503 because the replicas were full.",
        ((f'_total{{deployment="{_escaped(key)}"}}', count) for key, count in sorted(counts.refused.items())),
    )  # fmt: skip
    made.family(
        "modelyard_shadow", "counter", "Answers of a shadow, by how they compare to those that were given.",
        (
            (f'_total{{model="{_escaped(model)}",version="v{version}",outcome="{outcome}"}}', count)
            for (model, version), outcomes in sorted(counts.shadows.items())
            for outcome, count in sorted(outcomes.items())
        ),
    )  # fmt: skip
    made.processes([(f'{{gateway="{_escaped(name)}"}}', figures) for name, figures in sorted(processes.items())])
    build = f'_info{{version="{_escaped(__version__)}"}}'
    made.family("modelyard_build", "info", "The release that runs.", [(build, 1)])
    return made.encode()


class _Page:
    def __init__(self, open_metrics: bool) -> None:
        self._open_metrics = open_metrics
        self._lines: list[str] = []

    def family(self, name: str, kind: str, text: str, samples: Iterable[tuple[str, float]]) -> None:
        """One metric; a sample is what follows the name, and the value."""
        title = name
        if not self._open_metrics:
            # There a metric is called what its samples are called, and there is no `info`.
            title += {"counter": "_total", "info": "_info"}.get(kind, "")
            kind = "gauge" if kind == "info" else kind
        self._lines += [f"# HELP {title} {text}", f"# TYPE {title} {kind}"]
        self._lines += [f"{name}{rest} {value}" for rest, value in samples]

    def processes(self, found: Sequence[tuple[str, Process]]) -> None:
        """The usual metrics of each process."""
        self.family(
            "process_cpu_seconds", "counter", "CPU time used, in seconds.",
            ((f"_total{labels}", figures.cpu_seconds) for labels, figures in found),
        )  # fmt: skip
        for name, text, values in (
            ("process_resident_memory_bytes", "Resident memory.", [figures.resident_bytes for _, figures in found]),
            ("process_open_fds", "Open file descriptors.", [figures.open_fds for _, figures in found]),
            ("process_max_fds", "Most file descriptors that may be open.", [figures.max_fds for _, figures in found]),
            ("process_start_time_seconds", "Unix time of the start.", [figures.started_at for _, figures in found]),
        ):
            pairs = zip(found, values, strict=True)
            self.family(name, "gauge", text, ((labels, value) for (labels, _), value in pairs))

    def encode(self) -> bytes:
        """The whole page."""
        end = ["# EOF", ""] if self._open_metrics else [""]
        return "\n".join(self._lines + end).encode()


def _histogram(labels: str, meter: Meter) -> Iterator[tuple[str, float]]:
    total = 0
    for bound, total in zip(_BUCKETS, accumulate(meter.buckets), strict=True):
        yield f"_bucket{{{labels},{bound}}}", total
    yield f"_count{{{labels}}}", total
    yield f"_sum{{{labels}}}", meter.seconds


def _labels(model: str, version: int, deployment: str) -> str:
    return f'model="{_escaped(model)}",version="v{version}",deployment="{_escaped(deployment)}"'


def _escaped(value: str) -> str:
    return value.translate(_ESCAPED)
