"""From a training spec to rows with labels: the tables of a release, made ready as their scenario says."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from modelyard.algorithms.scenarios.base import Aim, Prepared, Scenario
from modelyard.algorithms.scenarios.registry import scenario
from modelyard.algorithms.tabular import table
from modelyard.algorithms.tabular.split import Purpose
from modelyard.core.errors import ModelyardError
from modelyard.protocol.jobs import Failure, TrainSpec
from modelyard.storage.objects.base import ObjectStore
from modelyard.worker.failures import JobFailed, failed


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What is trained on: the scenario, what was asked of it, and the rows. `tables` are the purposes that had one."""

    scenario: Scenario
    aim: Aim
    prepared: Prepared
    tables: tuple[Purpose, ...]


def aim_of(spec: TrainSpec) -> Aim:
    """What a spec asks for."""
    return Aim(
        scenario=spec.scenario,
        target=spec.target,
        roles=spec.roles,
        horizon=spec.horizon,
        positive=spec.positive,
        drop=spec.drop,
        seed=spec.seed,
    )


def load(spec: TrainSpec, objects: ObjectStore, folder: Path) -> Loaded:
    """Fetch the tables and make them ready. Raises JobFailed with a code that says why it cannot be done."""
    paths = _download(spec, objects, folder)
    types = table.schema(paths["training"])
    if spec.target:
        _check_target(spec.target, list(types))
    tables = {
        purpose: table.merged([table.read_parquet(path, types) for path in some]) for purpose, some in paths.items()
    }
    aim, kind = aim_of(spec), scenario(spec.scenario)
    try:
        prepared = kind.prepare(aim, tables)
    except ModelyardError as error:
        detail = error.detail or {"target": spec.target}
        raise JobFailed(Failure(code=error.code, message=error.message, detail=detail)) from error
    return Loaded(scenario=kind, aim=aim, prepared=prepared, tables=tuple(tables))


def _download(spec: TrainSpec, objects: ObjectStore, folder: Path) -> dict[Purpose, list[Path]]:
    paths: dict[Purpose, list[Path]] = {"training": []}
    folder.mkdir(parents=True, exist_ok=True)
    for number, given in enumerate(spec.tables):
        path = folder / f"{number}.parquet"
        objects.download(given.key, path)
        paths.setdefault(given.purpose, []).append(path)
    if not paths["training"]:
        raise failed("no_training_rows", "The release has no training table. Upload one with the purpose training.")
    return paths


def _check_target(target: str, known: list[str]) -> None:
    if target in known:
        return
    lowered = {name.casefold(): name for name in known}
    near = [lowered[name] for name in difflib.get_close_matches(target.casefold(), lowered, n=3, cutoff=0.4)]
    hint = f"The nearest are {', '.join(near)}." if near else f"There are {', '.join(known[:20])}."
    raise failed("target_missing", f"The table has no column {target!r}. {hint}", target=target, nearest=near)
