"""What the algorithms for single rows share: columns, learning in growing shares, what labels are good for, thresholds.

Known anomalies are never learned from. Where normal rows are known and no anomalies, those rows are the clean training
set. Otherwise learning goes twice: the rows that looked oddest the first time are left out the second time.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from msgspec.structs import replace as changed
from numpy.typing import NDArray

from modelyard.algorithms.anomaly_detection._columns import learn_columns
from modelyard.algorithms.anomaly_detection._labels import area_under_curve, best_threshold, judges
from modelyard.algorithms.anomaly_detection._members import Learn
from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.forms import Form, Search, parameter
from modelyard.algorithms.tabular.rows import joined, taken
from modelyard.core.errors import Invalid
from modelyard.formats._anomaly_columns import Columns, Matrix, Scaler
from modelyard.formats._anomaly_detectors import Detector
from modelyard.formats.anomaly import Combination, Description, Judgement, Ladder, RowAnomalies
from modelyard.formats.base import Batch
from modelyard.protocol.signature import Signature

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the rows: a ranking that still changes with the last quarter of them wants more rows."""

PROBED = 1000
FEWEST_NORMAL = 20
"""Known normal rows from which on they are the training set by themselves."""

MOST_RUNGS = 512
FALSE_ALARMS = 0.005
"""Share of usual rows above the automatic threshold."""


