"""What every algorithm must do, over all that there are: a new file is held to it as soon as it exists."""

import dataclasses
import pickle
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import msgspec
import numpy as np
import pytest

from modelyard.algorithms import registry
from modelyard.algorithms.base import Report, Trained, TrainingData
from modelyard.formats import folder
from modelyard.formats.base import Batch
from modelyard.formats.registry import open_version
from modelyard.protocol.artifact import DESCRIPTION, SIGNATURE, Artifact

EXACT = 1e-6
QUICK = {"max_rounds": 80, "trees": 30}
TABLES, TEXTS = ("tabular-classification", "tabular-regression"), "text-classification"


def installed(name: str) -> bool:
    """Whether what an algorithm needs beside the platform is there."""
    try:
        return all(import_module(package) for package in registry.get(name).requires)
    except ImportError:
        return False


CASES = [
    (name, classes)
    for scenario in TABLES
    for name in registry.names(scenario)
    if installed(name)
    for classes in ((2, 4) if scenario == "tabular-classification" else (0,))
] + [(name, classes) for name in registry.names(TEXTS) if installed(name) for classes in (2, 4)]
WORDS = ["late", "broken", "quick", "cold", "warm", "paid", "missing", "again", "never", "box", "good", "bad", "fine"]
every_algorithm = pytest.mark.parametrize(("name", "classes"), CASES)
of_tables = pytest.mark.parametrize(("name", "classes"), [case for case in CASES if not case[0].startswith(TEXTS)])

Made = Callable[..., TrainingData]


def quick(name: str):
    """The default parameters, but for those that only make learning longer."""
    form = registry.get(name).Parameters
    return form(**{key: value for key, value in QUICK.items() if key in form.model_fields})


def learn(name: str, data: TrainingData, report: Report) -> tuple[Trained, Trained]:
    """What `fit` and `finish` give."""
    algorithm = registry.get(name)
    parameters = quick(name)
    trained = algorithm().fit(data, parameters, report)
    return trained, algorithm().finish(data, trained, parameters, report)


def loaded(trained: Trained, target: Path, name: str):
    """The predictor that a version folder gives back."""
    target.mkdir()
    form = trained.save(target)
    folder.write(target / SIGNATURE, trained.signature)
    folder.write(target / DESCRIPTION, Artifact(format=form, scenario="any", algorithm=name))
    return open_version(target)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    assert one.shape == other.shape
    assert one.dtype == other.dtype == np.float32
    assert np.isfinite(one).all()
    assert np.isfinite(other).all()
    return float(np.max(np.abs(one - other.astype(np.float64)) / np.maximum(np.abs(other), 1e-37)))


@pytest.fixture(name="made")
def made_of_scenario(request: pytest.FixtureRequest, made: Made) -> Made:
    """Training sets of the scenario at hand: for texts the class hangs on the words of the note."""
    if not request.node.callspec.params.get("name", "").startswith(TEXTS):
        return made

    def make(classes: int, **of_rows) -> TrainingData:
        data = made(classes, **of_rows)
        place = [field.name for field in data.signature.string_inputs].index("note")
        groups = np.array_split(np.array(WORDS), classes)

        def labels(batch: Batch) -> np.ndarray:
            counts = [[sum(map(text.split().count, group)) for group in groups] for text in batch.strings[:, place]]
            return np.argmax(counts, axis=1).astype(np.int64)

        signature = msgspec.structs.replace(data.signature, scenario=TEXTS)
        found = {"labels": labels(data.rows), "validation_labels": labels(data.validation)}
        return dataclasses.replace(data, signature=signature, **found)

    return make


@every_algorithm
def test_it_learns_something(name: str, classes: int, made: Made, report: Report) -> None:
    data = made(classes)
    for trained in learn(name, data, report):
        answers = trained.predict(data.validation)
        assert answers.shape == (len(data.validation_labels), max(1, classes))
        if classes:
            np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)
            assert np.mean(answers.argmax(axis=1) == data.validation_labels) > 1.4 / classes
        else:
            errors = answers[:, 0] - data.validation_labels
            assert np.std(errors) < 0.7 * np.std(data.validation_labels)


@every_algorithm
def test_it_says_how_it_is_doing(name: str, classes: int, made: Made, report: Report) -> None:
    data, algorithm = made(classes), registry.get(name)
    algorithm().fit(data, quick(name), report)
    assert report.fractions == sorted(report.fractions)
    assert len(report.fractions) > 2
    assert len({step for _, step, _ in report.metrics}) > 2
    assert report.lines


@every_algorithm
def test_what_is_served_answers_as_the_training_pipeline(
    name: str, classes: int, made: Made, report: Report, odd: Batch, tmp_path: Path
) -> None:
    data = made(classes)
    _, trained = learn(name, data, report)
    served = loaded(trained, tmp_path / "v", name)
    for batch in (data.rows, data.validation, odd):
        assert difference(served.predict(batch), trained.predict(batch)) < EXACT


@of_tables
@pytest.mark.parametrize("kept", [("size", "count"), ("colour",), ("since",), ("note",), ("open", "town")])
def test_a_table_may_lack_any_kind_of_column(
    name: str, classes: int, kept: tuple[str, ...], made: Made, report: Report, tmp_path: Path
) -> None:
    data = made(classes, rows=200, kept=kept)
    _, trained = learn(name, data, report)
    served = loaded(trained, tmp_path / "v", name)
    assert difference(served.predict(data.validation), trained.predict(data.validation)) < EXACT


@every_algorithm
def test_a_row_is_answered_the_same_alone_and_among_others(
    name: str, classes: int, made: Made, report: Report, tmp_path: Path
) -> None:
    data = made(classes)
    served = loaded(learn(name, data, report)[1], tmp_path / "v", name)
    together = served.predict(data.validation)
    alone = [served.predict(Batch(*(part[row : row + 1] for part in data.validation))) for row in range(20)]
    np.testing.assert_array_equal(np.concatenate(alone), together[:20])


@every_algorithm
def test_the_same_data_and_seed_give_the_same_model(name: str, classes: int, made: Made, report: Report) -> None:
    data = made(classes)
    one, other = (learn(name, data, report)[1].predict(data.validation) for _ in range(2))
    np.testing.assert_array_equal(one, other)


@every_algorithm
def test_it_learns_from_very_few_rows(name: str, classes: int, made: Made, report: Report, tmp_path: Path) -> None:
    data = made(classes, rows=20)
    _, trained = learn(name, data, report)
    served = loaded(trained, tmp_path / "v", name)
    assert difference(served.predict(data.validation), trained.predict(data.validation)) < EXACT


@every_algorithm
def test_a_pickle_of_it_answers_the_same(name: str, classes: int, made: Made, report: Report) -> None:
    data = made(classes, rows=200)
    _, trained = learn(name, data, report)
    before = trained.predict(data.validation)
    again = pickle.loads(pickle.dumps(trained))
    np.testing.assert_array_equal(again.predict(data.validation), before)


@pytest.mark.parametrize("name", [name for scenario in (*TABLES, TEXTS) for name in registry.names(scenario)])
def test_its_form_is_complete(name: str) -> None:
    described = registry.describe(name)
    assert described["title"]
    assert described["description"].endswith(".")
    form = described["parameters"]
    assert form["type"] == "object"
    assert form["properties"]
    for field in form["properties"].values():
        assert field["title"]
        assert field["description"]
        assert "default" in field
        assert field["x-group"]
    registry.get(name).Parameters()
