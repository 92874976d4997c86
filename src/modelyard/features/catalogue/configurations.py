"""Configurations: named parameters of an algorithm. Those that come with an algorithm are never rows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.errors import NotFound
from modelyard.features.auth.operations import Principal, check
from modelyard.features.catalogue import known, parameters, queries, users
from modelyard.features.catalogue.errors import BuiltIn, ConfigurationTaken, Disabled
from modelyard.features.catalogue.schemas import Configuration, ConfigurationChange, ConfigurationCreate
from modelyard.features.catalogue.tables import ChoiceRow, ConfigurationRow
from modelyard.storage.db.paging import Paging, Rows

PRESET = "preset:"
"""How the id of a configuration begins that comes with its algorithm: `preset:<scenario>.<algorithm>.<name>`."""


def create(session: Session, principal: Principal, wanted: ConfigurationCreate, now: datetime) -> Configuration:
    """A new configuration. Raises ConfigurationTaken, BadParameters, NotFound; Forbidden where only an administrator
    may make it the default."""
    if wanted.default:
        check(principal, "manage")
    kept = parameters.given(wanted.algorithm, wanted.parameters)
    named = queries.configuration_named(session, principal.organisation, wanted.algorithm, wanted.name)
    if named is not None or wanted.name in {preset.name for preset in presets(wanted.algorithm)}:
        raise ConfigurationTaken(
            f"{wanted.algorithm} has a configuration {wanted.name!r} already. Choose another name."
        )
    row = ConfigurationRow(
        id=ids.new("cfg"),
        algorithm=wanted.algorithm,
        name=wanted.name,
        title=wanted.title,
        description=wanted.description,
        parameters=kept,
        enabled=True,
        **principal.stamp(now),
    )
    session.add(row)
    session.flush()
    if wanted.default:
        _make_default(session, principal, row.algorithm, row.id)
    return _shown(row, choice(session, principal, row.algorithm).default)


def get(session: Session, principal: Principal, configuration_id: str) -> Configuration:
    """A configuration. Raises NotFound."""
    if configuration_id.startswith(PRESET):
        return _preset(session, principal, configuration_id)
    row = _row(session, principal, configuration_id)
    return _shown(row, _default_of(session, principal, row.algorithm))


def find(session: Session, principal: Principal, algorithm: str, key: str) -> Configuration:
    """A configuration of an algorithm by id or name, fit for use. Raises NotFound, Disabled."""
    named = queries.configuration_named(session, principal.organisation, algorithm, key)
    builtin = next((preset for preset in presets(algorithm) if preset.name == key), None)
    found = get(session, principal, named.id if named else builtin.id if builtin else key)
    if found.algorithm != algorithm:
        raise NotFound(f"The configuration {key!r} is for {found.algorithm}, not for {algorithm}.")
    if not found.enabled:
        raise Disabled(f"The configuration {found.name!r} of {algorithm} is switched off. Choose another one.")
    return found


def list_rows(session: Session, principal: Principal, algorithm: str | None, paging: Paging) -> Rows:
    """Configurations that people made, newest first. Raises NotFound for an unknown algorithm."""
    if algorithm is not None:
        known.algorithm(algorithm)
    return queries.configurations(session, principal.organisation, algorithm, paging)


def shown(session: Session, principal: Principal, row: ConfigurationRow) -> Configuration:
    """A row as the interface shows it."""
    return _shown(row, _default_of(session, principal, row.algorithm))


def change(session: Session, principal: Principal, configuration_id: str, wanted: ConfigurationChange) -> Configuration:
    """Change a configuration; tasks keep what they were made with.

    Raises BadParameters, InUse, BuiltIn, NotFound; Forbidden where only an administrator may.
    """
    found = get(session, principal, configuration_id)
    changes = {name: value for name, value in wanted.model_dump(exclude_unset=True).items() if value is not None}
    if changes.keys() & {"enabled", "default"}:
        check(principal, "manage")
    default = changes.pop("default", None)
    if changes:
        row = _row(session, principal, configuration_id)
        if "parameters" in changes:
            changes["parameters"] = parameters.given(row.algorithm, changes["parameters"])
        if changes.get("enabled") is False:
            _refuse_if_used(session, row)
            _forget_default(session, principal, row)
        for name, value in changes.items():
            setattr(row, name, value)
        session.flush()
    if default is True:
        _make_default(session, principal, found.algorithm, found.id)
    elif default is False and found.default:
        choice(session, principal, found.algorithm).default = None
    session.flush()
    return get(session, principal, configuration_id)


def delete(session: Session, principal: Principal, configuration_id: str) -> None:
    """Delete a configuration. Raises InUse where tasks were made with it, BuiltIn, NotFound."""
    row = _row(session, principal, configuration_id)
    _refuse_if_used(session, row)
    _forget_default(session, principal, row)
    session.delete(row)


def presets(algorithm: str) -> list[Configuration]:
    """The configurations that come with an algorithm, in its class variable `presets`.

    `presets` is a mapping of a name to {"title", "description", "parameters"}.
    """
    found: Mapping[str, Mapping[str, Any]] = getattr(known.algorithm(algorithm), "presets", {})
    return [
        Configuration(
            id=f"{PRESET}{algorithm.replace('/', '.')}.{name}",
            algorithm=algorithm,
            name=name,
            title=str(preset.get("title", "")),
            description=str(preset.get("description", "")),
            parameters=dict(preset.get("parameters", {})),
            enabled=True,
            default=False,
            builtin=True,
            created_at=None,
            created_by=None,
        )
        for name, preset in found.items()
    ]


def all_presets(session: Session, principal: Principal, algorithm: str | None) -> list[Configuration]:
    """What comes with one algorithm or with all of them, each marked where it is the default."""
    names = known.names() if algorithm is None else [algorithm]
    found = [preset for name in names for preset in presets(name)]
    return [
        preset.model_copy(update={"default": _default_of(session, principal, preset.algorithm) == preset.id})
        for preset in found
    ]


def choice(session: Session, principal: Principal, subject: str) -> ChoiceRow:
    """What was decided about a scenario or an algorithm, to be changed."""
    row = queries.choice(session, principal.organisation, subject)
    if row is None:
        row = ChoiceRow(organisation=principal.organisation, subject=subject, enabled=True, default=None)
        session.add(row)
    return row


def _row(session: Session, principal: Principal, configuration_id: str) -> ConfigurationRow:
    if configuration_id.startswith(PRESET):
        found = _preset(session, principal, configuration_id)
        raise BuiltIn(f"{found.name!r} comes with {found.algorithm} and is not changed. Make one of your own from it.")
    row = queries.configuration(session, principal.organisation, configuration_id)
    if row is None:
        raise NotFound(f"There is no configuration {configuration_id!r}. See `modelyard configuration list`.")
    return row


def _preset(session: Session, principal: Principal, configuration_id: str) -> Configuration:
    for preset in all_presets(session, principal, None):
        if preset.id == configuration_id:
            return preset
    raise NotFound(f"There is no configuration {configuration_id!r}. See `modelyard configuration list`.")


def _make_default(session: Session, principal: Principal, algorithm: str, configuration_id: str) -> None:
    if not get(session, principal, configuration_id).enabled:
        raise Disabled("A configuration that is switched off cannot be the default. Switch it on first.")
    choice(session, principal, algorithm).default = configuration_id
    session.flush()


def _forget_default(session: Session, principal: Principal, row: ConfigurationRow) -> None:
    for chosen in queries.defaults_to(session, principal.organisation, row.id):
        chosen.default = None


def _default_of(session: Session, principal: Principal, algorithm: str) -> str | None:
    row = queries.choice(session, principal.organisation, algorithm)
    return row.default if row is not None else None


def _refuse_if_used(session: Session, row: ConfigurationRow) -> None:
    users.refuse_if_used(f"The configuration {row.name!r}", users.of_configuration(session, row.id))


def _shown(row: ConfigurationRow, default: str | None) -> Configuration:
    own = {name: getattr(row, name) for name in Configuration.model_fields if name not in {"default", "builtin"}}
    return Configuration(**own, default=row.id == default, builtin=False)
