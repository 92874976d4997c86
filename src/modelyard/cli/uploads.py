"""`modelyard dataset upload`: files, archives and folders into a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from modelyard.cli.connect import connect
from modelyard.cli.output import json_option, progress, show_json, size

if TYPE_CHECKING:
    from modelyard.features.datasets.schemas import Sample
    from modelyard.features.jobs.schemas import Job

Purpose = Literal["training", "validation", "test"]
OnError = Literal["strict", "tolerant"]
SENDING = 0.5
"""The share of a bar that stands for sending; the rest is the import."""


@click.command("upload")
@click.argument("name")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--purpose", type=click.Choice(["training", "validation", "test"]),
    help="What the rows are for.  [default: what an archive's folders say, else training]",
)  # fmt: skip
@click.option(
    "--on-error", type=click.Choice(["strict", "tolerant"]), default="strict", show_default=True,
    help="Broken rows refuse the file, or are left out.",
)  # fmt: skip
@click.option("--replace", metavar="SAMPLE", help="The id of a file that goes when this one comes.")
@click.option("--resume", is_flag=True, help="Go on with an upload of the same file that was broken off.")
@json_option
def upload(
    name: str,
    files: tuple[Path, ...],
    purpose: Purpose | None,
    on_error: OnError,
    replace: str | None,
    resume: bool,
    as_json: bool,
) -> None:
    """Add data to a dataset: tables (CSV, Parquet, JSON lines, Excel), logs, archives (ZIP, tar) or folders."""
    from modelyard.sdk.uploads import Uploads

    if replace is not None and len(files) != 1:
        raise click.UsageError("--replace takes one FILE.")
    uploads, made = Uploads(connect()._connection), list[Any]()  # noqa: SLF001 - the client's own
    for file in files:
        with progress(file.name) as update:

            def sent(done: int, of: int | None, update: Any = update) -> None:
                update(SENDING * done / of if of else 0.0, size(done))

            def imported(job: Job, update: Any = update) -> None:
                update(SENDING + (1 - SENDING) * job.progress.fraction, job.progress.phase)

            samples = uploads.send(
                name, file, purpose=purpose, on_error=on_error, replace=replace, resume=resume, progress=sent,
                on_job=imported,
            )  # fmt: skip
        made += samples
        if not as_json:
            for sample in samples:
                _show(sample)
    if as_json:
        show_json(made)
    else:
        click.echo(f"Next: modelyard dataset release {name}")


def _show(sample: Sample) -> None:
    columns = len(sample.profile.get("columns", ()))
    click.echo(f"{sample.filename}: {sample.rows:,} rows, {columns:,} columns, {size(sample.size)}, {sample.id}")
    for problem in sample.problems:
        colour = {"error": "red", "warning": "yellow"}.get(problem.severity)
        rows = f" (row {', '.join(map(str, problem.rows[:5]))}{', …' if problem.count > 5 else ''})"
        click.echo(
            f"  {click.style(f'{problem.severity}:', fg=colour)} {problem.message}{rows if problem.rows else ''}",
            err=True,
        )
