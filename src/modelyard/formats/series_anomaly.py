"""Format: odd moments of series, judged row by row from the rows before alone. Data only: safe in any process.

`series_anomaly.json` says how; `series_anomaly.npz` holds for each series of training the end of its history. A
measure (`_anomaly_measures`) says how odd a row is; its deviations from all that was measured before in the same series
become the score z² / (z² + 9), 0 to 1: 0.5 at three standard deviations. For `silence` rows after a row that scored
high, rows that are no odder than that one keep a quarter of their score: one event is one alarm.

What is stored of a series and lies before the first row of a request is the context of the request. Where nothing is
(an unknown series, rows from before), its own rows are; its first rows then score 0.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Broken
from modelyard.formats._anomaly_measures import Change, Measure, Profile, Residual, Season, Values
from modelyard.formats.anomaly import Judgement, answers
from modelyard.formats.base import Batch, Format, RequestPredictor
from modelyard.formats.folder import read_signature
from modelyard.formats.series import series_of
from modelyard.protocol.signature import Signature

FILE = "series_anomaly.json"
ARRAYS = "series_anomaly.npz"
NAME = "series_anomaly"

FEWEST = 50
"""Measured rows before a row that it takes to judge it."""

CALM = 0.25
"""A score from which on the rows after it are silent, and what is left of theirs."""

FARTHEST = 1e6
SMALLEST = 1e-3
"""Deviation that always counts as usual, in spreads of the column: what is exact is not suspicious by that."""

MOST_DEVIATIONS = 50.0


class Settings(msgspec.Struct, frozen=True):
    """Which measure, and its bounds in rows; what does not concern a measure is left at 1."""

    kind: Literal["profile", "residual", "change"]
    window: int
    history: int
    silence: int

    def measure(self) -> Measure:
        """The measure itself. Raises ValueError."""
        if min(self.window, self.history) < 1 or max(self.window, self.history) > 100_000 or self.silence < 0:
            raise ValueError("its windows are out of bounds")
        if self.kind == "profile":
            return Profile(self.window, self.history)
        return Residual(self.history, self.window) if self.kind == "residual" else Change(self.window, self.history)


class Known(msgspec.Struct, frozen=True):
    """What is kept of one series beside its arrays: scale of each column, season, measured rows before the arrays."""

    name: str
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    season: Season | None
    moments: tuple[tuple[float, float, float], ...]


class Description(msgspec.Struct, frozen=True):
    """`series_anomaly.json`. `columns` are the places of the values in `Batch.numbers`."""

    settings: Settings
    columns: tuple[int, ...]
    judgement: Judgement
    series: tuple[Known, ...]


class Tail(NamedTuple):
    """The end of a series: times in microseconds, scaled values, measures and scores of the same rows."""

    times: NDArray[np.int64]
    values: Values
    measures: Values
    scores: Values


class Judged(NamedTuple):
    """Rows of one series, judged: `scores` with silence, `raw` without; the rows as they may be stored."""

    scores: Values
    raw: Values
    tail: Tail
    known: Known


class SeriesOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a request may choose: another threshold for `anomaly` than the one that was learned."""

    threshold: float | None = None


