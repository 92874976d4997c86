"""What a runtime is asked to start, and what it says of what runs."""

from typing import Literal

import msgspec

from modelyard.protocol.jobs import Failure

Role = Literal["worker", "replica"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a process may use. `memory` and `disk` in bytes, `cpus` in cores, `seconds` of wall time; None: no limit."""

    cpus: float | None = None
    memory: int | None = None
    processes: int | None = None
    disk: int | None = None
    seconds: float | None = None


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One process to start. `id` is unique and chosen by the caller: starting the same id twice is one process.

    `payload` is the JSON that the process reads as its own spec (WorkerSpec, ReplicaSpec).
    `labels` come back unchanged in the listing.
    """

    id: str
    role: Role
    payload: bytes
    labels: dict[str, str] = {}
    limits: Limits = Limits()


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One process that a runtime started.

    `exit_code` is negative for a signal; None while it runs, and after an end that nobody was there to see (the runtime
    that started it was gone, or the machine went down). `alive` alone says whether it runs.
    `address` is where it listens once it does, None before and after. `failure` is why it gave up, where it said so.
    """

    id: str
    role: Role
    labels: dict[str, str]
    started_at: float
    pid: int | None = None
    alive: bool = True
    exit_code: int | None = None
    address: str | None = None
    failure: Failure | None = None


class HeldVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version that a replica is to hold; `slot` is its index in the frames' tag.

    `folder` is the object-store prefix of the version folder, `checksum` the SHA-256 of its SHA256SUMS.
    """

    slot: int
    prefix: str
    model: str
    number: int
    folder: str
    checksum: str

    @property
    def label(self) -> str:
        """`prefix/model/vN`."""
        return f"{self.prefix}/{self.model}/v{self.number}"


class Holding(msgspec.Struct, frozen=True):
    """What a replica says of one slot: `prefix/model/vN`, and how long a call for 32 rows takes, in microseconds."""

    label: str
    micros: float = 0.0


class ReplicaSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What one replica holds. `address` is where it must listen, `limits` what it may use with all that it starts."""

    id: str
    deployment: str
    address: str
    versions: tuple[HeldVersion, ...]
    limits: Limits = Limits()
    max_batch: int = 64


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Which job a worker runs, and with which fencing token."""

    job: str
    token: int
    api: str
