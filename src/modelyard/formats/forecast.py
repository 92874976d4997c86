"""Format: series that are continued by combined methods, in numpy alone. Data only: safe to load in any process.

`model/forecast.json` says which methods, `model/forecast.npz` holds the end of each series, weights and errors.
A request may bring history of its own: rows with a value are history, rows without one are predicted.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Invalid
from modelyard.formats._forecasting import panel, seasons, store
from modelyard.formats._forecasting.block import Floats, Integers, block_of, scaled
from modelyard.formats._forecasting.group import Group, Member
from modelyard.formats._forecasting.panel import Rows
from modelyard.formats._forecasting.store import Content
from modelyard.formats.base import Batch, Format, Predictor, RequestPredictor
from modelyard.formats.folder import read_signature
from modelyard.formats.series import Step, Times, texts_of
from modelyard.protocol.signature import Signature

FURTHEST = 10_000
"""Steps after the end of a series at the most."""

MOST_SERIES = 1000
MOST_KEPT = 1000
"""Steps of each series that are kept once they are made."""

LARGEST = float(np.finfo(np.float32).max)


class ForecastOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a request may choose.

    `steps`: how many steps after the end of each series, where no row asks for a value; as many as the version was made
    for where it is absent. `level`: the share of true values that the intervals are to hold.
    """

    steps: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    level: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None


class Forecast(Format):
    """Reads `model/forecast.json` and `model/forecast.npz`."""

    def load(self, folder: Path, *, threads: int = 1) -> Predictor:  # noqa: ARG002
        return ForecastPredictor(read_signature(folder), store.load(folder))


class _Start(NamedTuple):
    """Where a series is continued from: `stored` where that is the end of training.

    `last`: the columns beside the target. `rows` and `steps`: who asks, and for which step after the end.
    """

    name: str
    step: Step
    end: np.datetime64
    values: Floats
    weights: Floats
    width: float
    last: Floats
    rows: NDArray[np.intp]
    steps: Integers
    stored: bool


