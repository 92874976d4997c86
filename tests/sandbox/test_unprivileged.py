"""The same sandbox for a platform that does not run as root.

Run as root, this builds a copy of the Python environment that a stranger to this machine can reach, in a mount
namespace of its own, and becomes that stranger there.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import modelyard

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="run by anybody else, all the other tests of this folder show it"),
    pytest.mark.skipif(not shutil.which("unshare") or not shutil.which("setpriv"), reason="needs util-linux"),
]

PROGRAM = """
import json, os, pathlib, sys, tempfile
from modelyard.protocol.processes import Limits
from modelyard.sandbox.base import Command
from modelyard.sandbox.bwrap import Bwrap

sandbox = Bwrap()
verdict = sandbox.probe()
found = {"uid": os.getuid(), "holds": verdict.holds, "reason": verdict.reason, "reduced": verdict.reduced}

def run(program, **limits):
    lines = []
    with tempfile.TemporaryDirectory() as work:
        command = Command(argv=[sys.executable, "-c", program], work=pathlib.Path(work), limits=Limits(**limits))
        outcome = sandbox.start(command, on_line=lambda *line: lines.append(line)).wait()
        owners = {path.stat().st_uid for path in pathlib.Path(work).rglob("*")}
    return outcome, lines, owners

outcome, lines, owners = run("import numpy, os; open('made', 'w'); print(os.getuid(), os.getcwd())")
found["lines"], found["code"], found["owners"] = lines, outcome.exit_code, sorted(owners)
bomb = "kept = []\\nwhile True: kept.append(bytearray(4 << 20)); import time; time.sleep(0.02)"
found["memory"] = run(bomb, memory=96 << 20)[0].limit
forks = "import os, time\\ncount = 0\\ntry:\\n while True:\\n  if os.fork() == 0: time.sleep(100)\\n  count += 1\\n"
forks += "except OSError: print(count)"
found["forks"] = run(forks, processes=20, seconds=30)[1]
print(json.dumps(found))
"""


@pytest.fixture
def stranger(tmp_path_factory):
    """Runs a program as uid 65534 with a Python environment that this user can reach."""
    base = Path("/tmp") / f"modelyard-stranger-{os.getpid()}"
    for name in ("python", "environment", "bin", "source", "temporary"):
        (base / name).mkdir(parents=True, mode=0o755)
    (base / "temporary").chmod(0o777)
    interpreter = Path(sys.executable).resolve().relative_to(sys.base_prefix)
    (base / "bin" / "python").symlink_to(base / "python" / interpreter)
    (base / "pyvenv.cfg").write_text(f"home = {base / 'python' / interpreter.parent}\n")
    binds = [(sys.base_prefix, "python"), (sys.prefix, "environment"), (Path(modelyard.__file__).parents[1], "source")]
    steps = [f"mount --bind {source} {base / target}" for source, target in binds]
    steps += [f"mount --bind {base / name} {base / 'environment' / name}" for name in ("bin", "pyvenv.cfg")]
    identity = "setpriv --reuid 65534 --regid 65534 --clear-groups"
    shared = f"LD_LIBRARY_PATH={base / 'python' / 'lib'}"
    python = (
        f"env -i {shared} PYTHONPATH={base / 'source'} TMPDIR={base / 'temporary'} {base / 'environment/bin/python'}"
    )

    def run(program: str) -> str:
        script = " && ".join([*steps, f'exec {identity} {python} -c "$PROGRAM"'])
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PROGRAM": program},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    shutil.rmtree(base)


def test_it_holds_for_an_ordinary_user_with_what_is_missing_named(stranger):
    found = json.loads(stranger(PROGRAM))
    assert found["uid"] == 65534
    assert found["holds"], found["reason"]
    assert "own user" in found["reduced"]
    assert "seccomp" not in found["reduced"]
    assert found["code"] == 0, found["lines"]
    assert found["lines"] == [["out", "65534 /job"]]
    assert found["owners"] == [65534]
    assert found["memory"] == "memory", found
    assert 5 <= int(found["forks"][0][1]) <= 23
