"""Training tasks through a real api: made, changed, started once, stopped, copied and deleted."""

import threading
from typing import Any

import pytest

from fixtures.training import Api, Worker
from modelyard.features.auth.permissions import Principal
from modelyard.features.datasets import users
from modelyard.features.jobs import operations as jobs
from modelyard.features.training import operations
from modelyard.features.training.errors import AlreadyRunning
from modelyard.features.training.tables import RunRow
from modelyard.protocol.jobs import TrainSpec
from modelyard.storage.db.engine import now as db_now
from modelyard.web.platform import Platform

LIGHTGBM, LINEAR = "tabular-classification/lightgbm", "tabular-classification/linear"


def refused(answer: Any, status: int, code: str) -> str:
    """The message of a refusal."""
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    message: str = answer.json()["error"]["message"]
    return message


def spec_of(worker: Worker, run: dict[str, Any]) -> TrainSpec:
    """What the worker is given for a run."""
    import msgspec

    return msgspec.convert(worker.begin(run["job"]["id"]).payload, TrainSpec)


def test_a_task_says_all_that_it_will_do(api: Api, dataset: Any) -> None:
    release = dataset(target="churn")
    task = api.task(algorithm=LIGHTGBM, parameters={"num_leaves": 7}, seed=5, metric="log_loss")
    assert (task["dataset"], task["release"], task["target"]) == ("churn@1", release, "churn")
    assert task["name"] == "lightgbm on churn@1"
    assert (task["seed"], task["metric"], task["search"], task["horizon"]) == (5, "log_loss", None, None)
    assert (task["fixed"], task["parameters"]["num_leaves"], task["parameters"]["patience"]) == (["num_leaves"], 7, 60)
    assert (task["last_run"], task["best_run"]) == (None, None)
    assert api.get("/training-tasks", algorithm=LIGHTGBM).json()["items"] == [task]
    assert api.get("/training-tasks", algorithm=LINEAR).json()["total"] == 0
    assert api.get("/training-tasks", model="sales/other").json()["total"] == 0


def test_what_a_task_says_reaches_the_worker(api: Api, dataset: Any, worker: Worker) -> None:
    dataset("load", "time-series-prediction", ("day", "shop", "sold"), target="sold", time="day", series="shop")
    search = {"trials": 20, "seconds": 60, "patience": 5}
    task = api.task(
        "load", "shops/load", parameters={}, horizon=14, seed=3, search=search, metric="smape", name="Two weeks"
    )
    spec = spec_of(worker, api.start(task["id"]))
    assert (spec.scenario, spec.target, spec.horizon, spec.seed, spec.metric) == (
        "time-series-prediction", "sold", 14, 3, "smape",
    )  # fmt: skip
    assert spec.roles == {"time": "day", "series": "shop"}
    assert spec.search is not None
    assert (spec.search.trials, spec.search.seconds, spec.search.patience) == (20, 60, 5)
    assert spec.candidates[0].algorithm == "time-series-prediction/automatic"


def test_a_search_is_left_free_in_what_nobody_gave(api: Api, dataset: Any, worker: Worker) -> None:
    dataset()
    given = {"num_leaves": 7}
    searching = api.task(algorithm=LIGHTGBM, parameters=given, search={"trials": 3})
    assert spec_of(worker, api.start(searching["id"])).candidates[0].parameters == given
    plain = api.task(algorithm=LIGHTGBM, parameters=given)
    assert spec_of(worker, api.start(plain["id"])).candidates[0].parameters == plain["parameters"]


@pytest.mark.parametrize(
    ("scenario", "roles", "target"),
    [("anomaly-detection", {}, ""), ("anomaly-detection", {"target": "age"}, "age"), ("log-clustering", {}, "")],
)
def test_where_nothing_is_to_be_predicted_there_is_no_target(
    api: Api, dataset: Any, worker: Worker, scenario: str, roles: dict[str, str], target: str
) -> None:
    dataset(scenario=scenario, **roles)
    task = api.task()
    assert task["target"] == target
    assert spec_of(worker, api.start(task["id"])).target == target


def test_a_target_is_the_one_named_else_the_release_s_else_a_likely_one(api: Api, dataset: Any) -> None:
    dataset("named", target="plan")
    dataset("unnamed", columns=("age", "Label", "plan"))
    assert api.task("named")["target"] == "plan"
    assert api.task("named", target="age")["target"] == "age"
    assert api.task("unnamed")["target"] == "Label"
    message = refused(api.post("/training-tasks", dataset="named", model="a/b", target="chrun"), 422, "target_missing")
    assert "churn" in message


