"""Trees in the graph decide as LightGBM does: next to thresholds, on gaps, on categories by the hundred."""

from pathlib import Path

import lightgbm
import numpy as np
import onnxruntime
import pytest

from modelyard.algorithms.tabular import trees
from modelyard.algorithms.tabular.graph import Graph

ROWS = 3000
CATEGORIES = 200


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    plain, gaps = random.lognormal(10, 4, ROWS), random.normal(0, 1, ROWS)
    gaps[random.random(ROWS) < 0.2] = np.nan
    few, many = random.integers(1, 4, ROWS), random.integers(1, CATEGORIES, ROWS)
    matrix = np.column_stack([plain, gaps, few, many]).astype(np.float32)
    effect = random.normal(0, 1, CATEGORIES)
    value = np.log(plain) + np.where(np.isnan(gaps), 2, gaps) + effect[many] + (few == 2)
    return matrix, value


def booster_of(matrix: np.ndarray, labels: np.ndarray, **settings) -> lightgbm.Booster:
    data = lightgbm.Dataset(matrix, labels, categorical_feature=[2, 3], params={"verbosity": -1})
    usual = {"verbosity": -1, "num_leaves": 31, "min_data_per_group": 10, "num_threads": 1}
    return lightgbm.train({**usual, **settings}, data, 60)


def graph_of(booster: lightgbm.Booster, folder: Path, scores: int = 1) -> onnxruntime.InferenceSession:
    graph = Graph(numbers=4, strings=0, outputs=scores)
    fill = np.full(4, np.nan)
    raw = trees.append(graph, graph.numbers(), trees.parse(booster.model_to_string()), scores=scores, fill=fill)
    graph.save(folder, raw)
    return onnxruntime.InferenceSession((folder / "model.onnx").read_bytes())


def thresholds(booster: lightgbm.Booster) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for tree in trees.parse(booster.model_to_string()):
        for feature, threshold, decision in zip(tree.features, tree.thresholds, tree.decisions, strict=True):
            if not decision & trees.CATEGORICAL:
                found.setdefault(feature, []).append(threshold)
    return found


def test_rows_next_to_every_threshold_fall_to_the_same_side(table, tmp_path: Path) -> None:
    matrix, value = table
    booster = booster_of(matrix, value, objective="regression")
    session = graph_of(booster, tmp_path)
    rows = []
    for feature, values in thresholds(booster).items():
        nearest = np.array(values).astype(np.float32)
        for near in (nearest, np.nextafter(nearest, np.float32(np.inf)), np.nextafter(nearest, np.float32(-np.inf))):
            moved = matrix[np.arange(len(near)) % ROWS].copy()
            moved[:, feature] = near
            rows.append(moved)
    rows = np.concatenate(rows)
    assert len(rows) > 1000
    expected = booster.predict(rows, raw_score=True).astype(np.float32)
    np.testing.assert_array_equal(session.run(None, {"numbers": rows})[0][:, 0], expected)


def test_gaps_and_unknown_categories_fall_to_the_same_side(table, tmp_path: Path) -> None:
    matrix, value = table
    booster = booster_of(matrix, value, objective="regression")
    session = graph_of(booster, tmp_path)
    rows = matrix.copy()
    random = np.random.default_rng(0)
    rows[random.random(rows.shape) < 0.3] = np.nan
    rows[:100, 3] = np.arange(100) + CATEGORIES
    rows[100:200, 2] = 0
    expected = booster.predict(rows, raw_score=True).astype(np.float32)
    np.testing.assert_array_equal(session.run(None, {"numbers": rows})[0][:, 0], expected)


def test_several_scores_are_summed_apart(table, tmp_path: Path) -> None:
    matrix, value = table
    labels = np.digitize(value, np.quantile(value, [0.3, 0.6]))
    booster = booster_of(matrix, labels, objective="multiclass", num_class=3)
    session = graph_of(booster, tmp_path, scores=3)
    expected = booster.predict(matrix, raw_score=True).astype(np.float32)
    np.testing.assert_array_equal(session.run(None, {"numbers": matrix})[0], expected)


def test_trees_of_one_leaf_are_constants(table, tmp_path: Path) -> None:
    matrix, value = table
    booster = booster_of(matrix[:30], value[:30], objective="regression", min_data_in_leaf=29)
    assert all(not tree.features for tree in trees.parse(booster.model_to_string()))
    answers = graph_of(booster, tmp_path).run(None, {"numbers": matrix})[0]
    np.testing.assert_allclose(answers, np.float32(value[:30].mean()), rtol=1e-6)


def test_a_fill_stands_for_a_missing_number(table, tmp_path: Path) -> None:
    matrix, value = table
    booster = booster_of(matrix, value, objective="regression")
    fill = np.array([float(np.float32(22026.5)), 0.25, np.nan, np.nan])
    graph = Graph(numbers=4, strings=0, outputs=1)
    graph.save(
        tmp_path, trees.append(graph, graph.numbers(), trees.parse(booster.model_to_string()), scores=1, fill=fill)
    )
    session = onnxruntime.InferenceSession((tmp_path / "model.onnx").read_bytes())
    gaps = matrix.copy()
    gaps[::2, :2] = np.nan
    filled = np.where(np.isnan(gaps), fill, gaps)
    expected = booster.predict(filled, raw_score=True).astype(np.float32)
    np.testing.assert_array_equal(session.run(None, {"numbers": gaps})[0][:, 0], expected)
