"""A search tries what the form offers, keeps to its budget, and goes on where a worker before it was lost."""

import math
from typing import Any, Literal, NamedTuple

import pytest

from modelyard.algorithms import registry
from modelyard.algorithms.forms import Form, Search, parameter
from modelyard.protocol.jobs import CandidateSpec, Checkpoint, JobSpec, LogLine, Progress, Record, SearchSpec
from modelyard.worker.failures import failed
from modelyard.worker.training.search import dimensions, search

ALGORITHM = "tabular-classification/invented"


class Wide(Form):
    """A form with every kind of thing that a search meets."""

    rate: float = parameter(0.5, "Rate", "How fast.", search=Search(0.001, 1.0, log=True), gt=0, le=10)
    leaves: int = parameter(31, "Leaves", "How many.", search=Search(3, 64, step=4), ge=2)
    kind: Literal["automatic", "tree", "line"] = parameter("automatic", "Kind", "Which.", search=("tree", "line"))
    depth: int | None = parameter(None, "Depth", "How deep.", when={"kind": "tree"}, search=Search(1, 8))
    slope: float = parameter(1.0, "Slope", "How steep.", when={"kind": ["line"]}, search=Search(0.0, 2.0))
    rounds: int = parameter(100, "Rounds", "How long.")


class Narrow(Form):
    """Six combinations in all."""

    size: Literal[1, 2, 3] = parameter(1, "Size", "How large.", search=(1, 2, 3))
    deep: bool = parameter(False, "Deep", "Whether.", search=(False, True))


class Learned(NamedTuple):
    """What an attempt gives back."""

    validation: float
    name: str


class Worker:
    """The worker's side: what was reported, and the checkpoint that the next one gets."""

    def __init__(self, checkpoint: dict[str, Any] | None = None) -> None:
        self.spec = JobSpec(id="job_1", kind="train", token=1, lease_seconds=10, payload={}, checkpoint=checkpoint)
        self.events: list[Any] = []

    def report(self, event: Any) -> None:
        self.events.append(event)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def checkpoint(self) -> dict[str, Any]:
        return self.of(Checkpoint)[-1].data


class Attempts:
    """Tries candidates by a formula instead of by learning."""

    def __init__(self, formula: Any) -> None:
        self.formula = formula
        self.seen: list[dict[str, Any]] = []
        self.names: list[str] = []
        self.spans: list[tuple[float, float]] = []

    def __call__(self, spec: CandidateSpec, name: str, span: tuple[float, float]) -> Learned:
        self.seen.append(dict(spec.parameters))
        self.names.append(name)
        self.spans.append(span)
        return Learned(self.formula(spec.parameters), name)


def near_a_hundredth(parameters: dict[str, Any]) -> float:
    """Best where the rate is 0.01 and there are 47 leaves: lower is better."""
    return abs(math.log10(parameters["rate"]) + 2) + abs(parameters["leaves"] - 47) / 50


def run(worker: Worker, attempts: Attempts, *, form: type[Form] = Wide, given: dict[str, Any] | None = None,
        lower: bool = True, seed: int = 1, discard: Any = None, **budget: Any) -> Any:  # fmt: skip
    spec = SearchSpec(**{"trials": 12, **budget})
    candidate = CandidateSpec(algorithm=ALGORITHM, parameters=given or {})
    better = (lambda one, other: one < other) if lower else (lambda one, other: one > other)
    more = {"discard": discard} if discard else {}
    return search(worker, candidate, spec, form, attempts, better, (0.1, 0.9), seed, **more)


def test_the_candidate_itself_is_the_first_trial_and_something_better_is_found() -> None:
    worker, attempts = Worker(), Attempts(near_a_hundredth)
    found = run(worker, attempts, trials=40)
    assert attempts.seen[0] == Wide().model_dump()
    assert len(found.trials) == len(attempts.seen) == 40
    assert found.value == min(trial.value for trial in found.trials) == found.best.validation
    assert found.value < attempts.formula(attempts.seen[0]) / 4
    assert found.spec.parameters == attempts.seen[[trial.value for trial in found.trials].index(found.value)]


def test_where_higher_is_better_the_highest_wins() -> None:
    found = run(Worker(), Attempts(lambda parameters: -near_a_hundredth(parameters)), lower=False)
    assert found.value == max(trial.value for trial in found.trials)


