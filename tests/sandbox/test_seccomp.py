"""The system-call filter: its numbers are right, and it does what it says."""

import errno
import os

import pytest

from modelyard.sandbox import seccomp


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_number_is_the_one_that_libseccomp_knows(machine):
    try:
        import pyseccomp
    except (ImportError, RuntimeError):
        pytest.skip("needs libseccomp")
    architecture = {"x86_64": pyseccomp.Arch.X86_64, "aarch64": pyseccomp.Arch.AARCH64}[machine]
    column = ["x86_64", "aarch64"].index(machine)
    for name, numbers in seccomp.REFUSED.items():
        known = pyseccomp.resolve_syscall(architecture, name)
        assert numbers[column] == (known if known >= 0 else None), name


def test_an_unknown_machine_has_no_filter():
    assert seccomp.program("riscv64") is None


def test_the_filter_refuses_what_it_lists_and_nothing_that_is_needed(ask):
    """Run for real: in the sandbox, through raw system calls."""
    column = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
    numbers = {name: pair[column] for name, pair in seccomp.REFUSED.items() if pair[column] is not None}
    answers = ask(
        f"""
        import ctypes, errno, json, os, socket
        libc = ctypes.CDLL(None, use_errno=True)
        numbers = {numbers!r}
        answers = {{}}
        for name, number in numbers.items():
            ctypes.set_errno(0)
            result = libc.syscall(number, -1, -1, -1, -1, -1, -1)
            answers[name] = ctypes.get_errno() if result == -1 else 0
        answers["clone3"] = libc.syscall(435, 0, 0) and ctypes.get_errno()
        for family in ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_ALG", "AF_VSOCK"):
            try:
                socket.socket(getattr(socket, family), socket.SOCK_DGRAM).close()
                answers[family] = 0
            except OSError as error:
                answers[family] = error.errno
        socket.socket(socket.AF_UNIX).close()
        left, right = socket.socketpair()
        libc.ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_char_p]
        for request in (0x5412, 0x541C, 0x5412 | 1 << 32):
            ctypes.set_errno(0)
            libc.ioctl(0, request, b"x")
            answers[hex(request)] = ctypes.get_errno()
        if os.fork() == 0:
            os._exit(0)
        os.wait()
        print(json.dumps(answers))
        """
    )
    families = {"AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_ALG", "AF_VSOCK"}
    assert {answers.pop(family) for family in families} == {errno.EAFNOSUPPORT}
    assert answers.pop("clone3") == errno.ENOSYS
    assert set(answers.values()) == {errno.EPERM}, answers
