"""Each peer's Python environment: made on first use from pinned requirements, kept, made anew when they change."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.load.generator import CACHE
from benchmarks.serving.processes import REPOSITORY, environment

PEERS = Path(__file__).parent / "peers"
PIPELINE = Path(__file__).with_name("pipeline.py")


class NotThere(Exception):
    """A contender cannot take part; the message says why, in its own last words."""


def python_of(peer: str) -> Path:
    """The interpreter of `peers/<peer>/requirements.txt`. Raises NotThere where it cannot be made."""
    requirements = PEERS / peer / "requirements.txt"
    folder = CACHE / peer
    python, stamp = folder / "bin" / "python", folder / "made-from"
    made_from = hashlib.sha256(
        b"".join([sys.version.encode(), requirements.read_bytes(), PIPELINE.read_bytes()])
    ).hexdigest()
    if stamp.exists() and stamp.read_text() == made_from:
        return python
    print(f"Installing {peer}, once …", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    _run(peer, [sys.executable, "-m", "venv", str(folder)])
    # The pins are complete: nothing is left to resolve.
    words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", str(requirements)]
    _run(peer, [str(python), *words])
    stamp.write_text(made_from)
    return python


def model_of(peer: str, *command: str | Path) -> Path:
    """The fitted pipeline as the peer keeps it: `command` makes it once, of its environment's Python. Raises NotThere.

    Without a command it is a joblib file.
    """
    python = python_of(peer)
    target = CACHE / peer / "model"
    if not target.exists():
        _run(peer, [python, *(command or ["-m", "benchmarks.serving.pipeline"]), target])
    return target


def pinned(peer: str, package: str) -> str:
    """The version of a package that a peer's requirements name."""
    lines = (PEERS / peer / "requirements.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))


def _run(peer: str, command: Sequence[str | Path]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY, env=environment())
    if ran.returncode:
        errors = [line for line in ran.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise NotThere(f"{peer} cannot be installed: " + "\n".join(errors[-5:]))
