"""One record for each answered prediction: what billing and monitoring are built on."""

import msgspec


class UsageRecord(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """`at` is Unix time in seconds, `micros` the time from the last byte read to the answer handed to the socket."""

    at: float
    caller: str
    prefix: str
    model: str
    version: int
    rows: int
    bytes_in: int
    bytes_out: int
    status: int
    micros: int
