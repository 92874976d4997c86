"""The processes that `modelyard up` keeps alive, and how it is known that they answer."""

import ipaddress
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from modelyard.core.errors import Conflict, Forbidden, Invalid
from modelyard.core.settings import Settings

API_HEALTH = "/internal/health"
GATEWAY_HEALTH = "/healthz"
PROBE_SECONDS = 0.5
BACKLOG = 2048


@dataclass(frozen=True, kw_only=True)
class Service:
    """One process to keep alive: `kind` says when it is stopped, `answers` whether it is ready (None: ask nobody).

    `descriptors` are open files that it inherits under their own numbers.
    """

    name: str
    kind: str
    argv: Sequence[str]
    answers: Callable[[], bool] | None = None
    descriptors: tuple[int, ...] = ()


def services(settings: Settings) -> list[Service]:
    """api, controller and as many gateways as the settings say; the port must be a true one, not 0.

    Gateways share the listening socket that `settings.server.listen_fd` names, so that no connection is refused while
    one of them is being started again.
    """
    server = settings.server
    api = partial(_answers, socket.AF_UNIX, str(settings.api_socket), API_HEALTH)
    family, address = reachable(server.host, server.port)
    gateway = partial(_answers, family, address, GATEWAY_HEALTH)
    inherited = (server.listen_fd,) if server.listen_fd >= 0 else ()
    names = ["gateway"] if server.gateways == 1 else [f"gateway-{number + 1}" for number in range(server.gateways)]
    return [
        Service(name="api", kind="api", argv=module("api"), answers=api),
        Service(name="controller", kind="controller", argv=module("controller")),
        *(
            Service(name=name, kind="gateway", argv=module("gateway"), answers=gateway, descriptors=inherited)
            for name in names
        ),
    ]


def module(name: str) -> list[str]:
    """The command that runs one of the platform's processes; -P: no module of the current folder gets in between."""
    return [sys.executable, "-P", "-m", f"modelyard.{name}"]


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on `port`, or on a free one for 0.

    Raises Conflict where it is taken, Forbidden where it may not be used, Invalid for what is no address.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
        except BaseException:
            listening.close()
            raise
        return listening
    except PermissionError:
        raise Forbidden(
            f"Port {port} may not be used without more rights. Choose one above 1023 with --port."
        ) from None
    except (socket.gaierror, OverflowError):
        raise Invalid(
            f"{host!r} and {port} are no address to listen on. Choose others with --host and --port."
        ) from None
    except OSError as error:
        raise Conflict(
            f"Port {port} on {host} cannot be used: {error.strerror}. Choose another with --port; 0 takes a free one."
        ) from None


def reachable(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Family and address by which this machine reaches what listens on `host`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return family, (_visible(host), port)


def url(settings: Settings) -> str:
    """What users open."""
    if settings.server.public_url:
        return settings.server.public_url.rstrip("/")
    host = _visible(settings.server.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}"


def _visible(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "::1" if address.version == 6 else "127.0.0.1"


def _answers(family: socket.AddressFamily, address: str | tuple[str, int], path: str) -> bool:
    """Whether GET `path` is answered with 200. By hand: an HTTP client takes longer to import than to ask."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(PROBE_SECONDS)
            connection.connect(address)
            connection.sendall(request.encode())
            answer = b"".join(iter(partial(connection.recv, 4096), b""))
            return answer.split(b" ", 2)[1:2] == [b"200"]
    except OSError:
        return False
