"""Runs as a file store of MLflow's (docs "File Stores", MLflow 2 and 3), packed into a ZIP while it is sent.

    mlruns/<experiment>/meta.yaml
    mlruns/<experiment>/<run>/meta.yaml, metrics/<name>, params/<name>, tags/<name>, artifacts/<file of the version>

A task is an experiment, its runs and their trials are runs in it. Paths are relative, so that the store works wherever
it is unpacked, as long as MLflow is started there.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from modelyard.features.jobs.schemas import MetricPoint
from modelyard.features.training.schemas import Run
from modelyard.storage.objects.base import ObjectStore
from modelyard.web.archive import Member

ROOT = "mlruns"
_ALLOWED = frozenset("_-. :/")
"""Besides letters and digits: what MLflow takes in a name."""

_LONGEST_NAME = 200

_STATES = {"succeeded": 3, "failed": 4, "stopped": 5, "pruned": 5, "queued": 2, "needs_input": 2}
"""MLflow's RunStatus; any other state is running, 1."""

_RUNNING = 1
_LOCAL = 4  # MLflow's SourceType.LOCAL
_README = """Runs of a Modelyard platform as a file store of MLflow. Look at them from this folder:

    mlflow ui --backend-store-uri mlruns

Newer releases of MLflow ask for MLFLOW_ALLOW_FILE_STORE=true in the environment, or move the store into a database:

    mlflow migrate-filestore --source mlruns --target sqlite:///mlflow.db
"""


class Experiment(NamedTuple):
    """What the runs belong to: a number as MLflow wants it, a name, when it was made."""

    id: str
    name: str
    created_at: datetime


class Exported(NamedTuple):
    """A run with all that goes into the store. `files` lie below the object-store prefix `folder`."""

    run: Run
    points: Iterable[MetricPoint]
    folder: str = ""
    files: Iterable[Mapping[str, Any]] = ()


def experiment(key: str, name: str, created_at: datetime) -> Experiment:
    """An experiment whose number follows from `key`, so that exports of the same thing fit together."""
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % 10**18
    return Experiment(str(number).zfill(18), name, created_at)


def members(objects: ObjectStore, home: Experiment, runs: Iterable[Exported]) -> Iterator[Member]:
    """The archive's files; each run is asked for when its turn comes."""
    yield _text("README.txt", _README)
    made = _millis(home.created_at)
    about = {
        "artifact_location": f"./{ROOT}/{home.id}", "creation_time": made, "experiment_id": home.id,
        "last_update_time": made, "lifecycle_stage": "active", "name": home.name,
    }  # fmt: skip
    yield _text(f"{ROOT}/{home.id}/meta.yaml", _yaml(about))
    for exported in runs:
        yield from _run(objects, home, exported)


def run_id(run: str) -> str:
    """A run's id as MLflow takes it: a trial's has a dot here, which it refuses."""
    return run.replace(".", "-")


def safe_name(name: str) -> str:
    """A metric's or parameter's name that MLflow takes and that leads nowhere else: it is a path in the archive."""
    allowed = (letter if letter in _ALLOWED or (letter.isascii() and letter.isalnum()) else "_" for letter in name)
    parts = "".join(allowed)[:_LONGEST_NAME].split("/")
    return "/".join(part if part.strip(". ") else "_" for part in parts)


def _run(objects: ObjectStore, home: Experiment, exported: Exported) -> Iterator[Member]:
    run, folder = exported.run, f"{ROOT}/{home.id}/{run_id(exported.run.id)}"
    yield _text(f"{folder}/meta.yaml", _yaml(_meta(run, home, f"./{folder}/artifacts")))
    # MLflow takes a folder for a run's only where it has all four, empty or not.
    yield from (Member(f"{folder}/{part}/", 0, ()) for part in ("metrics", "params", "tags", "artifacts"))
    for name, lines in _metrics(exported).items():
        yield _text(f"{folder}/metrics/{name}", lines)
    for kind, values in (("params", _parameters(run)), ("tags", _tags(run))):
        for name, value in _apart(values).items():
            yield _text(f"{folder}/{kind}/{name}", value)
    for file in exported.files:
        yield Member(
            f"{folder}/artifacts/{file['path']}", file["size"], objects.stream(f"{exported.folder}/{file['path']}")
        )


