"""Boosting round by round, whatever the library: its parameters, its reports, and the stop once nothing is gained."""

import time

from modelyard.algorithms import forms
from modelyard.algorithms.base import Report


class RoundsForm(forms.Form):
    """What the forms of all boosting begin with."""

    learning_rate: float = forms.parameter(
        0.05, "Learning rate", "How much each tree corrects. Smaller learns finer and takes longer.",
        search=forms.Search(0.01, 0.2, log=True), ge=0.005, le=0.5,
    )  # fmt: skip
    max_rounds: int = forms.parameter(
        2000, "Most rounds", "An upper bound; learning stops earlier where it no longer helps.",
        unit="rounds", advanced=True, ge=1, le=10000,
    )  # fmt: skip
    patience: int = forms.parameter(
        60, "Patience", "Rounds without a better validation score before learning stops.",
        unit="rounds", advanced=True, ge=5, le=1000,
    )  # fmt: skip


class Search:
    """Rounds with a validation score, the lower the better; `best` is the round that had the lowest."""

    def __init__(self, report: Report, metric: str, most: int, patience: int) -> None:
        self._report, self._metric, self._most, self._patience = report, metric, most, patience
        self._started = time.monotonic()
        self._lowest = float("inf")
        self._fraction = 0.0
        self.best = 1

    def tell(self, step: int, value: float) -> bool:
        """One round, from 1. Whether to stop."""
        if value < self._lowest - 1e-9:
            self._lowest, self.best = value, step
        if step <= 50 or step % 10 == 0:
            self._report.metric(self._metric, step, value)
            self._say(step)
        return step - self.best >= self._patience

    def _say(self, step: int) -> None:
        end = min(self._most, self.best + self._patience)
        eta = (time.monotonic() - self._started) / step * max(0, end - step)
        # The end moves away with each round that helps; progress does not go back for that.
        self._fraction = max(self._fraction, step / max(end, step))
        self._report.progress(f"round {step}", self._fraction, eta)


class Known:
    """Rounds whose number is known."""

    def __init__(self, report: Report, rounds: int) -> None:
        self._report, self._rounds, self._started = report, rounds, time.monotonic()

    def tell(self, step: int) -> None:
        """One round, from 1."""
        if step % 10 == 0:
            eta = (time.monotonic() - self._started) / step * (self._rounds - step)
            self._report.progress("learning again with the validation rows", step / self._rounds, eta)
