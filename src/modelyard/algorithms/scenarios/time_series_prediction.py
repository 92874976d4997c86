"""Series: how they go on. What comes later judges what was learned from what came before.

The test rows of each series are its last ones. They are predicted one horizon after the other, each time from all that
came before: a rolling origin (Tashman 2000).
"""

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.scenarios import _drawings as drawings
from modelyard.algorithms.scenarios._ordered import PURPOSES, Ordered, ordered, usual_horizon, usual_season
from modelyard.algorithms.scenarios._tables import rows_as_sent
from modelyard.algorithms.scenarios.base import Aim, Answers, Part, Parts, Predict, Prepared, Scenario, Tables, Unfit
from modelyard.algorithms.scoring import Forecasts, Judge
from modelyard.algorithms.tabular import columns
from modelyard.algorithms.tabular.split import Purpose
from modelyard.algorithms.tabular.table import Table
from modelyard.formats.base import Batch, Predictor
from modelyard.protocol.signature import Field, Kind, Signature

MOST_HORIZON = 1000
WINDOWS = 3
MOST_WINDOWS = 100
"""Horizons of a series that are predicted each from its own beginning; later ones from the last of these."""

FEWEST_LEFT = 3
"""Values of a series that stay to learn from."""

DRAWN_SERIES, DRAWN_HISTORY = 12, 200
EXAMPLE_ROWS = 48


class _Notes(NamedTuple):
    """What judging needs again: all rows in order, which of them are validated and tested, their values, the season."""

    rows: Ordered
    validation: NDArray[np.intp]
    test: NDArray[np.intp]
    values: NDArray[np.float64]
    season: int
    horizon: int


class TimeSeriesPrediction(Scenario):
    """Answers a value with its bounds to each step ahead."""

    held_out: ClassVar[str] = "at the end of the series, which no algorithm saw before it had predicted them"
    baseline_is: ClassVar[str] = "what was one season before"

    def does(self, signature: Signature) -> str:
        return f"Predicts how `{signature.target}` goes on for {signature.horizon} steps"

    def prepare(self, aim: Aim, tables: Tables) -> Prepared:
        time, series = aim.roles.get("time"), aim.roles.get("series")
        if time is None:
            raise Unfit(
                "time_missing", "No column is named as the time. Say which one: it is the dataset's role `time`."
            )
        if aim.target not in tables["training"].columns:
            raise Unfit("target_missing", f"The table has no column {aim.target!r}, which is to be predicted.")
        rows, warnings = _with_values(ordered(tables, time, series), aim.target)
        horizon = aim.horizon or min(usual_horizon(rows.step), _fitting(rows))
        if not 1 <= horizon <= MOST_HORIZON:
            raise Unfit("horizon", f"A horizon of {horizon} steps is not possible; choose 1 to {MOST_HORIZON:,}.")
        validation, test = _held_out(rows, horizon)
        if not len(test):
            longest = int(np.diff(rows.bounds).max())
            raise Unfit(
                "too_short",
                f"The longest series has {longest} values: too few to learn from and to judge {horizon} steps by. "
                f"Ask for at most {max(1, _fitting(rows))} steps, or add values.",
                longest=longest,
            )
        values = rows.table[aim.target].values
        training = np.setdiff1d(np.arange(rows.table.rows), np.r_[validation, test])
        fields, dropped = _fields(rows.table.taken(training), aim)
        signature = Signature(
            scenario=aim.scenario,
            inputs=fields,
            target=aim.target,
            time=time,
            series=series,
            horizon=horizon,
            ignored=tuple(dropped),
        )
        parts = Parts(
            Part(rows.table.taken(training).batch(fields), values[training]),
            *(
                Part(_hidden(rows.table.taken(some).batch(fields), signature), values[some])
                for some in (validation, test)
            ),
        )
        notes = _Notes(rows, validation, test, values, usual_season(rows.step), horizon)
        types = {field.name: rows.table[field.name].type for field in fields}
        return Prepared(signature, parts, types, dropped, warnings, notes)

    def judge(self, prepared: Prepared, purpose: Purpose) -> Judge:
        notes: _Notes = prepared.notes
        some = notes.validation if purpose == "validation" else notes.test
        windows = _windows(notes, some)
        return Forecasts(_scales(notes)[some], windows)

    def baseline(self, prepared: Prepared) -> Answers:
        """Each value as it was a season ago, or as the last one where there is no whole season."""
        notes: _Notes = prepared.notes
        origins = _origins(notes, notes.test)
        starts = notes.rows.bounds[np.searchsorted(notes.rows.bounds, notes.test, side="right") - 1]
        ahead = notes.test - origins
        season = np.where(origins - starts >= notes.season, notes.season, 1)
        found = notes.values[origins - season + ahead % season].astype(np.float32)
        return np.stack([found, found, found], axis=1)

    def answers(self, prepared: Prepared, predict: Predict, given: Answers) -> Answers:
        notes: _Notes = prepared.notes
        windows, begun = _numbers_in_series(notes), _first_of_series(notes)
        found = np.array(given)
        for window in range(1, min(MOST_WINDOWS, int(windows.max(initial=0)) + 1)):
            # What was tested before is history now.
            rows = np.flatnonzero((windows <= window) & np.isin(begun, begun[windows == window]))
            asked = windows[rows] == window
            batch = notes.rows.table.taken(notes.test[rows]).batch(prepared.signature.inputs)
            found[rows[asked]] = predict(_hidden(batch, prepared.signature, asked))[asked]
        return found

    def details(self, prepared: Prepared, answers: Answers, predictor: Predictor | None) -> dict[str, Any]:  # noqa: ARG002
        notes: _Notes = prepared.notes
        ahead = notes.test - _origins(notes, notes.test)
        errors = np.abs(answers[:, 0] - notes.values[notes.test])
        by_step = [float(f"{errors[ahead == step].mean():.6g}") for step in range(int(ahead.max()) + 1)]
        return {"forecasts": _drawn(notes, answers), "errors_by_step": {"mae": by_step}}

    def suspicion(self, prepared: Prepared, answers: Answers) -> tuple[str, ...]:
        judge = self.judge(prepared, "test")
        labels, ones = prepared.parts.test.labels, np.ones(len(prepared.parts.test.labels))
        reached, trivial = (judge.prepared("mase", labels, each)(ones) for each in (answers, self.baseline(prepared)))
        if reached >= trivial:
            return ("It does not beat repeating the last season: what comes next may not follow from what was.",)
        return ()

    def since(self, prepared: Prepared) -> Batch | None:
        notes: _Notes = prepared.notes
        return notes.rows.table.taken(notes.test).batch(prepared.signature.inputs)

    def request(self, prepared: Prepared) -> dict[str, Any]:
        notes, signature = prepared.notes, prepared.signature
        end = int(notes.test[0])
        start = max(
            int(notes.rows.bounds[np.searchsorted(notes.rows.bounds, end, side="right") - 1]), end - EXAMPLE_ROWS
        )
        rows = notes.rows.table.taken(np.arange(start, end))
        part = Part(rows.batch(signature.inputs), notes.values[start:end])
        return {
            "instances": rows_as_sent(part, signature, range(end - start)),
            "parameters": {"steps": min(notes.horizon, 12)},
        }


