"""Journals on their way to the api: each record counts once, through kills of either side."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from fixtures.usage import lines, record
from fixtures.waiting import wait_until
from modelyard.core.settings import Settings, child_environment, load
from modelyard.credentials import internal
from modelyard.gateway import journal as journals
from modelyard.gateway import shipping
from modelyard.gateway.journal import Journal
from modelyard.gateway.shipping import Shipper
from modelyard.gateway.upstream import Lost, Upstream

SECRET = "0" * 64
OFTEN = 0.02


class ApiProcess:
    """An api of its own, on its unix socket."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "ApiProcess":
        self.settings.run_folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen([sys.executable, "-m", "modelyard.api"], env=child_environment(self.settings))
        wait_until(self._answers, 60, what="the api answers")
        return self

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def http(self) -> httpx.Client:
        login = json.loads((self.settings.data / "first-login.json").read_text())
        transport = httpx.HTTPTransport(uds=str(self.settings.api_socket))
        return httpx.Client(
            transport=transport, base_url="http://api", headers={"x-api-key": login["api_key"]}, timeout=60
        )

    def counted(self, model: str) -> tuple[int, int]:
        """(requests, rows) of a model's totals together."""
        with self.http() as http:
            found = http.get("/api/v1/usage", params={"model": f"sales/{model}"}).json()["overall"]
        return found["requests"], found["rows"]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None
        with socket.socket(socket.AF_UNIX) as tried:
            return tried.connect_ex(str(self.settings.api_socket)) == 0


def _settings(data: Path, **more: Any) -> Settings:
    return load({}, data=data, secret=SECRET, log_level="warning", **more)


@pytest.fixture(scope="module")
def shared_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    api = ApiProcess(_settings(tmp_path_factory.mktemp("shipping") / "data")).start()
    yield api
    api.kill()


@pytest.fixture
def own_api(tmp_path: Path) -> Iterator[ApiProcess]:
    """An api to be killed."""
    api = ApiProcess(_settings(tmp_path / "data")).start()
    yield api
    api.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "usage"


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    """A model that no other test calls."""
    return f"m{abs(hash(request.node.nodeid))}"


def shipper(api: ApiProcess, journal: Journal, **more: Any) -> Shipper:
    token = internal.token(SECRET.encode())
    return Shipper(Upstream(api.settings.api_socket), token, journal, **{"every": OFTEN, **more})


def write(journal: Journal, model: str, count: int) -> None:
    """Records with one row each."""
    for _ in range(count):
        journal.add(record(1, model=model))
    assert journal.flush()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def test_what_is_written_is_counted_while_it_is_written(shared_api: ApiProcess, folder: Path, model: str) -> None:
    journal = Journal(folder, name="a")

    async def act() -> None:
        ships = shipper(shared_api, journal)
        await ships.sweep()
        for _ in range(3):
            write(journal, model, 100)
            await ships.sweep()

    asyncio.run(act())
    assert shared_api.counted(model) == (300, 300)
    assert len(files(folder)) == 1
    journal.close()


def test_a_long_journal_goes_in_pieces_of_whole_lines(
    shared_api: ApiProcess, folder: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "CHUNK_BYTES", 1000)
    journal = Journal(folder, name="a")
    write(journal, model, 200)
    asyncio.run(shipper(shared_api, journal).sweep())
    assert shared_api.counted(model) == (200, 200)
    journal.close()


def test_what_was_sent_before_counts_once(shared_api: ApiProcess, folder: Path, model: str) -> None:
    """A gateway that never heard the answer sends again; one that was told too much is told where to go on."""
    journal = Journal(folder, name="a")
    write(journal, model, 100)

    async def act() -> None:
        ships = shipper(shared_api, journal)
        await ships.sweep()
        assert journal.path is not None
        ships._accepted[journal.path.name] = 0
        write(journal, model, 100)
        await ships.sweep()
        assert ships._accepted[journal.path.name] == journal.kept
        first = journal.kept
        write(journal, model, 100)
        ships._accepted[journal.path.name] = first + len(lines(record(1, model=model)))
        await ships.sweep()

    asyncio.run(act())
    assert shared_api.counted(model) == (300, 300)
    journal.close()


def test_what_the_disk_may_still_refuse_is_not_shipped(shared_api: ApiProcess, folder: Path, model: str) -> None:
    """Of a write that fails a part may be in the file for a moment: its calls are never answered."""
    journal = Journal(folder, name="a")
    write(journal, model, 3)
    path, kept = journal.path, journal.kept
    assert path is not None
    with path.open("ab") as file:
        file.write(lines(record(100, model=model)))

    async def act() -> None:
        ships = shipper(shared_api, journal)
        await ships.sweep()
        os.truncate(path, kept)
        write(journal, model, 2)
        await ships.sweep()

    asyncio.run(act())
    assert shared_api.counted(model) == (5, 5)
    journal.close()


