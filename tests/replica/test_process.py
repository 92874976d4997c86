"""The replica as a process: it listens only when it is right, answers frames, and leaves without losing one."""

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fixtures.replicas import Hop, hop
from fixtures.serving import ROW, is_answer, publish
from fixtures.waiting import wait_until
from modelyard.core.lifeline import Lifeline
from modelyard.core.settings import Settings
from modelyard.protocol.frames import Content, Kind, exchange
from modelyard.replica.main import main


def test_it_says_what_it_holds_and_answers(settings: Settings, start_replica: Callable[..., Any]) -> None:
    versions = publish(settings, 1), publish(settings, 2, slot=7)
    replica = start_replica("r", *versions).wait_ready()
    connection = Hop(replica.socket)
    ready = connection.next()
    assert ready.kind == Kind.READY
    held = json.loads(ready.body)
    assert {slot: told["label"] for slot, told in held.items()} == {
        "0": "sales/churn/v1",
        "7": "sales/churn/v2",
    }
    assert all(1 < told["micros"] < 1e6 for told in held.values())
    connection.add(41)
    connection.add(42, slot=7)
    connection.flush()
    replies = connection.replies(2)
    for number, version in ((41, 1), (42, 2)):
        answer = json.loads(replies[number].body)
        assert (replies[number].tag, replies[number].value) == (200, 1)
        assert (answer["model"], answer["version"]) == ("sales/churn", f"v{version}")
        assert is_answer(answer["predictions"][0], ROW, version)
    connection.socket.close()
    assert replica.stop() == 0
    assert not replica.socket.exists()


def test_every_request_of_a_burst_gets_its_own_answer(settings: Settings, start_replica: Callable[..., Any]) -> None:
    replica = start_replica("r", publish(settings, 1), max_batch=16).wait_ready()
    rows = {
        number: {**ROW, "x": number / 10, "n": number % 5, "plan": "basic" if number % 3 else "pro"}
        for number in range(500)
    }
    with hop(replica) as connection:
        for number, row in rows.items():
            bad = number % 50 == 7
            connection.add(
                number, json.dumps({"instances": [{**row, "x": "bad"}] if bad else [row] * (number % 4 + 1)}).encode()
            )
        connection.flush()
        for number, frame in connection.replies(len(rows)).items():
            if number % 50 == 7:
                error = json.loads(frame.body)
                assert frame.tag == 422
                assert error["error"]["fields"][0]["field"] == "x"
                assert frame.body.endswith(b'"request_id":""}')
                continue
            predictions = json.loads(frame.body)["predictions"]
            assert len(predictions) == frame.value == number % 4 + 1
            assert all(is_answer(got, rows[number], 1) for got in predictions)


def test_csv_goes_in_and_comes_out_unless_json_is_wanted(settings: Settings, start_replica: Callable[..., Any]) -> None:
    replica = start_replica("r", publish(settings, 1)).wait_ready()
    text = b"plan,flag,n,x,extra\npro,true,2,1.5,z\n"
    with hop(replica) as connection:
        connection.add(1, text, content=exchange(Content.CSV, Content.CSV))
        connection.add(2, text, content=exchange(Content.CSV, Content.JSON))
        connection.flush()
        replies = connection.replies(2)
    assert replies[1].content == Content.CSV
    assert replies[1].body.startswith(b"prediction,probability,probability_No,probability_Yes\n")
    assert is_answer(json.loads(replies[2].body)["predictions"][0], ROW, 1)


def test_expired_requests_and_unknown_slots_are_refused(settings: Settings, start_replica: Callable[..., Any]) -> None:
    replica = start_replica("r", publish(settings, 1)).wait_ready()
    with hop(replica) as connection:
        connection.add(1, slot=9)
        connection.flush()
        assert connection.replies(1)[1].tag == 404
        # A call in the thread holds the next one up for longer than its deadline.
        connection.add(2, json.dumps([ROW] * 100_000).encode())
        connection.flush()
        connection.add(3, deadline=1)
        connection.flush()
        replies = connection.replies(2)
    assert (replies[2].tag, replies[3].tag) == (200, 504)


def test_a_ping_is_answered_while_the_model_works(settings: Settings, start_replica: Callable[..., Any]) -> None:
    replica = start_replica("r", publish(settings, 1)).wait_ready()
    with hop(replica) as connection:
        connection.add(1, json.dumps([ROW] * 100_000).encode())
        connection.flush()
        connection.outgoing.add(5, Kind.PING)
        connection.flush()
        kinds = [connection.next().kind, connection.next().kind]
    assert kinds == [Kind.PONG, Kind.REPLY]


def test_garbage_closes_its_own_connection_only(settings: Settings, start_replica: Callable[..., Any]) -> None:
    replica = start_replica("r", publish(settings, 1)).wait_ready()
    with hop(replica) as good, hop(replica) as bad:
        bad.socket.sendall(b"\xff" * 64)
        assert bad.closed()
        good.add(1)
        good.flush()
        assert good.replies(1)[1].tag == 200


