"""Run as a script inside a sandbox, by the probe: tries to get out, and checks that honest work is possible.

`python -I -S escape.py ORDERS` prints one JSON object: `escaped` and `broken`, lists of clauses for a person. An
attempt counts as refused only where the system refused it; anything unexpected is reported as broken, because it
proves nothing. Standard library only.
"""

import ctypes
import json
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CLONE_NEWUSER = 0x10000000

Orders = dict[str, Any]


def _read(path: str, secret: str) -> bool:
    return secret in Path(path).read_bytes().decode(errors="replace")


def _reads_private_file(orders: Orders) -> bool:
    return _read(orders["private"], orders["secret"])


def _reads_public_file(orders: Orders) -> bool:
    return _read(orders["public"], orders["secret"])


def _reads_through_process_one(orders: Orders) -> bool:
    return _read(f"/proc/1/root{orders['public']}", orders["secret"])


def _finds_secret_in_environments(orders: Orders) -> bool:
    found = orders["secret"] in "".join(os.environ.values())  # noqa: TID251 - looking is the purpose
    for process in Path("/proc").glob("[0-9]*/environ"):
        try:
            found = found or _read(str(process), orders["secret"])
        except OSError:
            continue
    return found


def _sees_the_platform(orders: Orders) -> bool:
    """Whether any visible process began when the platform's own did: process numbers alone mean nothing in here."""
    for process in Path("/proc").glob("[0-9]*/stat"):
        try:
            began = int(process.read_text().rpartition(")")[2].split()[19])
        except OSError:
            continue
        if began <= orders["platform_began"]:
            return True
    return False


def _connect(family: int, address: Any) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        client.connect(address)
    return True


def _reaches_loopback(orders: Orders) -> bool:
    return _connect(socket.AF_INET, ("127.0.0.1", orders["port"]))


def _reaches_abstract_socket(orders: Orders) -> bool:
    return _connect(socket.AF_UNIX, "\0" + orders["abstract"])


def _reaches_socket_file(orders: Orders) -> bool:
    return _connect(socket.AF_UNIX, orders["socket"])


def _writes(folder: str, orders: Orders) -> bool:
    path = Path(folder) / orders["secret"]
    path.write_text("")
    path.unlink()
    return True


def _writes_to_the_system(orders: Orders) -> bool:
    return _writes("/usr", orders)


def _writes_to_the_platform(orders: Orders) -> bool:
    return _writes(str(Path(__file__).parent), orders)


def _makes_a_user_namespace(_: Orders) -> bool:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    return True


def _may_gain_privileges(_: Orders) -> bool:
    return "NoNewPrivs:\t1" not in Path("/proc/self/status").read_text()


ATTEMPTS: dict[str, Callable[[Orders], bool]] = {
    "read a private file of this machine": _reads_private_file,
    "read a file of this machine": _reads_public_file,
    "read a file of this machine through process 1": _reads_through_process_one,
    "read a secret from an environment": _finds_secret_in_environments,
    "see the platform's own process": _sees_the_platform,
    "reach a network service of this machine": _reaches_loopback,
    "reach an abstract socket of this machine": _reaches_abstract_socket,
    "reach a socket file of this machine": _reaches_socket_file,
    "write to /usr": _writes_to_the_system,
    "write to the platform's own code": _writes_to_the_platform,
    "make a user namespace": _makes_a_user_namespace,
    "gain privileges by a set-uid program": _may_gain_privileges,
}


def _works_in_own_folder(orders: Orders) -> bool:
    return _writes(".", orders)


def _has_temporary_folder(_: Orders) -> bool:
    with tempfile.TemporaryFile() as file:
        return file.write(b"x") == 1


def _runs_threads(_: Orders) -> bool:
    ran: list[bool] = []
    thread = threading.Thread(target=ran.append, args=(True,))
    thread.start()
    thread.join()
    return ran == [True]


def _has_socket_pairs(_: Orders) -> bool:
    left, right = socket.socketpair()
    with left, right:
        left.send(b"x")
        return right.recv(1) == b"x"


def _reads_the_packages(orders: Orders) -> bool:
    return all(Path(path).stat().st_size >= 0 and os.access(path, os.R_OK) for path in orders["needed"])


CONTROLS: dict[str, Callable[[Orders], bool]] = {
    "write in its own folder": _works_in_own_folder,
    "write a temporary file": _has_temporary_folder,
    "start a thread": _runs_threads,
    "use a socket pair": _has_socket_pairs,
    "read the platform's packages": _reads_the_packages,
}


def _in_a_child(attempt: Callable[[Orders], bool], orders: Orders) -> int:
    """0: done, 1: refused, 2: neither. In a process of its own: a success changes what later attempts may do."""
    child = os.fork()
    if child == 0:
        try:
            code = 0 if attempt(orders) else 1
        except OSError:
            code = 1
        except BaseException:  # noqa: BLE001 - the verdict is "neither"
            code = 2
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Try everything and print what was found."""
    orders = json.loads(Path(sys.argv[1]).read_text())
    escaped, broken = [], []
    for clause, attempt in ATTEMPTS.items():
        code = _in_a_child(attempt, orders)
        if code == 0:
            escaped.append(clause)
        elif code != 1:
            broken.append(clause)
    broken += [clause for clause, control in CONTROLS.items() if _in_a_child(control, orders) != 0]
    sys.stdout.write(json.dumps({"escaped": escaped, "broken": broken}) + "\n")


if __name__ == "__main__":
    main()
