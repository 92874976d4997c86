"""A log of a made system: a header, templates from frequent to rare, parameters of many kinds."""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pytest

from modelyard.algorithms.base import TrainingData
from modelyard.formats.base import Batch
from modelyard.protocol.signature import Field, Signature

SIGNATURE = Signature(scenario="log-clustering", inputs=(Field(name="line", kind="text"),), target="group")
NAMES = ("ann", "bert", "cleo", "dora", "emil", "fritz", "gerd", "hanna")
TEMPLATES = (
    "Gave user {name} a seat at {ip} row {n}",
    "Request {uuid} took {n} ms, size={n}",
    "Worker {n} entered state ready",
    "Worker {n} entered state stopped",
    "Copied {path} to volumes {list} in {n}s",
    "Beacon lost: {hex}",
    "Turned away user {name} (not on the list)",
    "Shutting down now",
    "cache: hit rate {n}%, evicted {n} of {n} entries",
    "Rebalancing partitions [{list}] done",
)


class Log(NamedTuple):
    """Lines and the number of each line's template."""

    lines: list[str]
    truth: np.ndarray


def made_log(count: int, seed: int, *, header: bool = True, templates: Sequence[str] = TEMPLATES) -> Log:
    """So many lines."""
    r = random.Random(seed)
    lines, truth = [], []
    for number in range(count):
        group = r.choices(range(len(templates)), [1 / (place + 1) for place in range(len(templates))])[0]
        text = templates[group].format(
            name=r.choice(NAMES), ip=f"10.{r.randrange(256)}.0.{r.randrange(256)}", n=r.randrange(100_000),
            uuid=f"{r.getrandbits(32):08x}-aaaa-4bbb-8ccc-{r.getrandbits(48):012x}", hex=f"0x{r.getrandbits(32):x}",
            path=f"/var/{r.choice(NAMES)}/{r.randrange(99)}.dat",
            list=", ".join(str(r.randrange(90)) for _ in range(r.randint(1, 5))),
        )  # fmt: skip
        second = f"2022-05-04 10:{number // 60 % 60:02}:{number % 60:02}"
        level = r.choice(("INFO", "WARN", "ERROR"))
        start = f"{second},{r.randrange(1000):03} {level} [pool-{r.randrange(9)}] a.b.{r.choice('CDE')}: "
        lines.append(start + text if header else text)
        truth.append(group)
    return Log(lines, np.array(truth))


def made_batch(lines: Sequence[str]) -> Batch:
    strings = np.empty((len(lines), 1), object)
    strings[:, 0] = list(lines)
    return Batch(np.empty((len(lines), 0), np.float32), strings)


def made_data(lines: Sequence[str], validation: Sequence[str] = (), **more) -> TrainingData:
    return TrainingData(
        signature=SIGNATURE,
        rows=made_batch(lines),
        labels=np.full(len(lines), -1),
        validation=made_batch(validation),
        validation_labels=np.full(len(validation), -1),
        seed=0,
        **more,
    )


@pytest.fixture(scope="session")
def log() -> Callable[..., Log]:
    return made_log


@pytest.fixture(scope="session")
def data() -> Callable[..., TrainingData]:
    return made_data


@pytest.fixture(scope="session")
def batch() -> Callable[[Sequence[str]], Batch]:
    return made_batch
