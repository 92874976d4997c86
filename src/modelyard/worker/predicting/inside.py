"""Process: what runs inside the sandbox, `python -m modelyard.worker.predicting.inside FOLDER`: one version that holds
code answers rows.

    options.json      what the request chose
    version/, rows/   the version's folder, and rows as arrays (formats/batches.py)
    out/              answers.npy for a version that answers row by row, entries.msgpack for one that words its answers
    failure.json      why there is none: protocol.jobs.Failure; the exit code is 1
"""

import sys
import traceback
from pathlib import Path

import msgspec
import numpy as np

from modelyard.core.errors import Invalid
from modelyard.formats.base import RequestPredictor
from modelyard.formats.batches import load_batch
from modelyard.formats.codec import Codec
from modelyard.formats.registry import open_version
from modelyard.protocol.jobs import Failure


def main(folder: Path) -> int:
    """Answer; the exit code."""
    try:
        predictor = open_version(folder / "version")
        batch = load_batch(folder / "rows")
        if isinstance(predictor, RequestPredictor):
            options = Codec.of(predictor).options(msgspec.json.decode((folder / "options.json").read_bytes()))
            found = predictor.answer(batch, options)
            (folder / "out" / "entries.msgpack").write_bytes(msgspec.msgpack.encode(found))
        else:
            np.save(folder / "out" / "answers.npy", np.asarray(predictor.predict(batch), np.float32))
    except Exception as error:  # noqa: BLE001 - the version's code may raise anything; a person is told
        traceback.print_exc()
        (folder / "failure.json").write_bytes(msgspec.json.encode(_failure(error)))
        return 1
    return 0


def _failure(error: Exception) -> Failure:
    if isinstance(error, Invalid):
        return Failure(code=error.code, message=error.message, fields=tuple(error.fields))
    text = (str(error).strip().splitlines() or [""])[0][:200]
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return Failure(code="model_failed", message=f"The model failed ({what}). The job's log has the details.")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
