"""The format that continues series: what a request may hold, and what it is answered."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from modelyard.core.errors import Broken, Invalid
from modelyard.formats import folder, forecast
from modelyard.formats._forecasting.group import Calibration, Group, Member
from modelyard.formats._forecasting.panel import Covariates
from modelyard.formats._forecasting.store import ARRAYS, DESCRIPTION, Content
from modelyard.formats.base import Batch
from modelyard.formats.registry import open_version
from modelyard.formats.series import DAY, Step
from modelyard.protocol.artifact import DESCRIPTION as MODEL
from modelyard.protocol.artifact import SIGNATURE, Artifact
from modelyard.protocol.signature import Field, Signature

WEEK = np.array([1.0, 2, 3, 4, 5, 9, 8])
SIGN = Signature(
    scenario="time-series-prediction", target="y", time="when", series="shop", horizon=3,
    inputs=(Field(name="when", kind="date"), Field(name="shop", kind="category"), Field(name="y", kind="number")),
)  # fmt: skip
MISSING = float("nan")


def content(names: tuple[str, ...] = ("a", "b")) -> Content:
    """Two series of four weeks that end on 28 January 2024; only the season is repeated."""
    members = tuple(
        Member(name, Step(0, DAY), np.datetime64("2024-01-28", "us"), np.tile(WEEK, 4) * (place + 1), np.ones(1), 1.0,
               np.zeros(0))
        for place, name in enumerate(names)
    )  # fmt: skip
    group = Group(
        step=Step(0, DAY), seasons=(7,), methods=("seasonal_naive",), combination="mean", memory=500,
        usual_weights=np.ones(1), usual_width=1.0,
        calibration=Calibration(np.array([1.0, 1.0, 2.0]), np.linspace(0, 2, 100)),
        linear=None, forest=None, members=members,
    )  # fmt: skip
    return Content(3, 0.9, Covariates((), (), ()), (group,))


def batch(*rows: tuple[str, str, float]) -> Batch:
    strings = np.array([row[:2] for row in rows], object).reshape(-1, 2)
    return Batch(np.array([[row[2]] for row in rows], np.float32).reshape(-1, 1), strings)


@pytest.fixture
def version(tmp_path: Path) -> Path:
    target = tmp_path / "v"
    target.mkdir()
    form = forecast.save(SIGN, content(), target)
    folder.write(target / SIGNATURE, SIGN)
    folder.write(target / MODEL, Artifact(format=form, scenario="time-series-prediction", algorithm="any"))
    return target


@pytest.fixture
def predictor(version: Path):
    return open_version(version)


def days(first: str, values) -> list[tuple[str, str, float]]:
    times = np.datetime64(first) + np.arange(len(values))
    return [(str(time), "a", value) for time, value in zip(times, values, strict=True)]


def test_without_history_a_series_goes_on_where_training_ended(predictor) -> None:
    answers = predictor.predict(batch(("2024-01-29", "b", MISSING), ("2024-01-29", "a", MISSING)))
    assert answers[:, 0].tolist() == [2.0, 1.0]


def test_any_step_after_the_end_may_be_asked_for(predictor) -> None:
    answers = predictor.predict(batch(("2024-03-03", "a", MISSING), ("2024-02-02", "a", MISSING)))
    assert answers[:, 0].tolist() == [8.0, 5.0]


def test_rows_of_history_get_nothing(predictor) -> None:
    answers = predictor.predict(batch(("2024-01-29", "a", 1.0), ("2024-01-30", "a", MISSING)))
    assert np.isnan(answers[0]).all()
    assert np.isfinite(answers[1]).all()


def test_history_that_follows_on_extends_what_is_stored(predictor) -> None:
    answers = predictor.predict(
        batch(("2024-01-29", "a", 50.0), ("2024-01-30", "a", MISSING), ("2024-02-05", "a", MISSING))
    )
    assert answers[1:, 0].tolist() == [2.0, 50.0]


def test_history_that_stands_elsewhere_replaces_what_is_stored(predictor) -> None:
    rows = [*days("2026-05-01", np.tile([7.0, 6, 5, 4, 3, 2, 1], 3)), *days("2026-05-22", [MISSING] * 2)]
    assert predictor.predict(batch(*rows))[-2:, 0].tolist() == [7.0, 6.0]


def test_a_few_values_after_a_short_gap_are_joined_to_what_is_stored(predictor) -> None:
    rows = [*days("2024-01-31", [3.0, 4.0]), *days("2024-02-02", [MISSING] * 2)]
    np.testing.assert_allclose(predictor.predict(batch(*rows))[-2:, 0], [5.0, 9.0])


def test_a_series_that_was_not_there_is_continued_from_its_own_history(predictor) -> None:
    rows = [(when, "new", value) for when, _, value in days("2025-01-01", np.tile(WEEK, 3) * 100)]
    answers = predictor.predict(batch(*rows, ("2025-01-22", "new", MISSING)))
    assert answers[-1, 0] == pytest.approx(100)


def test_a_series_of_another_step_finds_its_own_season(predictor) -> None:
    times = np.datetime64("2025-01-01T00:00") + np.arange(96) * np.timedelta64(1, "h")
    values = 10 + np.sin(np.arange(97) * 2 * np.pi / 24)
    rows = [(str(time), "hours", value) for time, value in zip(times, values, strict=False)]
    answers = predictor.predict(batch(*rows, ("2025-01-05T00:00", "hours", MISSING)))
    assert answers[-1, 0] == pytest.approx(values[96], abs=1e-3)


def test_an_unknown_series_without_history_is_named(predictor) -> None:
    with pytest.raises(Invalid, match="'new' was not there in training"):
        predictor.predict(batch(("2024-01-29", "new", MISSING)))


def test_a_time_before_all_history_is_refused(predictor) -> None:
    with pytest.raises(Invalid, match=r"Row 1 of series 'a'.*lies before all history"):
        predictor.predict(batch(("2020-01-01", "a", MISSING)))


def test_a_time_much_too_far_away_is_refused(predictor) -> None:
    with pytest.raises(Invalid, match="steps after the last known value"):
        predictor.predict(batch(("2924-01-01", "a", MISSING)))


def test_a_hole_in_the_history_is_answered_in_a_line(predictor) -> None:
    answers = predictor.predict(batch(*days("2026-01-01", [1.0, MISSING, 3.0])))
    assert answers[1].tolist() == [2.0, 2.0, 2.0]


def test_rows_may_come_in_any_order(predictor) -> None:
    rows = [*days("2026-05-01", np.tile(WEEK, 3)), *days("2026-05-22", [MISSING] * 3)]
    order = np.random.default_rng(0).permutation(len(rows))
    straight = predictor.predict(batch(*rows))
    np.testing.assert_array_equal(predictor.predict(batch(*[rows[place] for place in order])), straight[order])


def test_intervals_hold_the_value_and_widen_with_the_level(predictor) -> None:
    asked = batch(("2024-01-31", "a", MISSING), ("2024-02-03", "a", MISSING))
    widths = []
    for level in (0.5, 0.9, 0.99, 0.9999):
        entries = predictor.answer(asked, predictor.Options(level=level))
        assert all(entry["lower"] <= entry["prediction"] <= entry["upper"] for entry in entries)
        widths.append(entries[0]["upper"] - entries[0]["prediction"])
    assert widths == sorted(widths)
    assert len(set(widths)) > 2


def test_exactly_the_rows_without_a_value_are_answered_in_order_of_series_and_time(predictor) -> None:
    entries = predictor.answer(
        batch(("2024-01-30", "b", MISSING), ("2024-01-29", "a", MISSING), ("2024-01-29", "b", MISSING)),
        predictor.Options(),
    )
    assert [(entry["series"], entry["timestamp"]) for entry in entries] == [
        ("b", "2024-01-29T00:00:00Z"), ("b", "2024-01-30T00:00:00Z"), ("a", "2024-01-29T00:00:00Z"),
    ]  # fmt: skip
    assert list(entries[0]) == ["series", "timestamp", "prediction", "lower", "upper"]
    assert msgspec.json.decode(msgspec.json.encode(entries)) == entries


def test_without_rows_every_known_series_goes_on(predictor) -> None:
    entries = predictor.answer(batch(), predictor.Options(steps=2))
    assert [entry["series"] for entry in entries] == ["a", "a", "b", "b"]
    assert [entry["prediction"] for entry in entries] == [1.0, 2.0, 2.0, 4.0]
    assert len(predictor.answer(batch(), predictor.Options())) == 2 * 3


def test_what_happened_since_is_known_from_then_on(version: Path, predictor) -> None:
    since = batch(*days("2024-01-29", [10.0, 20.0, 30.0, 40.0, 50.0, 90.0, 80.0]))
    grown = predictor.extended(since, version)
    for each in (grown, open_version(version)):
        answers = each.predict(batch(("2024-02-05", "a", MISSING), ("2024-01-29", "b", MISSING)))
        assert answers[:, 0].tolist() == [10.0, 2.0]
    # What was told before is history: it is not taken in again.
    again = grown.extended(batch(*days("2024-01-20", [7.0, 7.0])), version)
    assert again.predict(batch(("2024-02-05", "a", MISSING)))[:, 0].tolist() == [10.0]


def test_with_history_alone_its_series_go_on_after_it(predictor) -> None:
    entries = predictor.answer(batch(*days("2026-05-01", np.tile(WEEK, 3))), predictor.Options())
    assert [entry["timestamp"][:10] for entry in entries] == ["2026-05-22", "2026-05-23", "2026-05-24"]
    assert {entry["series"] for entry in entries} == {"a"}


@pytest.mark.parametrize(
    "options", ['{"steps": 0}', '{"steps": 1001}', '{"level": 1}', '{"level": 0}', '{"horizon": 3}']
)
def test_options_have_bounds(options: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(options, type=forecast.ForecastPredictor.Options)


def test_one_series_without_a_name(version: Path) -> None:
    unnamed = Signature(
        scenario="time-series-prediction", target="y", time="when", horizon=3,
        inputs=(Field(name="when", kind="date"), Field(name="y", kind="number")),
    )  # fmt: skip
    predictor = forecast.ForecastPredictor(unnamed, content(("",)))
    rows = Batch(np.array([[MISSING]], np.float32), np.array([["2024-01-29T00:00:00Z"]], object))
    assert predictor.predict(rows)[0, 0] == 1.0
    assert list(predictor.answer(rows, predictor.Options())[0]) == ["timestamp", "prediction", "lower", "upper"]


def test_more_series_than_one_answer_holds_are_refused() -> None:
    predictor = forecast.ForecastPredictor(SIGN, content(tuple(f"shop {number}" for number in range(1001))))
    with pytest.raises(Invalid, match="1,001 series"):
        predictor.answer(batch(), predictor.Options())


@pytest.mark.parametrize("file", [DESCRIPTION, ARRAYS])
@pytest.mark.parametrize("damage", [b"", b"{}", b"PK\x03\x04 no archive"])
def test_a_damaged_file_is_broken(version: Path, file: str, damage: bytes) -> None:
    (version / file).write_bytes(damage)
    with pytest.raises(Broken, match="Train the version again"):
        open_version(version)


def test_an_absent_file_is_broken(version: Path) -> None:
    (version / ARRAYS).unlink()
    with pytest.raises(Broken):
        open_version(version)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("0.lengths", np.array([28, 29], np.int64)),
        ("0.weights", np.ones((2, 2))),
        ("0.tails", np.full(56, np.nan)),
        ("0.scores", np.zeros(0)),
        ("0.tails", np.array([object()])),
        ("0.ends", np.array(["x", "y"])),
    ],
)
def test_arrays_that_do_not_fit_are_broken(version: Path, name: str, value: np.ndarray) -> None:
    with np.load(version / ARRAYS) as arrays:
        whole = dict(arrays)
    np.savez(version / ARRAYS, **{**whole, name: value})
    with pytest.raises(Broken):
        open_version(version)


def test_a_method_that_nothing_here_knows_is_broken(version: Path) -> None:
    said = (version / DESCRIPTION).read_bytes().replace(b"seasonal_naive", b"crystal_ball")
    (version / DESCRIPTION).write_bytes(said)
    with pytest.raises(Broken, match="crystal_ball"):
        open_version(version)
