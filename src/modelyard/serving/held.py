"""One version held in memory: bytes of many requests in, bytes of as many answers out, with one call of the model."""

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Broken, ModelyardError
from modelyard.formats.base import Batch, Predictor
from modelyard.formats.codec import Codec, Row
from modelyard.formats.folder import read_artifact
from modelyard.formats.registry import open_version
from modelyard.protocol.frames import Content
from modelyard.protocol.processes import HeldVersion

log = logging.getLogger("modelyard.replica")

WARM_UP_ROWS = 32
TOLERANCE = 1e-2
"""How far an answer may be from the one stored with the version: other processors round differently, not this much."""


class Request(NamedTuple):
    """What is asked: `content` as in `protocol/frames.py`."""

    body: bytes
    content: int


class Answer(NamedTuple):
    """What is answered: an HTTP status, what the body is, and how many rows were predicted."""

    status: int
    content: int
    rows: int
    body: bytes


class Held:
    """A loaded version. Not thread-safe, as its predictor is not."""

    def __init__(self, predictor: Predictor, *, model: str, version: str) -> None:
        self.model = model
        self.version = version
        self._codec = Codec(predictor.signature)
        self._predictor = predictor

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """An answer for each request, in order. Never raises: what is wrong with one is its own answer."""
        answers: dict[int, Answer] = {}
        spans: list[tuple[int, int, int]] = []
        rows: list[Row] = []
        for place, request in enumerate(requests):
            try:
                read = self._codec.read(request.body, request.content & 15)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others are to be answered
                answers[place] = self._refusal(error)
                continue
            spans.append((place, len(rows), len(rows) + len(read.rows)))
            rows.extend(read.rows)
        if rows:
            answers |= self._predict(requests, rows, spans)
        return [answers[place] for place in range(len(requests))]

    def _predict(
        self, requests: Sequence[Request], rows: Sequence[Row], spans: Sequence[tuple[int, int, int]]
    ) -> dict[int, Answer]:
        try:
            values = self._call(self._codec.batch(rows))
        except Exception as error:  # noqa: BLE001 - it may be the rows of one request only
            if len(spans) == 1:
                return {spans[0][0]: self._refusal(error)}
            return {place: self.answer([requests[place]])[0] for place, _, _ in spans}
        return {place: self._encoded(values[start:end], requests[place]) for place, start, end in spans}

    def _call(self, batch: Batch) -> NDArray[np.float32]:
        values = self._predictor.predict(batch)
        if len(values) != batch.rows:
            raise Broken(f"{self.model} {self.version} answered {len(values)} rows to {batch.rows}. Train it again.")
        return values

    def _encoded(self, values: NDArray[np.float32], request: Request) -> Answer:
        content = request.content >> 4
        try:
            body = self._codec.encode(values, content, model=self.model, version=self.version)
        except Exception as error:  # noqa: BLE001 - the others are to be answered
            return self._refusal(error)
        return Answer(200, content, len(values), body)

    def _refusal(self, error: Exception) -> Answer:
        if not isinstance(error, ModelyardError):
            log.error("%s %s failed", self.model, self.version, exc_info=error)
            error = Broken("The model failed on this request. The replica's log says why.")
        return refusal(error)

    def warm_up(self) -> float:
        """Call the model as it will be called; the seconds that a call takes.

        Raises Broken where it does not answer as it did when it was made.
        """
        example = self._predictor.signature.example
        if not example:
            return 0.0
        row = self._codec.read(msgspec.json.encode(example), Content.JSON).rows
        now = self._codec.answers(self._call(self._codec.batch(row)))[0]
        then = self._predictor.signature.example_answer
        if not _agrees(now, then):
            raise Broken(
                f"{self.model} {self.version} does not answer its own example as it did when made. Train it again.",
                detail={"example": example, "then": then, "now": now},
            )
        many = self._codec.batch(list(row) * WARM_UP_ROWS)
        self._call(many)
        began = time.perf_counter()
        self._call(many)
        return time.perf_counter() - began


def refusal(error: ModelyardError) -> Answer:
    """The house's error body, without the request's id, which the gateway knows."""
    return Answer(error.status, Content.JSON, 0, msgspec.json.encode({"error": error.to_dict(), "request_id": ""}))


def load(version: HeldVersion, folder: Path) -> Held:
    """The version whose verified folder this is. Raises Broken where it cannot be loaded here."""
    try:
        if read_artifact(folder).isolated:
            raise Broken("it holds code, which is only ever loaded in a sandbox.")
        predictor = open_version(folder)
    except Broken as error:
        raise Broken(f"{version.label} cannot be loaded: {error.message}") from error
    return Held(predictor, model=f"{version.prefix}/{version.model}", version=f"v{version.number}")


def _agrees(now: Any, then: Any) -> bool:
    """Whether every number of `then` is in `now` and near it; a label may differ where two classes nearly tie."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(key in now and _agrees(now[key], value) for key, value in then.items())
    if isinstance(then, int | float) and not isinstance(then, bool):
        return isinstance(now, int | float) and math.isclose(now, then, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return True
