"""Pages over the rows of a dataset, as they are now: edited values in place, deleted rows left out."""

# Names in SQL are numbered and values are parameters.
# ruff: noqa: S608

from typing import Any

from modelyard.features.auth.operations import Principal
from modelyard.features.datasets import filters, held, operations
from modelyard.features.datasets.contents.view import PURPOSES
from modelyard.features.datasets.held import Held
from modelyard.features.datasets.reading import Reader, reader
from modelyard.features.datasets.schemas import Row, RowPage, Where
from modelyard.web.platform import Platform


def page(
    platform: Platform, principal: Principal, key: str, where: Where, *, sort: str | None, limit: int, offset: int
) -> RowPage:
    """The rows that fit `where`, in the order of the files or of one column. Raises BadFilter, NotFound."""
    with platform.database.session(read_only=True) as session:
        found = held.read(session, principal, key)
        if where.sample is not None:
            operations.sample(session, principal, key, where.sample)
    samples = [sample for sample in found.samples if where.sample in {None, sample.id}]
    if not samples:
        return RowPage(items=[], total=0, offset=offset, columns={})
    with reader(platform, found, samples) as opened:
        return _page(opened, found, where, sort, limit, offset)


def _page(opened: Reader, found: Held, where: Where, sort: str | None, limit: int, offset: int) -> RowPage:
    view = opened.view
    wanted, order = filters.condition(view, where), filters.order(view, sort)
    source, parameters = f"{view.sql} WHERE {wanted.sql}", list(wanted.parameters)
    total = _known_total(found, where)
    if total is None:
        total = int(str(opened.fetch(f"SELECT count(*) FROM {source}", parameters)[0][0]))
    if offset >= total:
        return RowPage(items=[], total=total, offset=offset, columns=view.columns)
    # The values are fetched for the rows of the page only: sorting carries no more than it needs.
    values = ", ".join(f"c{place}" for place in range(len(view.columns)))
    rows = opened.fetch(
        f"SELECT s, r, p, e, {values} FROM {source} ORDER BY {order} LIMIT ? OFFSET ?", [*parameters, limit, offset]
    )
    names = list(view.columns)
    items = [_row(view.parts[int(str(row[0]))].sample, row, names) for row in rows]
    return RowPage(items=items, total=total, offset=offset, columns=view.columns)


def _known_total(found: Held, where: Where) -> int | None:
    """How many rows there are where that needs no counting."""
    if where.search or where.filter:
        return None
    samples = [sample for sample in found.samples if where.sample in {None, sample.id}]
    counts = operations.summed([sample.counts for sample in samples])
    return sum(counts.values()) if where.purpose is None else counts[where.purpose]


def _row(sample: str, row: tuple[Any, ...], names: list[str]) -> Row:
    _, number, purpose, edited, *values = row
    shown = {name: shown_value(value) for name, value in zip(names, values, strict=True)}
    return Row(id=f"{sample}:{number}", purpose=PURPOSES[purpose], edited=edited, values=shown)


def shown_value(value: Any) -> Any:
    """A value as JSON has it: dates and times as text."""
    return value if value is None or isinstance(value, bool | int | float | str) else value.isoformat()
