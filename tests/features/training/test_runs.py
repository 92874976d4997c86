"""Runs through a real api: what they made and why they failed, trials, histories, comparisons and exports."""

import io
import json
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from fixtures.clients import ENVIRONMENT
from fixtures.shared_server import missing
from fixtures.training import Api, Worker
from modelyard.features.training import mlflow
from modelyard.features.training.reasons import WORDS, reason_of
from modelyard.protocol.jobs import LogLine, MetricPoint, Record
from modelyard.web.platform import Platform

LIGHTGBM, LINEAR = "tabular-classification/lightgbm", "tabular-classification/linear"


def point(name: str, step: int, value: float) -> MetricPoint:
    return MetricPoint(name=name, step=step, value=value, at=1_800_000_000.0 + step)


def trial(number: int, state: str, value: float | None = None, **parameters: Any) -> Record:
    data = {"number": number, "state": state, "parameters": parameters, "value": value, "seconds": 1.5, "note": ""}
    return Record(kind="trial", key=str(number), data=data, at=1_800_000_000.0 + number)


@pytest.fixture
def searching(api: Api, dataset: Any, worker: Worker) -> dict[str, Any]:
    """A run under way: two trials done, a third begun."""
    dataset()
    task = api.task(algorithm=LIGHTGBM, search={"trials": 5}, metric="roc_auc")
    run = api.start(task["id"])
    worker.begin(run["job"]["id"])
    worker.tell(
        run["job"]["id"],
        trial(1, "running", num_leaves=31),
        point("trial 1/auc", 1, 0.6),
        point("trial 1/auc", 2, 0.7),
        trial(1, "succeeded", 0.7, num_leaves=31),
        trial(2, "failed", None, num_leaves=5),
        point("trial 10/auc", 1, 0.1),
        trial(10, "running", num_leaves=9),
    )
    return run


def test_a_run_says_what_it_made_and_with_what(api: Api, dataset: Any, made: Any) -> None:
    dataset()
    machine = Record(kind="machine", key="1", data={"cpus": "2"}, at=1.0)
    run = made(api.task(algorithm=LIGHTGBM, parameters={"num_leaves": 7})["id"], 0.8, machine)
    assert (run["state"], run["version"], run["algorithm"], run["kind"]) == (
        "succeeded", "sales/churn/v1", LIGHTGBM, "training",
    )  # fmt: skip
    assert run["parameters"]["num_leaves"] == 7
    assert run["environment"] == {"python": "3.11.9", "cpus": "2"}
    assert (run["primary"], run["value"], run["metrics"][0]["lower"]) == ("roc_auc", 0.8, pytest.approx(0.7))
    assert (run["reason"], run["parent"]) == (None, None)
    assert run["seconds"] >= 0
    assert api.get(f"/runs/{run['job']['id']}").json() == run


def test_runs_are_found_by_task_state_and_model(api: Api, dataset: Any, made: Any, worker: Worker) -> None:
    dataset()
    task = api.task()["id"]
    first = made(task)
    second = api.start(task)
    other = api.start(api.task(model="sales/other")["id"])

    def ids(**wanted: str) -> list[str]:
        return [run["id"] for run in api.get("/runs", **wanted).json()["items"]]

    assert ids() == [other["id"], second["id"], first["id"]]
    assert ids(task=task) == [second["id"], first["id"]]
    assert ids(state="succeeded") == [first["id"]]
    assert ids(state="queued") == [other["id"], second["id"]]
    assert ids(model="sales/other") == [other["id"]]
    page = api.get("/runs", limit=1).json()
    assert ids(cursor=page["next_cursor"]) == [second["id"], first["id"]]
    assert [run["id"] for run in api.get(f"/training-tasks/{task}/runs").json()["items"]] == [second["id"], first["id"]]


def test_a_failure_is_told_in_plain_words_beside_the_technical_ones(api: Api, dataset: Any, worker: Worker) -> None:
    dataset()
    run = api.start(api.task()["id"])
    worker.begin(run["job"]["id"])
    worker.fail(run["job"]["id"], "out_of_memory", "SIGKILL at 8 GiB.")
    found = api.get(f"/runs/{run['id']}").json()
    assert found["reason"]["code"] == "out_of_memory"
    assert "memory" in found["reason"]["what"]
    assert found["reason"]["next"]
    assert found["job"]["error"]["message"] == "SIGKILL at 8 GiB."


