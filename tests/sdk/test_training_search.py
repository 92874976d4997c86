"""A search through a whole platform: trials are runs, the best becomes the version."""

from collections.abc import Callable, Iterator

import pytest

from fixtures.platform import DATA, RunningPlatform
from modelyard.sdk.client import Client

TABLE = DATA / "titanic" / "train.csv"


@pytest.fixture
def client(platform: RunningPlatform) -> Iterator[Client]:
    with Client(platform.url, platform.key) as opened:
        yield opened


def test_a_search_tries_and_keeps_the_best(client: Client, fresh: Callable[[str], str]) -> None:
    name = fresh("searched")
    client.datasets.create(name, target="survived")
    client.datasets.upload(name, TABLE)
    client.datasets.release(name)
    model = f"searches/{name}"
    run = client.train(name, "tabular-classification/linear", model, search=3, metric="roc_auc", seed=1).wait()
    trials = run.trials()
    assert 1 <= len(trials) <= 3
    assert {trial.state for trial in trials} <= {"succeeded", "failed"}
    best = max(trial.value for trial in trials if trial.value is not None)
    winner = next(trial for trial in trials if trial.value == best)
    assert run.parameters == winner.parameters
    assert run.environment["python"]
    assert run.primary == "roc_auc"
    assert winner.history()
    assert client.runs.compare(run.id, winner.id).curves
    assert {file.path for file in client.runs.files(run.id)} >= {"model.json", "metrics.json"}
