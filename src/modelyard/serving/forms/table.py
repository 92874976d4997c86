"""Which form is read and written by whom: one table for each version."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Broken, Unsupported
from modelyard.formats.codec import Codec
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
        self._readers: dict[int, Callable[[bytes], Asked]] = {
            Content.JSON: partial(self._read, Content.JSON),
            Content.CSV: partial(self._read, Content.CSV),
            Content.ARROW: ArrowReader(codec, columns).read,
            Content.V2: v2.read,
            Content.V2_BINARY: v2.read_binary,
            Content.MLFLOW: mlflow.read,
        }
        arrow = ArrowWriter(codec.signature.classes)
        self._writers: dict[int, Callable[[Values, Any], tuple[Content, bytes]]] = {
            Content.ARROW: lambda values, _: (Content.ARROW, arrow.write(values)),
            Content.V2: v2.write,
            Content.V2_BINARY: v2.write,
            Content.MLFLOW: lambda values, _: (Content.MLFLOW, mlflow.write(values)),
        }

    def read(self, body: bytes, content: int) -> Asked:
        """The rows of a body of this form. Raises what its reader raises, and Unsupported for a form nobody reads."""
        reader = self._readers.get(content)
        if reader is None:
            raise Unsupported(f"Content {content} is not known here. The gateway is newer than this replica.")
        return reader(body)

    def write(self, values: Values, content: int, wish: Any) -> tuple[int, bytes]:
        """The answer in this form, and the form that it has: only V2 decides that itself, as its request wished.

        Raises Broken where a value is no finite number.
        """
        writer = self._writers.get(content)
        if writer is None:
            return content, self._codec.encode(values, content, model=self._model, version=self._version)
        if not np.isfinite(values).all():
            raise Broken(
                f"{self._model} {self._version} answered with a value that is not a finite number. Train it again."
            )
        return writer(values, wish)

    def _read(self, content: Content, body: bytes) -> Asked:
        return Asked(self._codec.read(body, content).rows)