def test_the_sampler_is_better_than_chance() -> None:
    def best(trials: int, seed: int) -> float:
        return run(Worker(), Attempts(near_a_hundredth), trials=trials, seed=seed).value

    learned = sorted(best(40, seed) for seed in range(5))[2]
    # All of the first ten trials are drawn at random: four times as many of them are no match for forty that learn.
    by_chance = sorted(min(best(10, 100 * seed + more) for more in range(4)) for seed in range(5))[2]
    assert learned <= by_chance


def test_the_same_seed_searches_the_same_way() -> None:
    first, second, third = Attempts(near_a_hundredth), Attempts(near_a_hundredth), Attempts(near_a_hundredth)
    run(Worker(), first)
    run(Worker(), second)
    run(Worker(), third, seed=2)
    assert first.seen == second.seen
    assert first.seen != third.seen


def test_only_what_the_form_offers_and_nobody_fixed_is_varied_within_its_range() -> None:
    attempts = Attempts(near_a_hundredth)
    run(Worker(), attempts, given={"leaves": 9}, trials=30)
    assert {parameters["leaves"] for parameters in attempts.seen} == {9}
    assert {parameters["rounds"] for parameters in attempts.seen} == {100}
    assert all(0.001 <= parameters["rate"] <= 1.0 for parameters in attempts.seen)
    assert len({parameters["rate"] for parameters in attempts.seen}) > 10
    assert {parameters["kind"] for parameters in attempts.seen} <= {"automatic", "tree", "line"}
    leaves = Attempts(near_a_hundredth)
    run(Worker(), leaves, trials=30)
    assert {parameters["leaves"] for parameters in leaves.seen[1:]} <= set(range(3, 64, 4))


def test_a_parameter_is_varied_only_while_its_condition_holds() -> None:
    attempts = Attempts(near_a_hundredth)
    run(Worker(), attempts, trials=40)
    assert all(parameters["depth"] is None for parameters in attempts.seen if parameters["kind"] != "tree")
    assert all(parameters["slope"] == 1.0 for parameters in attempts.seen if parameters["kind"] != "line")
    assert any(parameters["depth"] is not None for parameters in attempts.seen)
    assert any(parameters["slope"] != 1.0 for parameters in attempts.seen)
    fixed = Attempts(near_a_hundredth)
    run(Worker(), fixed, given={"kind": "tree"})
    assert all(parameters["slope"] == 1.0 for parameters in fixed.seen)


def test_no_combination_is_tried_twice_and_the_end_of_them_is_the_end() -> None:
    worker, attempts = Worker(), Attempts(lambda parameters: parameters["size"])
    found = run(worker, attempts, form=Narrow, trials=100)
    assert len(found.trials) == len({str(parameters) for parameters in attempts.seen}) <= 6
    assert len(found.trials) >= 5
    assert any("every combination" in line.line for line in worker.of(LogLine))


def test_a_search_ends_when_nothing_gets_better() -> None:
    worker = Worker()
    found = run(worker, Attempts(lambda parameters: 1.0), trials=50, patience=4)
    assert len(found.trials) == 5
    assert found.best.name == "trial 1"
    assert any("no better" in line.line for line in worker.of(LogLine))


def test_a_search_ends_when_its_time_is_up() -> None:
    worker = Worker()
    found = run(worker, Attempts(near_a_hundredth), trials=50, seconds=1e-9)
    assert len(found.trials) == 1
    assert any("are used up" in line.line for line in worker.of(LogLine))


def test_nothing_to_vary_is_one_trial() -> None:
    worker, attempts = Worker(), Attempts(lambda parameters: 1.0)
    found = run(worker, attempts, form=Narrow, given={"size": 2, "deep": True})
    assert (len(found.trials), attempts.seen) == (1, [{"size": 2, "deep": True}])


def test_every_trial_is_told_as_it_begins_and_as_it_ends() -> None:
    worker, attempts = Worker(), Attempts(near_a_hundredth)
    found = run(worker, attempts, trials=5)
    told = [(record.key, record.data["state"]) for record in worker.of(Record)]
    assert told == [(str(number), state) for number in range(1, 6) for state in ("running", "succeeded")]
    assert {record.kind for record in worker.of(Record)} == {"trial"}
    last = worker.of(Record)[-1].data
    assert set(last) == {"number", "state", "parameters", "value", "seconds", "note"}
    assert (last["value"], last["parameters"]) == (found.trials[-1].value, attempts.seen[-1])
    assert attempts.names == [f"trial {number}" for number in range(1, 6)]
    phases = [progress.phase for progress in worker.of(Progress)]
    assert phases[0] == "trial 1 of 5"
    assert phases[-1] == f"trial 5 of 5, best {found.value:.6g}"
    edges = [edge for span in attempts.spans for edge in span]
    assert edges == sorted(edges)
    assert 0.1 <= edges[0] < edges[-1] < 0.9


