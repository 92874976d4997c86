"""`modelyard login`, `whoami`, `key`: who the commands act as."""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from modelyard.cli.connect import connect
from modelyard.cli.output import Column, json_option, show, show_fields, show_json
from modelyard.cli.quantities import DURATION

if TYPE_CHECKING:
    from modelyard.sdk.client import Client


@click.command("login")
@click.argument("url", required=False)
@click.option("--username", help="The user's name; asked for where neither it nor a key is given.")
@click.option("--password", help="The password; better left out and typed when asked.")
@click.option("--api-key", "key", metavar="KEY", help="A key that there is already, in place of name and password.")
@click.pass_context
def login(ctx: click.Context, url: str | None, username: str | None, password: str | None, key: str | None) -> None:
    """Log in at URL and keep an API key for later commands.

    With a name and a password a new key is made. It is written to ~/.config/modelyard/config.toml, which only you can
    read, and used for this URL only.
    """
    from modelyard.sdk.client import Client
    from modelyard.sdk.profile import keep, resolve

    where, given = url or ctx.obj.url or resolve().url, key or ctx.obj.api_key
    client = ctx.with_resource(Client(where, given))
    if given or (username is None and _is_open(client)):
        me, kept = client.whoami(), given
    else:
        name = username or click.prompt("User name", default="admin", err=True)
        client.auth.login(name, password or click.prompt("Password", hide_input=True, err=True))
        me, kept = client.whoami(), client.keys.create(f"command line on {socket.gethostname()}").key
    path = keep(client.url, kept)
    click.echo(f"Logged in at {client.url} as {me.username} ({me.role}). Kept in {path}.")
    now = resolve()
    if (now.url.rstrip("/"), now.api_key) != (client.url, kept):
        click.echo("MODELYARD_URL or MODELYARD_API_KEY is set here and goes before what is kept.", err=True)


@click.command("whoami")
@json_option
def whoami(as_json: bool) -> None:
    """Say who these commands act as, and where."""
    client = connect()
    me = client.whoami()
    if as_json:
        show_json({"url": client.url, **me.model_dump(mode="json")})
        return
    access = "read-only key" if me.read_only else "key" if me.api_key else "login"
    show_fields(
        {
            "url": client.url,
            "user": me.username,
            "role": me.role,
            "access": "open to everybody" if me.enterprise_mode else access,
            "prefixes": "all" if me.prefixes is None else ", ".join(me.prefixes),
        }
    )


@click.group("key")
def key() -> None:
    """Create, list and revoke your API keys."""


@key.command("create")
@click.option("--name", default="", help="What the key is for.")
@click.option("--read-only", is_flag=True, help="The key may read and predict, nothing else.")
@click.option("--prefix", "prefixes", multiple=True, help="Narrow the key to this prefix; may be repeated.")
@click.option("--expires", type=DURATION, metavar="DURATION", help="When it ends, as 30d or 12h from now.")
@json_option
def create(name: str, read_only: bool, prefixes: tuple[str, ...], expires: float | None, as_json: bool) -> None:
    """Make a key. Its text is shown this once, on standard output."""
    made = connect().keys.create(
        name,
        read_only=read_only,
        prefixes=prefixes or None,
        expires=None if expires is None else timedelta(seconds=expires),
    )
    if as_json:
        show_json(made)
        return
    click.echo(made.key)
    click.echo(f"This is shown only now. Revoke it with: modelyard key revoke {made.id}", err=True)


@key.command("list")
@json_option
def list_keys(as_json: bool) -> None:
    """List your keys."""
    columns = [
        Column("id", "ID"),
        Column("name", "NAME"),
        Column("hint", "BEGINS WITH"),
        Column("read_only", "ACCESS", lambda only: "read-only" if only else "read-write"),
        Column("prefixes", "PREFIXES", ", ".join),
        Column("expires_at", "EXPIRES"),
        Column("last_used_at", "LAST USED"),
        Column("revoked_at", "REVOKED"),
    ]
    show(connect().keys.list(), columns, as_json=as_json)


@key.command("revoke")
@click.argument("key_id", metavar="ID")
def revoke(key_id: str) -> None:
    """End a key; it is refused within a second."""
    connect().keys.revoke(key_id)
    click.echo(f"{key_id} is revoked.")


def _is_open(client: Client) -> bool:
    """Whether the platform asks nobody for a login."""
    from modelyard.core.errors import Unauthenticated

    try:
        return client.whoami().enterprise_mode
    except Unauthenticated:
        return False
