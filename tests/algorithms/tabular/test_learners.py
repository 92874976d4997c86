"""Quality on real tables, and what the learners decide by themselves."""

from pathlib import Path

import duckdb
import numpy as np
import pytest

from modelyard.algorithms import registry, scoring
from modelyard.algorithms.tabular import columns, labels, parts, table
from modelyard.protocol.signature import Signature

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """(training data, test rows, test labels, question) of a set."""

    def load(name: str, target: str):
        folder = tmp_path_factory.mktemp(name)
        tables = {}
        for purpose, part in (("training", "train"), ("test", "test")):
            path = folder / f"{part}.parquet"
            duckdb.sql(f"SELECT * FROM read_csv('{DATA}/{name}/{part}.csv', nullstr=['', ' '])").write_parquet(
                str(path)
            )
            tables[purpose] = path
        types = table.schema([tables["training"]])
        read = {purpose: table.read_parquet(path, types) for purpose, path in tables.items()}
        classes = labels.classes(read["training"][target], None)
        divided = parts.divide(read, target, parts.labeller(classes.names), seed=0)
        chosen = columns.choose(divided.training.table, target, ())
        signature = Signature(
            scenario="tabular-classification", inputs=chosen.fields, target=target, classes=classes.names
        )
        question = scoring.Question(2, classes.names.index(classes.positive))
        return parts.training_data(divided, signature, 0), divided.test, question

    return load


@pytest.mark.parametrize(
    ("name", "target", "algorithm", "least"),
    [
        ("titanic", "survived", "linear", 0.81),
        ("titanic", "survived", "lightgbm", 0.81),
        ("telco_churn", "Churn", "linear", 0.84),
        ("telco_churn", "Churn", "lightgbm", 0.84),
    ],
)
def test_the_area_under_the_curve_on_rows_that_were_held_back(real, report, name, target, algorithm, least) -> None:
    data, test, question = real(name, target)
    learner = registry.get(f"tabular-classification/{algorithm}")
    parameters = learner.Parameters()
    trained = learner().fit(data, parameters, report)
    final = learner().finish(data, trained, parameters, report)
    answers = final.predict(test.table.batch(data.signature.inputs))
    assert scoring.score("roc_auc", question, test.labels, answers) >= least


@pytest.mark.parametrize("algorithm", ["linear", "lightgbm"])
def test_a_target_with_a_long_tail_is_learned_by_its_logarithm(made, report, algorithm: str) -> None:
    data = made(0)
    plain = registry.get(f"tabular-regression/{algorithm}")
    stretched = np.exp(data.labels), np.exp(data.validation_labels)
    from dataclasses import replace

    data = replace(data, labels=stretched[0], validation_labels=stretched[1])
    trained = plain().fit(data, plain.Parameters(), report)
    link = trained.goal.link if algorithm == "lightgbm" else trained.link
    assert link == "expm1"


@pytest.mark.parametrize("algorithm", ["linear", "lightgbm"])
def test_a_symmetric_target_is_learned_as_it_is(made, report, algorithm: str) -> None:
    data = made(0)
    plain = registry.get(f"tabular-regression/{algorithm}")
    trained = plain().fit(data, plain.Parameters(), report)
    link = trained.goal.link if algorithm == "lightgbm" else trained.link
    assert link == "identity"


def test_learning_stops_where_it_no_longer_helps(made, report) -> None:
    data = made(2)
    learner = registry.get("tabular-classification/lightgbm")
    trained = learner().fit(data, learner.Parameters(patience=20, learning_rate=0.2), report)
    assert trained.rounds < 200
    values = {step: value for _, step, value in report.metrics}
    assert min(values, key=values.__getitem__) <= trained.rounds + 10


def test_the_strength_that_is_set_is_used(made, report) -> None:
    learner = registry.get("tabular-classification/linear")
    assert learner().fit(made(2), learner.Parameters(inverse_strength=0.25), report).strength == 0.25