def test_a_trial_that_does_not_learn_is_noted_and_the_search_goes_on() -> None:
    def formula(parameters: dict[str, Any]) -> float:
        if parameters["rate"] < 0.1:
            raise failed("algorithm_failed", "It did not converge.")
        return near_a_hundredth(parameters)

    worker = Worker()
    found = run(worker, Attempts(formula), trials=20)
    states = {trial.state for trial in found.trials}
    assert states == {"succeeded", "failed"}
    assert all(trial.note == "It did not converge." for trial in found.trials if trial.state == "failed")
    assert found.spec.parameters["rate"] >= 0.1


def test_where_nothing_learns_the_last_reason_is_given() -> None:
    def formula(parameters: dict[str, Any]) -> float:
        raise failed("no_features", "There is no column.")

    with pytest.raises(Exception, match=r"There is no column\."):
        run(Worker(), Attempts(formula), trials=3)


def test_what_every_later_trial_would_meet_ends_the_search_with_what_there_is() -> None:
    attempts = Attempts(near_a_hundredth)

    def formula(parameters: dict[str, Any]) -> float:
        if len(attempts.seen) == 3:
            raise failed("timed_out", "The training took too long.")
        return near_a_hundredth(parameters)

    attempts.formula = formula
    found = run(Worker(), attempts, trials=30)
    assert len(found.trials) == 3
    assert found.best.name in {"trial 1", "trial 2"}


def test_where_validation_rows_tell_nothing_the_candidate_itself_is_taken() -> None:
    found = run(Worker(), Attempts(lambda parameters: math.nan), trials=9)
    assert (found.best.name, len(found.trials), found.trials[0].value) == ("trial 1", 1, None)
    assert math.isnan(found.value)


def test_what_is_beaten_is_given_up() -> None:
    gone: list[str] = []
    found = run(Worker(), Attempts(near_a_hundredth), trials=15, discard=lambda outcome: gone.append(outcome.name))
    assert sorted([*gone, found.best.name]) == sorted(f"trial {number}" for number in range(1, 16))


def test_the_next_worker_goes_on_with_the_trials_of_the_one_that_was_lost() -> None:
    first, lost = Worker({"other": 1}), Attempts(near_a_hundredth)

    def dies(parameters: dict[str, Any]) -> float:
        if len(lost.seen) == 5:
            raise KeyboardInterrupt
        return near_a_hundredth(parameters)

    lost.formula = dies
    with pytest.raises(KeyboardInterrupt):
        run(first, lost, trials=12)
    assert first.checkpoint["other"] == 1
    second, attempts = Worker(first.checkpoint), Attempts(near_a_hundredth)
    found = run(second, attempts, trials=12)
    assert [trial.number for trial in found.trials] == list(range(1, 13))
    again = [name for name in attempts.names if name.endswith("again")]
    assert [name for name in attempts.names if name not in again] == [f"trial {number}" for number in range(5, 13)]
    assert not {str(parameters) for parameters in lost.seen[:4]} & {str(parameters) for parameters in attempts.seen[:8]}
    assert found.best.validation == found.value == min(trial.value for trial in found.trials)


def test_the_best_of_a_lost_worker_is_learned_again_for_its_files() -> None:
    first = Worker()
    run(first, Attempts(near_a_hundredth), trials=6)
    second, attempts = Worker(first.checkpoint), Attempts(near_a_hundredth)
    found = run(second, attempts, trials=6)
    assert len(attempts.names) == 1
    assert attempts.names[0].endswith(" again")
    assert attempts.seen == [found.spec.parameters]
    assert attempts.spans[0][1] == 0.9


@pytest.mark.parametrize(
    "checkpoint", [None, {}, {"search": 5}, {"search": {"algorithm": "other/one", "trials": [], "elapsed": 0}}]
)
def test_a_checkpoint_of_something_else_is_no_hindrance(checkpoint: dict[str, Any] | None) -> None:
    assert len(run(Worker(checkpoint), Attempts(near_a_hundredth), trials=2).trials) == 2


@pytest.mark.parametrize("name", registry.names())
def test_every_algorithm_s_form_can_be_searched(name: str) -> None:
    form = registry.get(name).Parameters
    for dimension in dimensions(form, set()):
        distribution = dimension.distribution()
        assert not distribution.single(), dimension.name
    attempts = Attempts(lambda parameters: len(str(parameters)))
    run(Worker(), attempts, form=form, trials=6)
    for parameters in attempts.seen:
        form.model_validate(parameters)
