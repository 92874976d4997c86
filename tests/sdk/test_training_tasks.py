"""Tasks, runs and configurations with the client, against an api; a worker's part is played by the test."""

from typing import Any

import pytest

from fixtures.training import Worker, dataset, owner, worker
from modelyard.core.errors import Invalid, NotFound
from modelyard.features.training.errors import AlreadyRunning, HasVersion, NotRunning
from modelyard.features.training.schemas import Search
from modelyard.protocol.jobs import MetricPoint, Record
from modelyard.sdk.client import Client

__all__ = ["dataset", "owner", "worker"]

LIGHTGBM, LINEAR = "tabular-classification/lightgbm", "tabular-classification/linear"


def test_a_task_s_whole_life(client: Client, dataset: Any, worker: Worker) -> None:
    dataset()
    task = client.tasks.create("churn@1", None, "sales/churn", parameters={"num_leaves": 7}, search=3, name="One")
    assert (task.algorithm, task.search.trials) == (LIGHTGBM, 3)
    assert client.tasks.update(task.id, name="Two").name == "Two"
    copy = task.clone(search=Search(trials=5), dataset="churn@1", parameters={"num_leaves": 9})
    assert (copy.search.trials, copy.parameters["num_leaves"], copy.dataset) == (5, 9, "churn@1")
    assert task.clone(search=None).search is None
    with pytest.raises(NotRunning):
        task.stop()
    run = task.start()
    with pytest.raises(AlreadyRunning):
        task.start()
    worker.begin(run.job.id)
    told = {"number": 1, "state": "succeeded", "parameters": {"num_leaves": 7}, "value": 0.7, "seconds": 1, "note": ""}
    worker.tell(
        run.job.id,
        Record(kind="trial", key="1", data=told, at=1.0),
        *(MetricPoint(name="trial 1/auc", step=step, value=0.1 * step, at=1.0) for step in range(5)),
    )
    worker.succeed(run.job.id, files={"model.onnx": b"0123"})
    (trial,) = run.trials()
    assert (trial.kind, trial.parent, trial.value) == ("trial", run.id, 0.7)
    assert [point.step for point in trial.history()] == [0, 1, 2, 3, 4]
    assert len(run.history("trial 1/auc")) == 5
    assert [file.path for file in client.runs.files(run.id)] == ["model.onnx"]
    compared = client.runs.compare(run.id, trial.id)
    assert [one.id for one in compared.runs] == [run.id, trial.id]
    assert client.tasks.get(task.id).best_run.id == run.id
    assert [one.id for one in client.runs.list(state="succeeded", model="sales/churn")] == [run.id]
    with pytest.raises(HasVersion):
        task.delete()
    copy.delete()


def test_exports_are_written_to_a_folder_or_a_file(
    client: Client,
    dataset: Any,
    worker: Worker,
    tmp_path: Any,
) -> None:
    dataset()
    task = client.tasks.create("churn", LINEAR, "sales/churn")
    run = task.start()
    task.stop()
    assert client.runs.export_mlflow(run.id, tmp_path) == tmp_path / f"{run.id}-mlflow.zip"
    assert client.tasks.export_mlflow(task.id, tmp_path / "all.zip").stat().st_size > 100
    client.runs.delete(run.id)
    assert client.runs.list(task=task.id) == []


def test_configurations_and_defaults(client: Client) -> None:
    made = client.configurations.create(LIGHTGBM, "careful", {"num_leaves": 7}, title="Careful")
    assert client.configurations.get(made.id) == made
    assert client.configurations.update(made.id, parameters={"patience": 9}, default=True).default
    assert client.algorithms.get(LIGHTGBM).default_configuration == made.id
    assert client.scenarios.set_default("tabular-classification", made.id).default == made.id
    assert client.scenarios.get("tabular-classification").default == made.id
    client.configurations.delete(made.id)
    assert client.configurations.list(LIGHTGBM) == []
    assert client.scenarios.get("tabular-classification").default == LIGHTGBM


def test_algorithms_are_switched_and_named_whole(client: Client) -> None:
    assert not client.algorithms.disable(LINEAR).enabled
    assert client.algorithms.enable(LINEAR).enabled
    with pytest.raises(NotFound, match="no algorithm"):
        client.algorithms.get("lightgbm")
    with pytest.raises(Invalid):
        client.runs.compare("run_1")
