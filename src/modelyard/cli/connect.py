"""The client that a command speaks through: made when the command runs, closed when it ends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from modelyard.sdk.client import Client


def connect() -> Client:
    """A client of the platform that `--url` and `--api-key`, the environment or the profile name."""
    from modelyard.sdk.client import Client

    context = click.get_current_context()
    return context.with_resource(Client(context.obj.url, context.obj.api_key))


def confirmed(question: str, *, yes: bool) -> None:
    """Ask before something is lost, where a person can answer. Raises Abort on a no."""
    if not yes and sys.stdin.isatty():
        click.confirm(question, abort=True)
