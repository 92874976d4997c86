"""Which column is what, told by names and kinds."""

from typing import Any

import pytest

from modelyard.core.errors import Invalid
from modelyard.features.datasets.roles import check, completed, infer, named_like_time


def profile(**columns: str) -> dict[str, Any]:
    """A profile of columns by type; `text` is prose, `id` names its rows, `few` has two values."""
    kinds = {"text": ("VARCHAR", "text", 90), "id": ("VARCHAR", "category", 100), "few": ("BIGINT", "integer", 2)}
    made = []
    for name, kind in columns.items():
        stored, guess, distinct = kinds.get(kind, (kind, "category", 50))
        made.append({"name": name, "type": stored, "kind": guess, "distinct": distinct, "identifier": kind == "id"})
    return {"rows": 100, "columns": made}


@pytest.mark.parametrize(
    ("scenario", "columns", "target", "roles"),
    [
        ("tabular-classification", {"a": "BIGINT", "Label": "VARCHAR"}, "Label", {}),
        ("tabular-regression", {"a": "BIGINT", "b": "DOUBLE"}, None, {}),
        ("anomaly-detection", {"a": "DOUBLE", "is_anomaly": "few"}, "is_anomaly", {}),
        ("anomaly-detection", {"timestamp": "TIMESTAMP", "value": "DOUBLE"}, None, {"time": "timestamp"}),
        ("anomaly-detection", {"a": "DOUBLE", "label": "DOUBLE"}, None, {}),
        ("time-series-prediction", {"Date": "DATE", "Temp": "DOUBLE"}, "Temp", {"time": "Date"}),
        ("time-series-prediction", {"ds": "TIMESTAMP", "unique_id": "VARCHAR", "y": "BIGINT"}, "y",
         {"time": "ds", "series": "unique_id"}),
        ("time-series-prediction", {"day": "DATE", "shop": "VARCHAR", "sales": "DOUBLE", "rain": "DOUBLE"}, "sales",
         {"time": "day", "series": "shop"}),
        ("time-series-prediction", {"when": "VARCHAR", "value": "VARCHAR"}, "value", {"time": "when"}),
        ("text-classification", {"text": "VARCHAR", "label": "VARCHAR"}, "label", {"text": "text"}),
        ("text-classification", {"sms": "text", "kind": "VARCHAR"}, "kind", {"text": "sms"}),
        ("text-classification", {"headline": "VARCHAR", "n": "BIGINT", "topic": "VARCHAR"}, "topic",
         {"text": "headline"}),
        ("log-clustering", {"line": "VARCHAR"}, None, {"text": "line"}),
        ("log-clustering", {"LineId": "BIGINT", "Content": "VARCHAR", "EventId": "VARCHAR"}, "EventId",
         {"text": "Content"}),
    ],
)  # fmt: skip
def test_columns_are_told(scenario: str, columns: dict[str, str], target: str | None, roles: dict[str, str]) -> None:
    assert infer(scenario, profile(**columns)) == (target, roles)


def test_what_is_given_counts_more_than_what_is_told() -> None:
    columns = profile(time="TIMESTAMP", value="DOUBLE", price="DOUBLE", shop="VARCHAR")
    assert completed("time-series-prediction", "price", {}, columns).target == "price"
    assert completed("time-series-prediction", None, {"series": "shop"}, columns) == (
        "value", {"time": "time", "series": "shop"},
    )  # fmt: skip


@pytest.mark.parametrize("name", ["timestamp", "Date", "event_time", "createdDate", "unix time", "ts", "DateTime"])
def test_names_of_times(name: str) -> None:
    assert named_like_time(name)


@pytest.mark.parametrize("name", ["sentiment", "candidate_id", "timer", "value", "times_seen"])
def test_names_of_other_things(name: str) -> None:
    assert not named_like_time(name)


@pytest.mark.parametrize(
    ("scenario", "target", "roles", "told"),
    [
        (
            "tabular-classification",
            "chrn",
            {},
            "no column 'chrn', which is the dataset's target. The nearest are churn",
        ),
        ("text-classification", "churn", {}, "no column for the text"),
        ("text-classification", None, {"text": "words"}, "no column for the label"),
        ("time-series-prediction", "value", {}, "no column for the time"),
        ("time-series-prediction", "words", {"time": "day"}, "'words' does not hold numbers"),
        ("time-series-prediction", "value", {"time": "words"}, "'words' does not hold times"),
        ("anomaly-detection", None, {"series": "machine"}, "no column 'machine', which is the dataset's series"),
        ("log-clustering", None, {}, "no column for the text"),
    ],
)
def test_a_missing_column_is_named(scenario: str, target: str | None, roles: dict[str, str], told: str) -> None:
    columns = profile(churn="VARCHAR", words="VARCHAR", day="DATE", value="DOUBLE")
    with pytest.raises(Invalid, match=told) as caught:
        check(scenario, target, roles, columns)
    assert caught.value.fields


@pytest.mark.parametrize("scenario", ["anomaly-detection", "log-clustering"])
def test_labels_may_be_missing_where_they_are_only_for_judging(scenario: str) -> None:
    check(scenario, "label", {"text": "line"} if scenario == "log-clustering" else {}, profile(line="VARCHAR"))