def _with_values(rows: Ordered, target: str) -> tuple[Ordered, tuple[str, ...]]:
    """Without rows that have no value. Raises Unfit where the target is no number."""
    column = rows.table[target]
    if column.values.dtype == object:
        raise Unfit("target_type", f"The column {target!r} holds texts, and a series is made of numbers.")
    present = ~np.isnan(column.values)
    if present.all():
        return rows, rows.warnings
    if not present.any():
        raise Unfit("target_empty", f"The column {target!r} has no values.")
    places = np.flatnonzero(present)
    kept = rows._replace(
        table=rows.table.taken(places),
        times=rows.times[places],
        bounds=np.searchsorted(places, rows.bounds),
        purposes=rows.purposes[places],
    )
    return kept, (*rows.warnings, f"{int((~present).sum()):,} rows were left out: they have no {target!r}.")


def _fitting(rows: Ordered) -> int:
    """The longest horizon that leaves enough to learn from, in the series of middle length."""
    middle = int(np.median(np.diff(rows.bounds)))
    return max(1, (middle - FEWEST_LEFT) // 3)


def _held_out(rows: Ordered, horizon: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows that decide and those that judge: as the release says, else the last ones of each long enough series."""
    validation: list[NDArray[np.intp]] = []
    test: list[NDArray[np.intp]] = []
    given = {name: bool((rows.purposes == number).any()) for name, number in PURPOSES.items()}
    for start, end in zip(rows.bounds[:-1].tolist(), rows.bounds[1:].tolist(), strict=True):
        purposes = rows.purposes[start:end]
        tested = _first(purposes, "test") if given["test"] else _judged_from(end - start, horizon)
        decided = _first(purposes[:tested], "validation") if given["validation"] else max(0, tested - horizon)
        if decided < FEWEST_LEFT:
            decided = tested
        if tested < FEWEST_LEFT:
            continue
        validation.append(np.arange(start + decided, start + tested))
        test.append(np.arange(start + tested, end))
    nothing = np.empty(0, np.intp)
    return np.concatenate([nothing, *validation]), np.concatenate([nothing, *test])


def _judged_from(length: int, horizon: int) -> int:
    """Where the test rows of a series begin: a few horizons before its end, at most a quarter of it."""
    windows = max(1, min(WINDOWS, length // (4 * horizon)))
    start = length - windows * horizon
    return start if start >= FEWEST_LEFT else length


def _first(purposes: NDArray[np.int8], purpose: Purpose) -> int:
    """The place of the first row with a purpose: from there on all rows have it, since time goes on."""
    found = np.flatnonzero(purposes == PURPOSES[purpose])
    return int(found[0]) if len(found) else len(purposes)


def _fields(training: Table, aim: Aim) -> tuple[tuple[Field, ...], dict[str, str]]:
    """Series, time and value first; then what else is known of each moment."""
    time, series = aim.roles["time"], aim.roles.get("series")
    first = [name for name in (series, time, aim.target) if name is not None]
    others = Table(column for column in training.columns.values() if column.name not in first)
    chosen = columns.choose(others, "", aim.drop) if others.columns else columns.Chosen((), {})
    fields = []
    for name in first:
        if name == aim.target:
            fields.append(columns.describe(training[name]))
        else:
            kind: Kind = "date" if name == time else "category"
            fields.append(Field(name=name, kind=kind, example=str(training[name].values[-1])))
    return (*fields, *chosen.fields), chosen.dropped


def _hidden(batch: Batch, signature: Signature, rows: NDArray[np.bool_] | None = None) -> Batch:
    """Without the values that are to be predicted: of all rows, or of some."""
    place = [field.name for field in signature.numeric_inputs].index(signature.target)
    numbers = batch.numbers.copy()
    numbers[slice(None) if rows is None else rows, place] = np.nan
    return Batch(numbers, batch.strings)


def _first_of_series(notes: _Notes) -> NDArray[np.intp]:
    """For each test row, where its series begins."""
    begun: NDArray[np.intp] = notes.rows.bounds[np.searchsorted(notes.rows.bounds, notes.test, side="right") - 1]
    return begun


def _numbers_in_series(notes: _Notes) -> NDArray[np.intp]:
    """For each test row, the number of its window within its series, from 0."""
    return _places(notes, notes.test) // notes.horizon


def _places(notes: _Notes, some: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each of these rows, how many of them its series has before it."""
    series = np.searchsorted(notes.rows.bounds, some, side="right")
    starts = np.r_[True, series[1:] != series[:-1]]
    return np.arange(len(some)) - np.maximum.accumulate(np.where(starts, np.arange(len(some)), 0))


def _origins(notes: _Notes, some: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each of these rows, the first row of its window: what comes before is known."""
    places = _places(notes, some)
    return some - places % notes.horizon


def _windows(notes: _Notes, some: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each of these rows, the number of its window among all of all series."""
    _, number = np.unique(_origins(notes, some), return_inverse=True)
    return number.astype(np.intp)


def _scales(notes: _Notes) -> NDArray[np.float64]:
    """For each row of all, the mean error that the seasonal naive forecast makes in the training rows of its series."""
    scales = np.ones(len(notes.values))
    held = np.zeros(len(notes.values), bool)
    held[notes.validation], held[notes.test] = True, True
    for start, end in zip(notes.rows.bounds[:-1].tolist(), notes.rows.bounds[1:].tolist(), strict=True):
        known = notes.values[start:end][~held[start:end]]
        season = notes.season if len(known) > notes.season else 1
        errors = np.abs(known[season:] - known[:-season])
        scales[start:end] = errors.mean() if len(errors) and errors.mean() > 0 else np.nan
    usual = np.nanmedian(scales) if np.isfinite(scales).any() else 1.0
    return np.where(np.isnan(scales), usual, scales)


def _drawn(notes: _Notes, answers: Answers) -> list[dict[str, Any]]:
    """The first series, with the end of what was known and what was predicted of it."""
    begun = _first_of_series(notes)
    found = []
    for start in np.unique(begun)[:DRAWN_SERIES].tolist():
        some = np.flatnonzero(begun == start)
        first = int(notes.test[some[0]])
        known = slice(max(start, first - DRAWN_HISTORY), first)
        found.append(
            {
                "series": notes.rows.names[int(np.searchsorted(notes.rows.bounds, start, side="right")) - 1],
                "history": {
                    "timestamp": np.datetime_as_string(notes.rows.times[known], unit="s").tolist(),
                    "value": drawings.short(notes.values[known]),
                },
                "timestamp": np.datetime_as_string(notes.rows.times[notes.test[some]], unit="s").tolist(),
                "actual": drawings.short(notes.values[notes.test[some]]),
                "prediction": drawings.short(answers[some, 0]),
                "lower": drawings.short(answers[some, 1]),
                "upper": drawings.short(answers[some, 2]),
            }
        )
    return found
