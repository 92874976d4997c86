"""Divides a dataset's rows into training, validation and test: which columns decide, and what cannot be."""

# Names in SQL are numbered and values are parameters.
# ruff: noqa: S608

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import TooLarge
from modelyard.features.auth.operations import Principal
from modelyard.features.datasets import editing, filters
from modelyard.features.datasets.contents.view import PURPOSES, View
from modelyard.features.datasets.editing import Change, SampleChange
from modelyard.features.datasets.errors import BadSplit, EmptyDataset
from modelyard.features.datasets.held import Held
from modelyard.features.datasets.reading import Reader, purposes_of, reader
from modelyard.features.datasets.schemas import Split, SplitDone
from modelyard.features.datasets.split import FREE, Shares, by_key, by_time, strata_of
from modelyard.web.platform import Platform

MOST_ROWS = 20_000_000
SERIES = "time-series-prediction"
_TIMES, _NUMBERS = frozenset({"DATE", "TIMESTAMP"}), frozenset({"BIGINT", "DOUBLE"})


class _Plan(NamedTuple):
    """The method, and the columns that it needs."""

    method: str
    time: str | None = None
    group: str | None = None
    target: str | None = None
    series: str | None = None


class _Rows(NamedTuple):
    """Where each row stands (place of its sample, number in it), and what it is to be for."""

    places: NDArray[Any]
    numbers: NDArray[Any]
    purposes: NDArray[np.uint8]


def split(platform: Platform, principal: Principal, key: str, wanted: Split) -> SplitDone:
    """Give every row a purpose. Raises BadSplit, BadFilter, EmptyDataset, Changed, NotFound."""
    used = ""

    def work_out(found: Held) -> Change:
        nonlocal used
        rows, used = _divided(platform, found, wanted)
        return _change(platform, found, rows, wanted, used)

    changed = editing.apply(platform, principal, key, work_out)
    return SplitDone(method=used, counts=changed.counts, revision=changed.revision)


def _divided(platform: Platform, found: Held, wanted: Split) -> tuple[_Rows, str]:
    total = sum(found.counts.values())
    if not total:
        raise EmptyDataset(f"{found.dataset.name} has no rows. Upload some, then divide them.")
    if total > MOST_ROWS:
        raise TooLarge(
            f"{total:,} rows are too many to be divided one by one; {MOST_ROWS:,} may be. Upload files with a purpose."
        )
    with reader(platform, found) as opened:
        if wanted.rules is not None:
            return _by_rules(opened, wanted), "rules"
        plan = _plan(found, opened.view, wanted)
        return _by_method(opened, plan, wanted), plan.method


def _change(platform: Platform, found: Held, rows: _Rows, wanted: Split, method: str) -> Change:
    changes, changed = [], 0
    for place, sample in enumerate(found.samples):
        mine = rows.places == place
        before = purposes_of(platform.objects, sample)
        after = before.copy()
        after[rows.numbers[mine]] = rows.purposes[mine]
        moved = int((after != before).sum())
        if moved:
            changes.append(SampleChange(sample, purposes=after))
            changed += moved
    named = {"method": method, "rows": changed}
    if method != "rules":
        named |= {"shares": list(Shares.of(wanted.training, wanted.validation, wanted.test)), "seed": wanted.seed}
    return Change(changes, changed, "rows split", named)


def _by_rules(opened: Reader, wanted: Split) -> _Rows:
    parameters: list[Any] = []
    cases = ""
    for rule in wanted.rules or ():
        condition = filters.filtered(opened.view, rule.filter)
        cases += f" WHEN {condition.sql} THEN {PURPOSES.index(rule.purpose)}"
        parameters += condition.parameters
    query = f"SELECT s, r, (CASE{cases} ELSE p END)::UTINYINT AS p FROM {opened.view.sql} ORDER BY s, r"
    found = opened.arrays(query, parameters)
    return _Rows(found["s"], found["r"], np.asarray(found["p"], np.uint8))


