"""What every algorithm for series must do, over all that there are."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from modelyard.algorithms import registry
from modelyard.formats import folder
from modelyard.formats.registry import open_version
from modelyard.protocol.artifact import DESCRIPTION, SIGNATURE, Artifact

NAMES = registry.names("time-series-prediction")
every_algorithm = pytest.mark.parametrize("name", NAMES)
BRIEF = {"trees": 40, "windows": 2}


def learn(name, data, report, *, finished=True):
    """What `fit` and `finish` give, with little work."""
    algorithm = registry.get(name)
    fields = algorithm.Parameters.model_fields
    parameters = algorithm.Parameters(**{key: value for key, value in BRIEF.items() if key in fields})
    trained = algorithm().fit(data, parameters, report)
    return trained, algorithm().finish(data, trained, parameters, report) if finished else None


def served(trained, target: Path):
    target.mkdir()
    form = trained.save(target)
    folder.write(target / SIGNATURE, trained.signature)
    folder.write(target / DESCRIPTION, Artifact(format=form, scenario="time-series-prediction", algorithm="any"))
    return open_version(target)


def test_the_default_is_among_them() -> None:
    assert {name.partition("/")[2] for name in NAMES} >= {
        "automatic", "seasonal-naive", "ets", "theta", "mstl", "lightgbm",
    }  # fmt: skip


@every_algorithm
@pytest.mark.parametrize("set_name", ["many_hours", "one_month_series"])
def test_it_predicts_what_follows(name: str, set_name: str, request, report) -> None:
    data = request.getfixturevalue(set_name)
    trained, _ = learn(name, data, report, finished=False)
    answers = trained.predict(data.validation)
    assert answers.shape == (data.validation.rows, 3)
    assert answers.dtype == np.float32
    assert np.isfinite(answers).all()
    assert (answers[:, 1] <= answers[:, 0]).all()
    assert (answers[:, 0] <= answers[:, 2]).all()
    errors = np.abs(answers[:, 0] - data.validation_labels) / np.abs(data.validation_labels)
    assert errors.mean() < 0.15
    inside = (answers[:, 1] <= data.validation_labels) & (data.validation_labels <= answers[:, 2])
    assert inside.mean() > 0.7


@every_algorithm
def test_what_finish_learns_goes_on_after_the_validation_rows(name: str, one_month_series, report) -> None:
    data = one_month_series
    trained, final = learn(name, data, report)
    ends = [each.content.groups[0].members[0].end.astype("datetime64[M]") for each in (trained, final)]
    assert ends[1] - ends[0] == np.timedelta64(12, "M")
    assert final.content.groups[0].members[0].tail[-1] == data.validation_labels[-1]


@every_algorithm
def test_it_says_how_it_is_doing(name: str, many_hours, report) -> None:
    learn(name, many_hours, report, finished=False)
    assert report.fractions == sorted(report.fractions)
    assert len(report.fractions) > 2
    assert len({step for _, step, _ in report.metrics}) > 2
    assert any("24" in line for line in report.lines)


@every_algorithm
@pytest.mark.parametrize("set_name", ["many_hours", "one_month_series"])
def test_what_is_served_answers_as_the_training_pipeline(
    name: str, set_name: str, request, report, tmp_path: Path
) -> None:
    data = request.getfixturevalue(set_name)
    _, trained = learn(name, data, report)
    predictor = served(trained, tmp_path / "v")
    later = data.validation._replace(strings=data.validation.strings.copy())
    times = later.strings[:, 0].astype("datetime64[s]") + np.timedelta64(400 if "month" in set_name else 1, "D")
    later.strings[:, 0] = np.datetime_as_string(times).tolist()
    np.testing.assert_allclose(predictor.predict(later), trained.predict(later), rtol=1e-6)
    assert np.isfinite(predictor.predict(later)).all()


@every_algorithm
def test_the_same_data_and_seed_give_the_same_model(name: str, many_hours, report) -> None:
    one, other = (learn(name, many_hours, report, finished=False)[0].predict(many_hours.validation) for _ in range(2))
    np.testing.assert_array_equal(one, other)


@every_algorithm
def test_a_pickle_of_it_answers_the_same(name: str, one_month_series, report) -> None:
    _, trained = learn(name, one_month_series, report)
    entries = trained.answer(one_month_series.validation._replace(
        numbers=one_month_series.validation.numbers[:0], strings=one_month_series.validation.strings[:0]
    ), trained.Options())  # fmt: skip
    again = pickle.loads(pickle.dumps(trained))
    assert len(entries) == 12
    empty = one_month_series.validation._replace(
        numbers=one_month_series.validation.numbers[:0], strings=one_month_series.validation.strings[:0]
    )
    assert again.answer(empty, again.Options()) == entries


@every_algorithm
def test_its_form_is_complete(name: str) -> None:
    described = registry.describe(name)
    assert described["title"]
    for field in described["parameters"]["properties"].values():
        assert field["title"]
        assert field["description"].endswith(".")
        assert "default" in field
        assert field["x-group"]
