"""The routing table: a numbered, immutable snapshot of all a gateway needs to answer without asking anyone.

The controller publishes it, gateways swap one reference and keep the last one on disk.
"""

from typing import Literal

import msgspec

RouteState = Literal["loading", "ready", "failed"]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who a credential stands for, and what it may call.

    `prefixes` None means every prefix. `expires_at` is a Unix time in seconds, None for never.
    """

    id: str
    user: str
    read_only: bool = False
    prefixes: tuple[str, ...] | None = None
    expires_at: float | None = None


class Target(msgspec.Struct, frozen=True):
    """One replica that holds the version: its address (`unix:/path` or `tcp:host:port`) and the slot there."""

    address: str
    slot: int


class VersionRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One deployed version: its share of the unselected traffic and where it is held.

    `state` is `loading` until a replica is healthy; then the answer is 503 with Retry-After.
    """

    number: int
    deployment: str
    weight: int = 0
    stage: str | None = None
    state: RouteState = "loading"
    targets: tuple[Target, ...] = ()


class ModelRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One model with its deployed versions, newest first."""

    prefix: str
    name: str
    versions: tuple[VersionRoute, ...]


class RoutingTable(msgspec.Struct, frozen=True, kw_only=True):
    """The whole table. Later numbers win.

    `keys` maps the SHA-256 (hex) of an API key to its caller; `users` maps a user's id to the caller that a JWT
    of that user stands for. `open_access` is enterprise mode: no credential is asked for.
    """

    number: int
    models: tuple[ModelRoute, ...] = ()
    keys: dict[str, Caller] = {}
    users: dict[str, Caller] = {}
    open_access: bool = False
