"""A search for better parameters of one algorithm: tree-structured Parzen estimators (Bergstra et al. 2011), by Optuna.

The first trial is the candidate as it is. Only parameters that the form offers for a search (`x-search`) and that
nobody fixed are varied, each only while its condition (`x-when`) holds. The same proposal is never tried twice: the
same parameters and seed give the same model. After each trial a checkpoint says what is known, so that the next worker
goes on where this one was lost. Optuna only ever sees numbers and names: what learns runs in the sandbox.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from modelyard.protocol.jobs import CandidateSpec, Checkpoint, LogLine, Progress, Record, SearchSpec
from modelyard.worker.context import JobContext
from modelyard.worker.failures import JobFailed, failed

KIND = "trial"
CHECKPOINT = "search"
"""Where in the job's checkpoint the search keeps what it knows; the rest of it is left as it is."""

HOPELESS = frozenset({"timed_out", "out_of_space", "sandbox_failed"})
"""Failures that every later trial would share."""

_REPEATS = 30
"""So many proposals in a row that were tried before: the space holds nothing new."""

_TINY = 1e-6
_FEWEST_AT_RANDOM, _MOST_AT_RANDOM = 3, 10
"""Trials before the sampler knows enough to prefer anything: a quarter of them all, within these bounds."""

_LAST = 0.05
"""The share of the work that is kept for learning the best again, where a worker before this one found it."""


class Judged(Protocol):
    """What an attempt gives back: `validation` is the value that decides, on the validation rows."""

    @property
    def validation(self) -> float: ...


Outcome = TypeVar("Outcome", bound=Judged)
Attempt = Callable[[CandidateSpec, str, tuple[float, float]], Outcome]
"""Tries one candidate under a name, its progress within a span of the whole. Raises JobFailed: it does not learn."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One trial as its record and the checkpoint say it.

    `parameters` are those that it was tried with, `varied` those that the search chose. `value` is None where it did
    not learn, and `note` says why.
    """

    number: int
    state: Literal["running", "succeeded", "failed", "pruned"]
    parameters: dict[str, Any]
    varied: dict[str, Any] = {}
    value: float | None = None
    seconds: float | None = None
    note: str = ""


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint says; `elapsed` are the seconds that earlier workers spent."""

    algorithm: str
    trials: tuple[Trial, ...]
    elapsed: float


@dataclass(frozen=True, kw_only=True)
class Searched(Generic[Outcome]):
    """The best trial: what its attempt gave back, with which parameters, and all that were tried."""

    best: Outcome
    spec: CandidateSpec
    value: float
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Dimension:
    """One parameter that is varied. `kind` is how: a whole number, a number, or a choice of values."""

    name: str
    kind: Literal["integer", "number", "choice"]
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    when: Mapping[str, Any] | None = None

    def distribution(self) -> Any:
        """As Optuna knows it; choices are written as JSON, since they may be lists."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.kind == "choice":
            return CategoricalDistribution([json.dumps(choice) for choice in self.choices])
        if self.kind == "integer":
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def suggested(self, trial: Any) -> Any:
        """What an Optuna trial proposes, as the form takes it."""
        if self.kind == "choice":
            return json.loads(trial.suggest_categorical(self.name, [json.dumps(choice) for choice in self.choices]))
        if self.kind == "integer":
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return trial.suggest_float(self.name, self.low, self.high, log=self.log, step=self.step)

    def inside(self, value: Any) -> Any:
        """A value as Optuna keeps it, None where it is none of those that are searched."""
        if self.kind == "choice":
            kept = json.dumps(value)
            return kept if kept in {json.dumps(choice) for choice in self.choices} else None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not self.low <= value <= self.high:
            return None
        if self.step is not None and abs(math.remainder(value - self.low, self.step)) > _TINY * self.step:
            return None
        return int(value) if self.kind == "integer" else float(value)

    def applies(self, parameters: Mapping[str, Any]) -> bool:
        """Whether its condition holds among these parameters."""
        return all(_fits(parameters.get(name), wanted) for name, wanted in (self.when or {}).items())


