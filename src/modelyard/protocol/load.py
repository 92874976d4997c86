"""What gateways report of their load, about once a second: counts since the gateway began, never differences.

A report that is lost or comes twice does no harm: whoever reads takes the difference of two of the same gateway.
"""

import msgspec

BOUNDS = (
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000,
)  # fmt: skip
"""Upper bounds of the latency buckets in microseconds; one more bucket takes what is above."""


class VersionLoad(msgspec.Struct, frozen=True, kw_only=True):
    """What one version of one deployment answered.

    `errors` are answers of 500 and above, but not 503: a refusal is no fault of the version. `micros` is the sum of the
    times of all requests, so that its growth over a time, divided by that time, is the mean number in flight.
    `buckets` has len(BOUNDS) + 1 counts.
    """

    model: str
    version: int
    deployment: str
    requests: int
    errors: int
    rows: int
    micros: int
    buckets: tuple[int, ...]


class ShadowLoad(msgspec.Struct, frozen=True, kw_only=True):
    """How a shadow's answers compare to those that were given: `failed` ones were no answers."""

    model: str
    version: int
    compared: int
    different: int
    failed: int


class DeploymentLoad(msgspec.Struct, frozen=True, kw_only=True):
    """`in_flight` and `waiting` are numbers of requests now: at replicas, and for a start. `refused` counts 503s."""

    key: str
    in_flight: int
    waiting: int
    refused: int


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one gateway process counted. `started_at` and `at` are Unix times in seconds."""

    gateway: str
    started_at: float
    at: float
    versions: tuple[VersionLoad, ...] = ()
    deployments: tuple[DeploymentLoad, ...] = ()
    shadows: tuple[ShadowLoad, ...] = ()
