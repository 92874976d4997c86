"""From a training spec to rows with labels: which columns, which classes, which part judges; and what cannot be."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelyard.algorithms.tabular import columns, labels, table
from modelyard.algorithms.tabular.labels import UnfitTarget
from modelyard.algorithms.tabular.parts import Parts, divide, labeller
from modelyard.algorithms.tabular.split import Purpose
from modelyard.algorithms.tabular.table import Table, Type
from modelyard.protocol.jobs import Failure, TrainSpec
from modelyard.protocol.signature import Field, Signature
from modelyard.storage.objects.base import ObjectStore
from modelyard.worker.failures import JobFailed, failed

FEWEST_ROWS = 20
CLASSIFICATION = "tabular-classification"


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What is trained on. `target_type` is how the target is stored; `dropped` says why columns are left out."""

    signature: Signature
    parts: Parts
    target_type: Type
    dropped: dict[str, str]
    warnings: tuple[str, ...]
    tables: tuple[Purpose, ...]


def load(spec: TrainSpec, objects: ObjectStore, folder: Path) -> Loaded:
    """Fetch the tables and make them ready. Raises JobFailed with a code that says why it cannot be done."""
    paths = _download(spec, objects, folder)
    types = table.schema(paths["training"])
    _check_target(spec.target, list(types))
    tables = {
        purpose: table.merged([table.read_parquet(path, types) for path in some]) for purpose, some in paths.items()
    }
    try:
        return _prepared(spec, tables, types)
    except UnfitTarget as error:
        raise JobFailed(Failure(code=error.code, message=error.message, detail={"target": spec.target})) from error


def _prepared(spec: TrainSpec, tables: dict[Purpose, Table], types: dict[str, Type]) -> Loaded:
    target = tables["training"][spec.target]
    classes = labels.Classes((), None)
    if spec.scenario == CLASSIFICATION:
        # With one row there is one class: what is wrong is that there is one row.
        _check_rows(tables["training"].rows)
        classes = labels.classes(target, spec.positive)
    parts = divide(tables, spec.target, labeller(classes.names), spec.seed)
    _check_rows(sum(len(part.labels) for part in (parts.training, parts.validation, parts.test)))
    for purpose, part in (("validation", parts.validation), ("test", parts.test), ("training", parts.training)):
        if not len(part.labels):
            raise failed(
                "too_few_rows", f"No {purpose} row has a target that can be used. Add labelled {purpose} rows."
            )
    chosen = columns.choose(parts.training.table, spec.target, spec.drop)
    if not chosen.fields:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(chosen.dropped.items())[:10])
        raise failed(
            "no_features",
            f"No column is left to predict {spec.target!r} from ({reasons or 'there is no other'}). Add columns.",
        )
    signature = Signature(
        scenario=spec.scenario,
        inputs=chosen.fields,
        target=spec.target,
        classes=classes.names,
        positive=classes.positive,
        ignored=(spec.target, *chosen.dropped),
        example=_example(parts.test.table, chosen.fields),
    )
    return Loaded(
        signature=signature, parts=parts, target_type=types[spec.target], dropped=chosen.dropped,
        warnings=_warnings(spec, parts), tables=tuple(tables),
    )  # fmt: skip


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


def _check_rows(rows: int) -> None:
    if rows < FEWEST_ROWS:
        found = "1 row" if rows == 1 else f"{rows} rows"
        raise failed(
            "too_few_rows",
            f"The table has {found} with a target; at least {FEWEST_ROWS} are needed to learn and to judge. Add rows.",
            rows=rows, minimum=FEWEST_ROWS,
        )  # fmt: skip


def _warnings(spec: TrainSpec, parts: Parts) -> tuple[str, ...]:
    found = [
        f"{count:,} {purpose} rows were left out: they have no {spec.target!r}, or one that no training row has."
        for purpose, count in parts.unlabelled.items()
        if count
    ]
    if len(parts.test.labels) < 100:
        found.append(f"Only {len(parts.test.labels)} rows judge this model: take its metrics with care.")
    return tuple(found)


def _example(rows: Table, fields: tuple[Field, ...]) -> dict[str, Any]:
    """The first test row with the fewest gaps, as a client would send it."""
    gaps = np.zeros(rows.rows, int)
    for field in fields:
        values = rows[field.name].values
        gaps += np.isnan(values) if field.numeric else values == ""
    row = int(gaps.argmin())
    return {field.name: _plain(field)(rows[field.name].values[row]) for field in fields}


def _plain(field: Field) -> Callable[[Any], Any]:
    return (lambda value: columns.plain(value, field.kind)) if field.numeric else (lambda value: value or None)