def search(
    context: JobContext,
    candidate: CandidateSpec,
    spec: SearchSpec,
    form: type[BaseModel],
    attempt: Attempt[Outcome],
    better: Callable[[float, float], bool],
    span: tuple[float, float],
    seed: int,
    *,
    discard: Callable[[Outcome], None] = lambda _outcome: None,
) -> Searched[Outcome]:
    """The best of at most `spec.trials` trials.

    `attempt` learns shut in and says how good that is; `better(a, b)` says whether value a is better than b. `discard`
    is given every outcome that is beaten, so that its files can go. Raises the last JobFailed where nothing learns.
    """
    return _Search(context, candidate, spec, form, attempt, better, span, seed, discard).result()


def dimensions(form: type[BaseModel], fixed: Sequence[str] | set[str]) -> tuple[Dimension, ...]:
    """What can be varied of a form, but for the parameters that are fixed; what a condition asks about comes first."""
    properties: dict[str, dict[str, Any]] = form.model_json_schema().get("properties", {})
    free = {name: found for name, found in properties.items() if "x-search" in found and name not in fixed}
    waiting = {name: _dimension(name, found) for name, found in free.items()}
    ordered: list[Dimension] = []
    while waiting:
        ready = [name for name, one in waiting.items() if not waiting.keys() & (one.when or {}).keys() - {name}]
        # Where conditions ask in a circle, the form's order.
        ordered += [waiting.pop(name) for name in ready or list(waiting)]
    return tuple(ordered)


