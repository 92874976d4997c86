"""The routing table: a numbered, immutable snapshot of all a gateway needs to answer without asking anyone.

The controller publishes it, gateways swap one reference and keep the last one on disk.
"""

from typing import Any, Literal

import msgspec

from modelyard.protocol.processes import HeldVersion

RouteState = Literal["loading", "ready", "failed", "asleep"]
"""`asleep`: scaled to zero; the first request wakes it and waits for the start."""


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How much is allowed in a second, on average; None is no limit."""

    requests: float | None = None
    rows: float | None = None


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who a credential stands for, and what it may call.

    `prefixes` None means every prefix. `expires_at` is a Unix time in seconds, None for never.
    `rate` is how fast it may ask.
    """

    id: str
    user: str
    read_only: bool = False
    prefixes: tuple[str, ...] | None = None
    expires_at: float | None = None
    rate: Rate | None = None


class Target(msgspec.Struct, frozen=True):
    """One replica that holds the version: its address (`unix:/path` or `tcp:host:port`) and the slot there."""

    address: str
    slot: int


class Column(msgspec.Struct, frozen=True):
    """One input of a version: its name and kind, as in its signature."""

    name: str
    kind: str


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """What a version takes and answers: enough for the protocols that describe models.

    `classes` are those of a classification, `outputs` the members of an answer (protocol/answers.py), `options` what a
    request may choose, as JSON schemas by name.
    """

    inputs: tuple[Column, ...]
    classes: tuple[str, ...] = ()
    outputs: tuple[Column, ...] = ()
    options: dict[str, dict[str, Any]] = {}


class VersionRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One deployed version: its share of the unselected traffic and where it is held.

    While `state` is `loading`, because no replica is healthy yet, the answer is 503 with Retry-After.
    `embedded` is set where gateways may hold the version themselves: it is only data, and was measured to be quick.
    """

    number: int
    deployment: str
    weight: int = 0
    stage: str | None = None
    state: RouteState = "loading"
    targets: tuple[Target, ...] = ()
    embedded: HeldVersion | None = None
    schema: Schema | None = None


class HeaderRule(msgspec.Struct, frozen=True):
    """Requests whose `header` (in lower case) has exactly this value go to this version."""

    header: str
    value: str
    version: int


class Shadow(msgspec.Struct, frozen=True):
    """A version that is asked too, for `share` per cent of the requests; its answers are compared and thrown away."""

    version: int
    share: int


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """How a model's requests without a selector are shared out, besides the versions' weights.

    Header rules come first, in order. `sticky` names a header (in lower case): requests with the same value in it get
    the same version as long as the weights stay.
    """

    headers: tuple[HeaderRule, ...] = ()
    sticky: str | None = None
    shadows: tuple[Shadow, ...] = ()


class ModelRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One model with its deployed versions, newest first."""

    prefix: str
    name: str
    versions: tuple[VersionRoute, ...]
    traffic: Traffic = Traffic()


class RoutingTable(msgspec.Struct, frozen=True, kw_only=True):
    """The whole table. Later numbers win.

    `keys` maps the SHA-256 (hex) of an API key to its caller; `users` maps a user's id to the caller that a JWT
    of that user stands for. `rates` limits what all callers together may ask of a prefix and of all prefixes below it.
    `open_access` is enterprise mode: no credential is asked for.
    """

    number: int
    models: tuple[ModelRoute, ...] = ()
    keys: dict[str, Caller] = {}
    users: dict[str, Caller] = {}
    rates: dict[str, Rate] = {}
    open_access: bool = False
