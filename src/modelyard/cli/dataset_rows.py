"""`modelyard dataset`: the rows of a dataset, what they hold and what they are for."""

from __future__ import annotations

from typing import Any

import click

from modelyard.cli.connect import connect
from modelyard.cli.output import Column, json_option, show, show_fields, show_json, show_table

LONGEST_CELL = 60
purpose_option = click.option(
    "--purpose", type=click.Choice(["training", "validation", "test"]), help="Only rows of this purpose."
)
filters_option = click.option(
    "--filter", "filters", multiple=True, metavar="COLUMN:OP:VALUE",
    help="As age:>=:30, plan:contains:gold or income:missing; all of them hold.",
)  # fmt: skip


@click.command("rows")
@click.argument("name")
@filters_option
@click.option("--search", help="A text that some column holds.")
@purpose_option
@click.option("--file", "sample", metavar="ID", help="Only rows of this file.")
@click.option("--sort", metavar="COLUMN[:desc]", help="By which column.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out so many of the first.")
@json_option
def rows(
    name: str,
    filters: tuple[str, ...],
    search: str | None,
    purpose: Any,
    sample: str | None,
    sort: str | None,
    limit: int,
    offset: int,
    as_json: bool,
) -> None:
    """Show rows as they are now, edits included."""
    found = connect().datasets.rows(
        name, filters=filters, search=search, purpose=purpose, sample=sample, sort=sort, limit=limit, offset=offset
    )
    if as_json:
        show_json({"items": list(found), "total": found.total, "columns": found.columns})
        return
    # Keyed by place: a column may be called as anything, also as what stands before the values.
    columns = [Column(f"c{place}", column, _cell) for place, column in enumerate(found.columns)]
    lines = [
        {"#id": row.id, "#purpose": row.purpose, **{f"c{n}": v for n, v in enumerate(row.values.values())}}
        for row in found
    ]
    show_table(lines, [Column("#id", "ROW"), Column("#purpose", "PURPOSE"), *columns])
    click.echo(f"{len(found):,} of {found.total:,} rows", err=True)


@click.command("label")
@click.argument("name")
@click.argument("label")
@click.argument("row_ids", nargs=-1, required=True, metavar="ROW...")
def label(name: str, label: str, row_ids: tuple[str, ...]) -> None:
    """Give rows a label: a value of the dataset's target column. The rows' ids are those of `rows`."""
    client = connect()
    target = client.datasets.get(name).target
    kind = client.datasets.rows(name, limit=1).columns.get(target or "", "VARCHAR")
    changed = client.datasets.label(name, row_ids, _typed(label, kind))
    click.echo(f"{changed.changed:,} rows are labelled {label}.")


@click.command("split")
@click.argument("name")
@click.option(
    "--method", type=click.Choice(["random", "stratified", "time", "group"]),
    help="How.  [default: as the scenario and the columns ask for]",
)  # fmt: skip
@click.option("--training", type=click.FloatRange(0, 1), default=0.7, show_default=True, help="Its share.")
@click.option("--validation", type=click.FloatRange(0, 1), default=0.15, show_default=True, help="Its share.")
@click.option("--test", type=click.FloatRange(0, 1), default=0.15, show_default=True, help="Its share.")
@click.option("--seed", type=click.IntRange(0), default=0, help="The same seed divides the same rows alike.")
@click.option("--group", metavar="COLUMN", help="Rows with the same value stay together.")
@click.option("--time", metavar="COLUMN", help="Training is before validation, validation before test.")
@click.option("--keep-existing", is_flag=True, help="Rows for validation and test stay so.")
@json_option
def split(
    name: str,
    method: Any,
    training: float,
    validation: float,
    test: float,
    seed: int,
    group: str | None,
    time: str | None,
    keep_existing: bool,
    as_json: bool,
) -> None:
    """Divide the rows into training, validation and test."""
    done = connect().datasets.split(
        name, method=method, training=training, validation=validation, test=test, seed=seed, group=group, time=time,
        keep_existing=keep_existing,
    )  # fmt: skip
    if as_json:
        show_json(done)
    else:
        told = ", ".join(f"{count:,} {purpose}" for purpose, count in done.counts.items())
        click.echo(f"Divided by {done.method}: {told}.")


@click.command("profile")
@click.argument("name")
@json_option
def profile(name: str, as_json: bool) -> None:
    """Show what the columns hold, the balance of the classes and the span of the series."""
    found = connect().datasets.profile(name)
    if as_json:
        show_json(found)
        return
    show_fields({"rows": f"{found.rows:,}", **{purpose: f"{count:,}" for purpose, count in found.counts.items()}})
    click.echo()
    headings = {
        "name": "COLUMN", "kind": "KIND", "missing": "MISSING", "distinct": "DISTINCT", "minimum": "MINIMUM",
        "mean": "MEAN", "maximum": "MAXIMUM", "often": "MOST FREQUENT",
    }  # fmt: skip
    lines = [{**column, "often": _often(column["top"])} for column in found.columns]
    show_table(lines, [Column(key, heading, _cell) for key, heading in headings.items()])
    if found.balance:
        click.echo()
        classes = [
            {"purpose": purpose, "value": each.value, "rows": f"{each.rows:,}"}
            for purpose, values in found.balance.items()
            for each in values
        ]
        show_table(classes, [Column("purpose", "PURPOSE"), Column("value", "CLASS", _cell), Column("rows", "ROWS")])
    if found.series:
        click.echo()
        show_fields({f"series {key}": value for key, value in found.series.items()})


@click.command("changes")
@click.argument("name")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, the newest.")
@json_option
def changes(name: str, limit: int, as_json: bool) -> None:
    """Show the history: who changed what, when."""
    found = connect().datasets.changes(name, limit=limit)
    columns = [
        Column("created_at", "WHEN"),
        Column("created_by", "WHO"),
        Column("action", "WHAT"),
        Column(
            "detail", "DETAIL", lambda told: ", ".join(f"{key} {value}" for key, value in told.items() if value != "")
        ),
    ]
    show(found, columns, as_json=as_json)


COMMANDS = (rows, label, split, profile, changes)


def _cell(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"


def _often(top: Any) -> str | None:
    return ", ".join(f"{value} ({count:,})" for value, count in list(top)[:3]) or None


def _typed(text: str, kind: str) -> Any:
    """A label as its column holds it, as far as it can be told; the platform checks it."""
    try:
        if kind == "BIGINT":
            return int(text)
        if kind == "DOUBLE":
            return float(text)
    except ValueError:
        return text
    return {"true": True, "false": False}.get(text.lower(), text) if kind == "BOOLEAN" else text
