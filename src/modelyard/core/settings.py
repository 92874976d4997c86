"""Every setting, in frozen groups, read once per process from the environment and passed down.

Nobody else reads `os.environ`. A field's variable is `MODELYARD_<GROUP>_<FIELD>` unless it names one of its own.
`docs/reference/settings.md` is generated from the descriptions here.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from modelyard.core.errors import Invalid

PREFIX = "MODELYARD_"
MIB = 1 << 20
GIB = 1 << 30


def described(text: str, variable: str | None = None) -> msgspec.Meta:
    """A field's one-line description with its unit, and the variable that sets it where it is not the usual one."""
    return msgspec.Meta(description=text, extra={"variable": variable} if variable else None)


class Server(msgspec.Struct, frozen=True):
    """The public port."""

    host: Annotated[str, described("Address the gateway listens on.", "HOST")] = "127.0.0.1"
    port: Annotated[int, described("Port the gateway listens on; 0 chooses a free one.", "PORT")] = 8000
    listen_fd: Annotated[
        int, described("Descriptor of a listening socket that the gateway inherits; -1: it makes its own.")
    ] = -1
    public_url: Annotated[str, described("The URL users see, where a proxy stands in front; empty: host and port.")] = (
        ""
    )
    gateways: Annotated[int, described("Gateway processes that share the port.")] = 1
    drain_seconds: Annotated[float, described("How long a stopping process waits for answers in flight, seconds.")] = (
        4.0
    )


class Database(msgspec.Struct, frozen=True):
    """Where rows are kept."""

    url: Annotated[str, described("SQLAlchemy URL; empty: SQLite in the data folder.", "DATABASE_URL")] = ""
    pool: Annotated[int, described("Connections each process keeps to PostgreSQL.")] = 10


class Objects(msgspec.Struct, frozen=True):
    """Where bytes are kept. An S3 endpoint and its keys come from the usual AWS_* variables."""

    url: Annotated[
        str, described("`s3://bucket/path` or a folder; empty: `objects/` in the data folder.", "OBJECTS_URL")
    ] = ""


class Auth(msgspec.Struct, frozen=True):
    """Who may come in."""

    mode: Annotated[
        str, described("`on`, or `off` for enterprise mode: no authentication, private addresses only.", "AUTH")
    ] = "on"
    token_seconds: Annotated[int, described("How long a login token holds, seconds.")] = 3600
    logins_at_once: Annotated[int, described("Password checks that run at the same time.")] = 2


class Jobs(msgspec.Struct, frozen=True):
    """How jobs run."""

    at_once: Annotated[int, described("Jobs that run at the same time on this platform.")] = 2
    per_user: Annotated[int, described("Jobs of one user that run at the same time.")] = 2
    lease_seconds: Annotated[float, described("How long a silent worker keeps its job, seconds.")] = 10.0
    attempts: Annotated[int, described("Starts before a job that keeps dying is failed.")] = 3
    seconds: Annotated[float, described("The longest a job may run, seconds.")] = 4 * 3600.0
    memory: Annotated[int, described("Memory of a job, bytes.")] = 8 * GIB
    processes: Annotated[int, described("Processes and threads of a job.")] = 256
    disk: Annotated[int, described("The largest file a job may write, bytes.")] = 10 * GIB


class Sandbox(msgspec.Struct, frozen=True):
    """What shuts jobs in."""

    kind: Annotated[str, described("`auto`, or the name of one sandbox.", "SANDBOX")] = "auto"
    allow_builtin: Annotated[
        bool, described("Run built-in algorithms where no sandbox holds (never foreign code).")
    ] = False


class Replicas(msgspec.Struct, frozen=True):
    """The processes that hold models."""

    runtime: Annotated[str, described("Where processes live: a name of the runtimes seam.", "RUNTIME")] = "local"
    in_flight: Annotated[int, described("Requests under way per replica and gateway before the answer is 503.")] = 256
    embedded_micros: Annotated[
        int, described("A version whose call for 32 rows is quicker runs inside gateways, microseconds; 0: none does.")
    ] = 200
    start_seconds: Annotated[float, described("How long a replica may take to become healthy, seconds.")] = 60.0
    drain_seconds: Annotated[float, described("How long a replaced replica may finish what it has, seconds.")] = 10.0


class Limits(msgspec.Struct, frozen=True):
    """What a request may weigh."""

    body: Annotated[int, described("Largest body of a prediction or REST call, bytes.")] = 16 * MIB
    upload: Annotated[int, described("Largest uploaded file, bytes.")] = 10 * GIB
    header: Annotated[int, described("Largest request head, bytes.")] = 64 * 1024
    request_seconds: Annotated[float, described("Time for a prediction's request to arrive in full, seconds.")] = 30.0
    columns: Annotated[int, described("Most columns of a table.")] = 5000
    free_disk: Annotated[int, described("Uploads are refused when less than this would stay free, bytes.")] = 200 * MIB


