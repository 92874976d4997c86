"""How commands answer: tables for people, JSON for programs, readable sizes and durations, progress on a terminal.

rich is imported only when a table or a bar is drawn.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
"""Every command that lists or shows something takes it; the parameter is called `as_json`."""


class Column(NamedTuple):
    """One column of a table: which key of the rows, its heading, and how a value is written for people."""

    key: str
    heading: str
    shown: Callable[[Any], str] = str


def show(value: Any, columns: Sequence[Column], *, as_json: bool) -> None:
    """Rows (a sequence of mappings or pydantic models) as a table, or `value` itself as JSON."""
    if as_json:
        show_json(value)
    else:
        show_table([plain(row) for row in value], columns)


def show_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, default=plain, ensure_ascii=False, indent=2))


def show_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    """Aligned on a terminal; elsewhere tab-separated with the same headings, for `cut` and `awk`."""
    cells = [[_cell(row.get(column.key), column) for column in columns] for row in rows]
    if not sys.stdout.isatty():
        for line in [[column.heading for column in columns], *cells]:
            click.echo("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in line))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.heading, overflow="fold")
    for line in cells:
        # Text: what looks like markup in somebody's data is shown as it is.
        table.add_row(*map(Text, line))
    Console().print(table)


def show_fields(fields: Mapping[str, Any]) -> None:
    """One thing: a line for each of its fields."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        click.echo(f"{name:<{width}}  {_cell(value, Column(name, name))}")


def size(count: float) -> str:
    """Bytes for people, in powers of 1,024: `0 B`, `1.5 KiB`, `20 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(count) < 1024 or unit == "TiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" or abs(count) >= 10 else f"{count:.1f} {unit}"


def duration(seconds: float) -> str:
    """Seconds for people: `350 ms`, `4.2 s`, `3 min 05 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02} min"
    return f"{hours // 24} d {hours % 24} h"


@contextmanager
def progress(what: str) -> Iterator[Callable[[float, str], None]]:
    """A bar on standard error where that is a terminal, nothing elsewhere.

    Yields `update(fraction, phase)`: the fraction of the whole from 0 to 1 and what is going on, in words.
    """
    if not sys.stderr.isatty():
        yield lambda _fraction, _phase: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.fields[what]}"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0, what=what)
        yield lambda fraction, phase: bar.update(task, completed=fraction, description=phase)


def plain(value: Any) -> Any:
    """What JSON knows: the dictionary of a pydantic model, a mapping, the text of anything else."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return dict(value) if isinstance(value, Mapping) else str(value)


def _cell(value: Any, column: Column) -> str:
    return "-" if value is None or value == "" else column.shown(value)
