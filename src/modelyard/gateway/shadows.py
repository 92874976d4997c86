"""Shadows: versions that are asked too, whose answers are compared with those that were given, and thrown away.

A shadow never delays or displaces a real request: it is asked after it, and only while its replicas have room to spare.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from modelyard.core.errors import ModelyardError
from modelyard.gateway.exchange import Answering, Exchange
from modelyard.protocol.frames import Content

Outcome = Literal["same", "different", "failed"]

TOLERANCE = 0.01
"""Numbers that are closer than this, relatively, count as the same answer; labels have to be equal."""

_JSON = frozenset({Content.JSON, Content.V2, Content.MLFLOW})
_LABELS = ("prediction", "predictions", "outputs")


class Shadow(Exchange):
    """The copy of a request that a shadow is asked. Nobody waits for its answer but the comparison."""

    def __init__(self, original: Exchange, version: Answering | None, told: Callable[[Outcome], None]) -> None:
        super().__init__(
            original.client,
            original.target,
            original.headers,
            original.body,
            request_id=original.request_id,
            keep_alive=True,
        )
        self.content = original.content
        self.deadline = original.deadline
        self.model = original.model
        self.version = version
        self.trace = original.trace
        self._told = told
        self._mine: tuple[int, int, bytes] | None = None
        self._theirs: tuple[int, int, bytes] | None = None
        original.twins = (*original.twins, self)

    def answer(self, status: int, content: int, rows: int, body: bytes) -> None:  # noqa: ARG002
        if not self.answered:
            self.answered = True
            self._mine = (status, content, body)
            self._compare()

    def refuse(self, error: ModelyardError) -> None:
        self.answer(error.status, Content.JSON, 0, b"")

    def given(self, status: int, content: int, body: bytes) -> None:
        """What the client is answered."""
        if self._theirs is None:
            self._theirs = (status, content, body)
            self._compare()

    def _compare(self) -> None:
        if self._mine is None or self._theirs is None:
            return
        # What was wrong with the request or too much for the platform says nothing of the two versions.
        if self._theirs[0] != 200:
            return
        if self._mine[0] != 200:
            self._told("failed")
        else:
            self._told("same" if agree(self._mine[1], self._mine[2], self._theirs[2]) else "different")


def agree(content: int, one: bytes, other: bytes) -> bool:
    """Whether two answers of the same form predict the same: equal labels, numbers within `TOLERANCE`."""
    if content not in _JSON:
        return one == other
    return _same(_predicted(msgspec.json.decode(one)), _predicted(msgspec.json.decode(other)))


def _predicted(answer: Any) -> Any:
    """What an answer predicts, less the names of model and version and less how sure it is of a label."""
    if isinstance(answer, list):
        return [_predicted(entry) for entry in answer]
    if not isinstance(answer, dict):
        return answer
    if "outputs" in answer:
        return [output.get("data") for output in answer["outputs"] if output.get("name") == "prediction"]
    found = next((name for name in _LABELS if name in answer), None)
    return _predicted(answer[found]) if found else answer


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-9)
    return bool(one == other)
