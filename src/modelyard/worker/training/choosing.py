"""Which of several candidates, or of the trials of a search, becomes the version: what does best on validation rows."""

import math
import shutil
import time
from pathlib import Path
from typing import NamedTuple

from modelyard.algorithms import registry, scoring
from modelyard.protocol.evaluation import Candidate
from modelyard.protocol.jobs import CandidateSpec, LogLine, SearchSpec, TrainSpec
from modelyard.worker.context import JobContext
from modelyard.worker.failures import JobFailed, failed
from modelyard.worker.training import candidates
from modelyard.worker.training.candidates import Tried
from modelyard.worker.training.loading import Loaded
from modelyard.worker.training.search import Trial, search

LISTED = 10


class Tries(NamedTuple):
    """The candidate that was chosen, what is to be said of each that learned, and of those that did not."""

    best: Tried
    listed: tuple[Candidate, ...]
    warnings: tuple[str, ...]


class Choosing:
    """Tries what a spec names; `span` is the share of the job's progress that it takes.

    `previous` is the folder of a version to go on from.
    """

    def __init__(
        self, context: JobContext, spec: TrainSpec, loaded: Loaded, metric: str, span: tuple[float, float],
        previous: Path | None,
    ) -> None:  # fmt: skip
        self._context, self._spec, self._loaded, self._metric = context, spec, loaded, metric
        self._span, self._previous = span, previous

    def result(self) -> Tries:
        """The best of all. Raises JobFailed where nothing learns."""
        return self._all() if self._spec.search is None else self._searched(self._spec.search)

    def _all(self) -> Tries:
        """Every candidate in turn."""
        specs, (first, last) = self._spec.candidates, self._span
        share = (last - first) / len(specs)
        learned: list[Tried] = []
        failures: list[tuple[str, JobFailed]] = []
        begun = time.monotonic()
        for number, (spec, name) in enumerate(zip(specs, candidates.names_of(specs), strict=True)):
            if learned and self._spec.seconds is not None and time.monotonic() - begun > self._spec.seconds:
                self._log(f"{name}: not tried, the budget of {self._spec.seconds:g} s is used up.")
                continue
            try:
                found = self._attempt(spec, name, (first + number * share, first + (number + 1) * share))
            except JobFailed as error:
                self._log(f"{name}: {error.failure.message}")
                failures.append((spec.algorithm, error))
            else:
                learned.append(found)
        if not learned:
            raise failures[-1][1]
        best = learned[0]
        for other in learned[1:]:
            best = other if self._better(other.validation, best.validation) else best
        warnings = tuple(f"{name} did not learn: {error.failure.message}" for name, error in failures)
        return Tries(best, tuple(_candidate(one, best) for one in learned), warnings)

    def _searched(self, wanted: SearchSpec) -> Tries:
        """The best trial of a search over the one candidate's parameters."""
        if len(self._spec.candidates) != 1:
            raise failed("no_candidates", "A search varies one algorithm. Name one.")
        if scoring.DIRECTIONS[self._metric] == "neither":
            raise failed(
                "nothing_to_search_by",
                "Without labels nothing says which parameters are better. Label some rows, or train without a search.",
            )
        (candidate,) = self._spec.candidates
        found = search(
            self._context, candidate, wanted, registry.get(candidate.algorithm).Parameters, self._attempt, self._better,
            self._span, self._spec.seed, discard=lambda tried: shutil.rmtree(tried.work, ignore_errors=True),
        )  # fmt: skip
        learned = [trial for trial in found.trials if trial.value is not None]
        learned.sort(key=lambda trial: trial.value or 0.0, reverse=scoring.DIRECTIONS[self._metric] == "higher")
        listed = tuple(_trial(candidate.algorithm, trial, found.spec) for trial in learned[:LISTED])
        return Tries(found.best, listed or (_candidate(found.best, found.best),), ())

    def _attempt(self, spec: CandidateSpec, name: str, span: tuple[float, float]) -> Tried:
        """One candidate. Raises JobFailed where it does not learn."""
        found = candidates.attempt(
            self._context, self._loaded, spec, name, metric=self._metric, seed=self._spec.seed, span=span,
            previous=self._previous,
        )  # fmt: skip
        if not math.isnan(found.validation):
            rows = self._loaded.scenario.rows
            self._log(f"{name}: {self._metric} {found.validation:g} on the validation {rows}.")
        return found

    def _better(self, one: float, other: float) -> bool:
        return scoring.better(self._metric, one, other)

    def _log(self, line: str) -> None:
        self._context.report(LogLine(line=line, at=time.time(), stream="platform"))


def _candidate(tried: Tried, best: Tried) -> Candidate:
    return Candidate(
        algorithm=tried.spec.algorithm,
        validation=None if math.isnan(tried.validation) else tried.validation,
        fit_seconds=round(tried.fitted.seconds, 2),
        chosen=tried is best,
        note=tried.fitted.reason,
    )


def _trial(algorithm: str, trial: Trial, best: CandidateSpec) -> Candidate:
    varied = ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in trial.varied.items()
    )
    return Candidate(
        algorithm=algorithm,
        validation=trial.value,
        fit_seconds=round(trial.seconds or 0.0, 2),
        chosen=trial.parameters == best.parameters,
        note=f"trial {trial.number}: {varied or 'as it is'}",
    )
