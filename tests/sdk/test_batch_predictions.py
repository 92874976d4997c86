"""Whole tables predicted by both ways in, the client and the command, on a whole platform."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.platform import DATA, RunningPlatform
from modelyard.core.errors import Invalid, NotFound
from modelyard.features.predictions.errors import NoResult
from modelyard.sdk.client import Client
from modelyard.sdk.errors import JobFailed

MODEL = "museum/titanic"


@pytest.fixture
def client(platform: RunningPlatform, survivors: str) -> Iterator[Client]:
    """A client of a platform that has the model of the Titanic's passengers."""
    assert survivors
    with Client(platform.url, platform.key) as opened:
        yield opened


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_a_file_is_answered_as_its_rows_are_online(client: Client, tmp_path: Path) -> None:
    made = client.batch_predictions.create(MODEL, DATA / "titanic" / "train.csv", output="jsonl")
    assert made.data.result is None
    seen: list[float] = []
    made.wait(progress=lambda job: seen.append(job.progress.fraction))
    written = made.download(tmp_path)
    assert written.name == "train-predictions.jsonl"
    found = [json.loads(line) for line in written.read_text().splitlines()]
    online = client.predict(MODEL, DATA / "titanic" / "train.csv")
    assert len(found) == len(online) == made.result.rows
    for one, other in zip(found, online, strict=True):
        assert one["prediction"] == other["prediction"]
        assert one["probability"] == pytest.approx(other["probability"], rel=1e-5)
    frame = made.to_pandas()
    assert len(frame) == len(found)
    assert {"sex", "prediction"} <= set(frame.columns)
    made.delete()
    with pytest.raises(NotFound):
        client.batch_predictions.get(made.id)


def test_a_release_is_answered_and_listed(client: Client) -> None:
    made = client.batch_predictions.create(f"{MODEL}/latest", "titanic@1", purpose="training").wait()
    assert (made.dataset, made.release, made.result.unfit) == ("titanic", 1, 0)
    assert made.id in [one.id for one in client.batch_predictions.list()]
    frame = client.batch_predictions.get(made.id).to_pandas()
    assert len(frame) == made.result.rows > 100


def test_what_does_not_fit_is_named(client: Client) -> None:
    rows = b"pclass,sex,age,sibsp,parch,fare,embarked,deck\n3,male,34.5,0,0,7.8,Q,\nthird,male,1,0,0,7,Q,\n"
    failed = client.batch_predictions.create(MODEL, rows)
    with pytest.raises(JobFailed, match='Row 2, column "pclass": expected'):
        failed.wait()
    with pytest.raises(NoResult):
        failed.download()
    made = client.batch_predictions.create(MODEL, rows, on_error="tolerant").wait()
    assert (made.result.rows, made.result.unfit) == (2, 1)
    with pytest.raises(Invalid, match="there is no such option"):
        client.batch_predictions.create(MODEL, rows, parameters={"what": 1})


def test_the_command_writes_the_file(client: Client, platform: RunningPlatform, tmp_path: Path) -> None:
    environment = {**os.environ, "MODELYARD_URL": platform.url, "MODELYARD_API_KEY": platform.key}  # noqa: TID251 - a test's own

    def modelyard(*words: Any) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "modelyard.cli", *map(str, words)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    out = tmp_path / "answers.csv"
    ran = modelyard("predict", MODEL, "titanic@1", "--batch", "--out", out, "--param", "top_k=1")
    assert ran.returncode == 0, ran.stderr
    assert f"are in {out}" in ran.stdout
    rows = table(out)
    assert all(len(json.loads(row["probabilities"])) == 1 for row in rows)
    refused = modelyard("predict", MODEL, "nowhere.csv", "--batch", "--json")
    assert refused.returncode == 3
