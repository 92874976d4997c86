"""Which folders of the host make up the platform's own Python: a sandboxed command must be able to read them."""

import functools
import os
import sys
import sysconfig
from pathlib import Path

import modelyard


@functools.cache
def folders() -> tuple[Path, ...]:
    """The interpreter's prefix, the virtual environment, and the package where it is installed editable.

    None lies within another. Paths are as the interpreter spells them, links included, because that is how the
    command will look for them.
    """
    wanted = [Path(sys.base_prefix), Path(sys.prefix), *_prefixes_of_links(), Path(modelyard.__file__).parent]
    kept: list[Path] = []
    for folder in wanted:
        if not any(folder.is_relative_to(other) for other in (*kept, Path("/usr"))):
            kept = [other for other in kept if not other.is_relative_to(folder)] + [folder]
    return tuple(kept)


def executables() -> str:
    """The folder that holds `python`."""
    return str(Path(sys.executable).parent)


@functools.cache
def variables() -> dict[str, str]:
    """What the interpreter needs in its environment: where its own shared library lies, if it has one outside /usr."""
    library = Path(sys.base_prefix) / "lib" / str(sysconfig.get_config_var("INSTSONAME"))
    if not sysconfig.get_config_var("Py_ENABLE_SHARED") or library.is_relative_to("/usr") or not library.exists():
        return {}
    return {"LD_LIBRARY_PATH": str(library.parent)}


def _prefixes_of_links() -> list[Path]:
    """The prefix of every link on the way from the environment's `python` to the real one."""
    prefixes = []
    hop = Path(sys.executable)
    for _ in range(16):
        if not hop.is_symlink():
            break
        hop = Path(os.path.normpath(hop.parent / hop.readlink()))
        prefixes.append(hop.parent.parent)
    return [prefix for prefix in prefixes if len(prefix.parts) > 2]