def test_an_algorithm_for_another_kind_of_data_is_refused_with_the_right_ones(api: Api, dataset: Any) -> None:
    dataset()
    wrong = api.post("/training-tasks", dataset="churn", model="a/b", algorithm="log-clustering/drain")
    assert LIGHTGBM in refused(wrong, 422, "wrong_algorithm")
    assert api.task(algorithm="tabular-regression/lightgbm", target="age")["target"] == "age"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"horizon": 3}, "horizon"),
        ({"metric": "rmse"}, "metric"),
        ({"seed": -1}, "seed"),
        ({"search": {"trials": 0}}, "search.trials"),
        ({"parameters": {"num_leafs": 3}}, "num_leafs"),
        ({"name": ""}, "name"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(api: Api, dataset: Any, more: dict[str, Any], field: str) -> None:
    dataset()
    answer = api.post("/training-tasks", dataset="churn", model="a/b", algorithm=LIGHTGBM, **more)
    assert answer.status_code == 422
    assert answer.json()["error"]["fields"][0]["field"].endswith(field)


def test_a_release_that_is_not_published_is_not_trained_on(api: Api, dataset: Any) -> None:
    dataset(state="archived")
    refused(api.post("/training-tasks", dataset="churn", release=1, model="a/b"), 409, "wrong_state")
    assert api.post("/training-tasks", dataset="churn", model="a/b").status_code == 404


def test_a_task_runs_once_at_a_time_and_again_afterwards(api: Api, dataset: Any, worker: Worker) -> None:
    dataset()
    task = api.task()
    run = api.start(task["id"])
    assert run["id"] in refused(api.post(f"/training-tasks/{task['id']}/start"), 409, "already_running")
    assert api.get(f"/training-tasks/{task['id']}").json()["last_run"]["state"] == "queued"
    worker.begin(run["job"]["id"])
    worker.succeed(run["job"]["id"])
    assert api.start(task["id"])["id"] != run["id"]


def test_of_many_who_start_a_task_at_once_one_does(
    platform_parts: Platform, owner: Principal, api: Api, dataset: Any
) -> None:
    dataset()
    task = api.task()["id"]
    outcomes: list[str] = []
    barrier = threading.Barrier(6)

    def start() -> None:
        barrier.wait()
        try:
            with platform_parts.database.session() as session:
                operations.start_task(session, owner, task, db_now(session))
            outcomes.append("started")
        except AlreadyRunning:
            outcomes.append("refused")

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 5 + ["started"]
    with platform_parts.database.session(read_only=True) as session:
        assert session.query(RunRow).count() == 1


def test_a_task_is_stopped_and_says_so_where_nothing_runs(api: Api, dataset: Any) -> None:
    dataset()
    task = api.task()["id"]
    refused(api.post(f"/training-tasks/{task}/stop"), 409, "not_running")
    run = api.start(task)
    stopped = api.post(f"/training-tasks/{task}/stop")
    assert (stopped.status_code, stopped.json()["id"], stopped.json()["state"]) == (202, run["id"], "stopped")
    refused(api.post(f"/training-tasks/{task}/stop"), 409, "not_running")


def test_a_task_is_renamed_at_any_time_and_set_otherwise_while_it_rests(api: Api, dataset: Any) -> None:
    dataset()
    task = api.task(algorithm=LIGHTGBM, parameters={"num_leaves": 7})["id"]
    changed = api.patch(f"/training-tasks/{task}", parameters={"patience": 9}).json()
    assert (changed["fixed"], changed["parameters"]["num_leaves"], changed["parameters"]["patience"]) == (
        ["patience"], 31, 9,
    )  # fmt: skip
    refused(api.patch(f"/training-tasks/{task}", parameters={"patience": "long"}), 422, "bad_parameters")
    api.start(task)
    assert api.patch(f"/training-tasks/{task}", name="Nightly").json()["name"] == "Nightly"
    refused(api.patch(f"/training-tasks/{task}", parameters={}), 409, "already_running")


def test_a_copy_differs_in_what_was_said_and_in_nothing_else(api: Api, dataset: Any) -> None:
    dataset()
    careful = api.post("/configurations", algorithm=LIGHTGBM, name="careful", parameters={"num_leaves": 7}).json()
    task = api.task(configuration=careful["id"], parameters={"patience": 9}, seed=4, search={"trials": 3}, name="One")
    same = api.post(f"/training-tasks/{task['id']}/clone").json()
    ignored = {"id", "name", "created_at"}
    assert {key: value for key, value in same.items() if key not in ignored} == {
        key: value for key, value in task.items() if key not in ignored
    }
    assert same["name"] == "One (copy)"
    other = api.post(
        f"/training-tasks/{task['id']}/clone", seed=5, search=None, parameters={"num_leaves": 8}, name="Two"
    )
    found = other.json()
    assert (found["seed"], found["search"], found["name"]) == (5, None, "Two")
    assert (found["parameters"]["num_leaves"], found["parameters"]["patience"]) == (8, 9)
    plain = api.post(f"/training-tasks/{task['id']}/clone", configuration="none").json()
    assert (plain["configuration"], plain["parameters"]["num_leaves"], plain["fixed"]) == (None, 31, ["patience"])
    linear = api.post(f"/training-tasks/{task['id']}/clone", algorithm=LINEAR).json()
    assert (linear["algorithm"], linear["fixed"], linear["configuration"]) == (LINEAR, [], None)


def test_a_task_goes_with_its_runs_but_not_while_it_runs(
    api: Api, dataset: Any, worker: Worker, platform_parts: Platform
) -> None:
    dataset()
    task = api.task()["id"]
    run = api.start(task)
    refused(api.delete(f"/training-tasks/{task}"), 409, "already_running")
    worker.begin(run["job"]["id"])
    platform_parts.objects.put(f"runs/{run['id']}/1/left", b"over")
    worker.fail(run["job"]["id"], "too_few_rows")
    assert api.delete(f"/training-tasks/{task}").status_code == 204
    for gone in (f"/training-tasks/{task}", f"/runs/{run['id']}", f"/jobs/{run['job']['id']}"):
        assert api.get(gone).status_code == 404
    assert not list(platform_parts.objects.list(f"runs/{run['id']}"))


def test_a_task_stays_as_long_as_its_versions(api: Api, dataset: Any, made: Any) -> None:
    dataset()
    task = api.task()["id"]
    run = made(task)
    assert run["version"] in refused(api.delete(f"/training-tasks/{task}"), 409, "has_version")
    assert api.delete("/prefixes/sales/models/churn/versions/v1").status_code == 204
    assert api.delete(f"/training-tasks/{task}").status_code == 204


def test_the_best_run_is_the_one_that_the_task_s_metric_prefers(api: Api, dataset: Any, made: Any) -> None:
    dataset()
    task = api.task()["id"]
    made(task, 0.7)
    best = made(task, 0.9)
    last = made(task, 0.8)
    found = api.get(f"/training-tasks/{task}").json()
    assert (found["best_run"]["id"], found["best_run"]["value"], found["best_run"]["metric"]) == (
        best["id"], 0.9, "roc_auc",
    )  # fmt: skip
    assert (found["last_run"]["id"], found["last_run"]["version"]) == (last["id"], "sales/churn/v3")
    lower = api.task(metric="log_loss", model="sales/other")["id"]
    best = made(lower, 0.2, name="log_loss")
    made(lower, 0.3, name="log_loss")
    assert api.get(f"/training-tasks/{lower}").json()["best_run"]["id"] == best["id"]


def test_learning_goes_on_from_a_version_of_the_same_algorithm(
    api: Api, dataset: Any, made: Any, worker: Worker
) -> None:
    dataset("logs", "log-clustering", ("line",), text="line")
    first = made(api.task("logs", "ops/logs")["id"], name="coverage")
    task = api.task("logs", "ops/logs", previous="ops/logs/latest")
    assert task["previous"] == first["version"] == "ops/logs/v1"
    spec = spec_of(worker, api.start(task["id"]))
    assert spec.previous == f"runs/{first['id']}/1"
    assert api.post("/training-tasks", dataset="logs", model="a/b", previous="ops/logs/v9").status_code == 404
    dataset()
    wrong = api.post("/training-tasks", dataset="churn", model="a/b", previous="ops/logs/v1")
    assert wrong.json()["error"]["fields"][0]["field"] == "previous"


def test_a_release_is_in_use_by_its_tasks(api: Api, dataset: Any, platform_parts: Platform) -> None:
    release = dataset()
    with platform_parts.database.session(read_only=True) as session:
        assert users.of_release(session, release) == []
    task = api.task(name="Nightly")
    with platform_parts.database.session(read_only=True) as session:
        assert users.of_release(session, release) == [f"training task Nightly ({task['id']})"]


def test_a_switched_off_algorithm_is_not_started_either(
    api: Api, dataset: Any, platform_parts: Platform, owner: Principal
) -> None:
    from modelyard.features.catalogue import configurations

    dataset()
    task = api.task(algorithm=LINEAR)["id"]
    with platform_parts.database.session() as session:
        configurations.choice(session, owner, LINEAR).enabled = False
    refused(api.post(f"/training-tasks/{task}/start"), 409, "disabled")


def test_a_key_for_other_prefixes_sees_neither_task_nor_run(api: Api, dataset: Any, client: Any) -> None:
    dataset()
    task = api.task()["id"]
    run = api.start(task)
    key = client.post("/api/v1/api-keys", json={"name": "narrow", "prefixes": ["finance"]}).json()["key"]
    client.headers["x-api-key"] = key
    for path in (f"/training-tasks/{task}", f"/runs/{run['id']}", f"/runs/{run['id']}/metrics"):
        assert api.get(path).status_code == 404
    for path in ("/training-tasks", "/runs"):
        assert api.get(path).json()["total"] == 0
    assert api.delete(f"/training-tasks/{task}").status_code == 404


def test_another_organisation_s_task_looks_like_a_missing_one(api: Api, dataset: Any, platform_parts: Platform) -> None:
    dataset()
    task = api.task()["id"]
    stranger = Principal(user="user_x", username="eve", organisation="org_x", role="administrator")
    with platform_parts.database.session(read_only=True) as session:
        for wanted in (task, "task_missing"):
            with pytest.raises(Exception, match="There is no training task"):
                operations.get_task(session, stranger, wanted)
        assert jobs.going(session, []) == set()