def test_a_left_file_is_shipped_by_another_gateway_and_deleted(
    shared_api: ApiProcess, folder: Path, model: str
) -> None:
    left, mine = Journal(folder, name="left"), Journal(folder, name="mine")
    write(left, model, 10)
    asyncio.run(shipper(shared_api, mine).sweep())
    assert (shared_api.counted(model), len(files(folder))) == ((0, 0), 1)
    left.close()
    asyncio.run(shipper(shared_api, mine).sweep())
    assert (shared_api.counted(model), files(folder)) == ((10, 10), [])


def test_gateways_that_ship_the_same_left_files_count_them_once(
    shared_api: ApiProcess, folder: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "CHUNK_BYTES", 1000)
    for number in range(4):
        left = Journal(folder, name=f"left{number}")
        write(left, model, 50)
        left.close()

    async def act() -> None:
        made = [shipper(shared_api, Journal(folder, name=name)) for name in ("a", "b", "c")]
        await asyncio.gather(*(ships.sweep() for ships in made))

    asyncio.run(act())
    assert (shared_api.counted(model), files(folder)) == ((200, 200), [])


def test_a_full_file_goes_once_it_is_shipped(
    shared_api: ApiProcess, folder: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "FILE_BYTES", 1000)
    journal = Journal(folder, name="a")
    for _ in range(10):
        write(journal, model, 10)
    assert len(files(folder)) > 1
    asyncio.run(shipper(shared_api, journal).sweep())
    assert journal.path is not None
    assert (shared_api.counted(model), files(folder)) == ((100, 100), [journal.path.name])
    journal.close()


def test_a_file_that_nothing_is_added_to_is_let_go_and_the_next_record_begins_another(
    shared_api: ApiProcess, folder: Path, model: str
) -> None:
    journal = Journal(folder, name="a")
    write(journal, model, 10)

    async def act() -> None:
        ships = shipper(shared_api, journal, idle=0)
        for _ in range(2):
            await ships.sweep()
        assert files(folder) == []
        write(journal, model, 5)
        await ships.sweep()
        assert len(files(folder)) == 1

    asyncio.run(act())
    assert shared_api.counted(model) == (15, 15)
    journal.close()


@pytest.mark.parametrize(
    "damage",
    [b'[1.0,"torn', b"\0" * 500, b"x" * 3000, b"nonsense\n" + b"\xff" * 2500 + b"\n"],
    ids=["torn", "zeros", "long", "lines"],
)
def test_a_damaged_file_is_shipped_as_far_as_it_can_be_read(
    shared_api: ApiProcess, folder: Path, model: str, damage: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "CHUNK_BYTES", 1000)
    folder.mkdir()
    good = lines(*[record(1, model=model)] * 3)
    (folder / f"damaged{model}-1.journal").write_bytes(good + damage)
    (folder / f"damaged{model}-2.journal").write_bytes(good + damage + b"\n" + good)
    (folder / f"damaged{model}-3.journal").write_bytes(b"")
    asyncio.run(shipper(shared_api, Journal(folder, name="a")).sweep())
    assert (shared_api.counted(model), files(folder)) == ((9, 9), [])


def test_a_file_that_lost_its_end_in_a_power_cut_is_not_waited_for(
    shared_api: ApiProcess, folder: Path, model: str
) -> None:
    journal = Journal(folder, name="a")
    write(journal, model, 100)
    asyncio.run(shipper(shared_api, journal).sweep())
    path = journal.path
    assert path is not None
    journal.close()
    os.truncate(path, 500)
    asyncio.run(shipper(shared_api, Journal(folder, name="b")).sweep())
    assert (shared_api.counted(model), files(folder)) == ((100, 100), [])


def test_an_api_that_takes_small_bodies_only_is_sent_small_pieces(tmp_path: Path, folder: Path, model: str) -> None:
    api = ApiProcess(_settings(tmp_path / "data", limits_body=100_000)).start()
    journal = Journal(folder, name="a")
    write(journal, model, 10_000)
    try:
        asyncio.run(shipper(api, journal).sweep())
        assert api.counted(model) == (10_000, 10_000)
    finally:
        api.kill()
        journal.close()


