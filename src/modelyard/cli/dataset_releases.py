"""`modelyard dataset`: releases, taken, listed, compared, put away, downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelyard.cli.connect import confirmed, connect
from modelyard.cli.output import Column, json_option, progress, show, show_fields, show_json, show_table

if TYPE_CHECKING:
    from modelyard.features.datasets.schemas import Comparison
    from modelyard.features.jobs.schemas import Job

COUNT = "{:,}".format
RELEASE = click.argument("name", metavar="NAME@RELEASE")


@click.command("release")
@click.argument("name")
@click.option("--note", default="", help="What this release is.")
@json_option
def release(name: str, note: str, as_json: bool) -> None:
    """Take an immutable release of a dataset as it is now."""
    with progress(name) as update:

        def report(job: Job) -> None:
            update(job.progress.fraction, job.progress.phase)

        made = connect().datasets.release(name, note, progress=report)
    _show(made, as_json=as_json)


@click.command("releases")
@click.argument("name")
@json_option
def releases(name: str, as_json: bool) -> None:
    """List the releases of a dataset, newest first."""
    columns = [
        Column("number", "RELEASE"),
        Column("state", "STATE"),
        Column("rows", "ROWS", COUNT),
        Column("note", "NOTE"),
        Column("failure", "FAILURE", lambda failure: str(failure["message"])),
        Column("created_at", "CREATED"),
    ]
    show(connect().datasets.releases(name), columns, as_json=as_json)


@click.command("compare")
@click.argument("name")
@click.argument("before", type=int)
@click.argument("after", type=int)
@json_option
def compare(name: str, before: int, after: int, as_json: bool) -> None:
    """Show what changed from one release to another."""
    found = connect().datasets.compare(name, before, after)
    if as_json:
        show_json(found)
    else:
        _show_comparison(found)


@click.command("archive")
@RELEASE
@json_option
def archive(name: str, as_json: bool) -> None:
    """Put a release away: it stays as it is, and is no longer offered for training."""
    _show(connect().datasets.archive(*_named(name)), as_json=as_json)


@click.command("restore")
@RELEASE
@json_option
def restore(name: str, as_json: bool) -> None:
    """Take an archived release out again."""
    _show(connect().datasets.restore(*_named(name)), as_json=as_json)


@click.command("retry-release")
@RELEASE
@json_option
def retry(name: str, as_json: bool) -> None:
    """Make a release that failed again, of the dataset as it is now."""
    _show(connect().datasets.retry_release(*_named(name)), as_json=as_json)


@click.command("delete-release")
@RELEASE
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(name: str, yes: bool) -> None:
    """Delete a release that is archived or failed and that nothing uses."""
    dataset, number = _named(name)
    confirmed(f"Delete release {number} of {dataset} for good?", yes=yes)
    connect().datasets.delete_release(dataset, number)
    click.echo(f"{name} is deleted.")


@click.command("download")
@click.argument("name", metavar="NAME[@RELEASE]")
@click.option(
    "--to", type=click.Path(path_type=Path), default=Path(), help="A file or a folder.  [default: this folder]"
)
def download(name: str, to: Path) -> None:
    """Write a release, the newest where none is named, as a ZIP."""
    from modelyard.sdk.training import reference

    dataset, number = reference(name)
    click.echo(connect().datasets.download(dataset, to, number))


COMMANDS = (release, releases, compare, archive, restore, retry, delete, download)


def _named(name: str) -> tuple[str, int]:
    from modelyard.sdk.training import reference

    dataset, number = reference(name)
    if number is None:
        raise click.BadParameter(f"Say which release, as in {name}@1. See `modelyard dataset releases {name}`.")
    return dataset, number


def _show(made: Any, *, as_json: bool) -> None:
    if as_json:
        show_json(made)
        return
    state = "" if made.state == "published" else f", {made.state}"
    click.echo(f"{made.reference}: {made.rows:,} rows in {len(made.files)} files, checksum {made.checksum[:12]}{state}")


def _show_comparison(found: Comparison) -> None:
    if found.same:
        click.echo(f"Releases {found.before} and {found.after} hold the same files.")
    fields: dict[str, Any] = {
        f"{purpose} rows": f"{before:,} -> {after:,}" for purpose, (before, after) in found.rows.items()
    }
    named = {
        "files added": found.files.added, "files removed": found.files.removed, "files changed": found.files.changed,
        "columns added": found.columns_added, "columns removed": found.columns_removed,
        "types changed": [f"{name}: {one} -> {two}" for name, (one, two) in found.columns_changed.items()],
    }  # fmt: skip
    show_fields({**fields, **{name: ", ".join(values) for name, values in named.items() if values}})
    click.echo()
    lines = [
        {**shift.model_dump(), "before": f"{shift.missing[0]:.1%}", "after": f"{shift.missing[1]:.1%}"}
        for shift in found.shifts
    ]
    show_table(
        lines,
        [
            Column("name", "COLUMN"),
            Column("psi", "PSI", "{:.3f}".format),
            Column("divergence", "JS", "{:.3f}".format),
            Column("ks", "KS", "{:.3f}".format),
            Column("before", "MISSING"),
            Column("after", "THEN"),
            Column("shifted", "SHIFTED", lambda value: "yes" if value else "no"),
        ],
    )
    if found.balance:
        click.echo()
        classes = [
            {"value": each.value, "before": f"{each.before:.1%}", "after": f"{each.after:.1%}"}
            for each in found.balance
        ]
        show_table(classes, [Column("value", "CLASS"), Column("before", "BEFORE"), Column("after", "AFTER")])