class SeriesAnomaly(Format):
    """Reads `series_anomaly.json` and `series_anomaly.npz`."""

    def load(self, folder: Path, *, threads: int = 1) -> "MomentAnomalies":  # noqa: ARG002
        signature = read_signature(folder)
        try:
            description = msgspec.json.decode((folder / FILE).read_bytes(), type=Description)
            with (folder / ARRAYS).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                tails = _apart(arrays["counts"], Tail(*(arrays[name] for name in Tail._fields)))
            return MomentAnomalies(signature, description, tails)
        except (OSError, msgspec.DecodeError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise Broken(f"{folder.name}/{FILE} cannot be loaded: {error}. Train the version again.") from error


class MomentAnomalies(RequestPredictor):
    """Score, severity and flag of rows in order of time. The severity is that of the score without silence."""

    Options: ClassVar[type[msgspec.Struct]] = SeriesOptions

    def __init__(self, signature: Signature, description: Description, tails: Sequence[Tail]) -> None:
        self.signature = signature
        self.description = description
        self.measure = description.settings.measure()
        numbers = len(signature.numeric_inputs)
        if signature.time is None or not description.columns or len(tails) != len(description.series):
            raise ValueError("it holds other series than it says, or there is no time among its columns")
        if not all(0 <= place < numbers for place in description.columns):
            raise ValueError("its columns are not those of the signature")
        for known, tail in zip(description.series, tails, strict=True):
            _check(known, tail, len(description.columns), self.measure.levels)
        self.tails = list(tails)
        self._places = {known.name: place for place, known in enumerate(description.series)}
        self._columns = list(description.columns)
        self._moments = [
            np.array(known.moments) + _moments_of(tail.measures)
            for known, tail in zip(description.series, tails, strict=True)
        ]

    def predict(self, batch: Batch) -> NDArray[np.float32]:
        return np.column_stack(self._answers(batch, self.description.judgement)).astype(np.float32)

    def answer(self, batch: Batch, options: Any) -> list[dict[str, Any]]:
        judgement = self.description.judgement
        if options.threshold is not None:
            judgement = Judgement(options.threshold, judgement.usual)
        scores, severities, flags = self._answers(batch, judgement)
        return [
            {"anomaly": bool(flag), "score": score, "severity": severity}
            for flag, score, severity in zip(flags.tolist(), scores.tolist(), severities.tolist(), strict=True)
        ]

    def _answers(self, batch: Batch, judgement: Judgement) -> tuple[Values, Values, Values]:
        scores, raw = np.zeros(batch.rows), np.zeros(batch.rows)
        for name, rows, times in series_of(self.signature, batch):
            judged = self.judge(name, times.astype(np.int64), batch.numbers[rows][:, self._columns])
            scores[rows], raw[rows] = judged.scores, judged.raw
        # Rounded first, so that a score on the threshold is on the same side everywhere.
        scores, raw = (values.astype(np.float32).astype(np.float64) for values in (scores, raw))
        return scores, answers(raw, judgement)[1], answers(scores, judgement)[2]

    def judge(self, name: str, times: NDArray[np.int64], numbers: NDArray[np.float32]) -> Judged:
        """Rows of one series in order of time, after what is stored of it from before."""
        place = self._places.get(name)
        if place is None:
            known = _unknown(name, numbers, self.measure.levels)
            before, moments = nothing(len(self._columns), self.measure.levels), None
        else:
            known, before, moments = self.description.series[place], self.tails[place], self._moments[place]
        return judged(self.measure, self.description.settings.silence, known, before, times, numbers, moments)

    def extended(self, batch: Batch, folder: Path) -> RequestPredictor:
        known, tails = list(self.description.series), list(self.tails)
        for name, rows, times in series_of(self.signature, batch):
            place, stored = self._places.get(name), nothing(len(self._columns), self.measure.levels)
            stored = stored if place is None else tails[place]
            if place is None or (len(stored.times) and times[0].astype(np.int64) <= stored.times[-1]):
                continue
            found = self.judge(name, times.astype(np.int64), batch.numbers[rows][:, self._columns])
            whole = Tail(*(np.concatenate(pair) for pair in zip(stored, found.tail, strict=True)))
            known[place], tails[place] = shortened(found._replace(tail=whole), len(stored.times))
        described = msgspec.structs.replace(self.description, series=tuple(known))
        grown = MomentAnomalies(self.signature, described, tails)
        grown.save(folder)
        return grown

    def save(self, folder: Path) -> str:
        """Write it into a version folder; the name of this format."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_bytes(msgspec.json.encode(self.description))
        empty = nothing(len(self._columns), self.measure.levels)
        joined = {name: np.concatenate([getattr(tail, name) for tail in [empty, *self.tails]]) for name in Tail._fields}
        counts = np.array([len(tail.times) for tail in self.tails], np.int64)
        with (folder / ARRAYS).open("wb") as file:
            np.savez(file, allow_pickle=False, counts=counts, **joined)
        return NAME


def judged(
    measure: Measure,
    silence: int,
    known: Known,
    stored: Tail,
    times: NDArray[np.int64],
    numbers: NDArray[np.float32],
    moments: Values | None = None,
) -> Judged:
    """Judge rows in order of time after the part of `stored` that lies before them.

    Causal: what is said of a row uses that row, rows before it, and what is known of the series. `moments` are those of
    all that is stored, where they are at hand.
    """
    first = times[0] if len(times) else 0
    count = int(np.searchsorted(stored.times, first, "left"))
    # A long history is not copied where the measure does not look back that far.
    begin = max(0, count - measure.reach)
    values = scaled(numbers, times, known, stored.values[count - 1] if count else None)
    joined = np.concatenate([stored.values[begin:count], values])
    measures = measure(joined, count - begin)
    if moments is None or count < len(stored.times):
        moments = np.array(known.moments) + _moments_of(stored.measures[:count])
    raw = _raw_scores(measures, moments)
    scores = _silenced(raw, stored.scores[max(0, count - silence) : count], silence)
    return Judged(scores, raw, Tail(times, values, measures, raw), known)


def scaled(numbers: NDArray[np.float32], times: NDArray[np.int64], known: Known, last: Values | None) -> Values:
    """Values without season on the scale of the series; a missing one is the one before it, or usual."""
    values = (numbers.astype(np.float64) - np.array(known.centre)) / np.array(known.scale)
    if known.season is not None:
        values -= known.season.at(times)
    if np.isnan(values).any():
        usual = np.zeros(values.shape[1]) if last is None else last
        values = np.concatenate([usual[None], values])
        rows = np.where(np.isnan(values), 0, np.arange(len(values))[:, None])
        values = np.take_along_axis(values, np.maximum.accumulate(rows, axis=0), axis=0)[1:]
    clipped: Values = np.clip(values, -FARTHEST, FARTHEST)
    return clipped


def scale_of(values: NDArray[np.float64]) -> tuple[float, float]:
    """Centre and scale of one column, missing values left out: median and spread."""
    seen = values[~np.isnan(values)]
    if not len(seen):
        return 0.0, 1.0
    low, middle, high = np.quantile(seen, [0.05, 0.5, 0.95]).tolist()
    spread = max(high - low, float(seen.std()))
    if spread <= 1e-9 * abs(middle):
        spread = 0.1 * abs(middle)
    return middle, spread if spread > 0 else 1.0


def _raw_scores(measures: Values, moments: Values) -> Values:
    """From measures (rows, levels) and the moments of those before: how far above the usual, 0 to 1."""
    total = np.zeros(len(measures))
    heard = np.zeros(len(measures))
    for level in range(measures.shape[1]):
        line = measures[:, level]
        here = ~np.isnan(line)
        filled = np.where(here, line, 0.0)
        counts, sums, squares = (
            start + np.concatenate([[0.0], np.cumsum(part)[:-1]]) if len(line) else filled
            for start, part in zip(moments[level], (here.astype(float), filled, np.square(filled)), strict=True)
        )
        mean = sums / np.maximum(counts, 1.0)
        deviation = np.sqrt(np.maximum(squares / np.maximum(counts, 1.0) - np.square(mean), 0.0))
        apart = np.clip((filled - mean) / np.maximum(deviation, SMALLEST), 0.0, MOST_DEVIATIONS)
        judged_here = here & (counts >= FEWEST)
        total += np.where(judged_here, apart, 0.0)
        heard += judged_here
    square = np.square(total / np.maximum(heard, 1.0))
    scores: Values = square / (square + 9.0)
    return scores


def _silenced(raw: Values, before: Values, silence: int) -> Values:
    """The scores with a quarter left where, within the last `silence` rows, one scored high and at least as high."""
    found = raw.copy()
    whole = np.concatenate([before, raw])
    recent: list[int] = []
    for place in np.flatnonzero(whole >= CALM).tolist():
        # Places of falling scores: the first is the highest of the last `silence` rows.
        while recent and place - recent[0] > silence:
            recent.pop(0)
        if recent and whole[recent[0]] >= whole[place] and place >= len(before):
            found[place - len(before)] *= CALM
        while recent and whole[recent[-1]] < whole[place]:
            recent.pop()
        recent.append(place)
    return found


def _moments_of(measures: Values) -> Values:
    """Count, sum and sum of squares of each level, shape (levels, 3)."""
    here = ~np.isnan(measures)
    filled = np.where(here, measures, 0.0)
    return np.stack([here.sum(axis=0), filled.sum(axis=0), np.square(filled).sum(axis=0)], axis=1).astype(np.float64)


def shortened(judged_rows: Judged, kept: int) -> tuple[Known, Tail]:
    """What is stored of a series: its last `kept` rows, and the moments of what was measured before them."""
    tail, known = judged_rows.tail, judged_rows.known
    cut = max(0, len(tail.times) - kept)
    moments = np.array(known.moments) + _moments_of(tail.measures[:cut])
    rest = tuple(tuple(row) for row in moments.tolist())
    return msgspec.structs.replace(known, moments=rest), _between(tail, cut, len(tail.times))


def fresh(name: str, centre: Sequence[float], scale: Sequence[float], season: Season | None, levels: int) -> Known:
    """A series before anything was measured."""
    return Known(name, tuple(centre), tuple(scale), season, ((0.0, 0.0, 0.0),) * levels)


def _unknown(name: str, numbers: NDArray[np.float32], levels: int) -> Known:
    """A series that training did not see, on the scale of the first rows: those are not judged themselves."""
    scales = [scale_of(column) for column in numbers[:FEWEST].astype(np.float64).T]
    return fresh(name, [centre for centre, _ in scales], [scale for _, scale in scales], None, levels)


def nothing(columns: int, levels: int) -> Tail:
    """A series of which nothing is stored."""
    return Tail(np.zeros(0, np.int64), np.zeros((0, columns)), np.zeros((0, levels)), np.zeros(0))


def _apart(counts: NDArray[Any], joined: Tail) -> list[Tail]:
    if counts.ndim != 1 or (counts < 0).any() or any(len(part) != counts.sum() for part in joined):
        raise ValueError("its series have other lengths than it says")
    ends = np.cumsum(counts)
    return [_between(joined, end - count, end) for end, count in zip(ends.tolist(), counts.tolist(), strict=True)]


def _between(tail: Tail, begin: int, end: int) -> Tail:
    part = slice(begin, end)
    return Tail(tail.times[part], tail.values[part], tail.measures[part], tail.scores[part])


def _check(known: Known, tail: Tail, columns: int, levels: int) -> None:
    """Raises ValueError where a stored series does not fit."""
    rows = len(tail.times)
    shapes = (tail.values.shape, tail.measures.shape, tail.scores.shape)
    finite = np.isfinite(tail.values).all() and np.isfinite(tail.scores).all()
    fits = shapes == ((rows, columns), (rows, levels), (rows,)) and tail.times.dtype == np.int64 and bool(finite)
    fits = fits and len(known.centre) == len(known.scale) == columns and min(known.scale) > 0
    fits = fits and len(known.moments) == levels
    if known.season is not None:
        fits = fits and known.season.period > 0 and all(len(row) == columns for row in known.season.level)
        fits = fits and len(known.season.level) > 0
    if not fits:
        raise ValueError(f"what is stored of the series {known.name!r} does not fit")
