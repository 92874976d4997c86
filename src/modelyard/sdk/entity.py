"""What operations hand back: small objects around the wire types, and lists of them that become data frames."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from modelyard.core.errors import Unavailable
from modelyard.sdk.flow import Connection, Mode, Resource

Schema = TypeVar("Schema", bound=BaseModel)
Item = TypeVar("Item")


class Entity(Resource[Mode], Generic[Mode, Schema]):
    """One thing of the platform. `data` is what was last said of it, typed; its fields are attributes here too."""

    data: Schema

    def __init__(self, connection: Connection[Mode], data: Schema) -> None:
        self._connection: Connection[Mode] = connection
        self.data = data

    def __getattr__(self, name: str) -> Any:
        # Also asked before `data` is there, by copy and pickle.
        if not name.startswith("_") and "data" in vars(self) and name in type(self.data).model_fields:
            return getattr(self.data, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *type(self.data).model_fields})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._label()}>"

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """The data as a dictionary; options are pydantic's."""
        return self.data.model_dump(**options)

    def _label(self) -> str:
        return str(getattr(self.data, "id", ""))


class Listing(list[Item]):
    """A list that becomes a data frame: one row for each item, a column for each field."""

    def to_pandas(self) -> Any:
        """A pandas DataFrame. Raises Unavailable where pandas is not installed."""
        return frame([_row(item) for item in self])


def frame(rows: list[Mapping[str, Any]]) -> Any:
    """A pandas DataFrame of these rows. Raises Unavailable where pandas is not installed."""
    try:
        pandas = importlib.import_module("pandas")
    except ModuleNotFoundError:
        raise PandasMissing("pandas is not installed here. Install it: pip install modelyard[pandas]") from None
    return pandas.DataFrame(rows)


class PandasMissing(Unavailable):
    """A data frame was asked for and pandas is not installed."""

    code = "pandas_missing"


def _row(item: Any) -> Mapping[str, Any]:
    if hasattr(item, "model_dump"):
        row: Mapping[str, Any] = item.model_dump()
        return row
    return item if isinstance(item, Mapping) else {"value": item}
