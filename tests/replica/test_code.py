"""A replica with a version that holds code: the same answers over the same frames, and nothing left when it is gone."""

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fixtures.replicas import MISDEED, Hop, hop, publish_code
from fixtures.serving import ROW, ReplicaProcess, is_answer, publish
from fixtures.waiting import wait_until
from modelyard.core.cgroups import Leaf
from modelyard.core.settings import Sandbox, Settings
from modelyard.protocol.frames import Kind
from modelyard.protocol.framing import Frame
from modelyard.protocol.processes import Limits, ProcessSpec, ReplicaSpec
from modelyard.runtimes import kernel
from modelyard.runtimes.local import LocalRuntime
from modelyard.sandbox import processes

MIB = 1 << 20


def asks(row: dict[str, Any], rows: int = 1) -> bytes:
    return json.dumps({"instances": [row] * rows}).encode()


def shut_in(root: int) -> set[tuple[int, int]]:
    """Everything that runs below a replica: a number that is given again is another process."""
    found = [kernel.stat(pid) for pid in processes.tree(root) if pid != root]
    return {process.identity for process in found if process is not None}


def gone(identities: set[tuple[int, int]]) -> bool:
    """Whether none of them runs; whether somebody has taken note of their end is not asked."""
    return all((found := kernel.stat(pid)) is None or found.dead or found.started != at for pid, at in identities)


def ask(connection: Hop, number: int, body: bytes, slot: int = 0) -> Frame:
    connection.add(number, body, slot=slot)
    connection.flush()
    return connection.replies(1)[number]


def test_it_answers_as_any_other_version_and_leaves_nothing(
    settings: Settings, start_replica: Callable[..., ReplicaProcess]
) -> None:
    replica = start_replica("r", publish_code(settings), publish(settings, 2, slot=7)).wait_ready()
    inside = shut_in(replica.process.pid)
    assert inside
    with hop(replica) as connection:
        for number in range(200):
            connection.add(number, asks({**ROW, "x": number / 10}, number % 3 + 1), slot=number % 2 * 7)
        connection.add(200, asks({**ROW, "x": "bad"}))
        connection.flush()
        for number, frame in connection.replies(201).items():
            if number == 200:
                assert frame.tag == 422
                continue
            answer = json.loads(frame.body)
            version = 2 if number % 2 else 1
            assert (frame.tag, frame.value, answer["version"]) == (200, number % 3 + 1, f"v{version}")
            assert all(is_answer(got, {**ROW, "x": number / 10}, version) for got in answer["predictions"])
    assert replica.stop() == 0
    wait_until(lambda: gone(inside))


def test_a_killed_replica_leaves_nothing(settings: Settings, start_replica: Callable[..., ReplicaProcess]) -> None:
    replica = start_replica("r", publish_code(settings)).wait_ready()
    inside = shut_in(replica.process.pid)
    assert inside
    replica.stop(signal.SIGKILL)
    wait_until(lambda: gone(inside))


def test_one_bad_request_of_a_batch_costs_the_others_nothing(
    settings: Settings, start_replica: Callable[..., ReplicaProcess]
) -> None:
    replica = start_replica("r", publish_code(settings, misdeed="os._exit(1)")).wait_ready()
    with hop(replica) as connection:
        for number in range(20):
            connection.add(number, asks(MISDEED if number == 11 else ROW))
        connection.flush()
        replies = connection.replies(20)
    assert {number for number, frame in replies.items() if frame.tag != 200} == {11}
    assert replies[11].tag == 500
    assert "process died on this request" in json.loads(replies[11].body)["error"]["message"]


def test_requests_go_on_being_answered_while_processes_are_killed(
    settings: Settings, start_replica: Callable[..., ReplicaProcess]
) -> None:
    replica = start_replica("r", publish_code(settings)).wait_ready()
    over = threading.Event()
    answered: list[tuple[int, bytes]] = []

    def load() -> None:
        with hop(replica) as connection:
            number = 0
            while not over.is_set():
                number += 1
                frame = ask(connection, number, asks(ROW))
                answered.append((frame.tag, frame.body))

    clients = [threading.Thread(target=load) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        for _ in range(3):
            count = len(answered)
            wait_until(lambda count=count: len(answered) > count + 50, 30)
            pid = next(iter(_pythons(replica.process.pid)))
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: pid not in _pythons(replica.process.pid), 30)
        count = len(answered)
        wait_until(lambda: len(answered) > count + 50, 30)
    finally:
        over.set()
        for client in clients:
            client.join()
    failed = [json.loads(body)["error"]["message"] for status, body in answered if status != 200]
    assert all("died on this request" in message or "keep failing" in message for message in failed)
    # One call of each process that was killed, and at most the requests of all clients in it.
    assert len(failed) <= 3 * 4
    assert all(is_answer(json.loads(body)["predictions"][0], ROW, 1) for status, body in answered if status == 200)


