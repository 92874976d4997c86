"""What `modelyard doctor` looks at. A check is a function of the settings and a row in CHECKS.

The database is asked through its driver: the command knows neither the tables nor what maps them.
"""

import importlib.metadata
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Literal

import msgspec

import modelyard
from modelyard.cli.output import duration, size
from modelyard.cli.supervisor import lock
from modelyard.cli.supervisor.services import listen
from modelyard.core.errors import ModelyardError
from modelyard.core.settings import GIB, Settings, unknown_variables_here

MIGRATIONS = Path(modelyard.__file__).parent / "storage" / "db" / "migrations" / "versions"
LITTLE_MEMORY = GIB
LITTLE_DISK = 2 * GIB
CONNECT_SECONDS = 3


class Finding(msgspec.Struct, frozen=True):
    """What a check found. `warn`: the platform works, but not as well as it could; `fail`: something must be done."""

    verdict: Literal["ok", "warn", "fail"]
    text: str
    next_step: str = ""


Check = Callable[[Settings], Finding]


def ok(text: str) -> Finding:
    """All is well."""
    return Finding("ok", text)


def warned(text: str, next_step: str) -> Finding:
    """It works, but."""
    return Finding("warn", text, next_step)


def failed(text: str, next_step: str) -> Finding:
    """It does not work."""
    return Finding("fail", text, next_step)


def python(_: Settings) -> Finding:
    """The interpreter."""
    text = f"{platform.python_version()} at {sys.executable}"
    return ok(text) if sys.version_info >= (3, 11) else failed(text, "Install Python 3.11 or later.")


def packages(_: Settings) -> Finding:
    """Whether everything that this release requires is installed."""
    required = [line for line in importlib.metadata.requires("modelyard") or () if "extra ==" not in line]
    names = [match[0] for line in required if (match := re.match(r"[A-Za-z0-9._-]+", line))]
    missing = [name for name in names if not _installed(name)]
    if missing:
        return failed(f"missing: {', '.join(missing)}", "Run `pip install modelyard` again in this environment.")
    return ok(f"modelyard {modelyard.__version__} and the {len(names)} packages it needs")


def cpu(_: Settings) -> Finding:
    """How many cores this process may use."""
    cores = len(os.sched_getaffinity(0))
    if cores == 1:
        return warned("1 core", "Training and serving share it: give the platform two or more.")
    return ok(f"{cores} cores")


def memory(_: Settings) -> Finding:
    """What is free now."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    table = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    text = f"{size(table['MemAvailable'])} of {size(table['MemTotal'])} free"
    if table["MemAvailable"] < LITTLE_MEMORY:
        return warned(text, f"Training needs about {size(LITTLE_MEMORY)} free: stop something else.")
    return ok(text)


def disk(settings: Settings) -> Finding:
    """What is free where the data folder is."""
    free = shutil.disk_usage(_existing(settings.data)).free
    text = f"{size(free)} free at {settings.data}"
    if free < settings.limits.free_disk:
        return failed(text, "Uploads are refused: free some space, or move the data folder with MODELYARD_DATA.")
    if free < LITTLE_DISK:
        return warned(text, "That is little: free some space, or move the data folder with MODELYARD_DATA.")
    return ok(text)


def data_folder(settings: Settings) -> Finding:
    """Whether the data folder, or what it will be made in, can be written."""
    there = _existing(settings.data)
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".modelyard-doctor-"):
            pass
    except OSError as error:
        step = "Change its owner, or choose another with MODELYARD_DATA."
        return failed(f"{there} cannot be written: {error.strerror}", step)
    return ok(str(settings.data) if there == settings.data else f"{settings.data} will be made at the first start")


def clock(settings: Settings) -> Finding:
    """Whether the time can be right: tokens, leases and certificates depend on it."""
    made = Path(modelyard.__file__).stat().st_mtime
    if time.time() < made:
        return failed(
            f"the clock is {duration(made - time.time())} behind this installation", "Set it, for example with NTP."
        )
    with tempfile.NamedTemporaryFile(dir=_existing(settings.data), prefix=".modelyard-doctor-") as file:
        skew = abs(Path(file.name).stat().st_mtime - time.time())
    if skew > 5:
        step = "Set both clocks, for example with NTP."
        return warned(f"the data folder's machine is {duration(skew)} apart from this one", step)
    return ok(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def variables(_: Settings) -> Finding:
    """Misspelt variables."""
    unknown = unknown_variables_here()
    if unknown:
        step = "`modelyard settings` lists those there are."
        return warned(f"nobody knows {', '.join(unknown)}", step)
    return ok("every MODELYARD_ variable is known")


def database(settings: Settings) -> Finding:
    """Whether the database answers, and whether its schema is this release's."""
    url = settings.database_url
    kind = "SQLite" if url.startswith("sqlite") else "PostgreSQL"
    import psycopg

    try:
        at = _sqlite_revision(Path(url.partition("///")[2])) if kind == "SQLite" else _postgres_revision(url)
    except (sqlite3.Error, psycopg.Error) as error:
        step = "Check MODELYARD_DATABASE_URL, and that the database runs and lets this user in."
        return failed(f"{kind}: {str(error).strip().splitlines()[0]}", step)
    newest = max((path.name.partition("_")[0] for path in MIGRATIONS.glob("[0-9]*.py")), default="0")
    if at is None:
        return ok(f"{kind}: empty, the first start makes the tables")
    if at > newest:
        step = "Install the newer release again, or restore a backup."
        return failed(f"{kind}: at revision {at}, this release knows {newest}", step)
    if at < newest:
        return ok(f"{kind}: at revision {at}, the next start brings it to {newest}")
    return ok(f"{kind}: at revision {at}, the newest")