def _meta(run: Run, home: Experiment, artifacts: str) -> dict[str, Any]:
    started = run.created_at if run.kind == "trial" else run.job.started_at or run.created_at
    ended = run.job.ended_at if run.kind != "trial" else None
    return {
        "artifact_uri": artifacts, "end_time": _ended(run, started, ended), "entry_point_name": "",
        "experiment_id": home.id, "lifecycle_stage": "active", "run_id": run_id(run.id),
        "run_name": run_id(run.id), "run_uuid": run_id(run.id), "source_name": "", "source_type": _LOCAL,
        "source_version": "", "start_time": _millis(started), "status": _STATES.get(run.state, _RUNNING), "tags": [],
        "user_id": run.created_by,
    }  # fmt: skip


def _ended(run: Run, started: datetime, ended: datetime | None) -> int | None:
    if ended is not None:
        return _millis(ended)
    return _millis(started) + round(run.seconds * 1000) if run.seconds is not None else None


def _metrics(exported: Exported) -> dict[str, str]:
    """The files of metrics: a line for each point, `milliseconds value step`."""
    run = exported.run
    lines: dict[str, list[str]] = {}
    for point in exported.points:
        lines.setdefault(point.name, []).append(f"{round(point.at * 1000)} {point.value!r} {point.step}\n")
    at = _millis(run.job.ended_at or run.created_at)
    for metric in run.metrics:
        for suffix in ("value", "lower", "upper", "baseline"):
            name = f"test_{metric.name}" + ("" if suffix == "value" else f"_{suffix}")
            lines.setdefault(name, []).append(f"{at} {getattr(metric, suffix)!r} 0\n")
    if run.kind == "trial" and run.value is not None:
        lines.setdefault("validation", []).append(f"{at} {run.value!r} 0\n")
    return _apart({name: "".join(points) for name, points in lines.items()})


def _parameters(run: Run) -> dict[str, str]:
    settings = {"algorithm": run.algorithm, **run.parameters}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}


def _tags(run: Run) -> dict[str, str]:
    found: dict[str, str | None] = {
        "mlflow.runName": run_id(run.id),
        "mlflow.user": run.created_by,
        "mlflow.parentRunId": run_id(run.parent) if run.parent else None,
        "mlflow.note.content": run.intent or (f"{run.reason.what} {run.reason.next}" if run.reason else run.note),
        "modelyard.job": run.job.id,
        "modelyard.model": run.model,
        "modelyard.version": run.version,
        "modelyard.release": run.release,
        **{f"modelyard.environment.{name}": str(value) for name, value in run.environment.items()},
    }
    return {name: value for name, value in found.items() if value}


def _apart(values: Mapping[str, str]) -> dict[str, str]:
    """The values by names that are safe and can all be files: none is the folder of another, none comes twice."""
    found: dict[str, str] = {}
    folders: set[str] = set()
    for name, value in sorted(values.items(), key=lambda item: -item[0].count("/")):
        path = safe_name(name)
        while path in found or path in folders or any(str(parent) in found for parent in _parents(path)):
            path += "_"
        found[path] = value
        folders.update(_parents(path))
    return found


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _yaml(fields: Mapping[str, Any]) -> str:
    """Every JSON value is one of YAML, too."""
    plain = {name: _printable(value) if isinstance(value, str) else value for name, value in fields.items()}
    return "".join(f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in plain.items())


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _text(name: str, content: str) -> Member:
    data = content.encode()
    return Member(name, len(data), [data])


def _millis(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
