"""`modelyard predict --batch`: a table predicted as a job."""

from pathlib import Path
from typing import Any, Literal, cast

import click

from modelyard.cli.connect import connect
from modelyard.cli.output import duration, show_json

ENDINGS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


def predict_table(
    model: str,
    rows: str,
    output: Path | None,
    *,
    parameters: dict[str, Any],
    purpose: Literal["training", "validation", "test"] | None,
    tolerant: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Start the job and, with `wait`, fetch its result; Ctrl-C leaves the job alone. Raises what it failed with."""
    kind = ENDINGS.get(output.suffix.lower()) if output is not None else "csv"
    if kind is None:
        raise click.UsageError(f"{output} says no kind of file. Call it .csv, .jsonl or .parquet.")
    made = connect().batch_predictions.create(
        model,
        rows,
        purpose=purpose,
        parameters=parameters,
        output=cast("Literal['csv', 'jsonl', 'parquet']", kind),
        on_error="tolerant" if tolerant else "strict",
    )
    job = made.job.data
    if not as_json:
        click.echo(f"{job.title}: {made.data.id}, {job.id}")
    if not wait:
        if as_json:
            show_json(made.data)
        return
    try:
        made.wait(progress=True)
    except KeyboardInterrupt:
        click.echo(f"\nThe job goes on without you. Look again: modelyard job show {job.id}.", err=True)
        click.get_current_context().exit(130)
    written = made.download(output or Path())
    if as_json:
        show_json({**made.data.model_dump(mode="json"), "written": str(written)})
        return
    result = made.data.result
    if result is None:
        return
    click.echo(f"{result.rows:,} rows with predictions are in {written}, after {duration(result.seconds)}.")
    if result.unfit:
        click.echo(
            f"{click.style('warning:', fg='yellow')} {result.unfit:,} rows have none: they do not fit.", err=True
        )
        for problem in result.problems[:5]:
            click.echo(f"  row {problem.row}, column {problem.column}: {problem.message}", err=True)