def objects(settings: Settings) -> Finding:
    """Whether the object store answers."""
    url = settings.objects_url
    if "://" not in url and not Path(url).exists():
        return ok(f"{url} will be made at the first start")
    from modelyard.storage.objects.opened import open_store

    try:
        next(open_store(url).list("doctor"), None)
    except ModelyardError as error:
        return failed(f"{url}: {error.message}", "Check MODELYARD_OBJECTS_URL and, for S3, the AWS_ variables.")
    return ok(f"{url} answers")


def sandbox(settings: Settings) -> Finding:
    """Which sandbox holds here, found by trying to break out."""
    from modelyard.sandbox.choose import choose

    try:
        chosen = choose(settings)
    except ModelyardError as error:
        if settings.sandbox.allow_builtin:
            return warned("none holds: only built-in algorithms run, and unconfined", error.message)
        return failed("none holds: nothing can be trained", error.message)
    if chosen.verdict.reduced:
        step = "Run as root, or where control groups can be written, for the full set."
        return warned(f"{chosen.name} holds, without {', '.join(chosen.verdict.reduced)}", step)
    return ok(f"{chosen.name} holds")


def port(settings: Settings) -> Finding:
    """Whether the public port is free, or ours already."""
    server = settings.server
    pid = lock.holder(settings.data)
    if pid is not None:
        return ok(f"the platform runs (process {pid}) at {lock.running_url(settings.data) or 'a port not known yet'}")
    try:
        listen(server.host, server.port).close()
    except ModelyardError as error:
        return failed(error.message, "Or set MODELYARD_PORT.")
    return ok(
        f"{server.port} on {server.host} is free" if server.port else f"a free one on {server.host} will be taken"
    )


def gpu(_: Settings) -> Finding:
    """Which GPUs there are; none is needed."""
    if (command := shutil.which("nvidia-smi")) is None:
        return ok("none; nothing here needs one")
    try:
        listed = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        return warned("nvidia-smi does not answer", "Check the driver.")
    found = [line.partition(" (UUID")[0] for line in listed.stdout.splitlines() if line.startswith("GPU")]
    if listed.returncode != 0 or not found:
        return warned("nvidia-smi is here but finds no GPU", "Check the driver.")
    return ok("; ".join(found))


CHECKS: Mapping[str, Check] = {
    "python": python,
    "packages": packages,
    "cpu": cpu,
    "memory": memory,
    "disk": disk,
    "data folder": data_folder,
    "clock": clock,
    "variables": variables,
    "database": database,
    "objects": objects,
    "sandbox": sandbox,
    "port": port,
    "gpu": gpu,
}
"""All checks, in the order in which they are shown."""


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _sqlite_revision(path: Path) -> str | None:
    if not path.is_file():
        return None
    # mode=rw and not ro: a reader of a WAL database may have to make its shared memory file.
    with closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=CONNECT_SECONDS)
    ) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])


def _postgres_revision(url: str) -> str | None:
    import psycopg

    # The form that the driver itself understands, whatever SQLAlchemy's URL says of drivers.
    plain = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)
    with psycopg.connect(plain, connect_timeout=CONNECT_SECONDS) as connection:
        if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])