class ForecastPredictor(RequestPredictor):
    """Continues the series of a request, or those it was trained on."""

    Options: ClassVar[type[msgspec.Struct]] = ForecastOptions

    def __init__(self, signature: Signature, content: Content) -> None:
        self.signature = signature
        self.content = content
        self._kept: dict[str, Floats] = {}
        self._members = {
            member.name: (number, member) for number, group in enumerate(content.groups) for member in group.members
        }

    def predict(self, batch: Batch) -> NDArray[np.float32]:
        return self._predict(batch, self.content.level).astype(np.float32)

    def answer(self, batch: Batch, options: Any) -> list[dict[str, Any]]:
        level = self.content.level if options.level is None else options.level
        target = batch.numbers[:, panel.target_place(self.signature)].astype(np.float64)
        series = panel.rows_of(self.signature, batch, target)
        if not any(len(rows.wanted) for rows in series):
            return self._ahead(batch, series, options.steps or self.content.horizon, level)
        found = self._predict(batch, level)
        return [
            entry
            for rows in series
            for entry in self._entries(rows.name, rows.wanted_times, found[rows.wanted])
        ]  # fmt: skip

    def extended(self, batch: Batch, folder: Path) -> RequestPredictor:
        target = batch.numbers[:, panel.target_place(self.signature)].astype(np.float64)
        groups = list(self.content.groups)
        for rows in panel.rows_of(self.signature, batch, target):
            number, member = self._members.get(rows.name, (0, None))
            if member is None or not len(rows.known) or rows.times[-1] <= member.end:
                continue
            start = self._known_start(batch, rows, groups[number], member)
            kept = member._replace(end=start.end, tail=start.values[-groups[number].memory :], columns=start.last)
            members = tuple(kept if each.name == rows.name else each for each in groups[number].members)
            groups[number] = replace(groups[number], members=members)
        content = msgspec.structs.replace(self.content, groups=tuple(groups))
        store.save(content, folder)
        return ForecastPredictor(self.signature, content)

    def _predict(self, batch: Batch, level: float) -> Floats:
        target = batch.numbers[:, panel.target_place(self.signature)].astype(np.float64)
        found = np.full((batch.rows, 3), np.nan)
        for group, starts in self._plan(batch, panel.rows_of(self.signature, batch, target)):
            asked = [start for start in starts if len(start.rows)]
            if not asked:
                continue
            ahead = self._continued(group, asked, self._known(group, asked, batch), level)
            for start, values in zip(asked, ahead, strict=True):
                whole = np.concatenate([np.repeat(start.values[:, None], 3, axis=1), values])
                found[start.rows] = whole[len(start.values) - 1 + start.steps]
        kept: Floats = np.clip(found, -LARGEST, LARGEST)
        return kept

    def _ahead(self, batch: Batch, series: Sequence[Rows], steps: int, level: float) -> list[dict[str, Any]]:
        """So many steps after the end of each series of the request; of every known one where it names none."""
        if not series:
            series = [_no_rows(name) for name in self._members]
        if len(series) > MOST_SERIES:
            raise Invalid(
                f"That asks for {len(series):,} series; one answer holds at most {MOST_SERIES:,}. "
                f"Send rows without {self.signature.target} for the series and times you want."
            )
        found: dict[str, list[dict[str, Any]]] = {}
        for group, starts in self._plan(batch, series):
            known = self._known(group, starts, batch, steps)
            for start, values in zip(starts, self._continued(group, starts, known, level), strict=True):
                times = start.step.after(start.end, steps)
                found[start.name] = self._entries(start.name, times, np.clip(values, -LARGEST, LARGEST))
        return [entry for rows in series for entry in found[rows.name]]

    def _entries(self, name: str, times: Times, values: Floats) -> list[dict[str, Any]]:
        series = {} if self.signature.series is None else {"series": name}
        return [
            {**series, "timestamp": text, "prediction": value, "lower": lower, "upper": upper}
            for text, (value, lower, upper) in zip(texts_of(times), values.tolist(), strict=True)
        ]

    def _plan(self, batch: Batch, series: Sequence[Rows]) -> list[tuple[Group, list[_Start]]]:
        """Which series are continued by which group, and from where. Raises Invalid."""
        plan: dict[int | Step, tuple[Group, list[_Start]]] = {}
        for rows in series:
            number, member = self._members.get(rows.name, (0, None))
            if member is not None:
                start = self._known_start(batch, rows, self.content.groups[number], member)
                plan.setdefault(number, (self.content.groups[number], []))[1].append(start)
                continue
            if not len(rows.known):
                which = f"Series {rows.name!r} was" if self.signature.series else "This series was"
                raise Invalid(
                    f"{which} not there in training, and no row gives a value of it. Send its history: rows with "
                    f"{self.signature.target}."
                )
            step = panel.own_step(rows, self.content.groups[0].step)
            key = next((place for place, group in enumerate(self.content.groups) if group.step == step), step)
            group = self.content.groups[key] if isinstance(key, int) else _for_step(self.content.groups[0], rows, step)
            plan.setdefault(key, (group, []))[1].append(self._new_start(batch, rows, group, step))
        return list(plan.values())

    def _known_start(self, batch: Batch, rows: Rows, group: Group, member: Member) -> _Start:
        end, values, last = member.end, member.tail, member.columns
        if len(rows.known):
            given = panel.regular(rows.times, rows.values, member.step)
            end, values = given.end, _joined(member, rows.times[0], given.values, group)
            last = panel.carried(self.content.covariates.matrix(batch, rows.known), member.columns)[-1]
        return self._start(
            rows, member.step, end, values, (member.weights, member.width, last), stored=not len(rows.known)
        )

    def _new_start(self, batch: Batch, rows: Rows, group: Group, step: Step) -> _Start:
        given = panel.regular(rows.times, rows.values, step)
        nothing = np.full(self.content.covariates.width, np.nan)
        last = panel.carried(self.content.covariates.matrix(batch, rows.known), nothing)[-1]
        return self._start(rows, step, given.end, given.values, (group.usual_weights, group.usual_width, last))

    def _start(
        self,
        rows: Rows,
        step: Step,
        end: np.datetime64,
        values: Floats,
        rest: tuple[Floats, float, Floats],
        *,
        stored: bool = False,
    ) -> _Start:
        steps = panel.steps_from(step, end, rows.wanted_times)
        panel.check_steps(int(steps.max(initial=0)), FURTHEST, rows.name)
        early = np.flatnonzero(steps <= -len(values))
        if len(early):
            when = texts_of(rows.wanted_times[early[:1]])[0]
            which = f" of series {rows.name!r}" if rows.name else ""
            raise Invalid(
                f"Row {int(rows.wanted[early[0]]) + 1}{which} ({when}) lies before all history that is known. "
                "Only what follows on history is predicted."
            )
        return _Start(rows.name, step, end, values, *rest, rows.wanted, steps, stored)

    def _known(self, group: Group, starts: Sequence[_Start], batch: Batch, steps: int = 1) -> Floats:
        """The columns beside the target for each step ahead, as the rows give them: (series, steps, columns)."""
        covariates = self.content.covariates
        steps = max([steps, *(int(start.steps.max(initial=1)) for start in starts)])
        if group.forest is None or not covariates.width:
            return np.zeros((len(starts), steps, 0))
        found = np.full((len(starts), steps, covariates.width), np.nan)
        for place, start in enumerate(starts):
            later = start.steps > 0
            found[place, start.steps[later] - 1] = covariates.matrix(batch, start.rows[later])
            found[place] = panel.carried(found[place], start.last)
        return found

    def _continued(self, group: Group, starts: Sequence[_Start], known: Floats, level: float) -> Floats:
        """Value, lower and upper bound for each step after each series: (series, steps, 3)."""
        histories = [start.values for start in starts]
        values = self._values(group, starts, known)
        widths = group.widths(histories, np.array([start.width for start in starts]), values.shape[1], level)
        floor = np.array([0.0 if start.values[-group.memory :].min() >= 0 else -np.inf for start in starts])
        lower = np.minimum(np.maximum(values - widths, floor[:, None]), values)
        return np.stack([values, lower, values + widths], axis=2)

    def _values(self, group: Group, starts: Sequence[_Start], known: Floats) -> Floats:
        """The values ahead. What follows on the end of training is always the same: it is made once and kept."""
        steps, whole = known.shape[1], max(known.shape[1], self.content.horizon)
        fixed = known.shape[2] == 0
        kept = [self._kept.get(start.name) if start.stored and fixed else None for start in starts]
        missing = [place for place, values in enumerate(kept) if values is None or len(values) < steps]
        if missing:
            chosen = [starts[place] for place in missing]
            ahead = np.zeros((len(missing), whole, 0)) if fixed else known[missing]
            made = group.forecast(
                [start.values for start in chosen],
                np.stack([start.weights for start in chosen]),
                np.array([start.end for start in chosen], "datetime64[us]"),
                ahead,
            )
            for place, start, values in zip(missing, chosen, made, strict=True):
                kept[place] = values
                if start.stored and fixed and whole <= MOST_KEPT:
                    self._kept[start.name] = values
        return np.stack([values[:steps] for values in kept if values is not None])


