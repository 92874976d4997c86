"""`modelyard task`, `run` and `configuration` against an api; a worker's part is played by the test."""

import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from fixtures.training import Worker, dataset, owner, worker

__all__ = ["dataset", "owner", "worker"]

LIGHTGBM, LINEAR = "tabular-classification/lightgbm", "tabular-classification/linear"


@pytest.fixture
def task(at_api: Any, dataset: Any) -> Callable[..., str]:
    """Makes a task; its id."""
    dataset()

    def make(*options: str) -> str:
        ran = at_api("task", "create", "churn@1", "--model", "sales/churn", *options, "--json")
        assert ran.code == 0, ran.err
        found: str = ran.json["id"]
        return found

    return make


@pytest.fixture
def finished(at_api: Any, worker: Worker) -> Callable[..., str]:
    """Runs a task to its end; the run's id."""

    def run(task_id: str, value: float = 0.8) -> str:
        started = at_api("task", "start", task_id, "--no-wait", "--json").json["run"]
        worker.begin(started["job"]["id"])
        worker.succeed(started["job"]["id"], value, files={"model.onnx": b"0123"})
        found: str = started["id"]
        return found

    return run


def test_a_task_is_made_shown_and_listed(at_api: Any, task: Any) -> None:
    made = task("--algorithm", LIGHTGBM, "--param", "num_leaves=7", "--seed", "3", "--name", "Nightly")
    shown = at_api("task", "show", made).out
    assert "Nightly" in shown
    assert any(line.split() == ["num_leaves", "7", "(given)"] for line in shown.splitlines())
    header, row = at_api("task", "list").rows
    assert (header[0], row[0], row[1], row[3]) == ("ID", made, "Nightly", "churn@1")
    assert at_api("task", "show", made, "--json").json["seed"] == 3


def test_a_search_is_asked_for_in_words(at_api: Any, task: Any) -> None:
    made = task("--search", "20", "--search-time", "2m", "--patience", "5", "--metric", "roc_auc")
    found = at_api("task", "show", made, "--json").json
    assert found["search"] == {"trials": 20, "seconds": 120, "patience": 5}
    assert found["metric"] == "roc_auc"
    alone = at_api("task", "create", "churn", "--model", "a/b", "--search-time", "60s")
    assert (alone.code, "--search" in alone.err) == (2, True)


def test_a_task_is_started_stopped_copied_and_deleted(at_api: Any, task: Any) -> None:
    made = task("--algorithm", LIGHTGBM)
    started = at_api("task", "start", made, "--no-wait")
    assert (started.code, "modelyard job logs" in started.out) == (0, True)
    assert at_api("task", "start", made, "--no-wait").code == 5
    assert "stopped" in at_api("task", "stop", made).out
    assert at_api("task", "stop", made).code == 5
    copy = at_api("task", "clone", made, "--param", "num_leaves=9", "--seed", "4", "--json").json
    assert (copy["parameters"]["num_leaves"], copy["seed"]) == (9, 4)
    assert at_api("task", "delete", made).code == 0
    assert at_api("task", "show", made).code == 3


def test_train_takes_the_scenario_s_default_and_a_configuration(at_api: Any, dataset: Any) -> None:
    dataset()
    assert at_api("configuration", "create", LIGHTGBM, "careful", "--param", "num_leaves=7").code == 0
    ran = at_api("train", "churn", "--model", "sales/churn", "--configuration", "careful", "--no-wait", "--json")
    run = ran.json["run"]
    assert (run["algorithm"], run["parameters"]["num_leaves"]) == (LIGHTGBM, 7)


def test_runs_are_listed_shown_compared_and_exported(at_api: Any, task: Any, finished: Any, tmp_path: Any) -> None:
    made = task("--algorithm", LIGHTGBM)
    one, two = finished(made, 0.7), finished(task("--algorithm", LINEAR), 0.8)
    rows = at_api("run", "list").rows
    assert [row[0] for row in rows] == ["ID", two, one]
    assert [row[0] for row in at_api("run", "list", "--task", made).rows[1:]] == [one]
    shown = at_api("run", "show", one).out
    assert "sales/churn/v1" in shown
    assert "roc_auc" in shown
    compared = {row[0]: row[1:] for row in at_api("run", "compare", one, two).rows}
    assert compared["algorithm"] == [LIGHTGBM, LINEAR]
    assert compared["roc_auc"] == ["0.7000 (0.6000 … 0.8000)", "0.8000 (0.7000 … 0.9000)"]
    assert at_api("run", "files", one).rows[1][:2] == ["model.onnx", "4 B"]
    assert at_api("run", "metrics", one).rows == [["METRIC", "STEP", "VALUE"]]
    for command, key in (("run", one), ("task", made)):
        target = tmp_path / f"{command}.zip"
        assert at_api(command, "export", key, "--mlflow", target).code == 0
        assert any(name.endswith(f"{one}/meta.yaml") for name in zipfile.ZipFile(target).namelist())
    assert at_api("run", "delete", one).code == 5


def test_a_failed_run_says_why_in_plain_words(at_api: Any, task: Any, worker: Worker) -> None:
    started = at_api("task", "start", task(), "--no-wait", "--json").json["run"]
    worker.begin(started["job"]["id"])
    worker.fail(started["job"]["id"], "too_few_rows", "The table has 3 rows.")
    shown = at_api("run", "show", started["id"]).out
    assert "not enough rows" in shown
    assert "The table has 3 rows." in shown
    assert at_api("run", "delete", started["id"]).code == 0


def test_configurations_are_listed_shown_and_deleted(at_api: Any) -> None:
    made = at_api("configuration", "create", LIGHTGBM, "careful", "--param", "num_leaves=7", "--default", "--json").json
    (row,) = at_api("configuration", "list", "--algorithm", LIGHTGBM).rows[1:]
    assert row[:5] == [made["id"], LIGHTGBM, "careful", "yes", "yes"]
    assert "num_leaves" in at_api("configuration", "show", made["id"]).out
    assert at_api("configuration", "delete", made["id"]).code == 0
    assert at_api("configuration", "show", made["id"]).code == 3


def test_an_algorithm_is_switched_off_and_on(at_api: Any) -> None:
    assert at_api("algorithm", "disable", LINEAR).code == 0
    assert "switched off" in at_api("algorithm", "show", LINEAR).out
    assert {row[0]: row[2] for row in at_api("algorithm", "list").rows}[LINEAR] == "no"
    assert at_api("algorithm", "enable", LINEAR).code == 0