@pytest.mark.parametrize("code", ["never_heard_of", *WORDS])
def test_every_reason_is_two_plain_sentences(code: str) -> None:
    found = reason_of({"code": code, "message": "x"})
    assert found is not None
    assert found.code == code
    for text in (found.what, found.next):
        assert text[0].isupper()
        assert text.endswith(".")


def test_every_code_that_training_can_fail_with_has_words() -> None:
    root = Path(__file__).parents[3]

    folders = [root / "src/modelyard/worker", root / "src/modelyard/algorithms"]
    text = "\n".join(
        path.read_text()
        for folder in folders
        for path in folder.rglob("*.py")
        if path.parent.name not in {"intake", "predicting"} and path.stem not in {"intake", "release", "predict"}
    )
    codes = set(re.findall(r'(?:failed|Unfit)\(\s*"([a-z_]+)"', text)) | set(re.findall(r'code="([a-z_]+)"', text))
    assert len(codes) > 15
    assert codes - set(WORDS) == set()


def test_trials_are_runs_below_the_run_that_searches(api: Api, searching: dict[str, Any]) -> None:
    found = api.get("/runs", parent=searching["id"]).json()
    assert [run["id"] for run in found["items"]] == [f"{searching['id']}.{number}" for number in (10, 2, 1)]
    assert [run["state"] for run in found["items"]] == ["running", "failed", "succeeded"]
    assert {(run["kind"], run["parent"]) for run in found["items"]} == {("trial", searching["id"])}
    one = api.get(f"/runs/{searching['id']}.1").json()
    assert (one["value"], one["parameters"], one["seconds"], one["primary"]) == (
        0.7,
        {"num_leaves": 31},
        1.5,
        "roc_auc",
    )
    assert one["job"]["id"] == searching["job"]["id"]
    for missing_one in ("3", "x", ""):
        assert api.get(f"/runs/{searching['id']}.{missing_one}").status_code == 404
    page = api.get("/runs", parent=searching["id"], limit=2).json()
    rest = api.get("/runs", parent=searching["id"], limit=2, cursor=page["next_cursor"]).json()
    assert [len(page["items"]), len(rest["items"]), rest["next_cursor"]] == [2, 1, None]
    assert api.get("/runs", parent=searching["id"], state="failed").json()["total"] == 1


def test_a_trial_s_history_is_its_own(api: Api, searching: dict[str, Any]) -> None:
    points = api.get(f"/runs/{searching['id']}.1/metrics").json()["items"]
    assert [(one["name"], one["step"], one["value"]) for one in points] == [("auc", 1, 0.6), ("auc", 2, 0.7)]
    assert len(api.get(f"/runs/{searching['id']}/metrics").json()["items"]) == 3
    assert api.get(f"/runs/{searching['id']}/metrics", name="trial 10/auc").json()["total"] == 1
    assert api.get(f"/runs/{searching['id']}.1/metrics", name="auc", after=points[0]["sequence"]).json()["total"] == 1
    assert api.get(f"/runs/{searching['id']}.1/files").json()["items"] == []


def test_a_trial_that_was_under_way_when_the_run_ended_has_stopped(
    api: Api, searching: dict[str, Any], worker: Worker
) -> None:
    worker.fail(searching["job"]["id"], "worker_died")
    assert api.get(f"/runs/{searching['id']}.10").json()["state"] == "stopped"
    refused = api.delete(f"/runs/{searching['id']}.10")
    assert refused.status_code == 409
    assert api.delete(f"/runs/{searching['id']}").status_code == 204
    assert api.get(f"/runs/{searching['id']}.1").status_code == 404


def test_a_history_is_followed_and_taken_up_again(api: Api, searching: dict[str, Any], worker: Worker) -> None:
    def events(**headers: str) -> list[tuple[str, str, Any]]:
        query = {"follow": "true"}
        answer = api.http.get(f"/api/v1/runs/{searching['id']}.1/metrics", params=query, headers=headers)
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = []
        for block in answer.text.strip().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            found.append((lines["event"], lines.get("id", ""), json.loads(lines["data"])))
        return found

    worker.tell(searching["job"]["id"], point("trial 1/auc", 3, 0.75))
    worker.succeed(searching["job"]["id"])
    whole = events()
    assert [(name, data.get("name"), data.get("step")) for name, _, data in whole] == [
        ("point", "auc", 1), ("point", "auc", 2), ("point", "auc", 3), ("end", None, None),
    ]  # fmt: skip
    assert whole[-1][2] == {"state": "succeeded"}
    assert events(**{"last-event-id": whole[1][1]}) == whole[2:]


