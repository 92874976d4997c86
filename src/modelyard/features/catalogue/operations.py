"""What can be trained here, and what administrators decided about it."""

import importlib.util
from typing import Any

from sqlalchemy.orm import Session

from modelyard.algorithms import registry
from modelyard.core.errors import Invalid, NotFound
from modelyard.features.auth.operations import Principal
from modelyard.features.catalogue import configurations, known, queries, users
from modelyard.features.catalogue.errors import Disabled, NotInstalled
from modelyard.features.catalogue.schemas import Algorithm, Scenario
from modelyard.features.catalogue.tables import ChoiceRow


def scenarios(session: Session, principal: Principal) -> list[Scenario]:
    """Every scenario with the number of its algorithms."""
    return [_scenario(session, principal, one) for one in registry.scenarios()]


def scenario(session: Session, principal: Principal, name: str) -> Scenario:
    """One scenario. Raises NotFound."""
    return _scenario(session, principal, _scenario_named(name))


def algorithms(session: Session, principal: Principal, scenario: str | None) -> list[Algorithm]:
    """The algorithms of one scenario, or of all. Raises NotFound."""
    choices = queries.choices(session, principal.organisation)
    return [_algorithm(name, choices.get(name)) for name in known.names(scenario)]


def algorithm(session: Session, principal: Principal, name: str) -> Algorithm:
    """One algorithm, `<scenario>/<name>`. Raises NotFound."""
    return _algorithm(name, queries.choice(session, principal.organisation, name))


def set_enabled(session: Session, principal: Principal, name: str, *, enabled: bool) -> Algorithm:
    """Say whether an algorithm may be used. Raises InUse where tasks could still run it, NotFound."""
    known.algorithm(name)
    if not enabled:
        users.refuse_if_used(name, users.of_algorithm(session, principal.organisation, name))
    configurations.choice(session, principal, name).enabled = enabled
    session.flush()
    return algorithm(session, principal, name)


def set_default(session: Session, principal: Principal, scenario_name: str, default: str | None) -> Scenario:
    """Say what is trained in a scenario where nobody names an algorithm. Raises Invalid, Disabled, NotFound."""
    found = _scenario_named(scenario_name)
    if default is not None:
        name = _algorithm_of(session, principal, default)
        if name.partition("/")[0] != found.name:
            raise Invalid(
                f"{default} is for {name.partition('/')[0]}, not for {found.name}. "
                f"Choose one of: {', '.join(known.names(found.name))}.",
                fields=[{"field": "default", "message": "is of another scenario"}],
            )
        require_usable(session, principal, name)
    configurations.choice(session, principal, found.name).default = default
    session.flush()
    return _scenario(session, principal, found)


def default_of(session: Session, principal: Principal, scenario_name: str) -> str | None:
    """What is trained in a scenario where nobody names an algorithm: one, or a configuration's id; None: nothing can.

    What was chosen, as long as it may be used; else the platform's own default, else the first that may be used.
    """
    found = _scenario_named(scenario_name)
    choices = queries.choices(session, principal.organisation)
    chosen = choices.get(found.name)
    names = known.names(found.name)
    usable = [name for name in names if _is_enabled(choices, name) and is_installed(name)]
    if chosen is not None and chosen.default is not None and _stands(session, principal, chosen.default, usable):
        return chosen.default
    return found.default if found.default in usable else next(iter(usable), None)


def is_enabled(session: Session, principal: Principal, name: str) -> bool:
    """Whether an algorithm may be used."""
    row = queries.choice(session, principal.organisation, name)
    return row is None or row.enabled


def require_usable(session: Session, principal: Principal, name: str) -> None:
    """See that an algorithm exists, may be used and can run here. Raises NotFound, Disabled, NotInstalled."""
    found = known.algorithm(name)
    if not is_enabled(session, principal, name):
        raise Disabled(
            f"{name} is switched off. Choose another one (`modelyard algorithm list`), or ask an administrator to run "
            f"`modelyard algorithm enable {name}`."
        )
    if not is_installed(name):
        missing = " ".join(package for package in found.requires if not _is_here(package))
        raise NotInstalled(
            f"{name} needs {missing}, which is not installed here. Ask an administrator to run "
            f"`pip install {missing}` where the platform runs, or choose another algorithm.",
            detail={"requires": list(found.requires)},
        )


def is_installed(name: str) -> bool:
    """Whether the packages are here that an algorithm needs besides the platform's own."""
    return all(_is_here(package) for package in known.algorithm(name).requires)


def _scenario_named(name: str) -> registry.Scenario:
    scenarios = {one.name: one for one in registry.scenarios()}
    if name not in scenarios:
        raise NotFound(f"There is no scenario {name!r}. Choose one of: {', '.join(scenarios)}.")
    return scenarios[name]


def _scenario(session: Session, principal: Principal, found: registry.Scenario) -> Scenario:
    return Scenario(
        name=found.name,
        title=found.title,
        description=found.description,
        algorithms=len(known.names(found.name)),
        default=default_of(session, principal, found.name),
    )


def _algorithm(name: str, choice: ChoiceRow | None) -> Algorithm:
    described: dict[str, Any] = known.described(name)
    return Algorithm(
        **described,
        enabled=choice is None or choice.enabled,
        requires=list(known.algorithm(name).requires),
        installed=is_installed(name),
        default_configuration=choice.default if choice is not None else None,
    )


def _algorithm_of(session: Session, principal: Principal, default: str) -> str:
    """The algorithm that a default means: itself, or the one that a configuration is for."""
    if "/" in default and default in known.names():
        return default
    return configurations.get(session, principal, default).algorithm


def _stands(session: Session, principal: Principal, default: str, usable: list[str]) -> bool:
    try:
        if default in usable:
            return True
        found = configurations.get(session, principal, default)
    except NotFound:
        return False
    return found.enabled and found.algorithm in usable


def _is_enabled(choices: dict[str, ChoiceRow], name: str) -> bool:
    return name not in choices or choices[name].enabled


def _is_here(package: str) -> bool:
    return importlib.util.find_spec(package.replace("-", "_")) is not None
