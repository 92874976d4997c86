"""Format: a pickled Python predictor. Loading it runs code: only ever done inside a sandbox.

What does not convert to a graph is served from here. The description of such a version says `isolated`.
"""

import pickle
from pathlib import Path

from modelyard.core.errors import Broken
from modelyard.formats.base import Format, Predictor
from modelyard.formats.folder import read_signature

FILE = "model/predictor.pickle"


class Python(Format):
    """Reads `model/predictor.pickle`."""

    def load(self, folder: Path, *, threads: int = 1) -> Predictor:  # noqa: ARG002
        try:
            predictor = pickle.loads((folder / FILE).read_bytes())  # noqa: S301 - the sandbox is what makes this safe
        except Exception as error:
            raise Broken(f"{folder.name}/{FILE} cannot be loaded: {error}. Train the version again.") from error
        if not isinstance(predictor, Predictor):
            raise Broken(f"{folder.name}/{FILE} holds no predictor. Train the version again.")
        predictor.signature = read_signature(folder)
        return predictor


def save(predictor: Predictor, folder: Path) -> str:
    """Write a predictor into a version folder; the name of this format."""
    (folder / FILE).parent.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(pickle.dumps(predictor, protocol=5))
    return "python"
