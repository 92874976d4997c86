"""The system-call filter of a sandboxed command, as a classic BPF program (seccomp(2), filter mode).

Default allow: a list of allowed calls breaks numeric libraries with each of their releases. Refused is what reaches
other processes, mounts, namespaces, kernel keys, raw kernel interfaces and every network but unix sockets. The
program is built here, from numbers, so that no system library has to be installed.
"""

import errno
import struct
from collections.abc import Callable

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000

_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}
_X32_BIT = 0x40000000

_AF_UNIX = 1
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_NEW_NAMESPACE_FLAGS = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000

_CLONE, _CLONE3, _SOCKET, _IOCTL = (56, 220), (435, 435), (41, 198), (16, 29)

REFUSED: dict[str, tuple[int | None, int | None]] = {
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    # mounts and roots
    "mount": (165, 40),
    "umount2": (166, 39),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "open_tree": (428, 428),
    "mount_setattr": (442, 442),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    # namespaces
    "setns": (308, 268),
    "unshare": (272, 97),
    # wide kernel interfaces
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # keys
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # the machine itself
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "syslog": (103, 116),
    "iopl": (172, None),
    "ioperm": (173, None),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    "vhangup": (153, 58),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
}
"""Calls answered with EPERM, with their numbers on x86_64 and aarch64 (None: not there)."""


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One struct sock_filter."""
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _refuse(error: int) -> bytes:
    return _step(_RETURN, _ERRNO | error)


def _rule(number: int, body: bytes) -> bytes:
    """`body` for this call only; the accumulator holds its number, and still does where the rule does not match."""
    return _step(_EQUAL, number, 0, len(body) // 8) + body


def _argument(index: int) -> bytes:
    """Load the low half of an argument: the upper one is ignored by the calls that are compared here."""
    return _step(_LOAD, _ARGUMENTS + 8 * index)


def program(machine: str) -> bytes | None:
    """The filter as struct sock_filter[] for this `machine` (os.uname().machine); None where none is known."""
    if machine not in _ARCHITECTURES:
        return None
    column = _COLUMN[machine]
    start = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, _ARCHITECTURES[machine], 1, 0),
        _step(_RETURN, _KILL_PROCESS),
        _step(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        start += [_step(_AT_LEAST, _X32_BIT, 0, 1), _refuse(errno.ENOSYS)]
    numbers = [pair[column] for pair in REFUSED.values()]
    refused = [_rule(number, _refuse(errno.EPERM)) for number in numbers if number is not None]
    compared = [_rule(pair[column], body()) for pair, body in _COMPARED]
    return b"".join([*start, *refused, *compared, _step(_RETURN, _ALLOW)])


def _clone() -> bytes:
    return _argument(0) + _step(_ANY_BIT, _NEW_NAMESPACE_FLAGS, 0, 1) + _refuse(errno.EPERM) + _step(_RETURN, _ALLOW)


def _clone3() -> bytes:
    # Its flags lie behind a pointer that no filter can read; on ENOSYS the C library falls back to clone.
    return _refuse(errno.ENOSYS)


def _socket() -> bytes:
    # Network namespaces are not known to hold AF_VSOCK, and this shuts AF_ALG, AF_NETLINK and AF_PACKET as well.
    return _argument(0) + _step(_EQUAL, _AF_UNIX, 1, 0) + _refuse(errno.EAFNOSUPPORT) + _step(_RETURN, _ALLOW)


def _ioctl() -> bytes:
    # Both push characters into a terminal's input.
    either = _step(_EQUAL, _TIOCSTI, 1, 0) + _step(_EQUAL, _TIOCLINUX, 0, 1)
    return _argument(1) + either + _refuse(errno.EPERM) + _step(_RETURN, _ALLOW)


_COMPARED: tuple[tuple[tuple[int, int], Callable[[], bytes]], ...] = (
    (_CLONE, _clone),
    (_CLONE3, _clone3),
    (_SOCKET, _socket),
    (_IOCTL, _ioctl),
)
