"""One record for each answered call, as the gateway's journal holds it and api ingest takes it."""

import msgspec


class UsageRecord(msgspec.Struct, frozen=True, array_like=True):
    """One answered call. Records are lines of JSON arrays, in this order.

    `at` is Unix time in seconds, `caller` the id of the key or user, `prefix` and `model` (without the prefix) name
    what was asked, `version` is 0 where none was chosen, `bytes_in` and `bytes_out` count bodies as they were on the
    wire, `micros` is the time from the last byte read to the answer.
    """

    at: float
    caller: str
    prefix: str
    model: str
    version: int
    status: int
    rows: int
    bytes_in: int
    bytes_out: int
    micros: int