def save(signature: Signature, content: Content, folder: Path) -> str:  # noqa: ARG001 - the platform writes it
    """Write what is served into a version folder; the name of this format."""
    store.save(content, folder)
    return "forecast"


def _joined(member: Member, first: np.datetime64, given: Floats, group: Group) -> Floats:
    """The history that a request gives, after what is stored where it follows on that.

    A few values after a short gap are joined to what is stored in a line; else the given ones stand alone.
    """
    start = int(panel.steps_from(member.step, member.end, np.array([first]))[0])
    if -len(member.tail) < start <= 1:
        return np.concatenate([member.tail[: len(member.tail) - 1 + start], given])
    enough = 2 * max([*group.seasons, 4])
    if 1 < start <= enough and len(given) < enough:
        bridge = np.linspace(member.tail[-1], given[0], start + 1)[1:-1]
        return np.concatenate([member.tail, bridge, given])
    return given


def _for_step(group: Group, rows: Rows, step: Step) -> Group:
    """The group for a series whose values are otherwise apart: with its own seasons, and no map of other lags."""
    block, _ = scaled(block_of([panel.regular(rows.times, rows.values, step).values[-group.memory :]]))
    local = np.array([name not in {"linear", "lightgbm"} for name in group.methods])
    weights = np.where(local, group.usual_weights, 0.0)
    return replace(group, step=step, seasons=seasons.detect(block, step), usual_weights=weights)


def _no_rows(name: str) -> Rows:
    places, times = np.zeros(0, np.intp), np.zeros(0, "datetime64[us]")
    return Rows(name, places, times, np.zeros(0), places, times)
