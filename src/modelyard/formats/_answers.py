"""How the values of a predictor are worded, by the scenario of its signature, and what a request may choose of that.

Only for predictors whose rows stand for themselves: a RequestPredictor words its own answers.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Invalid
from modelyard.formats._columns import Column, columns_of
from modelyard.formats.base import NoOptions
from modelyard.protocol.signature import Signature

Values = NDArray[np.float32]
UNNAMEABLE = re.compile(r'[\\"\x00-\x1f]')
"""What a struct's field cannot be called in JSON."""

_TYPES = {
    "int": "a whole number", "float": "a number", "str": "a string", "bool": "true or false", "array": "a list",
    "object": "an object", "null": "null",
}  # fmt: skip


class Wording(ABC):
    """Words the answers of versions with one signature.

    `Options` is what a request may choose; `options` is None where it chooses nothing, which is quickest. `members` are
    the names of an answer's members, in order.
    """

    Options: ClassVar[type[msgspec.Struct]] = NoOptions
    members: tuple[str, ...]

    @abstractmethod
    def entries(self, values: Values, options: Any = None) -> Sequence[Any]:
        """What JSON has for each row: structs or dicts."""

    @abstractmethod
    def columns(self, values: Values, options: Any = None) -> list[Column]:
        """What tables have for all rows."""

    def brief(self, values: Values, options: Any = None) -> Sequence[Any]:
        """What a data scientist's `predict` gives for each row: a label, a number, or all there is."""
        return self.entries(values, options)


class ClassificationOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`top_k`: so many classes are answered, the likeliest first; all of them where it is absent."""

    top_k: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Classification(Wording):
    """The likeliest class, its probability, and the probability of each class."""

    Options = ClassificationOptions
    members = ("prediction", "probability", "probabilities")

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = classes
        self._probabilities = _probabilities(classes)
        self._answer: Any = msgspec.defstruct(
            "Answer", [("prediction", str), ("probability", float), ("probabilities", Any)], frozen=True
        )

    def entries(self, values: Values, options: Any = None) -> Sequence[Any]:
        best = values.argmax(axis=1).tolist()
        if options is not None and options.top_k is not None:
            return self._likeliest(values, options.top_k)
        answer, classes, probabilities = self._answer, self._classes, self._probabilities
        return [
            answer(classes[index], row[index], probabilities(*row))
            for index, row in zip(best, values.tolist(), strict=True)
        ]

    def columns(self, values: Values, options: Any = None) -> list[Column]:
        if options is not None and options.top_k is not None:
            return columns_of(self._likeliest(values, options.top_k))
        labels = self.brief(values)
        shares = [
            Column(f"probability_{label}", "double", share)
            for label, share in zip(self._classes, values.T.tolist(), strict=True)
        ]
        most = values.max(axis=1, initial=-math.inf).tolist()
        return [Column("prediction", "text", labels), Column("probability", "double", most), *shares]

    def brief(self, values: Values, options: Any = None) -> Sequence[Any]:
        if options is not None and options.top_k is not None:
            return self._likeliest(values, options.top_k)
        return [self._classes[place] for place in values.argmax(axis=1).tolist()]

    def _likeliest(self, values: Values, count: int) -> list[dict[str, Any]]:
        # Stable, so that the first of several that tie is the one that is the prediction.
        order = np.argsort(-values, axis=1, kind="stable")[:, :count]
        ranked = np.take_along_axis(values, order, axis=1).tolist()
        return [
            {
                "prediction": self._classes[places[0]],
                "probability": shares[0],
                "probabilities": {self._classes[place]: share for place, share in zip(places, shares, strict=True)},
            }
            for places, shares in zip(order.tolist(), ranked, strict=True)
        ]


class _Value(msgspec.Struct, frozen=True):
    prediction: float


class _Span(msgspec.Struct, frozen=True):
    prediction: float
    lower: float
    upper: float


class Regression(Wording):
    """A number; and between which two it lies, where the predictor says so in two further columns."""

    members = ("prediction", "lower", "upper")

    def entries(self, values: Values, options: Any = None) -> Sequence[Any]:  # noqa: ARG002 - nothing to choose
        if values.shape[1] == 3:
            return [_Span(*row) for row in values.tolist()]
        return [_Value(value) for value in values[:, 0].tolist()]

    def columns(self, values: Values, options: Any = None) -> list[Column]:  # noqa: ARG002 - nothing to choose
        names = self.members if values.shape[1] == 3 else self.members[:1]
        return [Column(name, "double", column) for name, column in zip(names, values.T.tolist(), strict=False)]

    def brief(self, values: Values, options: Any = None) -> Sequence[Any]:  # noqa: ARG002 - nothing to choose
        numbers: list[float] = values[:, 0].tolist()
        return numbers


class AnomalyOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`threshold`: a row is an anomaly where its score is above it, in place of the one that was learned."""

    threshold: float | None = None


