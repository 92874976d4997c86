"""The form of an algorithm: its parameters with what a person needs to fill them in, as JSON schema.

A form is a pydantic model whose fields are made by `parameter`. Besides the keywords of JSON schema (title,
description, default, minimum, maximum, enum) each field says, for whoever draws the form and whoever searches in it:

    x-group       under which heading it stands
    x-unit        the unit of its value
    x-when        {"parameter": value}: it matters only while that parameter has that value, or one of that list
    x-advanced    true where most people need not look
    x-search      what a search may try: {"low", "high", "log", "step"} or {"choices"}
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class Form(BaseModel):
    """What forms share: unknown parameters are refused, values are not changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Search(NamedTuple):
    """Numbers that a search may try, from `low` to `high`, both included; `log`: evenly over orders of magnitude."""

    low: float
    high: float
    log: bool = False
    step: float | None = None


def parameter(
    default: Any,
    title: str,
    help: str,  # noqa: A002 - what it is
    *,
    group: str = "Learning",
    unit: str | None = None,
    when: Mapping[str, Any] | None = None,
    advanced: bool = False,
    search: Search | Sequence[Any] | None = None,
    **bounds: Any,
) -> Any:
    """One field of a form. `bounds` are pydantic's: ge, le, gt, lt, multiple_of, max_length, pattern, examples.

    `search` is a range for a number, or a list of values; without one a search leaves the parameter as it is.
    """
    extra: dict[str, Any] = {"x-group": group}
    if unit:
        extra["x-unit"] = unit
    if when:
        extra["x-when"] = dict(when)
    if advanced:
        extra["x-advanced"] = True
    if isinstance(search, Search):
        extra["x-search"] = {name: value for name, value in search._asdict().items() if value not in {None, False}}
        extra["x-search"].setdefault("low", search.low)
    elif search is not None:
        extra["x-search"] = {"choices": list(search)}
    return Field(default, title=title, description=help, json_schema_extra=extra, **bounds)