def test_sigterm_loses_nothing_that_was_sent_before_the_drain_was_acknowledged(
    settings: Settings, start_replica: Callable[..., Any]
) -> None:
    replica = start_replica("r", publish(settings, 1)).wait_ready()
    with hop(replica) as connection:
        connection.add(1, json.dumps([ROW] * 100_000).encode())
        connection.flush()
        replica.send(signal.SIGTERM)
        assert connection.next().kind == Kind.DRAIN
        assert not replica.socket.exists()
        connection.add(2)
        connection.flush()
        connection.outgoing.add(0, Kind.DRAIN)
        connection.flush()
        assert {frame.tag for frame in connection.replies(2).values()} == {200}
        assert connection.closed()
    assert replica.process.wait(20) == 0


def failure_of(replica: Any) -> dict[str, str]:
    assert replica.process.wait(20) == 3
    assert not replica.socket.exists()
    told: dict[str, str] = json.loads(replica.failure_file.read_bytes())
    return told


def test_a_damaged_version_is_never_served_and_the_reason_is_told(
    settings: Settings, start_replica: Callable[..., Any]
) -> None:
    version = publish(settings, 1)
    stored = Path(settings.objects_url) / version.folder / "model.onnx"
    stored.write_bytes(stored.read_bytes()[:-1] + b"\x00")
    told = failure_of(start_replica("r", version))
    assert told["code"] == "internal"
    assert "sales/churn/v1 is damaged in the object store: v1/model.onnx" in told["message"]
    assert list((settings.data / "cache" / "versions").iterdir()) == []


def test_a_version_other_than_the_registered_one_is_never_served(
    settings: Settings, start_replica: Callable[..., Any]
) -> None:
    version = msgspec.structs.replace(publish(settings, 1), checksum=publish(settings, 2).checksum)
    assert "is not the one that was registered" in failure_of(start_replica("r", version))["message"]


def test_a_version_that_is_not_there_is_told(settings: Settings, start_replica: Callable[..., Any]) -> None:
    version = msgspec.structs.replace(publish(settings, 1), folder="models/sales/churn/v9")
    assert "sales/churn/v1 is damaged" in failure_of(start_replica("r", version))["message"]


def test_a_version_that_no_longer_answers_its_example_is_told(
    settings: Settings, start_replica: Callable[..., Any]
) -> None:
    wrong = {"prediction": "No", "probability": 0.9, "probabilities": {"No": 0.9, "Yes": 0.1}}
    version = publish(settings, 1, example_answer=wrong)
    assert "does not answer its own example" in failure_of(start_replica("r", version))["message"]


def test_the_cache_is_shared_and_repaired(settings: Settings, start_replica: Callable[..., Any]) -> None:
    version = publish(settings, 1)
    several = [start_replica(f"r{number}", version) for number in range(3)]
    for replica in several:
        replica.wait_ready()
    cache = settings.data / "cache" / "versions"
    assert [path.name for path in cache.iterdir()] == [version.checksum]
    (cache / version.checksum / "model.onnx").write_bytes(b"damaged")
    start_replica("later", version).wait_ready()
    assert [path.name for path in cache.iterdir()] == [version.checksum]
    shutil.rmtree(Path(settings.objects_url))
    start_replica("without-store", version).wait_ready()


def test_a_stale_socket_file_is_replaced(settings: Settings, start_replica: Callable[..., Any]) -> None:
    settings.run_folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(settings.run_folder / "r.sock"))
    replica = start_replica("r", publish(settings, 1))

    def connects() -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as trial:
                trial.connect(str(replica.socket))
        except OSError:
            return False
        return True

    wait_until(connects)


async def _alone(path: Path) -> float:
    began = time.monotonic()
    await Lifeline(path).alone(every=0.02, seconds=0.2)
    return time.monotonic() - began


def test_being_alone_is_believed_only_after_a_while(tmp_path: Path) -> None:
    path = tmp_path / "up.lock"
    timer = threading.Timer(0.3, path.touch)
    timer.start()
    assert asyncio.run(_alone(path)) >= 0.5
    timer.join()


@pytest.mark.parametrize("address", ["tcp:127.0.0.1:1", "unix:", "nonsense"])
def test_an_address_that_cannot_be_listened_on_is_refused(
    settings: Settings, start_replica: Callable[..., Any], address: str
) -> None:
    version = publish(settings, 1)
    replica = start_replica("r", version)
    replica.stop(signal.SIGKILL)
    spec = json.loads(replica.spec_file.read_bytes())
    replica.socket.unlink(missing_ok=True)
    other = settings.run_folder / "other.spec"
    other.write_bytes(json.dumps({**spec, "address": address}).encode())
    environment = pytest.MonkeyPatch()
    environment.setenv("MODELYARD_DATA", str(settings.data))
    try:
        assert main([str(other)]) == 3
    finally:
        environment.undo()
    assert "unix:PATH" in json.loads((settings.run_folder / "other.spec.failure").read_bytes())["message"]


def test_a_replica_of_data_alone_loads_nothing_that_only_code_needs() -> None:
    program = "import modelyard.replica.main, sys; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert not {name for name in loaded if name.startswith("modelyard.sandbox")}
    assert not loaded & {"modelyard.replica.pool", "lightgbm", "sklearn", "scipy", "pandas", "onnx", "sqlalchemy"}