class _Oddness(msgspec.Struct, frozen=True):
    anomaly: bool
    score: float
    severity: float


class Anomalies(Wording):
    """Whether a row is an anomaly, its score (higher is odder) and its severity (0 to 1)."""

    Options = AnomalyOptions
    members = ("anomaly", "score", "severity")

    def entries(self, values: Values, options: Any = None) -> Sequence[Any]:
        if options is None:
            return [_Oddness(flag > 0.5, score, severity) for score, severity, flag in values.tolist()]
        columns = [column.values for column in self.columns(values, options)]
        return [_Oddness(*row) for row in zip(*columns, strict=True)]

    def columns(self, values: Values, options: Any = None) -> list[Column]:
        scores, severities, flags = values.T
        threshold = None if options is None else options.threshold
        odd = flags > 0.5 if threshold is None else scores.astype(np.float64) > threshold
        return [
            Column("anomaly", "truth", odd.tolist()),
            Column("score", "single", scores.tolist()),
            Column("severity", "single", severities.tolist()),
        ]


def wording_of(signature: Signature) -> Wording:
    """What words the answers of versions with this signature."""
    if signature.classes:
        return Classification(signature.classes)
    return Anomalies() if signature.scenario == "anomaly-detection" else Regression()


def choose(kind: Any, given: Mapping[str, Any]) -> Any:
    """What a request chose in its `parameters`, as `kind`, a struct of options.

    Raises Invalid, naming the option, and what there is to choose where it is not known.
    """
    if kind is dict:
        return dict(given)
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    for name in given:
        if name not in known:
            there = f"Choose from {', '.join(known)}." if known else "This model lets nothing be chosen: leave it out."
            raise _refused(name, f"there is no such option. {there}")
    try:
        return msgspec.convert(dict(given), kind)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$.")
        name = re.split(r"[.\[`]", place)[0] or next(iter(given), "")
        raise _refused(name, f"{_in_words(reason)}.") from None


def is_finite(value: Any) -> bool:
    """Whether every number in an answer is one."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    return not isinstance(value, list | tuple) or all(map(is_finite, value))


def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON schema of a struct of options, without references; {} where there is nothing to choose."""
    known = kind is not dict and msgspec.structs.fields(kind)
    if not known:
        return {}
    schema = msgspec.json.schema(kind)
    found: dict[str, Any] = schema["$defs"][kind.__name__]
    return {name: found[name] for name in ("description", "type", "properties") if name in found}


def _in_words(reason: str) -> str:
    """msgspec's reason for a reader who knows JSON and not Python."""
    for name, words in _TYPES.items():
        reason = reason.replace(f"`{name} | null`", words).replace(f"`{name}`", words)
    return f"{reason[:1].lower()}{reason[1:]}".replace("`", "")


def _refused(name: str, reason: str) -> Invalid:
    return Invalid(
        f'Parameter "{name[:100]}": {reason}', fields=[{"field": f"parameters.{name[:100]}", "message": reason}]
    )


def _probabilities(classes: tuple[str, ...]) -> Callable[..., Any]:
    """What makes the `probabilities` member from one value for each class: a struct, since it is encoded fastest."""
    if any(UNNAMEABLE.search(label) for label in classes):
        return lambda *row: dict(zip(classes, row, strict=True))
    names = {f"c{place}": label for place, label in enumerate(classes)}
    return msgspec.defstruct("Probabilities", [(name, float) for name in names], rename=names, frozen=True)
