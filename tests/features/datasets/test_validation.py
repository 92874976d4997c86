"""What is found in tables, row by row."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from modelyard.features.datasets.profile import describe
from modelyard.features.datasets.validation import Problem, validate

Find = Callable[..., dict[str, Problem]]


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """`find(rows of SQL, scenario, target, …)`: the problems of a table by their codes."""

    def run(query: str, scenario: str, target: str | None = None, purpose: str = "training", **roles: str) -> Any:
        path = tmp_path / "table.parquet"
        with duckdb.connect() as connection:
            connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
            profile = describe(connection, f"read_parquet('{path}')")
            found = validate(
                connection, f"'{path}'", profile, scenario=scenario, target=target, roles=roles, purpose=purpose
            )
        codes = [problem.code for problem in found]
        assert len(set(codes)) == len(codes)
        return {problem.code: problem for problem in found}

    return run


def texts(case: str) -> str:
    return f"SELECT {case} AS text, CASE WHEN i % 2 = 0 THEN 'x' ELSE 'y' END AS label FROM range(1, 41) AS t(i)"


def test_a_good_table_has_no_problems(find: Find) -> None:
    assert find(texts("'text ' || i"), "text-classification", "label", text="text") == {}


def test_empty_texts_and_missing_labels_are_named(find: Find) -> None:
    query = texts("CASE WHEN i IN (3, 5) THEN ' ' WHEN i > 5 THEN 'text ' || i END")
    empty = find(query, "text-classification", "label", text="text")["empty_texts"]
    assert (empty.count, empty.rows) == (5, (1, 2, 3, 4, 5))
    label = "CASE WHEN i > 30 THEN 'a' WHEN i > 2 THEN 'b' END"
    query = f"SELECT 'text ' || i AS text, {label} AS label FROM range(1, 41) AS t(i)"
    missing = find(query, "text-classification", "label", text="text")["missing_labels"]
    assert (missing.count, missing.rows, missing.severity) == (2, (1, 2), "warning")


def test_only_the_first_rows_are_named_but_all_counted(find: Find) -> None:
    found = find(texts("CASE WHEN i > 35 THEN 'x' || i END"), "text-classification", "label", text="text")[
        "empty_texts"
    ]
    assert (found.count, found.rows) == (35, tuple(range(1, 21)))


@pytest.mark.parametrize("scenario", ["tabular-classification", "text-classification"])
def test_one_class_is_nothing_to_learn(find: Find, scenario: str) -> None:
    query = "SELECT 'text ' || i AS text, 'same' AS label FROM range(40) AS t(i)"
    assert find(query, scenario, "label", text="text")["one_class"].severity == "error"
    assert "one_class" not in find(query, scenario, "label", purpose="test", text="text")


@pytest.mark.parametrize(
    "good", ["i % 2", "i % 2 = 0", "(i % 2)::DOUBLE", "CASE WHEN i % 2 = 0 THEN 'Normal' ELSE 'ANOMALY' END"]
)
def test_labels_of_anomalies(find: Find, good: str) -> None:
    assert "not_a_label" not in find(
        f"SELECT i AS a, {good} AS label FROM range(40) AS t(i)", "anomaly-detection", "label"
    )


def test_labels_of_anomalies_that_are_none(find: Find) -> None:
    query = "SELECT i AS a, CASE WHEN i = 7 THEN 3 ELSE i % 2 END AS label FROM range(1, 41) AS t(i)"
    found = find(query, "anomaly-detection", "label")["not_a_label"]
    assert (found.severity, found.count, found.rows) == ("error", 1, (7,))


def series(time: str = "TIMESTAMP '2024-01-01' + INTERVAL (i) HOUR", value: str = "i::DOUBLE", more: str = "") -> str:
    return f"SELECT {time} AS time, {value} AS value{more} FROM range(1, 61) AS t(i)"


def predict(find: Find, query: str, **roles: str) -> dict[str, Problem]:
    return find(query, "time-series-prediction", "value", time="time", **roles)


def test_a_good_series_has_no_problems(find: Find) -> None:
    assert predict(find, series()) == {}


@pytest.mark.parametrize("unit", ["MONTH", "DAY", "YEAR", "WEEK", "SECOND"])
def test_months_and_years_are_even_steps(find: Find, unit: str) -> None:
    assert predict(find, series(f"DATE '1950-01-31' + INTERVAL (i) {unit}")) == {}


def test_missing_and_repeated_times(find: Find) -> None:
    found = predict(find, series("CASE WHEN i <> 4 THEN TIMESTAMP '2024-01-01' + INTERVAL (least(i, 59)) HOUR END"))
    assert (found["missing_times"].rows, found["missing_times"].severity) == ((4,), "error")
    assert found["duplicate_times"].rows == (60,)


def test_gaps_and_irregular_steps(find: Find) -> None:
    gap = predict(find, series("TIMESTAMP '2024-01-01' + INTERVAL (i + CASE WHEN i > 20 THEN 5 ELSE 0 END) HOUR"))
    assert (gap["gaps"].count, gap["gaps"].rows) == (1, (21,))
    soon = predict(
        find, series("TIMESTAMP '2024-01-01' + INTERVAL (i * 60 - CASE WHEN i = 9 THEN 40 ELSE 0 END) MINUTE")
    )
    assert soon["irregular_steps"].rows == (9,)


def test_rows_out_of_order(find: Find) -> None:
    swapped = series("TIMESTAMP '2024-01-01' + INTERVAL (CASE i WHEN 5 THEN 6 WHEN 6 THEN 5 ELSE i END) HOUR")
    found = predict(find, swapped)
    assert (list(found), found["unsorted"].rows) == (["unsorted"], (6,))


def test_each_series_is_looked_at_by_itself(find: Find) -> None:
    time = "TIMESTAMP '2024-01-01' + INTERVAL (i // 2) HOUR"
    two = f"SELECT {time} AS time, i::DOUBLE AS value, i % 2 AS id FROM range(80) AS t(i)"
    assert set(predict(find, two, series="id")) == set()
    assert "duplicate_times" in predict(find, two)


def test_short_series_and_different_steps_are_named(find: Find) -> None:
    query = (
        "SELECT TIMESTAMP '2024-01-01' + INTERVAL (i * CASE WHEN s = 'b' THEN 24 ELSE 1 END) HOUR AS time, "
        "i::DOUBLE AS value, s AS id FROM range(30) AS t(i), (VALUES ('a'), ('b'), ('c')) AS n(s) "
        "WHERE s <> 'c' OR i < 3"
    )
    found = predict(find, query, series="id")
    assert "'c'" in found["short_series"].message
    assert found["short_series"].count == 1
    assert "1 h to 1 d" in found["mixed_steps"].message


def test_values(find: Find) -> None:
    found = predict(find, series(value="CASE WHEN i = 3 THEN -1.0 WHEN i <> 5 THEN i END::DOUBLE"))
    assert (found["negative_values"].rows, found["missing_values"].rows) == ((3,), (5,))
    assert "negative_values" not in predict(find, series(value="(i - 30)::DOUBLE"))
    assert find("SELECT i AS a, CASE WHEN i < 3 THEN 'x' ELSE i::VARCHAR END AS y FROM range(1, 31) AS t(i)",
                "tabular-regression", "y")["not_numeric"].rows == (1, 2)  # fmt: skip


def test_repeated_rows_and_constant_columns(find: Find) -> None:
    query = "SELECT least(i, 38) AS a, 'c' AS b, NULL::BIGINT AS c, i % 2 AS y FROM range(1, 41) AS t(i)"
    found = find(query, "tabular-classification", "y")
    assert found["duplicate_rows"].rows == (40,)
    assert "'b', 'c'" in found["constant_columns"].message


def test_too_few_rows_only_matter_for_training(find: Find) -> None:
    query = "SELECT i AS a, i % 2 AS y FROM range(5) AS t(i)"
    assert find(query, "tabular-classification", "y")["too_few_rows"].count == 5
    assert "too_few_rows" not in find(query, "tabular-classification", "y", purpose="test")


def test_lines_of_a_log_may_repeat(find: Find) -> None:
    assert find("SELECT 'the same' AS line FROM range(40)", "log-clustering", text="line") == {}


def test_odd_names_of_columns_do_no_harm(find: Find) -> None:
    query = """SELECT i AS "a ""b"", (c)", 'x' || (i % 2) AS "ta'rget" FROM range(40) AS t(i)"""
    assert find(query, "tabular-classification", "ta'rget") == {}


def test_what_is_worst_comes_first(find: Find) -> None:
    query = "SELECT 'text' AS text, 'same' AS label FROM range(5)"
    found = [problem.severity for problem in find(query, "text-classification", "label", text="text").values()]
    assert found == sorted(found, key=["error", "warning", "info"].index)
