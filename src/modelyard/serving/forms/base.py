"""What every form makes of a body."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from modelyard.formats.base import Batch
from modelyard.formats.codec import Row


class Asked(NamedTuple):
    """What a body asks for: at least one row, checked, as rows or as arrays.

    `wish` is what it says about its answer, in the words of its own form; None where it can say nothing.
    """

    data: Sequence[Row] | Batch
    wish: Any = None
