"""Which formats there are, and opening a version folder with the right one."""

from pathlib import Path

from modelyard.core.errors import Broken, NotFound
from modelyard.core.registry import Registry
from modelyard.formats import folder as folders
from modelyard.formats.base import Format, Predictor

_HELPERS = frozenset({"batches", "codec", "features", "folder", "registry", "series"})

REGISTRY: Registry[Format] = Registry("modelyard.formats", Format, exclude=_HELPERS)  # type: ignore[type-abstract]


def open_version(folder: Path, *, threads: int = 1, checksum: str | None = None) -> Predictor:
    """The predictor in a version folder.

    With `checksum`, the SHA-256 of its SHA256SUMS in hex, every file is verified first. A version whose artifact is
    `isolated` runs code when it is opened: only inside a sandbox. Raises Broken where anything is damaged or unknown.
    """
    if checksum is not None:
        folders.verify_checksums(folder, checksum)
    artifact = folders.read_artifact(folder)
    try:
        reader = REGISTRY.get(artifact.format)()
    except NotFound as error:
        raise Broken(f"{folder.name} is kept in a format that nothing here reads. {error.message}") from error
    return reader.load(folder, threads=threads)
