"""`modelyard train` and `modelyard job` against a whole platform."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from modelyard.cli.training import parameter

LIGHTGBM, LINEAR = "tabular-classification/lightgbm", "tabular-classification/linear"
SLOW = ("--param", "max_rounds=10000", "--param", "learning_rate=0.005", "--param", "patience=1000")


@pytest.fixture
def train(modelyard, command_line_model):
    def call(*arguments, model="command/trained", algorithm=LINEAR):
        return modelyard("train", "command-titanic", "--algorithm", algorithm, "--model", model, "--target", "survived",
                         *arguments)  # fmt: skip

    return call


def test_training_waits_and_shows_the_metrics_with_interval_and_baseline(train, modelyard):
    ran = train()
    assert ran.code == 0, ran.err
    header = next(line for line in ran.out.splitlines() if line.startswith("METRIC"))
    assert header.split("\t") == ["METRIC", "VALUE", "95 % INTERVAL", "BASELINE", "BETTER IS"]
    assert "Next: modelyard deploy command/trained/v" in ran.out
    assert "100%" in ran.err


def test_in_json_a_run_and_its_version_are_all_that_is_written(train):
    answer = train("--json").json
    assert answer["run"]["job"]["state"] == "succeeded"
    assert answer["version"]["evaluation"]["metrics"]


def test_without_waiting_it_says_how_to_look_again_and_stop(train, modelyard, fresh):
    ran = train(*SLOW, "--no-wait", model=f"command/{fresh('slow')}", algorithm=LIGHTGBM)
    job = next(word for word in ran.out.split() if word.startswith("job_")).strip(".:,")
    assert f"modelyard job stop {job}" in ran.out
    assert modelyard("job", "show", job, "--json").json["state"] in {"queued", "starting", "running"}
    assert job in [row[0] for row in modelyard("job", "list").rows]
    assert modelyard("job", "stop", job).code == 0
    followed = modelyard("job", "logs", job, "--follow")
    assert followed.code == 0
    assert "stopped" in modelyard("job", "show", job).out
    assert modelyard("job", "stop", job).code == 5


def test_a_job_s_log_is_read(train, modelyard):
    job = train("--json").json["run"]["job"]["id"]
    lines = modelyard("job", "logs", job).out.splitlines()
    assert lines
    assert len(modelyard("job", "logs", job, "--json").out.splitlines()) == len(lines)


def test_ctrl_c_leaves_the_job_alone(platform, command_line_model, modelyard, fresh):
    command = [sys.executable, "-m", "modelyard.cli", "train", "command-titanic", "--algorithm", LIGHTGBM, *SLOW]
    process = subprocess.Popen(
        [*command, "--target", "survived", "--model", f"command/{fresh('slow')}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),  # noqa: TID251
    )  # fmt: skip
    job = process.stdout.readline().split()[-1]
    until = time.monotonic() + 60
    while modelyard("job", "show", job, "--json").json["state"] != "running":
        assert time.monotonic() < until
    # Held, so that the job cannot end while the command is being interrupted.
    held = [pid for pid in platform.pids("worker") if job in (Path("/proc") / str(pid) / "cmdline").read_text()]
    assert held
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"modelyard job stop {job}" in said
    assert "Traceback" not in said
    assert modelyard("job", "show", job, "--json").json["state"] == "running"
    assert modelyard("job", "stop", job).code == 0
    for pid in held:
        os.kill(pid, signal.SIGCONT)


def test_wrong_parameters_and_names_end_before_anything_runs(train, modelyard):
    assert (train("--param", "nope=1").code, train("--param", "C").code) == (1, 2)
    assert train(algorithm="tabular-classification/magic").code == 3
    assert modelyard("train", "nowhere", "--algorithm", LINEAR, "--model", "command/x").code == 3
    assert modelyard("job", "show", "job_none").code == 3


def test_a_parameter_is_json_where_it_can_be():
    assert parameter("rounds=5") == ("rounds", 5)
    assert parameter("rate=0.1") == ("rate", 0.1)
    assert parameter("deep=true") == ("deep", True)
    assert parameter("kind=a=b") == ("kind", "a=b")
    with pytest.raises(click.BadParameter):
        parameter("=3")
