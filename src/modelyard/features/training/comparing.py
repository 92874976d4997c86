"""Runs side by side: what was set differently, what came of it, and how the metrics went."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from modelyard.core.errors import Invalid
from modelyard.features.auth.operations import Principal
from modelyard.features.jobs import history
from modelyard.features.training import schemas, trials
from modelyard.features.training.presenting import run_schema

MOST_RUNS = 10
MOST_STEPS = 1000
"""A screen has no more dots."""

History = dict[str, dict[int, float]]
"""The values of each metric by step."""


def compare(session: Session, principal: Principal, run_ids: Sequence[str]) -> schemas.Comparison:
    """Two to ten runs or trials. Raises Invalid, NotFound."""
    wanted = list(dict.fromkeys(run_ids))
    if not 2 <= len(wanted) <= MOST_RUNS:
        raise Invalid(f"Name 2 to {MOST_RUNS} different runs, as in ?run=run_01…&run=run_02….")
    found = [trials.find(session, principal, run_id) for run_id in wanted]
    runs = [run_schema(session, one) for one in found]
    return schemas.Comparison(
        runs=runs,
        parameters=differences(runs),
        metrics=metrics(runs),
        curves=curves([_history(session, one) for one in found]),
    )


def differences(runs: Sequence[schemas.Run]) -> list[schemas.Difference]:
    """The algorithm and the parameters that are not the same in all runs."""
    settings: list[dict[str, Any]] = [{"algorithm": run.algorithm, **run.parameters} for run in runs]
    names = dict.fromkeys(name for one in settings for name in one)
    rows = [schemas.Difference(name=name, values=[one.get(name) for one in settings]) for name in names]
    return [row for row in rows if any(value != row.values[0] for value in row.values)]


def metrics(runs: Sequence[schemas.Run]) -> list[schemas.MetricRow]:
    """Every metric that any of the runs has, the deciding one of the first run first."""
    of_each = [{metric.name: metric for metric in run.metrics} for run in runs]
    names = dict.fromkeys(name for one in of_each for name in one)
    first = runs[0].primary
    ordered = sorted(names, key=lambda name: name != first)
    return [
        schemas.MetricRow(
            name=name,
            direction=next(one[name].direction for one in of_each if name in one),
            values=[one.get(name) for one in of_each],
        )
        for name in ordered
    ]


def curves(histories: Sequence[History]) -> list[schemas.Curve]:
    """Each metric's histories on the steps that any run has."""
    names = dict.fromkeys(name for one in histories for name in one)
    return [_curve(name, [one.get(name, {}) for one in histories]) for name in names]


def _curve(name: str, values: Sequence[dict[int, float]]) -> schemas.Curve:
    steps = sorted({step for one in values for step in one})
    if len(steps) > MOST_STEPS:
        # Evenly, with the first and the last.
        last = len(steps) - 1
        steps = [steps[round(place * last / (MOST_STEPS - 1))] for place in range(MOST_STEPS)]
    return schemas.Curve(name=name, steps=steps, values=[[one.get(step) for step in steps] for one in values])


def _history(session: Session, found: trials.Found) -> History:
    """Without the candidate's name before them where there is one candidate: algorithms share names of metrics."""
    points = history.points(session, trials.job_of(found), prefix=trials.prefix_of(found))
    candidates = set() if isinstance(found, trials.Trial) else {point.name.partition("/")[0] for point in points}
    cut = f"{candidates.pop()}/" if len(candidates) == 1 else ""
    of_each: History = {}
    for point in points:
        of_each.setdefault(point.name.removeprefix(cut), {})[point.step] = point.value
    return of_each
