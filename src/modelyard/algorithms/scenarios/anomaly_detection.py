"""Anomalies: rows of a table, or moments of series where a column says when. Labels may be there, or not."""

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.scenarios import _drawings as drawings
from modelyard.algorithms.scenarios._ordered import PURPOSES, ordered
from modelyard.algorithms.scenarios._tables import example, few, rows_as_sent
from modelyard.algorithms.scenarios.base import Aim, Answers, Part, Parts, Prepared, Scenario, Tables, Unfit
from modelyard.algorithms.scoring import Anomalies, Judge
from modelyard.algorithms.tabular import columns
from modelyard.algorithms.tabular.split import TEST_SHARE, VALIDATION_SHARE, Purpose, split
from modelyard.algorithms.tabular.table import Column, Table
from modelyard.formats.base import Batch, Predictor
from modelyard.protocol.signature import Field, Signature

FEWEST_ROWS = 20
ODD = frozenset({"1", "true", "yes", "y", "t", "o", "anomaly", "anomalous", "abnormal", "outlier", "attack", "fraud"})
USUAL = frozenset({"0", "false", "no", "n", "f", "i", "normal", "usual", "inlier", "ok", "benign"})
DRAWN = 2000
LISTED = 50


class _Notes(NamedTuple):
    """Where the test rows stand: their times, and the series of each."""

    times: NDArray[np.datetime64] | None
    series: NDArray[np.object_] | None


class AnomalyDetection(Scenario):
    """Answers a score, a severity and a flag to each row."""

    baseline_is: ClassVar[str] = "that nothing is an anomaly"

    def does(self, signature: Signature) -> str:
        where = f"at each `{signature.time}`" if signature.time else "in each row"
        return f"Says how odd the values {where} are, and which are anomalies"

    def prepare(self, aim: Aim, tables: Tables) -> Prepared:
        if aim.target and aim.target not in tables["training"].columns:
            raise Unfit("target_missing", f"The table has no column {aim.target!r}, which is to hold the labels.")
        return _series(aim, tables) if "time" in aim.roles else _rows(aim, tables)

    def judge(self, prepared: Prepared, purpose: Purpose) -> Judge:  # noqa: ARG002
        return Anomalies()

    def baseline(self, prepared: Prepared) -> Answers:
        """Nothing is ever flagged."""
        return np.zeros((len(prepared.parts.test.labels), 3), np.float32)

    def details(self, prepared: Prepared, answers: Answers, predictor: Predictor | None) -> dict[str, Any]:  # noqa: ARG002
        labels = prepared.parts.test.labels
        known = labels >= 0
        found: dict[str, Any] = {"scores": _scores(labels, answers)}
        if 0 < (labels == 1).sum() < known.sum():
            found["curves"] = drawings.curves(labels[known] == 1, answers[known, 0])
        if known.any():
            flags = (answers[known, 2] > 0.5).astype(np.int64)
            found["confusion"] = drawings.confusion(("normal", "anomaly"), labels[known], flags)
        found["anomalies"] = _listed(prepared, answers)
        if prepared.signature.time is not None:
            found["timeline"] = _timeline(prepared, answers)
        return found

    def suspicion(self, prepared: Prepared, answers: Answers) -> tuple[str, ...]:
        labels, share = prepared.parts.test.labels, float((answers[:, 2] > 0.5).mean())
        found = []
        if not (labels >= 0).any():
            found.append("The test rows have no labels: how good this model is, nobody measured.")
        elif not 0 < (labels == 1).sum() < (labels >= 0).sum():
            found.append(
                "The labelled test rows are all of one kind: how well the model tells both apart is not known."
            )
        if share > 0.3:
            found.append(f"{share:.0%} of the test rows are flagged: the test rows are unlike the training rows.")
        return tuple(found)

    def since(self, prepared: Prepared) -> Batch | None:
        return prepared.parts.test.rows if prepared.signature.time is not None else None

    def request(self, prepared: Prepared) -> dict[str, Any]:
        signature, test = prepared.signature, prepared.parts.test
        if signature.time is None:
            return example(test, signature)
        return {"instances": rows_as_sent(test, signature, range(min(10, _first_series(prepared))))}


