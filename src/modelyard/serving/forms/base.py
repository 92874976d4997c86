"""What every form makes of a body."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from modelyard.formats.base import Batch
from modelyard.formats.codec import Row


class Asked(NamedTuple):
    """What a body asks for: rows, checked, as rows or as arrays; at least one where the model needs any.

    `wish` is what it says about its answer, in the words of its own form; None where it can say nothing. `options` is
    what it chooses, as `Codec.options` gives it.
    """

    data: Sequence[Row] | Batch
    wish: Any = None
    options: Any = None
