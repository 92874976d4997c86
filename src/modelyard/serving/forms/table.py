"""Which form is read and written by whom: one table for each version."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Broken, Unsupported
from modelyard.formats._columns import columns_of
from modelyard.formats.codec import Codec, check_finite
from modelyard.protocol.frames import Content
from modelyard.serving.forms.arrow.reader import ArrowReader
from modelyard.serving.forms.arrow.writer import ArrowWriter
from modelyard.serving.forms.base import Asked
from modelyard.serving.forms.columns import Columns
from modelyard.serving.forms.mlflow import Mlflow
from modelyard.serving.forms.v2 import V2

Values = NDArray[np.float32]


class Forms:
    """Reads requests for, and writes the answers of, one version: `model` is `<prefix>/<name>`, `version` is `v<n>`."""

    def __init__(self, codec: Codec, *, model: str, version: str) -> None:
        self._codec = codec
        self._model, self._version = model, version
        columns = Columns(codec)
        v2 = V2(codec, columns, model=model, version=version.removeprefix("v"))
        mlflow = Mlflow(codec)
        self._v2, self._mlflow = v2, mlflow
        self._readers: dict[int, Callable[[bytes], Asked]] = {
            Content.JSON: partial(self._read, Content.JSON),
            Content.CSV: partial(self._read, Content.CSV),
            Content.ARROW: ArrowReader(codec, columns).read,
            Content.V2: v2.read,
            Content.V2_BINARY: v2.read_binary,
            Content.MLFLOW: mlflow.read,
        }
        self._arrow = arrow = ArrowWriter(codec)
        self._writers: dict[int, Callable[[Values, Any, Any], tuple[Content, bytes]]] = {
            Content.ARROW: lambda values, _, options: (Content.ARROW, arrow.write(values, options)),
            Content.V2: v2.write,
            Content.V2_BINARY: v2.write,
            Content.MLFLOW: lambda values, _, options: (Content.MLFLOW, mlflow.write(values, options)),
        }

    def read(self, body: bytes, content: int) -> Asked:
        """The rows of a body of this form. Raises what its reader raises, and Unsupported for a form nobody reads."""
        reader = self._readers.get(content)
        if reader is None:
            raise Unsupported(f"Content {content} is not known here. The gateway is newer than this replica.")
        return reader(body)

    def write(self, values: Values, content: int, wish: Any, options: Any = None) -> tuple[int, bytes]:
        """The answer in this form, and the form that it has: only V2 decides that itself, as its request wished.

        Raises Broken where a value is no finite number.
        """
        writer = self._writers.get(content)
        if writer is None:
            return content, self._codec.encode(
                values, content, model=self._model, version=self._version, options=options
            )
        if not np.isfinite(values).all():
            raise Broken(
                f"{self._model} {self._version} answered with a value that is not a finite number. Train it again."
            )
        return writer(values, wish, options)

    def write_entries(self, entries: Sequence[dict[str, Any]], content: int, wish: Any) -> tuple[int, bytes]:
        """The same of what a RequestPredictor answered."""
        if content in {Content.JSON, Content.CSV}:
            return content, self._codec.encode_entries(entries, content, model=self._model, version=self._version)
        check_finite(entries, f"{self._model} {self._version}")
        if content == Content.ARROW:
            return Content.ARROW, self._arrow.table(columns_of(entries))
        if content == Content.MLFLOW:
            return Content.MLFLOW, self._mlflow.write_entries(entries)
        if content in {Content.V2, Content.V2_BINARY}:
            return self._v2.write_columns(columns_of(entries), wish)
        raise Unsupported(f"Content {content} is not known here. The gateway is newer than this replica.")

    def _read(self, content: Content, body: bytes) -> Asked:
        rows, _, parameters = self._codec.read(body, content)
        return Asked(rows, None, None if parameters is None else self._codec.options(parameters))
