"""Groups of series in files: what is said in JSON, what is counted in one .npz. Data only."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from modelyard.core.errors import Broken
from modelyard.formats._forecasting.forest import Forest
from modelyard.formats._forecasting.group import Calibration, Combination, Group, Member
from modelyard.formats._forecasting.linear import LinearMap
from modelyard.formats._forecasting.methods import METHODS
from modelyard.formats._forecasting.panel import Covariates
from modelyard.formats.series import Step

DESCRIPTION = "model/forecast.json"
ARRAYS = "model/forecast.npz"
FOREST = ("features", "thresholds", "left", "right", "values")


class _Forest(msgspec.Struct, frozen=True):
    depth: int
    lookback: int
    horizon: int
    seasons: tuple[int, ...]


class _Group(msgspec.Struct, frozen=True):
    months: int
    micros: int
    seasons: tuple[int, ...]
    methods: tuple[str, ...]
    combination: Combination
    memory: int
    usual_width: float
    names: tuple[str, ...]
    forest: _Forest | None
    linear: bool


class Description(msgspec.Struct, frozen=True):
    """What `forecast.json` says. `level` is that of the intervals where a request names none."""

    horizon: int
    level: float
    numbers: tuple[int, ...]
    strings: tuple[int, ...]
    words: tuple[dict[str, float], ...]
    groups: tuple[_Group, ...]


class Content(msgspec.Struct, frozen=True):
    """What is kept of a version."""

    horizon: int
    level: float
    covariates: Covariates
    groups: tuple[Group, ...]


def save(content: Content, folder: Path) -> None:
    """Write both files."""
    description = Description(
        content.horizon, content.level, *content.covariates, tuple(_described(group) for group in content.groups)
    )
    arrays = {
        f"{number}.{name}": array
        for number, group in enumerate(content.groups)
        for name, array in _arrays(group).items()
    }
    (folder / DESCRIPTION).parent.mkdir(parents=True, exist_ok=True)
    (folder / DESCRIPTION).write_bytes(msgspec.json.encode(description))
    with (folder / ARRAYS).open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load(folder: Path) -> Content:
    """Read both files. Raises Broken."""
    try:
        description = msgspec.json.decode((folder / DESCRIPTION).read_bytes(), type=Description)
        # From memory: a damaged archive would leave its file open.
        with np.load(io.BytesIO((folder / ARRAYS).read_bytes()), allow_pickle=False) as arrays:
            groups = [_group(said, _Part(arrays, number)) for number, said in enumerate(description.groups)]
        if not groups or description.horizon < 1 or not 0 < description.level < 1:
            raise ValueError("it describes nothing that can be predicted")
        covariates = Covariates(description.numbers, description.strings, description.words)
        if any(member.columns.shape != (covariates.width,) for group in groups for member in group.members):
            raise ValueError("its columns do not fit together")
        return Content(description.horizon, description.level, covariates, tuple(groups))
    except (OSError, EOFError, KeyError, ValueError, IndexError, zipfile.BadZipFile, msgspec.DecodeError) as error:
        raise Broken(f"{folder.name}/{DESCRIPTION} cannot be read: {error}. Train the version again.") from error


class _Part:
    """The arrays of one group, each checked for its kind and shape."""

    def __init__(self, arrays: Mapping[str, Any], number: int) -> None:
        self._arrays, self._number = arrays, number

    def get(self, name: str, *shape: int, kind: str = "f") -> Any:
        """One array; -1 in `shape` fits anything."""
        found = self._arrays[f"{self._number}.{name}"]
        fits = len(found.shape) == len(shape) and all(
            want in {-1, size} for want, size in zip(shape, found.shape, strict=True)
        )
        if found.dtype.kind != kind or found.dtype.itemsize != 8 or not fits:
            raise ValueError(f"{name} is no array of shape {shape}")
        if kind == "f" and name != "columns" and not np.isfinite(found).all():
            raise ValueError(f"{name} holds what is no number")
        return found


def _described(group: Group) -> _Group:
    forest = group.forest
    return _Group(
        months=group.step.months, micros=group.step.micros, seasons=group.seasons, methods=group.methods,
        combination=group.combination, memory=group.memory, usual_width=group.usual_width,
        names=tuple(member.name for member in group.members), linear=group.linear is not None,
        forest=_Forest(forest.depth, forest.lookback, forest.horizon, forest.seasons) if forest else None,
    )  # fmt: skip


def _arrays(group: Group) -> dict[str, Any]:
    members = group.members
    found: dict[str, Any] = {
        "tails": np.concatenate([member.tail for member in members]),
        "lengths": np.array([len(member.tail) for member in members], np.int64),
        "ends": np.array([member.end for member in members], "datetime64[us]").astype(np.int64),
        "steps": np.array([member.step for member in members], np.int64),
        "weights": np.stack([member.weights for member in members]),
        "widths": np.array([member.width for member in members], np.float64),
        "columns": np.stack([member.columns for member in members]),
        "usual": group.usual_weights,
        "profile": group.calibration.profile,
        "scores": group.calibration.scores,
    }
    if group.linear:
        found["linear"] = group.linear.weights
    if group.forest:
        found |= {f"forest.{name}": getattr(group.forest, name) for name in FOREST}
    return found


def _group(said: _Group, part: _Part) -> Group:
    count, methods = len(said.names), len(said.methods)
    needed = {"linear": said.linear, "lightgbm": said.forest is not None}
    if any(not needed.get(name, name in METHODS) for name in said.methods) or said.memory < 1:
        raise ValueError(f"nothing here knows all of {said.methods}")
    if (said.months < 1 and said.micros < 1) or any(season < 2 for season in said.seasons):
        raise ValueError("a step or season is none")
    return Group(
        step=Step(said.months, said.micros),
        seasons=said.seasons,
        methods=said.methods,
        combination=said.combination,
        memory=said.memory,
        usual_weights=part.get("usual", methods),
        usual_width=said.usual_width,
        calibration=_calibration(part),
        linear=LinearMap(part.get("linear", -1, -1)) if said.linear else None,
        forest=_forest(said.forest, part) if said.forest else None,
        members=tuple(_members(said.names, part, count, methods)),
    )


def _calibration(part: _Part) -> Calibration:
    found = Calibration(part.get("profile", -1), part.get("scores", -1))
    if not len(found.profile) or not len(found.scores) or (found.scores < 0).any() or (found.profile < 0).any():
        raise ValueError("its intervals are none")
    return found


def _forest(said: _Forest, part: _Part) -> Forest:
    shape = part.get("forest.values", -1, -1).shape
    kinds = {"thresholds": "f", "values": "f"}
    arrays = {name: part.get(f"forest.{name}", *shape, kind=kinds.get(name, "i")) for name in FOREST}
    for name in ("left", "right"):
        if arrays[name].size and not 0 <= arrays[name].min() <= arrays[name].max() < shape[1]:
            raise ValueError("a tree leads nowhere")
    if min(said.depth, said.lookback, said.horizon) < 1 or arrays["features"].min(initial=0) < 0:
        raise ValueError("its trees are none")
    return Forest(**arrays, depth=said.depth, lookback=said.lookback, horizon=said.horizon, seasons=said.seasons)


def _members(names: Sequence[str], part: _Part, count: int, methods: int) -> list[Member]:
    lengths = part.get("lengths", count, kind="i")
    if (lengths < 1).any():
        raise ValueError("a series has no values")
    tails = np.split(part.get("tails", int(lengths.sum())), np.cumsum(lengths)[:-1])
    ends = part.get("ends", count, kind="i").astype("datetime64[us]")
    steps = part.get("steps", count, 2, kind="i")
    weights, widths = part.get("weights", count, methods), part.get("widths", count)
    columns = part.get("columns", count, -1)
    if ((steps < 1).all(axis=1)).any():
        raise ValueError("a step is none")
    return [
        Member(name, Step(int(steps[row, 0]), int(steps[row, 1])), ends[row], tails[row], weights[row],
               float(widths[row]), columns[row])
        for row, name in enumerate(names)
    ]  # fmt: skip