def test_points_that_come_while_somebody_follows_arrive(api: Api, searching: dict[str, Any], worker: Worker) -> None:
    job = searching["job"]["id"]
    with api.http.stream("GET", f"/api/v1/jobs/{job}/metrics", params={"follow": "true", "name": "late"}) as stream:
        lines = stream.iter_lines()
        worker.tell(job, point("late", 1, 0.5))
        assert next(line for line in lines if line.startswith("event")) == "event: point"
        worker.succeed(job)
        assert next(line for line in lines if line.startswith("event")) == "event: end"


def test_a_run_s_log_is_its_job_s(api: Api, searching: dict[str, Any], worker: Worker) -> None:
    worker.tell(searching["job"]["id"], LogLine(line="trial 1: 0.7", at=1.0))
    lines = api.get(f"/runs/{searching['id']}/logs").json()
    assert [line["line"] for line in lines["items"]] == ["trial 1: 0.7"]
    assert lines == api.get(f"/jobs/{searching['job']['id']}/logs").json()
    assert api.get(f"/runs/{searching['id']}.1/logs").json() == lines


def test_a_run_lists_the_files_of_its_version_and_stays_with_it(
    api: Api, dataset: Any, made: Any, platform_parts: Platform
) -> None:
    dataset()
    run = made(api.task()["id"], files={"model.onnx": b"0123456789"})
    (file,) = api.get(f"/runs/{run['id']}/files").json()["items"]
    assert (file["path"], file["size"]) == ("model.onnx", 10)
    refused = api.delete(f"/runs/{run['id']}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "has_version")
    api.delete("/prefixes/sales/models/churn/versions/v1")
    assert api.get(f"/runs/{run['id']}/files").json()["items"] == []
    assert api.get(f"/runs/{run['id']}").json()["parameters"] == run["parameters"]
    assert api.delete(f"/runs/{run['id']}").status_code == 204
    assert list(platform_parts.objects.list(f"runs/{run['id']}")) == []


def test_a_running_run_is_not_deleted(api: Api, searching: dict[str, Any]) -> None:
    refused = api.delete(f"/runs/{searching['id']}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "already_running")


def test_runs_are_compared_by_what_differs(api: Api, dataset: Any, made: Any) -> None:
    dataset()
    one = made(
        api.task(algorithm=LIGHTGBM, parameters={"num_leaves": 7})["id"], 0.7,
        point("lightgbm/loss", 1, 0.9), point("lightgbm/loss", 2, 0.8),
    )  # fmt: skip
    two = made(api.task(algorithm=LIGHTGBM)["id"], 0.8, point("lightgbm/loss", 2, 0.7))
    three = made(api.task(algorithm=LINEAR)["id"], 0.6, point("linear/loss", 3, 0.6))
    ids = [one["id"], two["id"], three["id"]]
    found = api.get("/runs/compare", run=ids).json()
    assert [run["id"] for run in found["runs"]] == ids
    differing = {row["name"]: row["values"] for row in found["parameters"]}
    assert differing["algorithm"] == [LIGHTGBM, LIGHTGBM, LINEAR]
    assert differing["num_leaves"] == [7, 31, None]
    (metric,) = found["metrics"]
    assert [value["value"] for value in metric["values"]] == [0.7, 0.8, 0.6]
    assert all(value["lower"] < value["value"] < value["upper"] for value in metric["values"])
    (curve,) = found["curves"]
    assert (curve["name"], curve["steps"]) == ("loss", [1, 2, 3])
    assert curve["values"] == [[0.9, 0.8, None], [None, 0.7, None], [None, None, 0.6]]
    same = api.get("/runs/compare", run=ids[:2]).json()
    assert [row["name"] for row in same["parameters"]] == ["num_leaves"]


@pytest.mark.parametrize("count", [1, 11])
def test_two_to_ten_runs_are_compared(api: Api, searching: dict[str, Any], count: int) -> None:
    assert api.get("/runs/compare", run=[f"{searching['id']}{number}" for number in range(count)]).status_code == 422
    assert api.get("/runs/compare", run=[searching["id"], "run_none"]).status_code == 404
    assert api.get("/runs/compare").status_code == 422


def test_trials_are_compared_as_well(api: Api, searching: dict[str, Any]) -> None:
    found = api.get("/runs/compare", run=[f"{searching['id']}.1", f"{searching['id']}.10"]).json()
    assert {row["name"]: row["values"] for row in found["parameters"]} == {"num_leaves": [31, 9]}
    assert [curve["name"] for curve in found["curves"]] == ["auc"]


def unpacked(api: Api, path: str, folder: Path) -> Path:
    answer = api.get(path)
    assert answer.headers["content-type"] == "application/zip"
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(folder)
    return folder / "mlruns"


def test_an_export_is_laid_out_as_a_file_store_of_mlflow_s(
    api: Api, searching: dict[str, Any], worker: Worker, tmp_path: Path
) -> None:
    import yaml

    worker.succeed(searching["job"]["id"], 0.8, files={"model.onnx": b"0123", "evaluation/roc.json": b"{}"})
    (experiment,) = unpacked(api, f"/runs/{searching['id']}/mlflow", tmp_path).iterdir()
    about = yaml.safe_load((experiment / "meta.yaml").read_text())
    assert (about["experiment_id"], about["lifecycle_stage"]) == (experiment.name, "active")
    run = experiment / searching["id"]
    meta = yaml.safe_load((run / "meta.yaml").read_text())
    assert (meta["run_id"], meta["status"], meta["experiment_id"]) == (searching["id"], 3, experiment.name)
    assert meta["start_time"] <= meta["end_time"]
    assert (run / "params" / "algorithm").read_text() == LIGHTGBM
    assert (run / "metrics" / "test_roc_auc").read_text().split()[1:] == ["0.8", "0"]
    assert (run / "artifacts" / "evaluation" / "roc.json").read_bytes() == b"{}"
    assert (tmp_path / meta["artifact_uri"] / "model.onnx").read_bytes() == b"0123"
    first = experiment / f"{searching['id']}-1"
    assert (first / "tags" / "mlflow.parentRunId").read_text() == searching["id"]
    assert (first / "metrics" / "auc").read_text() == "1800000001000 0.6 1\n1800000002000 0.7 2\n"
    assert (first / "params" / "num_leaves").read_text() == "31"


def test_mlflow_itself_reads_an_export(api: Api, dataset: Any, made: Any, tmp_path: Path) -> None:
    if not (ENVIRONMENT / ".made").exists():
        missing("the protocols' clients are not installed: run `make .venv-clients/.made`")
    dataset()
    task = api.task(algorithm=LIGHTGBM, name='Quotes "and" ünïcode: yes')["id"]
    runs = [
        made(task, value, point("lightgbm/loss", 1, 0.5), trial(1, "succeeded", value, num_leaves=3),
             files={"model.onnx": b"0123"})
        for value in (0.7, 0.8)
    ]  # fmt: skip
    unpacked(api, f"/training-tasks/{task}/mlflow", tmp_path)
    code = """
import json
from mlflow.tracking import MlflowClient
client = MlflowClient("mlruns")
(experiment,) = client.search_experiments()
found = client.search_runs([experiment.experiment_id])
print(json.dumps({"name": experiment.name, "runs": {
    run.info.run_id: {
        "status": run.info.status, "params": run.data.params, "metrics": run.data.metrics,
        "parent": run.data.tags.get("mlflow.parentRunId"),
        "artifacts": [file.path for file in client.list_artifacts(run.info.run_id)],
        "history": [[point.step, point.value] for point in client.get_metric_history(run.info.run_id, "lightgbm/loss")],
    } for run in found}}))
"""
    ran = subprocess.run(
        [ENVIRONMENT / "bin" / "python", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["name"] == f'Quotes "and" ünïcode: yes ({task})'
    assert set(found["runs"]) == {run["id"] for run in runs} | {f"{run['id']}-1" for run in runs}
    for run in runs:
        read = found["runs"][run["id"]]
        assert (read["status"], read["parent"], read["artifacts"]) == ("FINISHED", None, ["model.onnx"])
        assert read["params"]["num_leaves"] == "31"
        assert read["metrics"]["test_roc_auc"] == run["value"]
        assert read["history"] == [[1, 0.5]]
        assert found["runs"][f"{run['id']}-1"]["parent"] == run["id"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/abs", "a/../b", "", ".", "x" * 500, "ü\0\n", "a//b"])
def test_no_name_leads_out_of_an_export(name: str) -> None:
    found = mlflow.safe_name(name)
    assert found
    assert len(found) <= 250
    for part in found.split("/"):
        assert part.strip(".")


def test_names_that_would_be_file_and_folder_at_once_are_kept_apart() -> None:
    found = mlflow._apart({"loss": "1", "loss/a": "2", "loss/a/b": "3", "ä": "4", "ö": "5"})
    assert sorted(found.values()) == ["1", "2", "3", "4", "5"]
    for path in found:
        assert not any(other.startswith(f"{path}/") for other in found)
