"""The signature of a version: what goes in, what comes out. Stored as `signature.json` in the version folder."""

from typing import Any, Literal

import msgspec

Kind = Literal["number", "integer", "boolean", "category", "text", "date"]
"""What a column holds. number, integer and boolean travel as numbers; category, text and date as strings."""

NUMERIC_KINDS: frozenset[str] = frozenset({"number", "integer", "boolean"})


class Field(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One input column.

    `missing` is the share of missing values in training, 0 to 1; null is accepted in any field, the model
    knows what to do with it. `categories` are the values seen in training, most frequent first, at most 1,000;
    other values are accepted as unseen. `minimum` and `maximum` are the range seen in training, not a bound.
    """

    name: str
    kind: Kind
    missing: float = 0.0
    categories: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    example: Any = None

    @property
    def numeric(self) -> bool:
        """Whether values of this field travel as numbers."""
        return self.kind in NUMERIC_KINDS


class Signature(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a version expects and answers.

    `inputs` are the columns it needs, in the order of training. `ignored` are columns of the training table that a
    caller may send and that are not used (the target, dropped identifiers). `classes` are the class labels in the order
    of the probabilities, for classification; `positive` is the class a two-class question asks about. `time` names the
    input that says when, for rows that are in order of time; `series` the one that says which of several series a row
    belongs to; `horizon` is how many steps ahead a version was made to predict.
    `example` is one instance; `example_answer` what the version answered to it when it was made. Where the rows of a
    request belong together, `example_request` is a whole JSON body, `example_answer` has what was answered to it as
    `predictions`, and `options` is the JSON schema of what a request may choose in its `parameters`.
    """

    scenario: str
    inputs: tuple[Field, ...]
    target: str
    classes: tuple[str, ...] = ()
    positive: str | None = None
    time: str | None = None
    series: str | None = None
    horizon: int | None = None
    ignored: tuple[str, ...] = ()
    example: dict[str, Any] = {}
    example_answer: dict[str, Any] = {}
    example_request: dict[str, Any] = {}
    options: dict[str, Any] = {}

    @property
    def numeric_inputs(self) -> tuple[Field, ...]:
        """The fields that travel as numbers, in order: the columns of `Batch.numbers`."""
        return tuple(field for field in self.inputs if field.numeric)

    @property
    def string_inputs(self) -> tuple[Field, ...]:
        """The fields that travel as strings, in order: the columns of `Batch.strings`."""
        return tuple(field for field in self.inputs if not field.numeric)
