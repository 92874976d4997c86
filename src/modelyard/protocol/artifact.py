"""The version folder's own description, `model.json`: which format reads it, and the checksum of every file.

A version folder:
    model.json            this
    signature.json        protocol/signature.py
    model.onnx | model/   what is served
    metrics.json          protocol/evaluation.py
    evaluation/*.json     curves, confusion, residuals, importance
    card.md               the model card; every number equal to metrics.json
    train.py, requirements.lock
    SHA256SUMS            of every other file, in the form of sha256sum(1)
"""

import msgspec

DESCRIPTION = "model.json"
SIGNATURE = "signature.json"
METRICS = "metrics.json"
CARD = "card.md"
CHECKSUMS = "SHA256SUMS"


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """Which format (a name of the formats seam) reads the folder, and what a call costs.

    `isolated` is set where the folder holds anything but data (python code, pickles): such a version is only ever
    loaded in a sandbox. `micros_32_rows` is the measured time of one model call for 32 rows, in microseconds.
    """

    format: str
    scenario: str
    algorithm: str
    isolated: bool = False
    micros_32_rows: float | None = None
    parameters: dict[str, object] = {}
    created_with: dict[str, str] = {}


class FileEntry(msgspec.Struct, frozen=True):
    """One file of a version, as registered: path in the folder, size in bytes, SHA-256 in hex."""

    path: str
    size: int
    sha256: str
