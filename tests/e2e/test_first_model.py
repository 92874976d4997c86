"""The whole way once: a table, a release, a run, a version, a deployment, an answer."""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import httpx
import pytest

from fixtures.waiting import wait_until

DATA = Path(__file__).parent.parent / "data"


@pytest.fixture(scope="session")
def version(platform, survivors):
    """The version behind `survivors`."""
    assert survivors
    with platform.http() as http:
        return http.get("/api/v1/prefixes/museum/models/titanic/versions/v1").json()


def test_a_build_says_how_it_understood_the_intent_before_it_trains(user, titanic, fresh):
    name = fresh("echo")
    user.dataset(name, titanic)
    body = {"intent": "predict who survived", "dataset": name, "model": f"museum/{name}"}
    answer = user.post("/builds", body)
    assert answer.status_code == 202
    plan = answer.json()["plan"]
    assert (plan["target"], plan["scenario"]) == ("survived", "tabular-classification")
    assert {reason["decision"] for reason in plan["reasons"]} >= {"target", "task", "positive class"}
    assert user.finished(answer.json()["job"]["id"])["state"] == "succeeded"


def test_a_version_says_how_good_it_is_with_intervals_and_a_baseline(version):
    evaluation = version["evaluation"]
    metrics = {metric["name"]: metric for metric in evaluation["metrics"]}
    headline = metrics[evaluation["primary"]]
    assert headline["lower"] <= headline["value"] <= headline["upper"]
    assert headline["value"] > headline["baseline"]
    assert evaluation["parity"] <= 1e-6
    assert evaluation["importance"]
    assert [item["chosen"] for item in evaluation["candidates"]].count(True) == 1


def test_a_version_knows_where_it_comes_from(version):
    lineage = version["lineage"]
    assert lineage["release"] == "titanic@1"
    assert lineage["intent"] == "predict who survived"
    assert lineage["job"].startswith("job_")


def test_every_number_of_the_card_is_that_of_the_metrics(user, version):
    base = "/prefixes/museum/models/titanic/versions/v1/files"
    card = user.get(f"{base}/card.md").text
    metrics = user.get(f"{base}/metrics.json").json()
    headline = next(metric for metric in metrics["metrics"] if metric["name"] == metrics["primary"])
    assert f"{headline['value']:g}" in card


def test_a_version_downloads_whole_and_its_checksums_hold(user):
    answer = user.get("/prefixes/museum/models/titanic/versions/v1/download")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = set(archive.namelist())
        assert {"model.onnx", "model.json", "signature.json", "metrics.json", "card.md", "train.py"} <= names
        for line in archive.read("SHA256SUMS").decode().splitlines():
            checksum, path = line.split(maxsplit=1)
            assert hashlib.sha256(archive.read(path.strip("* "))).hexdigest() == checksum, path


def test_one_row_and_many_are_answered_in_order(user, survivors, passenger):
    woman = passenger | {"sex": "female", "pclass": 1, "fare": 80.0}
    answer = user.predict(survivors, passenger, woman).json()
    assert answer["model"] == "museum/titanic"
    assert answer["version"] == "v1"
    man, lady = answer["predictions"]
    assert set(man) == {"prediction", "probability", "probabilities"}
    assert man["probabilities"]["1"] < lady["probabilities"]["1"]
    single = user.http.post(survivors, json=woman).json()
    assert single["predictions"] == [lady]


