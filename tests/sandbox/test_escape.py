"""Attempts to get out, beyond those of the probe: each must be refused by the system, not by bad luck."""

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.sandbox.canaries import try_to_escape
from modelyard.sandbox.unconfined import Unconfined

REFUSED = {"EPERM", "EACCES", "ENOENT", "EROFS", "ESRCH", "ENOSYS", "EAFNOSUPPORT", "ENXIO", "EXDEV"}

BATTERY = """
import ctypes, errno, glob, json, os, resource, socket, stat, sys
libc = ctypes.CDLL(None, use_errno=True)
host = json.loads(sys.argv[1])

def call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)

def through_a_link():
    os.symlink(host["file"], "link")
    return open("link").read()

def other_uids():
    for status in glob.glob("/proc/[0-9]*/status"):
        os.stat(status)
    if os.stat("/proc/1").st_uid != os.getuid():
        return True
    raise PermissionError(errno.EPERM, "only own processes")

def devices():
    for name in ("mem", "kmem", "kvm", "sda", "vda", "nvme0n1", "fuse", "net/tun", "vsock", "uinput"):
        try:
            open("/dev/" + name).close()
            return True
        except OSError:
            continue
    raise PermissionError(errno.EPERM, "none")

def join_a_cgroup():
    for path in glob.glob("/sys/fs/cgroup/**/cgroup.procs", recursive=True):
        open(path, "w").write("0")
        return True
    raise PermissionError(errno.EPERM, "none")

def raise_a_limit():
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))

def shared_memory():
    if libc.shmget(host["shm"], 16, 0) == -1:
        raise OSError(ctypes.get_errno(), "shmget")

def become_root():
    try:
        os.setuid(0)
    except OSError as error:  # EINVAL: in here there is no such user
        raise PermissionError(errno.EPERM if error.errno == errno.EINVAL else error.errno, "setuid")

ATTEMPTS = {
    "read a file": lambda: open(host["file"]),
    "list its folder": lambda: os.listdir(os.path.dirname(host["file"])),
    "read passwd": lambda: open("/etc/passwd"),
    "list root's home": lambda: os.listdir("/root/.ssh"),
    "read through a link": through_a_link,
    "hard link to a file": lambda: os.link(host["file"], "hard"),
    "make a device": lambda: os.mknod("device", stat.S_IFCHR | 0o600, os.makedev(1, 1)),
    "open devices": devices,
    "read host shared memory file": lambda: open("/dev/shm/" + host["shm_file"]),
    "reach host shared memory segment": shared_memory,
    "write to the packages": lambda: open(os.path.join(os.path.dirname(os.__file__), "x"), "w"),
    "remount": lambda: call("mount", b"none", b"/", None, 0x20 | 0x1000, None),
    "set hostname": lambda: call("sethostname", b"x", 1),
    "join process 1": lambda: call("setns", os.open("/proc/1/ns/net", os.O_RDONLY), 0),
    "change root": lambda: os.chroot("/job"),
    "become root": become_root,
    "core pattern": lambda: open("/proc/sys/kernel/core_pattern", "w"),
    "sysrq": lambda: open("/proc/sysrq-trigger", "w"),
    "join a cgroup": join_a_cgroup,
    "trace a process": lambda: call("ptrace", 16, 1, None, None),
    "raise a limit": raise_a_limit,
    "be nice to itself": lambda: os.nice(-5),
    "see other users": other_uids,
    "raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    "metadata service": lambda: socket.create_connection(("169.254.169.254", 80), 1),
    "name server": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("8.8.8.8", 53)),
    "open the platform's lock": lambda: open("/proc/1/fd/12"),
}
answers = {}
for name, attempt in ATTEMPTS.items():
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            attempt()
            word = "ESCAPED"
        except OSError as error:
            word = errno.errorcode.get(error.errno, str(error))
        except ValueError as error:
            word = "EPERM" if "not allowed to raise" in str(error) else str(error)
        os.write(write, word.encode())
        os._exit(0)
    os.wait()
    answers[name] = os.read(read, 1000).decode()
print(json.dumps(answers))
"""


@pytest.fixture
def canaries(tmp_path):
    """Things of this machine that nobody inside may reach."""
    import ctypes

    file = tmp_path / "canary"
    file.write_text("secret")
    shared = Path("/dev/shm") / f"modelyard-test-{secrets.token_hex(8)}"
    shared.write_text("secret")
    shared.chmod(0o666)
    key = secrets.randbelow(1 << 30) + 1
    libc = ctypes.CDLL(None)
    segment = libc.shmget(key, 16, 0o1666)
    yield {"file": str(file), "shm_file": shared.name, "shm": key}
    libc.shmctl(segment, 0, None)
    shared.unlink()


def test_every_way_out_is_refused(ask, canaries):
    import json

    answers = ask(BATTERY, json.dumps(canaries))
    assert len(answers) == 27
    assert {name: word for name, word in answers.items() if word not in REFUSED} == {}


def test_the_battery_tells_a_sandbox_from_none(canaries, tmp_path):
    """Otherwise its refusals would prove nothing."""
    import json

    done = subprocess.run(
        [sys.executable, "-c", BATTERY, json.dumps(canaries)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    escaped = {name for name, word in json.loads(done.stdout).items() if word == "ESCAPED"}
    assert {"read a file", "read passwd", "read host shared memory file", "reach host shared memory segment"} <= escaped


def test_the_probe_says_what_a_command_without_a_sandbox_could_do():
    verdict = try_to_escape(Unconfined().start_from)
    assert not verdict.holds
    for clause in (
        "read a file of this machine",
        "see the platform's own process",
        "reach a network service",
        "reach an abstract socket",
        "reach a socket file",
        "reach 3 sockets",
    ):
        assert clause in verdict.reason
    if os.geteuid() == 0:
        assert "write to /usr" in verdict.reason
        assert "read a private file" in verdict.reason


def test_nothing_reaches_a_listener_from_inside(start, tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        address = str(tmp_path / "s")
        listener.bind(address)
        Path(address).chmod(0o777)
        listener.listen()
        listener.setblocking(False)
        outcome = start(f"import socket; socket.socket(socket.AF_UNIX).connect({address!r})").end()
        assert outcome.exit_code == 1
        with pytest.raises(BlockingIOError):
            listener.accept()
