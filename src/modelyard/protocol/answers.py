"""What versions say of their answers: the members of an entry, and what a request may choose in its `parameters`."""

from typing import Any, Literal

import msgspec

from modelyard.protocol.signature import Signature

MemberKind = Literal["text", "number", "single", "integer", "boolean", "shares", "other"]
"""`single` is a number of 32 bits, `shares` an object with a number for each class, `other` a list or an object."""


class Member(msgspec.Struct, frozen=True):
    """One member of every entry of `predictions`."""

    name: str
    kind: MemberKind
    help: str = ""


CLASSIFICATION = (
    Member("prediction", "text", "The likeliest class."),
    Member("probability", "number", "Its probability, 0 to 1."),
    Member("probabilities", "shares", "The probability of each class, 0 to 1; they add up to 1."),
)
ANOMALY = (
    Member("anomaly", "boolean", "Whether the row is an anomaly: its score is above the threshold."),
    Member("score", "single", "How odd the row is; higher is odder."),
    Member("severity", "single", "The same from 0 to 1: 0.5 at the threshold."),
)
REGRESSION = (Member("prediction", "number", "The predicted value."),)
_TOP_K = {
    "type": "integer",
    "minimum": 1,
    "description": "So many classes are answered in `probabilities`, the likeliest first; all of them by default.",
}
_THRESHOLD = {
    "type": "number",
    "description": "A row is an anomaly where its score is above this; the learned threshold by default.",
}


def members(signature: Signature) -> tuple[Member, ...]:
    """What each entry of an answer has."""
    if signature.example_request:
        entries = signature.example_answer.get("predictions") or [{}]
        return tuple(Member(name, _kind(value)) for name, value in entries[0].items())
    if signature.classes:
        return CLASSIFICATION
    return ANOMALY if signature.scenario == "anomaly-detection" else REGRESSION


def choices(signature: Signature) -> dict[str, dict[str, Any]]:
    """What a request may choose: name to JSON schema."""
    if signature.example_request:
        found: dict[str, dict[str, Any]] = signature.options.get("properties", {})
        return found
    if signature.classes:
        return {"top_k": _TOP_K}
    return {"threshold": _THRESHOLD} if signature.scenario == "anomaly-detection" else {}


def _kind(value: Any) -> MemberKind:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float() | None:
            return "number"
        case str():
            return "text"
        case _:
            return "other"
