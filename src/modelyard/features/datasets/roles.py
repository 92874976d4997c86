"""Which column of a table is what for a scenario: found by the columns' names and kinds, and checked.

`target` is the column to predict or the label; `roles` name the others: time, series, text, group.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from modelyard.core.errors import Invalid

TIMES = frozenset({"DATE", "TIMESTAMP"})
NUMBERS = frozenset({"BIGINT", "DOUBLE"})
REQUIRED: dict[str, tuple[str, ...]] = {
    "time-series-prediction": ("time", "target"),
    "text-classification": ("text", "target"),
    "log-clustering": ("text",),
}
"""What a table of the scenario cannot do without. Which column of a tabular one is predicted may be said later."""
OPTIONAL_TARGET = frozenset({"anomaly-detection", "log-clustering"})
_WORDS = {
    "time": (
        "timestamp", "datetime", "date_time", "time", "date", "ds", "ts", "epoch", "unix", "unixtime", "when", "day",
        "month", "year", "hour", "created_at", "period",
    ),
    "series": (
        "series", "series_id", "unique_id", "item_id", "item", "sensor", "sensor_id", "device", "device_id", "machine",
        "machine_id", "entity", "store", "store_id", "product", "product_id", "sku", "symbol", "station", "meter",
        "meter_id", "channel", "location", "id", "key", "group", "name",
    ),
    "value": ("value", "target", "y", "label", "values", "amount", "sales", "demand", "count", "total", "price"),
    "label": (
        "label", "target", "class", "category", "y", "sentiment", "labels", "classes", "topic", "intent", "outcome",
        "tag", "answer",
    ),
    "anomaly": (
        "label", "is_anomaly", "anomaly", "outlier", "is_outlier", "target", "class", "y", "attack", "is_attack",
        "anomalous", "labels", "fault", "fraud", "is_fraud", "abnormal",
    ),
    "text": (
        "text", "sentence", "content", "message", "review", "comment", "body", "document", "utterance", "question",
        "description", "title", "headline", "tweet", "texts", "sms",
    ),
    "line": ("line", "message", "content", "log", "msg", "text", "raw", "log_line", "logline", "event_message", "body"),
    "event": ("event_id", "event", "label", "template_id", "event_template", "template", "cluster", "target", "class"),
}  # fmt: skip
_TIME_NAME = re.compile(
    r"(^|[\s_.\-])(time|timestamp|ts|date|datetime|epoch|unix|unixtime|ds|when)($|[\s_.\-])|(time|date|timestamp)$",
    re.IGNORECASE,
)
_TABULAR_TARGETS = ("target", "label", "class", "y", "outcome")


class Roles(NamedTuple):
    """The target, where there is one, and the other columns by what they are."""

    target: str | None
    roles: dict[str, str]


def named_like_time(name: str) -> bool:
    """Whether a column of this name holds times, going by the name."""
    return bool(_TIME_NAME.search(_snake(name)))


def is_line_name(name: str) -> bool:
    """Whether a column of this name holds the lines of a log."""
    return _snake(name) in _WORDS["line"]


def infer(scenario: str, profile: Mapping[str, Any]) -> Roles:
    """What the columns of `profile` are, as far as names and kinds tell. Roles that nothing tells are left out."""
    columns = [dict(column) for column in profile["columns"]]
    found = {
        "anomaly-detection": _anomaly,
        "time-series-prediction": _series,
        "text-classification": _text,
        "log-clustering": _log,
    }.get(scenario, _tabular)(columns)
    return Roles(found.pop("target", None), found)


def completed(scenario: str, target: str | None, roles: Mapping[str, str], profile: Mapping[str, Any]) -> Roles:
    """What is given, and what can be told from the columns besides."""
    told = infer(scenario, _without(profile, {target, *roles.values()}))
    return Roles(target if target is not None else told.target, {**told.roles, **roles})


def check(scenario: str, target: str | None, roles: Mapping[str, str], profile: Mapping[str, Any]) -> None:
    """Raises Invalid where the scenario lacks a column, or one that is named is not there or is no such thing."""
    columns = {column["name"]: column for column in profile["columns"]}
    given = {**roles, **({"target": target} if target is not None else {})}
    for role in REQUIRED.get(scenario, ()):
        if role not in given:
            raise _lacking(scenario, role, list(columns))
    for role, name in given.items():
        if name in columns or (role == "target" and scenario in OPTIONAL_TARGET):
            continue
        raise _not_there(role, name, list(columns))
    _check_kinds(scenario, given, columns)


def _check_kinds(scenario: str, given: Mapping[str, str], columns: Mapping[str, Mapping[str, Any]]) -> None:
    time = given.get("time")
    if time is not None and time in columns and scenario in {"time-series-prediction", "anomaly-detection"}:
        _check_kind(columns[time], TIMES, "times", "Write them as 2024-01-31 10:00:00 or as seconds since 1970")
    target = given.get("target")
    if target is not None and target in columns and scenario == "time-series-prediction":
        _check_kind(columns[target], NUMBERS, "numbers", "Name the column to predict, or correct its values")


def _check_kind(column: Mapping[str, Any], types: frozenset[str], what: str, hint: str) -> None:
    if column["type"] in types or not column.get("distinct", 1):
        return
    examples = ", ".join(repr(value) for value in list(column.get("examples", ()))[:3])
    raise Invalid(
        f"The column {column['name']!r} does not hold {what}"
        + (f" (but {examples})" if examples else "")
        + f". {hint}.",
        detail={"column": column["name"]},
        fields=[{"field": column["name"], "message": f"does not hold {what}"}],
    )


def _lacking(scenario: str, role: str, names: Sequence[str]) -> Invalid:
    wanted = {"target": "label" if scenario == "text-classification" else "value"}.get(role, role)
    there = ", ".join(names[:20])
    return Invalid(
        f"The table has no column for the {wanted} that {scenario} needs; it has {there}. Call one {wanted!r}, or say "
        f"in the dataset's settings which column it is ({'target' if role == 'target' else f'roles.{role}'}).",
        detail={"role": role, "columns": list(names[:20])},
        fields=[{"field": role, "message": "no column for it"}],
    )


def _not_there(role: str, name: str, names: Sequence[str]) -> Invalid:
    lowered = {each.casefold(): each for each in names}
    near = [lowered[each] for each in difflib.get_close_matches(name.casefold(), lowered, n=3, cutoff=0.4)]
    hint = f"The nearest are {', '.join(near)}." if near else f"There are {', '.join(names[:20])}."
    return Invalid(
        f"The table has no column {name!r}, which is the dataset's {role}. {hint}",
        detail={"role": role, "column": name, "nearest": near},
        fields=[{"field": role, "message": f"no column {name!r}"}],
    )


def _tabular(columns: list[dict[str, Any]]) -> dict[str, str]:
    return _present(target=_named(columns, _TABULAR_TARGETS))


def _series(columns: list[dict[str, Any]]) -> dict[str, str]:
    time = _time(columns)
    left = _others(columns, time)
    value = _named(left, _WORDS["value"])
    series = _series_column(_others(left, value))
    numeric = [column for column in _others(left, series) if column["type"] in NUMBERS]
    return _present(time=time, series=series, target=value or (numeric[-1]["name"] if numeric else None))


def _anomaly(columns: list[dict[str, Any]]) -> dict[str, str]:
    time = _time(columns)
    left = _others(columns, time)
    target = _named([column for column in left if int(column.get("distinct", 2)) <= 2], _WORDS["anomaly"])
    series = _series_column(_others(left, target)) if time is not None else None
    return _present(time=time, series=series, target=target)


def _text(columns: list[dict[str, Any]]) -> dict[str, str]:
    words = [column for column in columns if column["type"] == "VARCHAR"]
    text = _named(words, _WORDS["text"]) or _wordiest(words)
    left = _others(columns, text)
    target = _named(left, _WORDS["label"]) or (left[0]["name"] if len(left) == 1 else None)
    return _present(text=text, target=target)


def _log(columns: list[dict[str, Any]]) -> dict[str, str]:
    words = [column for column in columns if column["type"] == "VARCHAR"]
    text = _named(words, _WORDS["line"]) or (words[0]["name"] if len(columns) == 1 and words else None)
    return _present(text=text, target=_named(_others(columns, text), _WORDS["event"]))


def _time(columns: list[dict[str, Any]]) -> str | None:
    """A column of times, those first that are called so; else one that is called so, whatever it holds."""
    dated = [column for column in columns if column["type"] in TIMES]
    found = _named(dated, _WORDS["time"]) or next((c["name"] for c in dated if named_like_time(c["name"])), None)
    if found or dated:
        return found or dated[0]["name"]
    return next((column["name"] for column in columns if named_like_time(column["name"])), None)


def _series_column(columns: list[dict[str, Any]]) -> str | None:
    """The column that says which series a row belongs to: called so and repeating, or the only one of words."""
    repeating = [column for column in columns if not column.get("identifier") and column["type"] != "DOUBLE"]
    named = _named([column for column in repeating if column["type"] not in TIMES], _WORDS["series"])
    if named:
        return named
    words = [column for column in repeating if column["type"] == "VARCHAR" and column.get("kind") != "text"]
    return words[0]["name"] if len(words) == 1 else None


def _wordiest(columns: list[dict[str, Any]]) -> str | None:
    sentences = [column for column in columns if column.get("kind") == "text"] or columns
    return max(sentences, key=lambda column: int(column.get("distinct", 0)))["name"] if sentences else None


def _named(columns: Iterable[Mapping[str, Any]], words: Sequence[str]) -> str | None:
    """The column that is called by the foremost of `words`."""
    names = {_snake(column["name"]): str(column["name"]) for column in reversed(list(columns))}
    squeezed = {name.replace("_", ""): own for name, own in names.items()}
    for word in words:
        found = names.get(word) or squeezed.get(word.replace("_", ""))
        if found is not None:
            return found
    return None


def _others(columns: list[dict[str, Any]], name: str | None) -> list[dict[str, Any]]:
    return [column for column in columns if column["name"] != name]


def _without(profile: Mapping[str, Any], names: set[str | None]) -> dict[str, Any]:
    return {"columns": [column for column in profile["columns"] if column["name"] not in names]}


def _present(**found: str | None) -> dict[str, str]:
    return {role: name for role, name in found.items() if name is not None}


def _snake(name: str) -> str:
    """`EventId`, `event id` and `EVENT-ID` as `event_id`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\s.\-]+", "_", parted).lower()
