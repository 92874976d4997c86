"""What every algorithm for series does: read, choose by backtest, measure the intervals, and keep what is served."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from modelyard.algorithms.base import Report, Trained, TrainingData
from modelyard.algorithms.time_series_prediction import _backtest, _series, _trees, _windows
from modelyard.algorithms.time_series_prediction._forms import ForecastParameters, LinearParameters, TreeParameters
from modelyard.algorithms.time_series_prediction._series import History, Kind
from modelyard.core.errors import Invalid
from modelyard.formats import forecast
from modelyard.formats._forecasting.block import Floats
from modelyard.formats._forecasting.group import Combination, Group, Member
from modelyard.formats._forecasting.store import Content
from modelyard.formats.base import Batch

HORIZON = 12
"""Steps ahead where the signature names none."""

LEARNED = ("linear", "lightgbm")
FALLBACK = "seasonal_naive"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an algorithm tries: methods by name, how many of the best are combined, and how."""

    methods: tuple[str, ...]
    most: int
    combination: Combination
    common: ForecastParameters
    linear: LinearParameters
    trees: TreeParameters


class Forecasting(forecast.ForecastPredictor, Trained):
    """What is served, and how it is saved."""

    def save(self, folder: Path) -> str:
        return forecast.save(self.signature, self.content, folder)


class Progress:
    """Reports a fraction that never goes back, over kinds of series and the phases of each."""

    def __init__(self, report: Report, kinds: int) -> None:
        self._report, self._kinds, self._done = report, kinds, 0
        self.metrics = 0

    def say(self, phase: str, fraction: float) -> None:
        """How far the present kind is, 0 to 1."""
        self._report.progress(phase, min(1.0, (self._done + fraction) / self._kinds))

    def metric(self, name: str, step: int, value: float) -> None:
        """A point of a metric's history: of the largest kind only."""
        if not self._done:
            self._report.metric(name, step, value)

    def next(self) -> None:
        """The present kind is done."""
        self._done += 1


def fit(data: TrainingData, plan: Plan, report: Report) -> Forecasting:
    """Learn from the training rows alone."""
    return _learn(data, data.rows, data.labels.astype(np.float64), plan, report)


def finish(data: TrainingData, plan: Plan, report: Report) -> Forecasting:
    """Learn again with the validation rows, whose values follow on the training rows."""
    return _learn(data, *_series.joined(data), plan, report)


def _learn(data: TrainingData, batch: Batch, values: Floats, plan: Plan, report: Report) -> Forecasting:
    if data.signature.time is None:
        raise Invalid("Series need a column that says when each value was. Choose the time column.")
    horizon = data.signature.horizon or HORIZON
    report.progress("reading the series", 0.0)
    covariates = _series.covariates_of(data, batch, values)
    common = plan.common
    kinds = _series.kinds_of(data, batch, values, covariates, common.season_lengths, common.memory, report)
    progress = Progress(report, len(kinds))
    groups = []
    for kind in kinds:
        groups.append(_group(kind, horizon, plan, data.seed, report, progress))
        progress.next()
    content = Content(horizon, common.interval_level, covariates, tuple(groups))
    return Forecasting(data.signature, content)


def _group(kind: Kind, horizon: int, plan: Plan, seed: int, report: Report, progress: Progress) -> Group:
    """Backtest with what is learned before the windows; then learn once more from everything."""
    origins = _backtest.origins_of(kind, horizon, plan.common.windows)
    lengths = [len(history.values) for history in kind.histories]
    cuts = [min(several, default=length) for several, length in zip(origins, lengths, strict=True)]
    progress.say("learning from the series before the backtest", 0.05)
    trial = _learned(kind, cuts, horizon, plan, seed, report, progress, (0.05, 0.35))
    windows = _backtest.windows_of(kind, origins, horizon)
    if windows is None:
        report.log("Every series is too short for a backtest: the methods count alike, and intervals are a guess.")
        weights = np.full(len(trial.methods), 1 / len(trial.methods))
        return _complete(trial, kind, np.tile(weights, (len(lengths), 1)), weights, None)
    progress.say("backtest", 0.4)
    each = np.stack([
        _said(trial, place, windows, progress, 0.4 + 0.2 * place / len(trial.methods))
        for place in range(len(trial.methods))
    ])  # fmt: skip
    found = _backtest.losses(windows, each)
    weights, usual = _backtest.weights_of(windows, found, len(lengths), plan.most)
    joint = _backtest.combine(plan.combination, windows, each, weights, kind)
    _tell(trial, windows, found, weights, joint, report, progress)
    calibration, widths, width = _backtest.calibrate(windows, joint, len(lengths), horizon)
    progress.say("learning from everything", 0.65)
    used = tuple(name for name, share in zip(trial.methods, weights.sum(axis=0), strict=True) if share > 0)
    settled = replace(plan, methods=used)
    if trial.linear is not None:
        settled = replace(settled, linear=plan.linear.model_copy(update={"lookback": trial.linear.lookback}))
    final = _learned(kind, lengths, horizon, settled, seed, report, progress, (0.65, 0.98), again=True)
    kept = replace(trial, linear=final.linear or trial.linear, forest=final.forest or trial.forest)
    return _complete(replace(kept, calibration=calibration, usual_width=width), kind, weights, usual, widths)