def test_without_an_api_records_wait_and_one_line_says_so(
    tmp_path: Path, folder: Path, model: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "LONGEST_PAUSE", 4 * OFTEN)
    api = ApiProcess(_settings(tmp_path / "data"))
    journal = Journal(folder, name="a")
    write(journal, model, 10)

    async def act() -> None:
        running = asyncio.create_task(shipper(api, journal).run())
        await asyncio.to_thread(wait_until, lambda: "waits to be handed" in caplog.text)
        await asyncio.sleep(20 * OFTEN)
        await asyncio.to_thread(api.start)
        write(journal, model, 10)
        await asyncio.to_thread(wait_until, lambda: api.counted(model) == (20, 20), 20)
        running.cancel()

    try:
        asyncio.run(act())
    finally:
        api.kill()
        journal.close()
    assert caplog.text.count("waits to be handed") == 1


def test_an_api_that_is_killed_again_and_again_counts_each_record_once(
    own_api: ApiProcess, folder: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "CHUNK_BYTES", 5000)
    monkeypatch.setattr(shipping, "LONGEST_PAUSE", 4 * OFTEN)
    monkeypatch.setattr(journals, "FILE_BYTES", 50_000)
    journal = Journal(folder, name="a")
    written = 0

    async def act() -> None:
        nonlocal written
        over = asyncio.Event()
        running = asyncio.create_task(shipper(own_api, journal).run())

        async def traffic() -> None:
            nonlocal written
            while not over.is_set():
                write(journal, model, 20)
                written += 20
                await asyncio.sleep(0.01)

        writing = asyncio.create_task(traffic())
        for _ in range(3):
            before = await asyncio.to_thread(own_api.counted, model)
            await asyncio.to_thread(
                wait_until, lambda before=before: own_api.counted(model)[0] > before[0] + 200, 30, interval=0
            )
            own_api.kill()
            await asyncio.to_thread(own_api.start)
        over.set()
        await writing
        await asyncio.to_thread(wait_until, lambda: own_api.counted(model)[0] >= written, 60)
        running.cancel()

    asyncio.run(act())
    assert own_api.counted(model) == (written, written)
    journal.close()


def test_an_answer_that_is_lost_on_the_way_back_counts_nothing_twice(
    shared_api: ApiProcess, tmp_path: Path, folder: Path, model: str
) -> None:
    """Between the two is somebody who passes requests on, and every other time keeps the answer."""
    way = Way(shared_api.settings.api_socket, tmp_path / "way.sock")
    journal = Journal(folder, name="a")
    token = internal.token(SECRET.encode())

    async def act() -> None:
        ships = Shipper(Upstream(way.path), token, journal)
        lost = 0
        for _ in range(12):
            write(journal, model, 10)
            try:
                await ships.sweep()
            except Lost:
                lost += 1
        assert lost > 3

    asyncio.run(act())
    way.close()
    asyncio.run(shipper(shared_api, journal).sweep())
    assert shared_api.counted(model) == (120, 120)
    journal.close()


WRITER = """
import os, sys
from pathlib import Path
from fixtures.usage import record
from modelyard.gateway.journal import Journal
journal = Journal(Path(sys.argv[1]), name="killed")
number = 0
while True:
    for _ in range(37):
        journal.add(record(1, model=sys.argv[2]))
        number += 1
    assert journal.flush()
    os.write(1, b"%d\\n" % number)
"""


def test_a_killed_gateway_s_journal_is_shipped_by_another_to_the_last_record(
    shared_api: ApiProcess, folder: Path, model: str
) -> None:
    journal = Journal(folder, name="other")
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    command = [sys.executable, "-c", WRITER, str(folder), model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": path}) as writer:
        assert writer.stdout is not None
        heard = [writer.stdout.readline() for _ in range(300)]
        asyncio.run(shipper(shared_api, journal).sweep())
        assert shared_api.counted(model) == (0, 0)
        writer.send_signal(signal.SIGKILL)
        heard += writer.stdout.readlines()
    acknowledged = int([line for line in heard if line.endswith(b"\n")][-1])
    left = next(folder.glob("*.journal")).read_bytes()
    whole = len(msgspec.json.Decoder(Any).decode_lines(left[: left.rfind(b"\n") + 1]))
    asyncio.run(shipper(shared_api, journal).sweep())
    assert whole >= acknowledged
    assert (shared_api.counted(model), files(folder)) == ((whole, whole), [])


class Way:
    """A way to a server on a unix socket, one request a connection, that loses every other answer."""

    def __init__(self, upstream: Path, path: Path) -> None:
        self.path = path
        self._upstream = upstream
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        number = 0
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            number += 1
            with connection, socket.socket(socket.AF_UNIX) as upstream:
                upstream.connect(str(self._upstream))
                upstream.sendall(self._request(connection))
                answer = upstream.recv(65536)
                if number % 2:
                    connection.sendall(answer)

    def _request(self, connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body