def _rows(aim: Aim, tables: Tables) -> Prepared:
    """Rows that stand for themselves."""
    own = {purpose: (table, _labels(table, aim.target)) for purpose, table in tables.items()}
    table, labels = own["training"]
    purposes = split(np.maximum(labels, 0), aim.seed, test="test" not in own, validation="validation" not in own)
    some = {name: (table.taken(purposes == name), labels[purposes == name]) for name in PURPOSES}
    some |= {name: part for name, part in own.items() if name != "training"}
    _check(*(len(some[name][1]) for name in PURPOSES))
    fields, dropped = _fields(some["training"][0], aim, ())
    kept = Parts(*(Part(some[name][0].batch(fields), some[name][1]) for name in PURPOSES))
    return _prepared(aim, table, fields, dropped, kept, (), _Notes(None, None))


def _series(aim: Aim, tables: Tables) -> Prepared:
    """Moments of series, in order."""
    time, series = aim.roles["time"], aim.roles.get("series")
    rows = ordered(tables, time, series)
    labels = _labels(rows.table, aim.target)
    purposes = rows.purposes.copy()
    if not (purposes == PURPOSES["test"]).any() or not (purposes == PURPOSES["validation"]).any():
        given = {purpose: bool((purposes == number).any()) for purpose, number in PURPOSES.items()}
        for start, end in zip(rows.bounds[:-1], rows.bounds[1:], strict=True):
            _share_out(purposes[start:end], given)
    _check(*((purposes == number).sum() for number in PURPOSES.values()))
    part = {name: purposes == number for name, number in PURPOSES.items()}
    ordered_by = tuple(name for name in (series, time) if name is not None)
    fields, dropped = _fields(rows.table.taken(part["training"]), aim, ordered_by)
    kept = Parts(*(Part(rows.table.taken(part[name]).batch(fields), labels[part[name]]) for name in PURPOSES))
    names = rows.table[series].values[part["test"]] if series is not None else None
    notes = _Notes(rows.times[part["test"]], names)
    return _prepared(aim, rows.table, fields, dropped, kept, rows.warnings, notes)


def _share_out(purposes: NDArray[np.int8], given: dict[Purpose, bool]) -> None:
    """The last training rows of a series become its test and validation rows, where the release names none."""
    free = np.flatnonzero(purposes == PURPOSES["training"])
    tested = 0 if given["test"] else round(len(free) * TEST_SHARE)
    validated = 0 if given["validation"] else round(len(free) * VALIDATION_SHARE)
    purposes[free[len(free) - tested :]] = PURPOSES["test"]
    purposes[free[len(free) - tested - validated : len(free) - tested]] = PURPOSES["validation"]


def _check(training: int, validation: int, test: int) -> None:
    rows = training + validation + test
    if rows < FEWEST_ROWS or not min(training, validation, test):
        raise Unfit(
            "too_few_rows",
            f"There are {training} training, {validation} validation and {test} test rows; "
            f"at least {FEWEST_ROWS} together, and some of each, are needed. Add rows.",
            rows=rows,
            minimum=FEWEST_ROWS,
        )


def _fields(training: Table, aim: Aim, ordered_by: tuple[str, ...]) -> tuple[tuple[Field, ...], dict[str, str]]:
    """The columns that are looked at, those that order the rows first."""
    left = Table(column for column in training.columns.values() if column.name not in ordered_by)
    chosen = columns.choose(left, aim.target, aim.drop)
    if not chosen.fields:
        raise Unfit("no_features", "No column is left to look for anomalies in. Add a column of values.")
    first = [_field(training[name], name == aim.roles.get("time")) for name in ordered_by]
    return (*first, *chosen.fields), chosen.dropped


def _field(column: Column, is_time: bool) -> Field:
    last = str(column.values[-1]) if len(column.values) else ""
    return Field(name=column.name, kind="date" if is_time else "category", example=last)