class Settings(msgspec.Struct, frozen=True):
    """All groups. `data` is the platform's folder."""

    data: Annotated[Path, described("The platform's folder: database, objects, sockets, keys.", "DATA")] = Path(
        "modelyard-data"
    )
    secret: Annotated[
        str, described("Signing and internal secret; empty: made once and kept in the data folder.", "SECRET")
    ] = ""
    redis_url: Annotated[
        str, described("Redis that shares rate limits between machines; empty: each machine has its own.", "REDIS_URL")
    ] = ""
    log_level: Annotated[str, described("debug, info, warning or error.", "LOG_LEVEL")] = "info"
    server: Server = Server()
    database: Database = Database()
    objects: Objects = Objects()
    auth: Auth = Auth()
    jobs: Jobs = Jobs()
    sandbox: Sandbox = Sandbox()
    replicas: Replicas = Replicas()
    limits: Limits = Limits()

    @property
    def database_url(self) -> str:
        """The database's URL with its default filled in."""
        return self.database.url or f"sqlite:///{self.data / 'modelyard.db'}"

    @property
    def objects_url(self) -> str:
        """The object store's URL with its default filled in."""
        return self.objects.url or str(self.data / "objects")

    @property
    def run_folder(self) -> Path:
        """Where sockets and process records lie: short, because a unix socket's path may have 107 bytes at the most."""
        usual = self.data / "run"
        if len(str(usual)) <= 60:
            return usual
        digest = hashlib.sha256(str(self.data).encode()).hexdigest()[:12]
        return Path(f"/tmp/modelyard-{os.getuid()}-{digest}")

    @property
    def api_socket(self) -> Path:
        """Where the api listens."""
        return self.run_folder / "api.sock"


def is_group(hint: Any) -> bool:
    """Whether a field of Settings is a group of settings."""
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def variables() -> list[tuple[str, str, str, Any]]:
    """(variable, group, description, default) of every setting, in order; the group of a top-level one is ""."""
    rows = []

    def visit(kind: type[msgspec.Struct], group: str) -> None:
        hints = get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            hint = hints[field.name]
            if is_group(hint):
                visit(hint, field.name)
                continue
            name, description = _variable(hint, group, field.name)
            rows.append((name, group, description, field.default))

    visit(Settings, "")
    return rows


def load(environment: Mapping[str, str], **overrides: Any) -> Settings:
    """The settings that `environment` gives; `overrides` name fields as `data=` or `server_port=`.

    Raises Invalid, naming the variable, for a value that does not fit or a MODELYARD_ variable nobody knows.
    """
    values = _read(Settings, "", environment, overrides)
    if overrides:
        raise TypeError(f"no such settings: {', '.join(sorted(overrides))}")
    settings: Settings = Settings(**values)
    return msgspec.structs.replace(settings, data=settings.data.expanduser().absolute())


def from_environment(**overrides: Any) -> Settings:
    """The settings of this process; see `load`."""
    return load(os.environ, **overrides)  # noqa: TID251 - the one place


def as_variables(settings: Settings) -> dict[str, str]:
    """The variables from which `load` builds the same settings again; defaults are left out."""
    found: dict[str, str] = {}

    def visit(group: msgspec.Struct, name: str) -> None:
        hints = get_type_hints(type(group), include_extras=True)
        for field in msgspec.structs.fields(group):
            value = getattr(group, field.name)
            if is_group(hints[field.name]):
                visit(value, field.name)
            elif value != field.default:
                found[_variable(hints[field.name], name, field.name)[0]] = str(value)

    visit(settings, "")
    return found


def child_environment(settings: Settings, *, leave_out: frozenset[str] = frozenset()) -> dict[str, str]:
    """What the platform's own processes are started with: this process's environment, with exactly `settings` in it.

    MODELYARD_ variables that say something else are dropped, so that a child reads no other settings than its parent.
    `leave_out` names variables that the child has no business with.
    """
    outside = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}  # noqa: TID251
    return {name: value for name, value in {**outside, **as_variables(settings)}.items() if name not in leave_out}


CLIENT_VARIABLES = frozenset({"MODELYARD_URL", "MODELYARD_API_KEY"})


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """MODELYARD_ variables that set nothing: most likely misspelt."""
    known = {name for name, *_ in variables()} | CLIENT_VARIABLES
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def unknown_variables_here() -> list[str]:
    """Those of this process; see `unknown_variables`."""
    return unknown_variables(os.environ)  # noqa: TID251


def _variable(hint: Any, group: str, name: str) -> tuple[str, str]:
    meta = next((extra for extra in get_args(hint)[1:] if isinstance(extra, msgspec.Meta)), msgspec.Meta())
    own = (meta.extra or {}).get("variable")
    usual = f"{group}_{name}".upper() if group else name.upper()
    return PREFIX + (own or usual), meta.description or ""


def _read(
    kind: type[msgspec.Struct], group: str, environment: Mapping[str, str], overrides: dict[str, Any]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        hint = hints[field.name]
        if is_group(hint):
            values[field.name] = hint(**_read(hint, field.name, environment, overrides))
            continue
        key = f"{group}_{field.name}" if group else field.name
        if key in overrides:
            values[field.name] = overrides.pop(key)
            continue
        variable, description = _variable(hint, group, field.name)
        text = environment.get(variable)
        if text is not None:
            values[field.name] = _convert(text, hint, variable, description)
    return values


def _convert(text: str, hint: Any, variable: str, description: str) -> Any:
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if plain is Path:
        return Path(text)
    try:
        return msgspec.convert(text, plain, strict=False)
    except msgspec.ValidationError:
        raise Invalid(f"{variable}={text!r} is not a valid {plain.__name__}. {description}") from None
