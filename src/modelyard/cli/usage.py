"""`modelyard usage`: what was called, how often and how much."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from modelyard.cli.connect import connect
from modelyard.cli.output import Column, duration, json_option, show_json, show_table, size
from modelyard.cli.quantities import DURATION

if TYPE_CHECKING:
    from modelyard.features.billing.schemas import Counts

HEADINGS = {
    "hour": "HOUR",
    "key": "KEY",
    "prefix": "PREFIX",
    "model": "MODEL",
    "version": "VERSION",
    "status": "STATUS",
}


@click.command("usage")
@click.option(
    "--by", default="model", show_default=True, help=f"What to group by: {', '.join(HEADINGS)}; several by comma."
)
@click.option(
    "--since", type=DURATION, metavar="DURATION", help="Only what was called since so long ago, as 24h or 30d."
)
@click.option("--prefix", help="Only models of this prefix and those below it.")
@click.option("--model", metavar="PREFIX/NAME", help="Only this model.")
@click.option("--key", metavar="ID", help="Only what this API key called.")
@json_option
def usage(by: str, since: float | None, prefix: str | None, model: str | None, key: str | None, as_json: bool) -> None:
    """Say what was called, how often and how much, in totals by the hour.

    Administrators see everybody's calls, others those of their own keys. A call is counted a second or two after its
    answer.
    """
    ago = None if since is None else timedelta(seconds=since)
    found = connect().usage.totals(by, since=ago, prefix=prefix, model=model, key=key)
    if as_json:
        show_json({"items": list(found), "overall": found.overall})
        return
    asked = {name.strip() for name in by.split(",")}
    # A version means nothing without its model.
    shown = [name for name in HEADINGS if name in asked or (name == "model" and "version" in asked)]
    columns = [Column(name, HEADINGS[name], _hour if name == "hour" else str) for name in shown]
    rows = [{**total.model_dump(mode="json"), **_readable(total)} for total in found]
    rows.append({shown[0]: "all", **_readable(found.overall)})
    names = {"calls": "CALLS", "rows": "ROWS", "received": "RECEIVED", "sent": "SENT", "mean": "MEAN TIME"}
    show_table(rows, [*columns, *(Column(name, heading) for name, heading in names.items())])


def _readable(counts: Counts) -> dict[str, Any]:
    return {
        "calls": f"{counts.requests:,}",
        "rows": f"{counts.rows:,}",
        "received": size(counts.bytes_in),
        "sent": size(counts.bytes_out),
        "mean": _mean(counts),
    }


def _mean(counts: Counts) -> str:
    """The mean time of a call; calls take less than a millisecond, which `duration` would round away."""
    if not counts.requests:
        return "-"
    micros = counts.micros / counts.requests
    return f"{micros:.0f} µs" if micros < 1000 else duration(micros / 1e6)


def _hour(text: str) -> str:
    """`2030-01-01T12:00:00Z` without what is always the same; the last line has a word there."""
    return text[:16].replace("T", " ")