class _Search(Generic[Outcome]):
    """One search; what its steps share."""

    def __init__(
        self, context: JobContext, candidate: CandidateSpec, spec: SearchSpec, form: type[BaseModel],
        attempt: Attempt[Outcome], better: Callable[[float, float], bool], span: tuple[float, float], seed: int,
        discard: Callable[[Outcome], None],
    ) -> None:  # fmt: skip
        self._context, self._candidate, self._spec, self._form = context, candidate, spec, form
        self._attempt, self._better, self._span, self._discard = attempt, better, span, discard
        self._defaults: dict[str, Any] = form.model_validate(candidate.parameters).model_dump(mode="json")
        self._dimensions = dimensions(form, set(candidate.parameters))
        self._begun = time.monotonic()
        known = self._known()
        self._trials: list[Trial] = list(known.trials)
        self._elapsed_before = known.elapsed
        self._study = self._new_study(seed + len(self._trials))
        self._asked: Any = None
        self._unmeasured: tuple[Trial, Outcome] | None = None
        self._best: tuple[Trial, Outcome | None] | None = None
        self._since_best = 0
        self._last_failure: JobFailed | None = None
        for trial in self._trials:
            self._add(trial)
            self._weigh(trial, None)

    def result(self) -> Searched[Outcome]:
        """Try until the budget is used up, or nothing better is to be expected."""
        if not self._dimensions:
            self._log("The algorithm has no parameter left to search: it is tried as it is.")
        elif self._trials:
            self._log(f"The search goes on after trial {len(self._trials)}, which a worker before this one made.")
        while (varied := self._next()) is not None:
            self._try(varied)
        if self._best is None:
            return self._without_value()
        trial, outcome = self._best
        spec = CandidateSpec(algorithm=self._candidate.algorithm, parameters=trial.parameters)
        if outcome is None:
            self._log(f"Trial {trial.number} was the best; it is learned again, since the worker that made it is gone.")
            outcome = self._attempt(spec, f"trial {trial.number} again", (self._place(), self._span[1]))
        assert trial.value is not None  # what is best has a value
        return Searched(best=outcome, spec=spec, value=trial.value, trials=tuple(self._trials))

    def _without_value(self) -> Searched[Outcome]:
        """Where no trial could be measured: the candidate as it is. Raises JobFailed where it did not learn."""
        if self._unmeasured is None:
            message = "No trial learned. The log says why; try the algorithm without a search first."
            raise self._last_failure or failed("algorithm_failed", message)
        trial, outcome = self._unmeasured
        spec = CandidateSpec(algorithm=self._candidate.algorithm, parameters=trial.parameters)
        return Searched(best=outcome, spec=spec, value=math.nan, trials=tuple(self._trials))

    def _next(self) -> dict[str, Any] | None:
        """What the next trial varies; None where there is to be none."""
        if not self._trials:
            return {}
        reason = self._over()
        if reason is None:
            proposed = self._propose()
            if proposed is not None:
                return proposed
            reason = "every combination there is was tried"
        self._log(f"The search ends after {_count(len(self._trials))}: {reason}.")
        return None

    def _over(self) -> str | None:
        spec = self._spec
        if len(self._trials) >= spec.trials:
            return "so many were asked for"
        if not self._dimensions:
            return "there is nothing to vary"
        if self._unmeasured is not None:
            return "the validation rows cannot tell one from another"
        if self._last_failure is not None and self._last_failure.failure.code in HOPELESS:
            return "another one would fail as the last one did"
        if spec.seconds is not None and self._elapsed() >= spec.seconds:
            return f"the {spec.seconds:g} seconds are used up"
        if spec.patience is not None and self._since_best >= spec.patience:
            return f"the last {spec.patience} were no better"
        return None

    def _propose(self) -> dict[str, Any] | None:
        """Parameters that were not tried yet, as the sampler proposes them; None where it has no new ones."""
        tried = {_key(trial.parameters) for trial in self._trials}
        for _ in range(_REPEATS):
            self._asked = self._study.ask()
            varied: dict[str, Any] = {}
            for dimension in self._dimensions:
                if dimension.applies({**self._defaults, **varied}):
                    varied[dimension.name] = dimension.suggested(self._asked)
            if _key({**self._defaults, **varied}) not in tried:
                return varied
            self._answer(None)
        return None

    def _try(self, varied: dict[str, Any]) -> None:
        number, begun = len(self._trials) + 1, time.monotonic()
        parameters = {**self._defaults, **varied}
        trial = Trial(number=number, state="running", parameters=parameters, varied=varied)
        self._tell(trial)
        outcome: Outcome | None = None
        try:
            self._form.model_validate(parameters)
            spec = CandidateSpec(algorithm=self._candidate.algorithm, parameters=parameters)
            outcome = self._attempt(spec, f"trial {number}", (self._place(), self._place(after=True)))
        except JobFailed as error:
            self._last_failure, note = error, error.failure.message
        except ValidationError as error:
            note = f"The algorithm does not take this combination: {error.errors()[0]['msg']}."
        else:
            self._last_failure, note = None, ""
        value = outcome.validation if outcome is not None and math.isfinite(outcome.validation) else None
        if outcome is not None and value is None:
            note = "It cannot be measured on the validation rows."
        ended = msgspec.structs.replace(
            trial, state="succeeded" if outcome is not None else "failed", value=value,
            seconds=round(time.monotonic() - begun, 3), note=note,
        )  # fmt: skip
        if outcome is not None and value is None and self._best is None:
            self._unmeasured = (ended, outcome)
        self._trials.append(ended)
        if self._asked is None:
            self._add(ended)
        else:
            self._answer(value)
        was_best = self._weigh(ended, outcome)
        self._tell(ended)
        self._keep()
        self._log_trial(ended, was_best=was_best)

    def _weigh(self, trial: Trial, outcome: Outcome | None) -> bool:
        """Whether a trial is the best so far; what is beaten is discarded."""
        self._since_best += 1
        if trial.value is None:
            return False
        if self._best is not None and not self._better(trial.value, self._best[0].value or 0.0):
            if outcome is not None:
                self._discard(outcome)
            return False
        if self._best is not None and self._best[1] is not None:
            self._discard(self._best[1])
        self._best, self._since_best = (trial, outcome), 0
        return True

    def _new_study(self, seed: int) -> Any:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        at_random = min(_MOST_AT_RANDOM, max(_FEWEST_AT_RANDOM, self._spec.trials // 4))
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=at_random)
        higher = self._better(1.0, 0.0)
        return optuna.create_study(direction="maximize" if higher else "minimize", sampler=sampler)

    def _answer(self, value: float | None) -> None:
        """Tell the sampler what came of its proposal."""
        from optuna.trial import TrialState

        self._study.tell(self._asked, value, state=TrialState.FAIL if value is None else None)
        self._asked = None

    def _add(self, trial: Trial) -> None:
        """Let the sampler know of a trial that it did not propose, as far as it lies in what is searched."""
        from optuna.trial import TrialState, create_trial

        if trial.value is None:
            return
        kept = {
            dimension.name: dimension.inside(trial.parameters.get(dimension.name))
            for dimension in self._dimensions
            if dimension.applies(trial.parameters)
        }
        kept = {name: value for name, value in kept.items() if value is not None}
        distributions = {one.name: one.distribution() for one in self._dimensions if one.name in kept}
        self._study.add_trial(
            create_trial(state=TrialState.COMPLETE, value=trial.value, params=kept, distributions=distributions)
        )

    def _place(self, *, after: bool = False) -> float:
        """How far the whole is before the next trial, or after it."""
        spec, done = self._spec, len(self._trials)
        share = (done + after) / max(1, spec.trials)
        if spec.seconds is not None:
            mean = self._elapsed() / done if done else spec.seconds / spec.trials
            share = max(share, (self._elapsed() + (mean if after else 0.0)) / spec.seconds)
        low, high = self._span
        return low + (high - low) * (1 - _LAST) * min(1.0, share)

    def _tell(self, trial: Trial) -> None:
        told = msgspec.to_builtins(trial)
        del told["varied"]
        self._context.report(Record(kind=KIND, key=str(trial.number), data=told, at=time.time()))
        best = f", best {self._best[0].value:.6g}" if self._best is not None else ""
        phase = f"trial {trial.number} of {self._spec.trials}{best}"
        self._context.report(Progress(phase=phase, fraction=self._place(), eta_seconds=self._left()))

    def _left(self) -> float | None:
        """The seconds that the rest takes, where trials go on as they went."""
        if not self._trials:
            return None
        left = self._elapsed() / len(self._trials) * max(0, self._spec.trials - len(self._trials))
        return left if self._spec.seconds is None else min(left, max(0.0, self._spec.seconds - self._elapsed()))

    def _keep(self) -> None:
        known = _Known(
            algorithm=self._candidate.algorithm, trials=tuple(self._trials), elapsed=round(self._elapsed(), 3)
        )
        before = self._context.spec.checkpoint or {}
        self._context.report(Checkpoint(data={**before, CHECKPOINT: msgspec.to_builtins(known)}))

    def _known(self) -> _Known:
        """What a worker before this one left; nothing where it is of another search."""
        nothing = _Known(algorithm=self._candidate.algorithm, trials=(), elapsed=0.0)
        try:
            known = msgspec.convert((self._context.spec.checkpoint or {}).get(CHECKPOINT), _Known)
        except msgspec.ValidationError:
            return nothing
        return known if known.algorithm == self._candidate.algorithm else nothing

    def _elapsed(self) -> float:
        return self._elapsed_before + time.monotonic() - self._begun

    def _log_trial(self, trial: Trial, *, was_best: bool) -> None:
        varied = ", ".join(f"{name} {_short(value)}" for name, value in trial.varied.items()) or "as it is"
        if trial.value is None:
            self._log(f"trial {trial.number} ({varied}): {trial.note}")
        else:
            self._log(f"trial {trial.number} ({varied}): {trial.value:.6g}{', the best so far' if was_best else ''}.")

    def _log(self, line: str) -> None:
        self._context.report(LogLine(line=line, at=time.time(), stream="platform"))


def _dimension(name: str, found: Mapping[str, Any]) -> Dimension:
    wanted, when = found["x-search"], found.get("x-when")
    if "choices" in wanted:
        choices = list(wanted["choices"])
        # The form's own value is worth a try as well, where it is none of them.
        own = [found["default"]] if "default" in found and found["default"] not in choices else []
        return Dimension(name, "choice", choices=(*own, *choices), when=when)
    whole, log = "number" not in _types(found), wanted.get("log", False)
    low, high = (math.ceil(wanted["low"]), math.floor(wanted["high"])) if whole else (wanted["low"], wanted["high"])
    step = None if log else wanted.get("step")
    if step is not None:
        high = float(
            f"{low + math.floor((high - low) / step + _TINY) * step:.12g}"
        )  # 0.9 rather than 0.9000000000000001
    return Dimension(name, "integer" if whole else "number", low=low, high=high, log=log, step=step, when=when)


def _types(found: Mapping[str, Any]) -> set[str]:
    """The JSON types that a parameter may have."""
    return {str(one.get("type")) for one in (found, *found.get("anyOf", ()))}


def _fits(value: Any, wanted: Any) -> bool:
    return value in wanted if isinstance(wanted, (list, tuple)) else bool(value == wanted)


def _key(parameters: Mapping[str, Any]) -> str:
    return json.dumps(parameters, sort_keys=True)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _count(trials: int) -> str:
    return "1 trial" if trials == 1 else f"{trials} trials"