def _said(trial: Group, place: int, windows: _backtest.Windows, progress: Progress, fraction: float) -> Floats:
    progress.say(f"backtest of {trial.methods[place].replace('_', ' ')}", fraction)
    return trial.apply(place, windows.block, windows.times, windows.known)


def _learned(
    kind: Kind, cuts: Sequence[int], horizon: int, plan: Plan, seed: int, report: Report, progress: Progress,
    span: tuple[float, float], *, again: bool = False,
) -> Group:  # fmt: skip
    """A group whose learned methods know the first `cuts` values of each series."""
    linear = forest = None
    if "linear" in plan.methods:
        linear = _windows.learn(kind, cuts, horizon, plan.linear.lookback, report)
    if "lightgbm" in plan.methods and _trees.worth_it(kind):
        low, high = span

        def follow(rounds: int, error: float) -> None:
            progress.say("growing trees", low + (high - low) * rounds / plan.trees.trees)
            if not again:
                progress.metric("trees_mean_absolute_error", rounds, error)

        forest = _trees.learn(kind, cuts, horizon, plan.trees, seed, follow)
    there = {"linear": linear is not None, "lightgbm": forest is not None}
    methods = [name for name in plan.methods if there.get(name, True)]
    for name in LEARNED:
        if name in plan.methods and not there[name] and not again:
            report.log(f"There is too little history for {name}; it takes no part.")
    if not methods:
        report.log("The last season is repeated instead.")
        methods = [FALLBACK]
    count = len(methods)
    return Group(
        step=kind.step, seasons=kind.seasons, methods=tuple(methods), combination=plan.combination, memory=kind.memory,
        usual_weights=np.full(count, 1 / count), usual_width=1.0, calibration=_backtest.unmeasured(horizon),
        linear=linear, forest=forest, members=(),
    )  # fmt: skip


def _tell(
    trial: Group, windows: _backtest.Windows, found: Floats, weights: Floats, joint: Floats, report: Report,
    progress: Progress,
) -> None:  # fmt: skip
    """What the backtest said, for the log and the history of metrics."""
    for place, name in enumerate(trial.methods):
        usable = found[place][np.isfinite(found[place])]
        if len(usable):
            report.log(
                f"Backtest, {name.replace('_', ' ')}: error {np.mean(usable):.3f} of the usual change over a season, "
                f"{np.mean(weights[:, place]):.0%} of the forecast."
            )
    size = np.where(windows.size > 0, windows.size, np.nan)
    errors = np.abs(joint * windows.largest - windows.actual) / size[:, None]
    known = np.isfinite(errors)
    for step in range(errors.shape[1]):
        if known[:, step].any():
            progress.metric("backtest_error_by_step_ahead", step + 1, float(errors[known[:, step], step].mean()))
    report.log(f"{len(windows.series):,} windows were held back and predicted.")


def _complete(group: Group, kind: Kind, weights: Floats, usual: Floats, widths: Floats | None) -> Group:
    members = tuple(
        _member(history, kind, weights[place], 1.0 if widths is None else float(widths[place]))
        for place, history in enumerate(kind.histories)
    )
    return replace(group, usual_weights=usual, members=members)


def _member(history: History, kind: Kind, weights: Floats, width: float) -> Member:
    last = history.columns[-1] if history.columns.shape[1] else np.zeros(0)
    return Member(history.name, history.step, history.end, history.values[-kind.memory :], weights, width, last)


def single(method: str, parameters: ForecastParameters) -> Plan:
    """The plan of an algorithm that is one method."""
    linear = parameters if isinstance(parameters, LinearParameters) else LinearParameters()
    trees = parameters if isinstance(parameters, TreeParameters) else TreeParameters()
    return Plan(methods=(method,), most=1, combination="mean", common=parameters, linear=linear, trees=trees)
