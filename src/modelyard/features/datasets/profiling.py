"""What a dataset holds as it is now: columns, classes, series. Worked out once for each revision."""

# Names in SQL are numbered.
# ruff: noqa: S608

from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from modelyard.core.folders import make_private
from modelyard.features.auth.operations import Principal
from modelyard.features.datasets import held
from modelyard.features.datasets.contents.view import PURPOSES
from modelyard.features.datasets.held import Held
from modelyard.features.datasets.importers.engine import file, write_parquet
from modelyard.features.datasets.profile import describe
from modelyard.features.datasets.reading import Reader, reader
from modelyard.features.datasets.rows import shown_value
from modelyard.features.datasets.schemas import ClassCount, DatasetProfile
from modelyard.web.platform import Platform

MOST_CLASSES = 1_000
LISTED_CLASSES = 100


def profile(platform: Platform, principal: Principal, key: str) -> DatasetProfile:
    """The profile of a dataset's rows with their edits. Raises NotFound."""
    with platform.database.session(read_only=True) as session:
        found = held.read(session, principal, key)
    path = _kept(platform, found)
    with suppress(OSError, ValueError):
        return DatasetProfile.model_validate_json(path.read_bytes())
    made = _made(platform, found)
    _keep(path, made)
    return made


def _made(platform: Platform, found: Held) -> DatasetProfile:
    counts, revision = found.counts, found.dataset.revision
    if not sum(counts.values()):
        return DatasetProfile(rows=0, counts=counts, columns=[], balance=None, series=None, revision=revision)
    with reader(platform, found) as opened:
        if len(found.samples) == 1 and not found.edits:
            columns = found.samples[0].profile["columns"]
        else:
            columns = _described(opened)
        return DatasetProfile(
            rows=sum(counts.values()),
            counts=counts,
            columns=columns,
            balance=_balance(opened, found, columns),
            series=_series(opened, found),
            revision=revision,
        )


def _described(opened: Reader) -> list[dict[str, Any]]:
    """The profile's columns. It passes over the rows several times: they are put together once."""
    table, view = opened.folder / "rows.parquet", opened.view
    order = "ORDER BY s, r" if view.joined else ""
    write_parquet(opened.connection, view.named(order=order), table, columns=len(view.columns), codec="snappy")
    described = msgspec.json.encode(describe(opened.connection, f"read_parquet({file(table)})"))
    columns: list[dict[str, Any]] = msgspec.json.decode(described)["columns"]
    return columns


def _balance(opened: Reader, found: Held, columns: list[dict[str, Any]]) -> dict[str, list[ClassCount]] | None:
    """How often the target has each of its values, by purpose; None where they are no classes."""
    target = next((column for column in columns if column["name"] == found.dataset.target), None)
    if target is None or target["type"] == "DOUBLE" or target["distinct"] > MOST_CLASSES:
        return None
    column = opened.view.column(target["name"])
    query = f"SELECT p, {column} AS y, count(*) AS n FROM {opened.view.sql} GROUP BY p, y ORDER BY n DESC, y"
    balance: dict[str, list[ClassCount]] = {purpose: [] for purpose in PURPOSES}
    for purpose, value, count in opened.fetch(query):
        listed = balance[PURPOSES[int(str(purpose))]]
        if len(listed) < LISTED_CLASSES:
            listed.append(ClassCount(value=shown_value(value), rows=int(str(count))))
    return balance


def _series(opened: Reader, found: Held) -> dict[str, Any] | None:
    """How many series there are, how long they are, and from when to when; None where there is no time."""
    view, time = opened.view, found.dataset.roles.get("time")
    if time not in view.columns:
        return None
    series = found.dataset.roles.get("series")
    group = view.column(series) if series in view.columns else "0"
    at = view.column(time)
    query = (
        f"SELECT count(*), min(n), max(n), min(low), max(high) FROM (SELECT count(*) AS n, min({at}) AS low, "
        f"max({at}) AS high FROM {view.sql} GROUP BY {group})"
    )
    count, shortest, longest, low, high = opened.fetch(query)[0]
    return {
        "time": time, "series": series, "count": count, "shortest": shortest, "longest": longest,
        "from": shown_value(low), "to": shown_value(high),
    }  # fmt: skip


def _kept(platform: Platform, found: Held) -> Path:
    folder = make_private(make_private(platform.settings.data / "cache") / "profiles")
    return folder / f"{found.dataset.id}-{found.dataset.revision}.json"


def _keep(path: Path, made: DatasetProfile) -> None:
    """Only the newest of each dataset. That it cannot be kept is no harm: it is worked out again."""
    with suppress(OSError):
        draft = path.with_suffix(".part")
        draft.write_text(made.model_dump_json())
        draft.replace(path)
        dataset = path.name.partition("-")[0]
        for old in path.parent.glob(f"{dataset}-*.json"):
            if old != path:
                old.unlink(missing_ok=True)
