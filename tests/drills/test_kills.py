"""Each process of a platform is killed in turn while it works: nothing is lost."""

import os
import signal
import time

import httpx
import pytest

from fixtures.load import Load
from fixtures.platform import processes_of
from fixtures.user import User
from fixtures.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def served(new_platform, titanic, passenger):
    """A platform of its own with a published model: (platform, user, path)."""
    platform = new_platform()
    with platform.http() as http:
        user = User(http)
        user.dataset("titanic", titanic, target="survived")
        assert user.build("titanic", "predict who survived", "museum/titanic")["state"] == "succeeded"
        yield platform, user, user.published("museum/titanic")


def kill(platform, role):
    """SIGKILL to every process of a role, and wait for another in its place."""
    before = set(platform.pids(role))
    assert before, f"no {role} runs"
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: set(platform.pids(role)) - before, 20, what=f"a new {role}")


def test_killing_each_process_under_load_loses_no_answer_but_the_gateways_own(served, passenger):
    platform, user, path = served
    with Load(platform, path, passenger) as load:
        load.wait_for(50)
        for role in ("api", "controller"):
            kill(platform, role)
            load.wait_for(50)
        assert load.broken == []
        assert set(load.answers) == {200}
        kill(platform, "replica")
        wait_until(lambda: user.get("/deployments/museum-titanic").json()["state"] == "ready", 30)
        load.wait_for(50)
        # With one replica there is none to try again on: a 503 that says when to come back, never a wrong answer.
        assert set(load.answers) <= {200, 503}
        broken = len(load.broken)
        assert broken == 0
        kill(platform, "gateway")
        load.wait_for(50)
    assert load.wrong == []


def test_a_build_survives_the_death_of_every_process_it_needs(new_platform, titanic):
    platform = new_platform(MODELYARD_JOBS_LEASE_SECONDS="3")
    with platform.http() as http:
        user = User(http)
        user.dataset("titanic", titanic, target="survived")
        body = {"intent": "predict who survived", "dataset": "titanic", "model": "museum/titanic"}
        job = user.post("/builds", body).json()["job"]["id"]
        for role in ("worker", "api", "controller"):
            wait_until(lambda role=role: platform.pids(role) or user_job_is_over(platform, job), 30)
            for pid in platform.pids(role):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: answers(platform), 20)
        found = user.finished(job)
        assert found["state"] == "succeeded", found
        versions = user.get("/prefixes/museum/models/titanic/versions").json()["items"]
        assert [version["version"] for version in versions] == ["v1"]


def test_a_platform_whose_head_was_cut_off_comes_back_as_it_was(served, passenger):
    platform, _, path = served
    replicas = platform.pids("replica")
    os.kill(platform.process.pid, signal.SIGKILL)
    platform.process.wait()
    wait_until(lambda: not platform.pids("gateway") and not platform.pids("api"), 15)
    platform.start()
    with platform.http() as http:
        again = User(http)
        wait_until(lambda: again.predict(path, passenger).status_code == 200, 20)
        assert again.get("/deployments/museum-titanic").json()["state"] == "ready"
        assert [job["state"] for job in again.get("/jobs").json()["items"]] == ["succeeded"]
    assert platform.pids("replica") == replicas


def test_ctrl_c_ends_everything_within_five_seconds_and_a_new_start_serves_again(served, passenger):
    platform, _, path = served
    assert platform.stop(signal.SIGINT) < 5
    assert processes_of(platform.data) == []
    platform.start()
    with platform.http() as http:
        wait_until(lambda: User(http).predict(path, passenger).status_code == 200, 20)


def test_a_second_start_on_the_same_folder_is_refused_and_harms_nothing(served, passenger):
    import subprocess
    import sys

    platform, user, path = served
    command = [sys.executable, "-m", "modelyard.cli", "up", "--data", str(platform.data), "--port", "0"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 5
    assert str(platform.process.pid) in second.stderr
    assert user.predict(path, passenger).status_code == 200


def test_a_stopped_job_has_stopped_within_two_seconds_and_left_nothing(new_platform, titanic):
    platform = new_platform()
    with platform.http() as http:
        user = User(http)
        user.dataset("titanic", titanic * 1, target="survived")
        body = {"intent": "predict who survived", "dataset": "titanic", "model": "museum/titanic"}
        job = user.post("/builds", body).json()["job"]["id"]
        wait_until(lambda: user.get(f"/jobs/{job}").json()["state"] == "running", 20)
        asked = time.monotonic()
        assert user.post(f"/jobs/{job}/stop").status_code == 202
        wait_until(lambda: user.get(f"/jobs/{job}").json()["state"] == "stopped", 5)
        assert time.monotonic() - asked < 2
        wait_until(lambda: not platform.pids("worker"), 5)
        assert list((platform.data / "scratch").glob("*")) == []


def test_deploying_v2_over_v1_loses_no_request(served, passenger):
    platform, user, path = served
    assert user.build("titanic", "predict who survived", "museum/titanic")["state"] == "succeeded"
    with Load(platform, path, passenger) as load:
        load.wait_for(50)
        user.published("museum/titanic/v2")
        wait_until(lambda: user.predict(path, passenger).json()["version"] == "v2", 20)
        wait_until(lambda: len(platform.pids("replica")) == 1, 30)
        load.wait_for(50)
    assert load.broken == []
    assert set(load.answers) == {200}


def answers(platform):
    try:
        return httpx.get(platform.url + "/api/v1/auth/me", headers={"x-api-key": platform.key}).status_code == 200
    except httpx.TransportError:
        return False


def user_job_is_over(platform, job):
    try:
        found = httpx.get(f"{platform.url}/api/v1/jobs/{job}", headers={"x-api-key": platform.key}).json()
    except httpx.TransportError:
        return False
    return found.get("state") in {"succeeded", "failed", "stopped"}
