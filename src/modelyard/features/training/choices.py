"""What a task asks for, checked against its dataset, the algorithm and the platform's other decisions."""

import difflib
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from modelyard.algorithms import scoring
from modelyard.core.errors import Invalid, NotFound
from modelyard.features.auth.operations import Principal
from modelyard.features.catalogue import configurations, known, parameters
from modelyard.features.catalogue import operations as catalogue
from modelyard.features.catalogue.schemas import NONE, Configuration
from modelyard.features.models import operations as models
from modelyard.features.training.errors import TargetMissing, WrongAlgorithm

USUAL_TARGETS = ("target", "label", "class", "y", "outcome")
TABULAR = ("tabular-classification", "tabular-regression")
"""Tables do for either: which it is follows from the column to predict."""

WITHOUT_TARGET = frozenset({"anomaly-detection", "log-clustering"})
FORECASTING = "time-series-prediction"
METRICS = {
    "tabular-classification": (*scoring.TWO_CLASSES, *scoring.MORE_CLASSES),
    "tabular-regression": scoring.REGRESSION,
    "text-classification": (*scoring.TWO_CLASSES, *scoring.MORE_CLASSES),
    "anomaly-detection": scoring.ANOMALIES,
    FORECASTING: scoring.FORECASTS,
    "log-clustering": scoring.CLUSTERS,
}


class Chosen(NamedTuple):
    """What is to be trained: the algorithm, and the configuration whose parameters it begins with."""

    algorithm: str
    configuration: Configuration | None


class Settings(NamedTuple):
    """The parameters of a task: all of them, and the names of those that somebody gave."""

    parameters: dict[str, Any]
    fixed: list[str]


def choose(
    session: Session, principal: Principal, scenario: str, algorithm: str | None, configuration: str | None
) -> Chosen:
    """The algorithm and the configuration that are meant, fit for use and for datasets of `scenario`.

    Raises NotFound, WrongAlgorithm, Disabled, NotInstalled, Invalid.
    """
    if algorithm is None:
        algorithm, configuration = _default(session, principal, scenario, configuration)
    known.algorithm(algorithm)
    fitting = fitting_scenarios(scenario)
    if algorithm.partition("/")[0] not in fitting:
        fit = [name for one in fitting for name in known.names(one)]
        raise WrongAlgorithm(
            f"{algorithm} is not for a dataset of the scenario {scenario}. Choose one of: {', '.join(fit)}.",
            detail={"choices": fit},
            fields=[{"field": "algorithm", "message": "is for another scenario"}],
        )
    catalogue.require_usable(session, principal, algorithm)
    return Chosen(algorithm, _configuration(session, principal, algorithm, configuration))


def fitting_scenarios(scenario: str) -> tuple[str, ...]:
    """The scenarios whose algorithms can learn from a dataset of this one, itself first."""
    return (scenario, *(other for other in TABULAR if other != scenario)) if scenario in TABULAR else (scenario,)


def settings(chosen: Chosen, given: dict[str, Any]) -> Settings:
    """The configuration's parameters with those that were given over them. Raises BadParameters."""
    begun = chosen.configuration.parameters if chosen.configuration else {}
    together = {**begun, **given}
    return Settings(parameters.checked(chosen.algorithm, together), sorted(together))


def choose_target(columns: list[str], wanted: str | None) -> str:
    """The column to predict: the one named, else one that is usually called so, else the last. Raises TargetMissing."""
    if wanted is None:
        lowered = {column.lower(): column for column in reversed(columns)}
        return next((lowered[name] for name in USUAL_TARGETS if name in lowered), columns[-1])
    if wanted in columns:
        return wanted
    near = difflib.get_close_matches(wanted, columns, n=3, cutoff=0.4)
    hint = f"The nearest are {', '.join(near)}." if near else f"There are: {', '.join(columns[:20])}."
    raise TargetMissing(f"The table has no column {wanted!r}. {hint}", detail={"nearest": near})


def target_of(scenario: str, columns: list[str], wanted: str | None, roles: dict[str, str]) -> str:
    """The target of a task: `wanted`, else the release's; "" where the scenario does without. Raises TargetMissing."""
    named = wanted or roles.get("target")
    if named is None and scenario in WITHOUT_TARGET:
        return ""
    others = [column for column in columns if column not in {roles.get("time"), roles.get("series"), roles.get("text")}]
    return choose_target(columns, named) if named else choose_target(others or columns, None)


def check_horizon(scenario: str, horizon: int | None) -> None:
    """See that only what forecasts has a horizon. Raises Invalid."""
    if horizon is not None and scenario != FORECASTING:
        raise Invalid(
            f"A horizon is for {FORECASTING}, not for {scenario}. Leave it out.",
            fields=[{"field": "horizon", "message": "only series have one"}],
        )


def check_metric(scenario: str, metric: str | None) -> None:
    """See that a metric can decide in a scenario. Raises Invalid."""
    deciding = [name for name in dict.fromkeys(METRICS.get(scenario, ())) if scoring.DIRECTIONS[name] != "neither"]
    if metric is not None and deciding and metric not in deciding:
        raise Invalid(
            f"{metric!r} does not decide in {scenario}. Choose one of: {', '.join(deciding)}.",
            fields=[{"field": "metric", "message": f"choose one of {', '.join(deciding)}"}],
        )


def previous_version(session: Session, principal: Principal, path: str, algorithm: str) -> models.Found:
    """The version that learning goes on from. Raises NotFound, Invalid where another algorithm made it."""
    found = models.get_version(session, principal, models.parse(path))
    made_by = str(found.version.artifact["algorithm"])
    if made_by != algorithm:
        raise Invalid(
            f"{models.name_of(found.model, found.version)} was made by {made_by}: {algorithm} cannot go on from it. "
            "Name a version that the same algorithm made.",
            fields=[{"field": "previous", "message": f"was made by {made_by}"}],
        )
    return found


def _default(
    session: Session, principal: Principal, scenario: str, configuration: str | None
) -> tuple[str, str | None]:
    if configuration is not None and configuration != NONE:
        try:
            found = configurations.get(session, principal, configuration)
            return found.algorithm, found.id
        except NotFound:  # a name, then, of the default algorithm's
            pass
    default = catalogue.default_of(session, principal, scenario)
    if default is None:
        raise Invalid(
            f"No algorithm for {scenario} may be used. Ask an administrator to switch one on: "
            "`modelyard algorithm enable SCENARIO/NAME`."
        )
    if default in known.names():
        return default, configuration
    found = configurations.get(session, principal, default)
    return found.algorithm, configuration or found.id


def _configuration(session: Session, principal: Principal, algorithm: str, wanted: str | None) -> Configuration | None:
    if wanted == NONE:
        return None
    if wanted is not None:
        return configurations.find(session, principal, algorithm, wanted)
    default = catalogue.algorithm(session, principal, algorithm).default_configuration
    return configurations.find(session, principal, algorithm, default) if default is not None else None