def _by_method(opened: Reader, plan: _Plan, wanted: Split) -> _Rows:
    view, shares = opened.view, Shares.of(wanted.training, wanted.validation, wanted.test)
    if plan.method == "time":
        assert plan.time is not None  # _plan sees to that
        series = f"hash({view.column(plan.series)})" if plan.series else "0::UBIGINT"
        query = f"SELECT s, r, {_moment(view, plan.time)} AS t, {series} AS g FROM {view.sql} ORDER BY s, r"
        found = opened.arrays(query)
        return _Rows(found["s"], found["r"], by_time(_numbers(found["t"]), np.asarray(found["g"], np.uint64), shares))
    chosen = f"s, r, p, {_key(view, plan)} AS k" + (f", {_stratum(view, plan)} AS y" if plan.target else "")
    found = opened.arrays(f"SELECT {chosen} FROM {view.sql} ORDER BY s, r")
    fixed = np.full(len(found["s"]), FREE, np.uint8)
    strata = None
    if plan.target is not None:
        values = _numbers(found["y"])
        strata = strata_of(values) if _is_number(view, plan.target) else np.unique(values, return_inverse=True)[1]
        # What has no label can be learned from, and not be judged by.
        fixed[np.isnan(values)] = PURPOSES.index("training")
    if wanted.keep_existing:
        current = np.asarray(found["p"], np.uint8)
        fixed = np.where(current > 0, current, fixed).astype(np.uint8)
    keys = np.asarray(found["k"], np.uint64)
    return _Rows(found["s"], found["r"], by_key(keys, shares, wanted.seed, strata=strata, fixed=fixed))


def _plan(found: Held, view: View, wanted: Split) -> _Plan:
    """Which method with which columns. Raises BadSplit."""
    roles, scenario = found.roles, found.dataset.scenario
    is_series = scenario == SERIES or (scenario == "anomaly-detection" and "time" in roles)
    target = roles.get("target")
    method = wanted.method or _usual(found, view, wanted, is_series=is_series)
    if is_series and method != "time":
        raise BadSplit(
            f"These are series in time: divided by {method!r}, a model would be judged on times between those it "
            "learned from, and look better than it is. Divide by time.",
            fields=[{"field": "method", "message": "must be time"}],
        )
    if method == "time":
        if wanted.keep_existing:
            raise BadSplit("A split by time divides all rows anew. Leave `keep_existing` out.")
        time = _column(view, "time", wanted.time or roles.get("time"))
        return _Plan("time", time=_dated(view, time), series=roles.get("series") if is_series else None)
    if method == "group":
        return _Plan("group", group=_column(view, "group", wanted.group or roles.get("group")), target=None)
    if method == "stratified":
        return _Plan("stratified", target=_column(view, "target", target))
    return _Plan("random")


def _usual(found: Held, view: View, wanted: Split, *, is_series: bool) -> str:
    """The method that the scenario and what is known of the columns ask for."""
    roles = found.roles
    if wanted.group:
        return "group"
    if wanted.time or is_series:
        return "time"
    if "group" in roles:
        return "group"
    if "time" in roles:
        return "time"
    target = roles.get("target")
    judged = target in view.columns and found.dataset.scenario != "log-clustering"
    return "stratified" if judged else "random"


def _column(view: View, role: str, name: str | None) -> str:
    if name is not None and name in view.columns:
        return name
    there = ", ".join(list(view.columns)[:20])
    told = f"There is no column {name!r}" if name is not None else f"It is not said which column is the {role}"
    raise BadSplit(
        f"{told}. Name one of: {there}.", fields=[{"field": role, "message": "no such column" if name else "is needed"}]
    )


def _dated(view: View, name: str) -> str:
    if view.columns[name] in _TIMES | _NUMBERS:
        return name
    raise BadSplit(
        f"The column {name!r} holds no times that could be ordered. Name another one, or correct its values.",
        fields=[{"field": "time", "message": "holds no times"}],
    )


def _moment(view: View, name: str) -> str:
    column = view.column(name)
    return f"epoch_us({column}::TIMESTAMP)::DOUBLE" if view.columns[name] in _TIMES else f"{column}::DOUBLE"


def _key(view: View, plan: _Plan) -> str:
    """Rows that are alike but for the target share a key; of groups, all rows of one group."""
    others = [view.column(name) for name in view.columns if name != plan.target]
    alike = f"hash({', '.join(others)})" if others else "hash(s, r)"
    if plan.group is None:
        return alike
    column = view.column(plan.group)
    return f"CASE WHEN {column} IS NULL THEN {alike} ELSE hash({column}) END"


def _stratum(view: View, plan: _Plan) -> str:
    assert plan.target is not None  # asked for only then
    column = view.column(plan.target)
    if _is_number(view, plan.target):
        return f"{column}::DOUBLE"
    return f"CASE WHEN {column} IS NULL THEN NULL ELSE dense_rank() OVER (ORDER BY {column}) END::DOUBLE"


def _is_number(view: View, name: str) -> bool:
    return view.columns[name] == "DOUBLE"


def _numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    """As float64 with NaN for what is missing."""
    return np.asarray(np.ma.filled(values.astype(np.float64), np.nan))