class RowForm(Form):
    """Parameters of every algorithm for single rows."""

    threshold: Literal["contamination", "automatic"] = parameter(
        "contamination", "Threshold",
        "How the threshold is chosen where there are no labels of both kinds: by the share of anomalies that you "
        "expect, or where the tail of the scores begins. With labels it is the one with the best F1.",
        group="Threshold",
    )  # fmt: skip
    contamination: float = parameter(
        0.05, "Expected anomalies",
        "Share of the rows that you expect to be anomalies. It moves the threshold, not the scores.",
        group="Threshold", when={"threshold": "contamination"}, ge=0.0001, le=0.5,
    )  # fmt: skip
    trim: float = parameter(
        0.1, "Left out the second time",
        "Share of the rows that looked oddest the first time and are left out when learning again, so that anomalies "
        "do not pass for normal. 0 learns once.",
        advanced=True, search=Search(0.0, 0.2), ge=0.0, le=0.4,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is learned: detectors by name, and how they are combined where no labels say better."""

    members: Mapping[str, Learn]
    combination: Combination = "largest"
    untrimmed: frozenset[str] = frozenset()


class TrainedRows(Trained):
    """A trained detector: the served predictor itself."""

    def __init__(self, predictor: RowAnomalies) -> None:
        self.signature: Signature = predictor.signature
        self.predictor = predictor

    def predict(self, batch: Batch) -> NDArray[np.float32]:
        return self.predictor.predict(batch)

    def save(self, folder: Path) -> str:
        return self.predictor.save(folder)


Chosen = TypeVar("Chosen", bound=RowForm)


class RowAlgorithm(Algorithm[Chosen]):
    """What is the same in every algorithm for single rows: they differ in their members."""

    @abstractmethod
    def plan(self, parameters: Chosen) -> Plan:
        """Which detectors are learned, and how they count. Raises Invalid."""

    def fit(self, data: TrainingData, parameters: Chosen, report: Report) -> Trained:
        return fit(data, self.plan(parameters), parameters, report)

    def finish(self, data: TrainingData, trained: Trained, parameters: Chosen, report: Report) -> Trained:
        return finish(data, trained, self.plan(parameters), parameters, report)


def fit(data: TrainingData, plan: Plan, parameters: RowForm, report: Report) -> TrainedRows:
    """Learn from the training rows; labelled validation rows choose threshold and weights, else training rows do."""
    learned = _learn(data, plan, parameters, report, SHARES)
    rows, labels = (data.validation, data.validation_labels)
    if not judges(labels):
        rows, labels = data.rows, data.labels
    return TrainedRows(_judged(learned, data.rows, data.labels, rows, labels, parameters, report))


def finish(data: TrainingData, trained: Trained, plan: Plan, parameters: RowForm, report: Report) -> Trained:
    """Learn again from training and validation rows together; all labelled rows choose threshold and weights."""
    if not data.validation.rows:
        return trained
    rows = joined([data.rows, data.validation])
    labels = np.concatenate([data.labels, data.validation_labels])
    whole = replace(data, rows=rows, labels=labels, validation=taken(rows, np.arange(0)), validation_labels=labels[:0])
    learned = _learn(whole, plan, parameters, report, SHARES[-1:])
    return TrainedRows(_judged(learned, rows, labels, rows, labels, parameters, report))


def _learn(
    data: TrainingData, plan: Plan, parameters: RowForm, report: Report, shares: tuple[float, ...]
) -> RowAnomalies:
    """Detectors on one scale, before there is a threshold."""
    report.progress("looking at the columns", 0.0)
    usable, clean = _learned_from(data.labels, report)
    if not len(usable):
        raise Invalid("There is no row to learn from: every training row is labelled as an anomaly. Add normal rows.")
    rows = taken(data.rows, usable)
    columns = learn_columns(data.signature, rows, report)
    values = Scaler(columns)(rows)
    probes = Scaler(columns)(data.validation if data.validation.rows >= FEWEST_NORMAL else taken(rows, slice_of(rows)))
    order = np.random.default_rng(data.seed).permutation(len(values))
    before: NDArray[np.float64] | None = None
    trim = 0.0 if clean else parameters.trim
    for step, share in enumerate(shares, start=1):
        part = values[np.sort(order[: max(1, round(share * len(values)))])]
        # How the ranking settles shows without leaving rows out.
        described, detectors = _twice(columns, part, plan, trim if share == 1 else 0.0, data.seed)
        report.progress(f"learned from {share:.0%} of the rows", 0.95 * step / len(shares))
        predictor = RowAnomalies(data.signature, described, detectors)
        scores = _scores(predictor, probes)
        if before is not None:
            report.metric("rank agreement with fewer rows", step, _agreement(before, scores))
        report.metric("median score", step, float(np.median(scores)))
        before = scores
    names = ", ".join(plan.members)
    report.log(f"Learned from {len(values)} rows and {columns.width} columns: {names}; {trim:.0%} left out.")
    return predictor


def _twice(columns: Columns, values: Matrix, plan: Plan, trim: float, seed: int) -> tuple[Description, list[Detector]]:
    """Learn from all rows, then without those that looked oddest."""
    members = {name: learn for name, learn in plan.members.items() if name != "projections" or columns.width > 1}
    if not members:
        members = dict(plan.members)
    detectors = [learn(values, seed + place) for place, learn in enumerate(members.values())]
    ladders = [_ladder(detector.score(values)) for detector in detectors]
    described = _description(columns, detectors, ladders, plan.combination)
    left_out = int(trim * len(values))
    if not left_out:
        return described, detectors
    unsigned = Signature(scenario="", inputs=(), target="")
    scores = _scores(RowAnomalies(unsigned, described, detectors), values)
    kept = values[np.sort(np.argsort(scores, kind="stable")[: len(values) - left_out])]
    for place, (name, learn) in enumerate(members.items()):
        if name not in plan.untrimmed:
            detectors[place] = learn(kept, seed + place)
    ladders = [_ladder(detector.score(values)) for detector in detectors]
    return _description(columns, detectors, ladders, plan.combination), detectors


def _description(
    columns: Columns, detectors: list[Detector], ladders: list[Ladder], combination: Combination
) -> Description:
    return Description(
        columns=columns,
        kinds=tuple(detector.kind for detector in detectors),
        ladders=tuple(ladders) if len(detectors) > 1 else (),
        weights=(1.0 / len(detectors),) * len(detectors),
        combination=combination if len(detectors) > 1 else "mean",
        judgement=Judgement(0.0, 0.0),
    )


def _learned_from(labels: NDArray[Any], report: Report) -> tuple[NDArray[np.intp], bool]:
    """Places of the rows to learn from, and whether they are known to be normal."""
    anomalies, normal = int((labels == 1).sum()), int((labels == 0).sum())
    if not anomalies and normal >= FEWEST_NORMAL:
        unknown = len(labels) - normal
        report.log(f"{normal} rows are labelled normal and none an anomaly: they are the training set as it is.")
        if unknown:
            report.log(f"{unknown} rows without a label are left out.")
        return np.flatnonzero(labels == 0), True
    if anomalies:
        report.log(f"{anomalies} rows labelled as anomalies are not learned from.")
    return np.flatnonzero(labels != 1), False


def _judged(
    predictor: RowAnomalies, rows: Batch, labels: NDArray[Any], judged: Batch, their: NDArray[Any],
    parameters: RowForm, report: Report,
) -> RowAnomalies:  # fmt: skip
    """With weights and a threshold; the second pair of rows and labels is what chooses them."""
    if judges(their) and len(predictor.detectors) > 1:
        predictor = _weighted(predictor, judged, their, report)
    usable = taken(rows, np.flatnonzero(labels != 1))
    usual = predictor.scores(usable)
    if judges(their):
        threshold, reached = best_threshold(predictor.scores(judged), their)
        report.metric("F1 at the threshold", 1, reached)
        report.log(
            f"Threshold {threshold:.4g}: the best F1 on {int((their >= 0).sum())} labelled rows ({reached:.3f})."
        )
    else:
        threshold = _by_tail(usual) if parameters.threshold == "automatic" else _by_share(usual, parameters)
        report.log(
            f"Threshold {threshold:.4g}, from the scores alone ({parameters.threshold}): there are no labels of both "
            f"kinds. {np.mean(usual > threshold):.2%} of the training rows lie above it."
        )
    report.progress("threshold chosen", 1.0)
    judgement = Judgement(threshold, float(np.median(usual)))
    described = changed(predictor.description, judgement=judgement)
    return RowAnomalies(predictor.signature, described, predictor.detectors)


def _weighted(predictor: RowAnomalies, rows: Batch, labels: NDArray[Any], report: Report) -> RowAnomalies:
    """The combination that ranks labelled rows best: as it is, or with weights by what each detector reaches."""
    parts = predictor.parts(rows)
    areas = [area_under_curve(part, labels) for part in parts]
    gains = np.square(np.maximum(2.0 * np.array(areas) - 1.0, 0.0))
    alone = (np.arange(len(areas)) == int(np.argmax(areas))).astype(np.float64)
    weightings = [np.full(len(areas), 1.0 / len(areas)), gains / gains.sum() if gains.any() else alone, alone]
    found = predictor
    best = area_under_curve(predictor.combined(parts), labels)
    for weights in weightings:
        described = changed(predictor.description, combination="mean", weights=tuple(weights.tolist()))
        tried = RowAnomalies(predictor.signature, described, predictor.detectors)
        reached = area_under_curve(tried.combined(parts), labels)
        if reached > best + 1e-9:
            found, best = tried, reached
    said = ", ".join(f"{kind} {area:.3f}" for kind, area in zip(predictor.description.kinds, areas, strict=True))
    weights_said = ", ".join(f"{weight:.2f}" for weight in found.description.weights)
    report.log(
        f"ROC AUC on labelled rows: {said}. Combined by {found.description.combination} with weights {weights_said}: "
        f"{best:.3f}."
    )
    for step, area in enumerate([*areas, best], start=1):
        report.metric("ROC AUC of detectors, then combined", step, area)
    return found


def _scores(predictor: RowAnomalies, values: Matrix) -> NDArray[np.float64]:
    return predictor.combined(predictor.parts_of(values))


def _by_share(scores: NDArray[np.float64], parameters: RowForm) -> float:
    return float(np.quantile(scores, 1.0 - parameters.contamination))


def _by_tail(scores: NDArray[np.float64]) -> float:
    """Where few usual rows would score: the upper quarter goes on as an exponential tail (peaks over threshold)."""
    quarter = float(np.quantile(scores, 0.75))
    above = scores[scores > quarter]
    if not len(above):
        return quarter
    # The median, because the anomalies themselves would stretch the mean.
    mean_excess = float(np.median(above - quarter) / np.log(2.0))
    return quarter + mean_excess * float(np.log(0.25 / FALSE_ALARMS))


def _ladder(scores: NDArray[np.float64]) -> Ladder:
    """How often these rows score as high."""
    rungs, counts = np.unique(scores, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2.0
    tails = -np.log((len(scores) - middle + 0.5) / len(scores))
    places = np.arange(len(rungs))
    if len(rungs) > MOST_RUNGS:
        outer = MOST_RUNGS // 2
        between = np.linspace(0, len(rungs) - outer, MOST_RUNGS - outer, endpoint=False).astype(np.intp)
        places = np.concatenate([between, np.arange(len(rungs) - outer, len(rungs))])
    high = np.quantile(scores, 0.9)
    excess = float(np.mean(np.maximum(scores - high, 0.0))) * 10.0
    return Ladder(tuple(rungs[places].tolist()), tuple(tails[places].tolist()), 1.0 / max(excess, 1e-9))


def slice_of(rows: Batch) -> NDArray[np.intp]:
    """Places of rows that are probed where there are no validation rows."""
    return np.linspace(0, rows.rows - 1, min(PROBED, rows.rows)).round().astype(np.intp)


def _agreement(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Spearman's rank correlation; 1 where nothing is ranked."""
    ranks = [np.searchsorted(np.sort(scores), scores).astype(np.float64) for scores in (one, other)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return 1.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
