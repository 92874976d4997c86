"""One version held in memory: bytes of many requests in, bytes of as many answers out, with one call of the model.

A version for which the rows of one request belong together (RequestPredictor) has one call for each request.
"""

import json
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Broken, ModelyardError, TimedOut, Unavailable
from modelyard.formats.base import Batch, Predictor, RequestPredictor
from modelyard.formats.codec import Codec, Row, answer_example
from modelyard.formats.folder import read_artifact
from modelyard.formats.registry import open_version
from modelyard.protocol.frames import Content
from modelyard.protocol.processes import HeldVersion
from modelyard.serving.forms.base import Asked
from modelyard.serving.forms.table import Forms

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
    """A loaded version. Not thread-safe, as its predictor is not. `seconds` is what its last call of the model took."""

    seconds: float = 0.0

    def __init__(self, predictor: Predictor, *, model: str, version: str) -> None:
        self.model = model
        self.version = version
        self._codec = Codec.of(predictor)
        self._forms = Forms(self._codec, model=model, version=version)
        self._predictor = predictor
        self._whole = predictor if isinstance(predictor, RequestPredictor) else None

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """An answer for each request, in order. Never raises: what is wrong with one is its own answer."""
        if self._whole is not None:
            return self._each(self._whole, requests)
        if len(requests) == 1:
            return [self._alone(requests[0])]
        answers: list[Answer | None] = [None] * len(requests)
        asked: list[tuple[int, Asked]] = []
        for place, (body, content) in enumerate(requests):
            try:
                asked.append((place, self._forms.read(body, content & 15)))
            except Exception as error:  # noqa: BLE001 - whatever it is, the others are to be answered
                answers[place] = self._refusal(error)
        if asked:
            self._together(requests, asked, answers)
        return [answer for answer in answers if answer is not None]

    def _alone(self, request: Request) -> Answer:
        body, content = request
        try:
            data, wish, options = self._forms.read(body, content & 15)
            values = self._call(data if isinstance(data, Batch) else self._codec.batch(data))
            answered, body = self._forms.write(values, content >> 4, wish, options)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            return self._refusal(error)
        return Answer(200, answered, len(values), body)

    def _each(self, predictor: RequestPredictor, requests: Sequence[Request]) -> list[Answer]:
        """Each request on its own; `seconds` is what all of them took, since nobody else is answered meanwhile."""
        answers, seconds = [], 0.0
        for request in requests:
            answers.append(self._own(predictor, request))
            seconds += self.seconds
        self.seconds = seconds
        return answers

    def _own(self, predictor: RequestPredictor, request: Request) -> Answer:
        body, content = request
        self.seconds = 0.0
        try:
            data, wish, options = self._forms.read(body, content & 15)
            batch = data if isinstance(data, Batch) else self._codec.batch(data)
            chosen = self._codec.options(None) if options is None else options
            began = time.perf_counter()
            entries = predictor.answer(batch, chosen)
            self.seconds = time.perf_counter() - began
            answered, body = self._forms.write_entries(entries, content >> 4, wish)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            return self._refusal(error)
        return Answer(200, answered, max(batch.rows, len(entries)), body)

    def _together(
        self, requests: Sequence[Request], asked: Sequence[tuple[int, Asked]], answers: list[Answer | None]
    ) -> None:
        """Fill in the answers with one call of the model."""
        try:
            values = self._call(self._batch([each.data for _, each in asked]))
        except Exception as error:  # noqa: BLE001 - it may be the rows of one request only
            together = isinstance(error, TimedOut | Unavailable)
            for place, _ in asked:
                answers[place] = self._refusal(error) if together else self._alone(requests[place])
            return
        start = 0
        for place, (data, wish, options) in asked:
            end = start + (data.rows if isinstance(data, Batch) else len(data))
            try:
                answered, body = self._forms.write(values[start:end], requests[place].content >> 4, wish, options)
                answers[place] = Answer(200, answered, end - start, body)
            except Exception as error:  # noqa: BLE001 - the others are to be answered
                answers[place] = self._refusal(error)
            start = end

    def _batch(self, parts: Sequence[Sequence[Row] | Batch]) -> Batch:
        """The rows of several requests as one batch, in order."""
        rows: list[Row] = []
        batches: list[Batch] = []
        for part in parts:
            if isinstance(part, Batch):
                if rows:
                    batches.append(self._codec.batch(rows))
                    rows = []
                batches.append(part)
            else:
                rows.extend(part)
        if rows:
            batches.append(self._codec.batch(rows))
        if len(batches) == 1:
            return batches[0]
        numbers, strings = zip(*batches, strict=True)
        return Batch(np.concatenate(numbers), np.concatenate(strings))

    def _call(self, batch: Batch) -> NDArray[np.float32]:
        began = time.perf_counter()
        values = self._predictor.predict(batch)
        self.seconds = time.perf_counter() - began
        if len(values) != batch.rows:
            raise Broken(f"{self.model} {self.version} answered {len(values)} rows to {batch.rows}. Train it again.")
        return values

    def _refusal(self, error: Exception) -> Answer:
        if not isinstance(error, ModelyardError):
            log.error("%s %s failed", self.model, self.version, exc_info=error)
            error = Broken("The model failed on this request. The replica's log says why.")
        return refusal(error)

    def warm_up(self) -> float:
        """Call the model as it will be called; the seconds that a call takes.

        Raises Broken where it does not answer as it did when it was made.
        """
        signature = self._predictor.signature
        if self._whole is not None:
            return self._warm_up_with(signature.example_request)
        if not signature.example:
            return 0.0
        row = self._codec.read(msgspec.json.encode(signature.example), Content.JSON).rows
        now = self._codec.answers(self._call(self._codec.batch(row)))[0]
        self._check_example(signature.example, now)
        many = self._codec.batch(list(row) * WARM_UP_ROWS)
        self._call(many)
        began = time.perf_counter()
        self._call(many)
        return time.perf_counter() - began

    def _warm_up_with(self, body: dict[str, Any]) -> float:
        """The same with a whole request; the seconds that it takes."""
        if not body:
            return 0.0
        self._check_example(body, answer_example(self._predictor, body))
        began = time.perf_counter()
        answer_example(self._predictor, body)
        return time.perf_counter() - began

    def _check_example(self, example: dict[str, Any], now: dict[str, Any]) -> None:
        then = self._predictor.signature.example_answer
        if not _agrees(now, then):
            raise Broken(
                f"{self.model} {self.version} does not answer its own example as it did when made. Train it again.",
                detail={"example": example, "then": then, "now": now},
            )


def refusal(error: ModelyardError) -> Answer:
    """The house's error body, without the request's id, which the gateway knows."""
    body = {"error": error.to_dict(), "request_id": ""}
    try:
        return Answer(error.status, Content.JSON, 0, msgspec.json.encode(body))
    except UnicodeEncodeError:
        # It quotes half a surrogate pair from the request, which only an escape can write.
        return Answer(error.status, Content.JSON, 0, json.dumps(body).encode())


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
    if isinstance(then, list):
        return isinstance(now, list) and len(now) == len(then) and all(map(_agrees, now, then))
    if isinstance(then, int | float) and not isinstance(then, bool):
        return isinstance(now, int | float) and math.isclose(now, then, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return True