def _pythons(root: int) -> set[int]:
    """The processes that hold the version."""
    found = set()
    for pid in processes.tree(root):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"modelyard.replica.child" in line and b"python" in line[0].rsplit(b"/", 1)[-1]:
            found.add(pid)
    return found


def test_a_version_that_takes_its_time_holds_no_other_up_and_sigterm_waits_for_it(
    settings: Settings, start_replica: Callable[..., ReplicaProcess]
) -> None:
    slow = publish_code(settings, misdeed="time.sleep(2)")
    replica = start_replica("r", slow, publish(settings, 2, slot=1)).wait_ready()
    with hop(replica) as connection:
        connection.add(1, asks(MISDEED))
        connection.flush()
        assert ask(connection, 2, asks(ROW), slot=1).tag == 200
        replica.send(signal.SIGTERM)
        assert connection.next().kind == Kind.DRAIN
        connection.outgoing.add(0, Kind.DRAIN)
        connection.flush()
        assert connection.replies(1)[1].tag == 200
    assert replica.process.wait(20) == 0
    assert "seconds=2" in replica.log.read_text()


def test_a_replica_that_may_not_wait_any_longer_ends_what_hangs(
    settings: Settings, start_replica: Callable[..., ReplicaProcess]
) -> None:
    hasty = msgspec.structs.replace(settings, replicas=msgspec.structs.replace(settings.replicas, drain_seconds=0.5))
    version = publish_code(settings, misdeed="time.sleep(1000)")
    replica = ReplicaProcess(hasty, "r", version).wait_ready()
    inside = shut_in(replica.process.pid)
    with hop(replica) as connection:
        connection.add(1, asks(MISDEED))
        connection.flush()
        connection.outgoing.add(5, Kind.PING)
        connection.flush()
        assert connection.next().kind == Kind.PONG
        assert replica.stop() == 0
    wait_until(lambda: gone(inside))


def test_where_no_sandbox_holds_it_is_refused_with_what_to_do(
    settings: Settings, start_replica: Callable[..., ReplicaProcess]
) -> None:
    version = publish_code(settings)
    replica = ReplicaProcess(msgspec.structs.replace(settings, sandbox=Sandbox(kind="unconfined")), "r", version)
    assert replica.process.wait(30) == 3
    message = json.loads(replica.failure_file.read_bytes())["message"]
    assert message.startswith("sales/code/v1 cannot be loaded: it holds code, which is only ever loaded in a sandbox.")
    assert "bubblewrap" in message


def test_a_version_whose_code_does_not_load_is_told_with_its_reason(
    settings: Settings, start_replica: Callable[..., ReplicaProcess]
) -> None:
    from fixtures.replicas import Written

    replica = start_replica("r", publish_code(settings, Written("import nothing_of_this_name")))
    assert replica.process.wait(30) == 3
    message = json.loads(replica.failure_file.read_bytes())["message"]
    assert "sales/code/v1 cannot be loaded: " in message
    assert "No module named 'nothing_of_this_name'" in message


@pytest.fixture
def runtime(settings: Settings) -> Iterator[LocalRuntime]:
    made = LocalRuntime(settings)
    yield made
    for process in made.list():
        made.stop(process.id, grace=0)
        made.forget(process.id)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_in_an_environment_its_processes_share_the_limits_and_no_control_group_is_left(
    settings: Settings, runtime: LocalRuntime, end: int
) -> None:
    leaf = Leaf.make()
    leaf.remove()
    if leaf.missing:
        pytest.skip("no cgroup can be written here")
    version = publish_code(settings, misdeed="kept = []\n            while True: kept.append(b'x' * (8 << 20))")
    settings.run_folder.mkdir(parents=True, exist_ok=True)
    address = f"unix:{settings.run_folder / 'r.sock'}"
    limits = Limits(cpus=1, memory=600 * MIB)
    spec = ReplicaSpec(id="r", deployment="dep", address=address, versions=(version,), limits=limits)
    started = runtime.start(ProcessSpec(id="r", role="replica", payload=msgspec.json.encode(spec), limits=limits))
    wait_until(lambda: runtime.list()[0].address or not runtime.list()[0].alive, 30)
    assert started.pid is not None
    record = json.loads((settings.run_folder / "processes" / "r.json").read_text())
    outer = Leaf(record["cgroups"])
    (child,) = _pythons(started.pid)
    assert {started.pid, child} <= outer.pids()

    class At:
        socket = settings.run_folder / "r.sock"

    with hop(At) as connection:
        refused = ask(connection, 1, asks(MISDEED))
        assert refused.tag == 500
        assert "it used more than 450 MiB of memory" in json.loads(refused.body)["error"]["message"]
        assert ask(connection, 2, asks(ROW)).tag == 200
    inside = shut_in(started.pid)
    os.kill(started.pid, end)
    wait_until(lambda: not runtime.list()[0].alive, 20)
    wait_until(lambda: gone(inside))
    runtime.stop("r")
    assert not any(Path(place).exists() for place in record["cgroups"].values())
    shutil.rmtree(settings.run_folder, ignore_errors=True)
