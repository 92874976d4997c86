"""What an evaluation says: metrics with intervals, against a baseline. Stored as `metrics.json`."""

from typing import Literal

import msgspec


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One metric on the held-out test rows.

    `lower` and `upper` bound the 95 % bootstrap interval; `baseline` is what the trivial predictor reaches on the same
    rows.
    """

    name: str
    value: float
    lower: float
    upper: float
    baseline: float
    direction: Literal["higher", "lower", "neither"]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One algorithm that was tried: its validation score decided, its test rows were not looked at.

    `validation` is None where no row could decide.
    """

    algorithm: str
    validation: float | None
    fit_seconds: float
    chosen: bool = False
    note: str = ""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The whole verdict of one version. `primary` names the metric that decided.

    `parity` is the largest relative difference between the served form and the training pipeline over all held-out
    rows. `importance` is the drop of the primary metric when a column is shuffled, largest first.
    """

    primary: str
    metrics: tuple[Metric, ...]
    rows: dict[str, int]
    candidates: tuple[Candidate, ...] = ()
    parity: float | None = None
    importance: dict[str, float] = {}
    warnings: tuple[str, ...] = ()

    @property
    def headline(self) -> Metric:
        """The metric that decided."""
        return next(metric for metric in self.metrics if metric.name == self.primary)
