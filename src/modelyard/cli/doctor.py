"""`modelyard doctor`: what works on this machine, and what to do about the rest. Needs no running platform."""

import sys
from pathlib import Path

import click
import msgspec

from modelyard.cli.checks import CHECKS, Check, Finding, failed
from modelyard.cli.output import json_option, show_json
from modelyard.core.errors import ModelyardError
from modelyard.core.settings import Settings, from_environment

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command("doctor")
@click.option("--data", type=click.Path(path_type=Path), help="The platform's folder.  [default: ./modelyard-data]")
@json_option
def doctor(data: Path | None, as_json: bool) -> None:
    """Say what works on this machine, and what to do about the rest.

    Ends with exit code 1 where something has to be done before the platform can work.
    """
    settings = from_environment(**({} if data is None else {"data": data}))
    findings = {}
    for name, check in CHECKS.items():
        findings[name] = examine(check, settings)
        if not as_json:
            _show(name, findings[name])
    healthy = all(finding.verdict != "fail" for finding in findings.values())
    if as_json:
        checks = [{"name": name, **msgspec.to_builtins(finding)} for name, finding in findings.items()]
        show_json({"healthy": healthy, "checks": checks})
    sys.exit(0 if healthy else 1)


def examine(check: Check, settings: Settings) -> Finding:
    """What the check found; an error of the check itself is a failure, so that the others are still made."""
    try:
        return check(settings)
    except ModelyardError as error:
        return failed(error.message, "")
    except Exception as error:  # noqa: BLE001 - a broken part must not hide what is known of the others
        return failed(f"{type(error).__name__}: {error}", "Install modelyard again; if that does not help, report it.")


def _show(name: str, finding: Finding) -> None:
    verdict = click.style(f"{finding.verdict:<5}", fg=COLOURS[finding.verdict])
    click.echo(f"{verdict} {name:<14} {finding.text}")
    if finding.next_step:
        click.echo(f"{'':<20} → {finding.next_step}")