def _prepared(
    aim: Aim, table: Table, fields: tuple[Field, ...], dropped: dict[str, str], parts: Parts,
    warnings: tuple[str, ...], notes: _Notes,
) -> Prepared:  # fmt: skip
    signature = Signature(
        scenario=aim.scenario,
        inputs=fields,
        target=aim.target,
        time=aim.roles.get("time"),
        series=aim.roles.get("series") if "time" in aim.roles else None,
        ignored=(*([aim.target] if aim.target else []), *dropped),
    )
    types = {name: table[name].type for name in (*(field.name for field in fields), aim.target) if name}
    return Prepared(signature, parts, types, dropped, (*warnings, *few(len(parts.test.labels))), notes)


def _labels(table: Table, target: str) -> NDArray[np.int64]:
    """1 for an anomaly, 0 for none, -1 where nobody said. Raises Unfit for other words."""
    if not target or target not in table.columns:
        return np.full(table.rows, -1, np.int64)
    values = table[target].values
    if values.dtype != object:
        present = np.unique(values[~np.isnan(values)])
        if set(present.tolist()) <= {0.0, 1.0}:
            return np.where(np.isnan(values), -1, values).astype(np.int64)
        if set(present.tolist()) <= {-1.0, 1.0}:
            # As scikit-learn has it: -1 is the odd one.
            return np.where(np.isnan(values), -1, values == -1).astype(np.int64)
        raise _unreadable(target, [f"{value:g}" for value in present[:5]])
    words = [str(value).strip().casefold() for value in values.tolist()]
    strange = sorted({word for word in words if word and word not in ODD | USUAL})
    if strange:
        raise _unreadable(target, strange[:5])
    return np.array([1 if word in ODD else 0 if word in USUAL else -1 for word in words], np.int64)


def _unreadable(target: str, found: list[str]) -> Unfit:
    return Unfit(
        "label_values",
        f"The labels in {target!r} are not 0 and 1 (there is {', '.join(found)}). "
        "Write 1 for an anomaly, 0 for none, and nothing where it is not known.",
    )


def _scores(labels: NDArray[Any], answers: Answers) -> dict[str, Any]:
    counts, edges = np.histogram(answers[:, 0].astype(np.float64), bins=drawings.BINS)
    odd, _ = np.histogram(answers[labels == 1, 0].astype(np.float64), bins=edges)
    return {"edges": drawings.short(edges), "counts": counts.tolist(), "labelled_anomalies": odd.tolist()}


def _listed(prepared: Prepared, answers: Answers) -> list[dict[str, Any]]:
    """The oddest test rows, oddest first."""
    oddest = np.argsort(-answers[:, 0], kind="stable")[:LISTED]
    rows = rows_as_sent(prepared.parts.test, prepared.signature, oddest.tolist())
    labels = prepared.parts.test.labels
    return [
        {
            "row": row,
            "score": float(f"{answers[place, 0]:.6g}"),
            "flagged": bool(answers[place, 2] > 0.5),
            "label": None if labels[place] < 0 else int(labels[place]),
        }
        for row, place in zip(rows, oddest.tolist(), strict=True)
    ]


def _first_series(prepared: Prepared) -> int:
    """How many test rows the first series has."""
    names = prepared.notes.series
    if names is None:
        return len(prepared.parts.test.labels)
    return int(np.argmax(names != names[0])) if (names != names[0]).any() else len(names)


def _timeline(prepared: Prepared, answers: Answers) -> dict[str, Any]:
    """The first series' values and scores, for a drawing."""
    end = min(DRAWN, _first_series(prepared))
    rows = prepared.parts.test.rows.numbers[:end]
    values = rows[:, 0].astype(np.float64) if rows.shape[1] else np.zeros(end)
    return {
        "timestamp": np.datetime_as_string(prepared.notes.times[:end], unit="s").tolist(),
        "value": [None if np.isnan(value) else float(f"{value:.6g}") for value in values],
        "score": drawings.short(answers[:end, 0]),
        "flagged": (answers[:end, 2] > 0.5).tolist(),
        "label": prepared.parts.test.labels[:end].tolist(),
    }