def test_csv_in_gives_csv_out_with_the_same_answers(user, survivors, passenger):
    content = io.StringIO()
    writer = csv.DictWriter(content, passenger)
    writer.writeheader()
    writer.writerows([passenger, passenger | {"sex": "female"}])
    answer = user.http.post(survivors, content=content.getvalue(), headers={"content-type": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    as_json = user.predict(survivors, passenger, passenger | {"sex": "female"}).json()["predictions"]
    assert [row["prediction"] for row in rows] == [item["prediction"] for item in as_json]


def test_the_answer_names_its_version_in_headers(user, survivors, passenger):
    headers = user.predict(survivors, passenger).headers
    assert headers["x-modelyard-model"] == "museum/titanic"
    assert headers["x-modelyard-version"] == "v1"


@pytest.mark.parametrize("selector", ["", "v1/", "1/", "latest/", "v1"])
def test_a_version_is_selected_in_the_path(user, survivors, passenger, selector):
    assert user.predict(survivors + selector, passenger).json()["version"] == "v1"


def test_a_stage_selects_its_version(user, survivors, passenger):
    staged = user.post("/prefixes/museum/models/titanic/versions/v1/stage", {"stage": "production"})
    assert staged.json()["stage"] == "production"
    wait_until(lambda: user.predict(f"{survivors}production/", passenger).status_code == 200, 5)
    assert user.predict(f"{survivors}staging/", passenger).status_code == 404


def test_a_models_url_describes_itself(user, survivors):
    meta = user.http.get(survivors, params={"get_meta": "true"}).json()
    assert meta["model"] == "museum/titanic"
    assert meta["signature"]["target"] == "survived"
    document = user.http.get(f"{survivors}openapi.json").json()
    assert document["openapi"].startswith("3.")
    path, operations = next(iter(document["paths"].items()))
    example = operations["post"]["requestBody"]["content"]["application/json"]["example"]
    assert user.http.post(path, json=example).status_code == 200


def test_predictions_are_those_of_the_training_pipeline_on_every_held_out_row(version):
    assert version["evaluation"]["rows"]["test"] > 100
    assert version["evaluation"]["parity"] <= 1e-6


def test_a_task_trains_one_algorithm_and_makes_the_next_version(user, titanic, fresh):
    name = fresh("task")
    user.dataset(name, titanic, target="survived")
    body = {"dataset": name, "algorithm": "tabular-classification/lightgbm", "model": f"museum/{name}"}
    task = user.post("/training-tasks", body | {"parameters": {"num_leaves": 7}}).json()
    run = user.post(f"/training-tasks/{task['id']}/start").json()
    again = user.post(f"/training-tasks/{task['id']}/start")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_running")
    assert user.finished(run["job"]["id"])["state"] == "succeeded"
    assert user.get(f"/runs/{run['id']}").json()["version"] == f"museum/{name}/v1"
    points = user.get(f"/runs/{run['id']}/metrics").json()["items"]
    assert len({point["step"] for point in points}) > 1


def test_a_parameter_outside_its_form_is_refused_by_name(user, titanic, fresh):
    name = fresh("form")
    user.dataset(name, titanic)
    body = {"dataset": name, "algorithm": "tabular-classification/lightgbm", "model": f"museum/{name}"}
    for parameters in ({"num_leaves": -1}, {"num_leafs": 7}):
        answer = user.post("/training-tasks", body | {"parameters": parameters, "target": "survived"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_parameters")
        assert answer.json()["error"]["fields"][0]["field"] in {"num_leaves", "num_leafs"}


def test_regression_answers_a_number(user, fresh):
    name = fresh("cars")
    rows = b"".join(b"%d,%d,%.2f\n" % (n % 17, n % 5, 3.0 * (n % 17) + (n % 5)) for n in range(400))
    user.dataset(name, b"size,doors,price\n" + rows)
    job = user.build(name, "predict the price", f"shop/{name}")
    assert job["state"] == "succeeded", job
    path = user.published(f"shop/{name}")
    answer = user.predict(path, {"size": 10, "doors": 3}).json()["predictions"][0]
    assert answer["prediction"] == pytest.approx(33, abs=3)


def test_a_release_is_immutable_and_downloads_as_it_was(user, titanic, fresh):
    name = fresh("release")
    first = user.dataset(name, titanic)
    user.upload(name, titanic, "more.csv", purpose="test")
    second = user.post(f"/datasets/{name}/releases").json()
    assert (first["number"], second["number"]) == (1, 2)
    assert first["checksum"] != second["checksum"]
    answer = user.get(f"/datasets/{name}/releases/1/download")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert sorted(archive.namelist()) == ["dataset.json", "training/table.csv"]
        assert archive.read("training/table.csv") == titanic
        assert json.loads(archive.read("dataset.json"))["checksum"] == first["checksum"]
    assert user.http.delete(f"/api/v1/datasets/{name}").status_code == 409


def test_a_removed_sample_stays_in_the_releases_that_hold_it(user, titanic, fresh):
    name = fresh("removed")
    release = user.dataset(name, titanic)
    sample = release["files"][0]["sample"]
    assert user.http.delete(f"/api/v1/datasets/{name}/samples/{sample}").status_code == 204
    assert user.get(f"/datasets/{name}/samples").json()["items"] == []
    with zipfile.ZipFile(io.BytesIO(user.get(f"/datasets/{name}/releases/1/download").content)) as archive:
        assert archive.read("training/table.csv") == titanic


def test_files_with_other_columns_do_not_become_one_release(user, titanic, fresh):
    name = fresh("columns")
    user.dataset(name, titanic)
    user.upload(name, b"size,colour\n1,red\n2,blue\n", "other.csv")
    answer = user.post(f"/datasets/{name}/releases")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "columns_differ")


def test_logs_can_be_read_while_they_come_and_afterwards(user, platform, titanic, fresh):
    name = fresh("logs")
    user.dataset(name, titanic, target="survived")
    body = {"intent": "predict who survived", "dataset": name, "model": f"museum/{name}"}
    job = user.post("/builds", body).json()["job"]["id"]
    kinds, lines = [], []
    with user.http.stream("GET", f"/api/v1/jobs/{job}/logs", params={"follow": "true"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("event: "):
                kinds.append(line[7:])
            if line.startswith("data: ") and kinds[-1] == "line":
                lines.append(json.loads(line[6:])["line"])
    assert kinds[-1] == "end"
    assert lines
    afterwards = user.get(f"/jobs/{job}/logs", params={"limit": 5000}).json()["items"]
    assert [item["line"] for item in afterwards] == lines
    newest = user.get(f"/jobs/{job}/logs", params={"limit": 1, "order": "newest"}).json()["items"]
    assert newest[0]["line"] == lines[-1]


def test_a_deployment_stops_starts_and_goes(user, titanic, passenger, fresh):
    name = fresh("gone")
    user.dataset(name, titanic, target="survived")
    assert user.build(name, "predict who survived", f"museum/{name}")["state"] == "succeeded"
    path, key = user.published(f"museum/{name}"), f"museum-{name}"
    assert user.predict(path, passenger).status_code == 200
    held = user.http.delete(f"/api/v1/prefixes/museum/models/{name}")
    assert (held.status_code, held.json()["error"]["code"]) == (409, "in_use")
    assert key in held.json()["error"]["message"]
    user.post(f"/deployments/{key}/stop")
    wait_until(lambda: user.predict(path, passenger).status_code == 404, 10)
    user.post(f"/deployments/{key}/start")
    wait_until(lambda: user.predict(path, passenger).status_code == 200, 20)
    assert user.http.delete(f"/api/v1/deployments/{key}").status_code == 202
    wait_until(lambda: user.predict(path, passenger).status_code == 404, 10)
    assert user.get(f"/deployments/{key}").status_code == 404
    assert user.http.delete(f"/api/v1/prefixes/museum/models/{name}").status_code == 204


def test_a_version_that_cannot_be_loaded_leaves_the_old_one_serving_and_says_why(
    user, platform, titanic, passenger, fresh
):
    name = fresh("damaged")
    user.dataset(name, titanic, target="survived")
    for _ in range(2):
        assert user.build(name, "predict who survived", f"museum/{name}")["state"] == "succeeded"
    path = user.published(f"museum/{name}/v1")
    second = user.get(f"/prefixes/museum/models/{name}/versions/v2").json()
    run = user.get("/runs").json()["items"][0]
    damaged = list((platform.data / "objects" / "runs" / run["id"]).rglob("model.onnx"))
    assert damaged
    damaged[0].write_bytes(b"not a model")
    assert second["version"] == "v2"
    user.post("/deployments/publish", {"model": f"museum/{name}/v2"})
    found = wait_until(lambda: (d := user.get(f"/deployments/museum-{name}").json())["state"] == "degraded" and d, 30)
    assert found["message"]
    assert user.predict(path, passenger).json()["version"] == "v1"


def test_a_version_that_is_still_loading_says_when_to_come_back(user, platform, titanic, passenger, fresh):
    name = fresh("loading")
    user.dataset(name, titanic, target="survived")
    assert user.build(name, "predict who survived", f"museum/{name}")["state"] == "succeeded"
    user.post("/deployments/publish", {"model": f"museum/{name}"})
    path, seen = f"/models/museum/{name}/", set()
    until = time.monotonic() + 30
    while time.monotonic() < until:
        answer = user.predict(path, passenger)
        seen.add(answer.status_code)
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1
        if answer.status_code == 200:
            break
    assert answer.status_code == 200
    assert seen <= {200, 404, 503}


def test_enterprise_mode_asks_nobody_and_only_on_private_addresses(new_platform, tmp_path):
    platform = new_platform(MODELYARD_AUTH="off")
    found = httpx.get(f"{platform.url}/api/v1/auth/me").json()
    assert (found["role"], found["enterprise_mode"]) == ("administrator", True)
    assert httpx.get(f"{platform.url}/models/a/b/").status_code == 404
    command = [sys.executable, "-m", "modelyard.cli", "up", "--data", str(tmp_path / "public"), "--port", "0"]
    environment = {**os.environ, "MODELYARD_AUTH": "off", "MODELYARD_HOST": "0.0.0.0"}  # noqa: TID251
    refused = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30, check=False)
    assert refused.returncode != 0
    assert "private address" in refused.stdout + refused.stderr


def test_the_printed_first_login_works(platform):
    login = platform.login
    assert (platform.data / "first-login.json").stat().st_mode & 0o777 == 0o600
    assert set(login) == {"url", "username", "password", "api_key"}
    assert login["url"] == platform.url
    body = {"username": login["username"], "password": login["password"]}
    token = httpx.post(f"{platform.url}/api/v1/auth/login", json=body).json()["access_token"]
    me = httpx.get(f"{platform.url}/api/v1/auth/me", headers={"authorization": f"Bearer {token}"}).json()
    assert me["username"] == "admin"


def test_two_versions_share_the_traffic_by_weight_and_replicas_come_and_go(user, survivors, titanic, passenger, fresh):
    assert survivors == "/models/museum/titanic/"
    name = fresh("shared")
    user.dataset(name, titanic, target="survived")
    for _ in range(2):
        assert user.build(name, "predict who survived", f"museum/{name}")["state"] == "succeeded"
    path, key = f"/models/museum/{name}/", f"{name}-traffic"
    wrong = {"key": key, "models": [{"model": f"museum/{name}/v1", "weight": 80}]}
    refused = user.post("/deployments", wrong)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "bad_traffic")
    user.post("/deployments", {"key": key, "models": [{"model": f"museum/{name}/v1"}]})
    added = user.post(f"/deployments/{key}/models", {"model": f"museum/{name}/v2", "weight": 25}).json()
    assert [(item["version"], item["weight"]) for item in added["models"]] == [("v1", 75), ("v2", 25)]
    wait_until(lambda: user.get(f"/deployments/{key}").json()["state"] == "ready", 30)
    answered = [user.predict(path, passenger).json()["version"] for _ in range(300)]
    assert 30 < answered.count("v2") < 130
    assert user.predict(f"{path}v2/", passenger).json()["version"] == "v2"
    user.post(f"/deployments/{key}/scale", {"replicas": 3})
    wait_until(lambda: user.get(f"/deployments/{key}").json()["ready_replicas"] == 3, 30)
    user.post(f"/deployments/{key}/scale", {"replicas": 1})
    wait_until(lambda: len(user.get(f"/deployments/{key}").json()["processes"]) == 1, 30)
    assert user.predict(path, passenger).status_code == 200
    kinds = {event["kind"] for event in user.get(f"/deployments/{key}/events").json()["items"]}
    assert {"revision", "replica", "scaled", "state"} <= kinds
    assert user.get(f"/deployments/{key}/revisions").json()["total"] == 2
    other = user.post("/deployments/publish", {"model": "museum/titanic", "key": key})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "key_taken")
