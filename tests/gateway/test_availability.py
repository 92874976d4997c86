"""Nothing is lost: tables swapped, replicas killed, drained, replaced; gateways stopped, and started without an api."""

import asyncio
import json
import random
import signal
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import pytest

from fixtures.gateways import KEY, GatewayProcess, request, route, table
from fixtures.serving import ROW, is_answer, publish
from fixtures.waiting import wait_until
from modelyard.core.settings import Replicas
from modelyard.gateway import predictions as module
from modelyard.gateway.exchange import Exchange
from modelyard.gateway.gateway import Gateway

BODY = json.dumps({"instances": [ROW]}).encode()


class Load:
    """Clients that call without a pause; every answer is checked."""

    def __init__(self, gateway: GatewayProcess, clients: int) -> None:
        self.statuses: dict[int, int] = {}
        self.wrong: list[Any] = []
        self.versions: set[str] = set()
        self._gateway = gateway
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(clients)]
        for thread in self._threads:
            thread.start()

    def _call(self, client: int) -> None:
        row = {**ROW, "x": client / 3, "plan": "basic" if client % 2 else "pro"}
        with httpx.Client(headers={"x-api-key": KEY}, timeout=30) as http:
            while not self._stop.is_set():
                try:
                    answer = http.post(f"{self._gateway.url}/models/sales/churn/", json=row)
                except httpx.HTTPError as error:
                    self.wrong.append(error)
                    continue
                self.statuses[answer.status_code] = self.statuses.get(answer.status_code, 0) + 1
                if answer.status_code == 200:
                    version = answer.headers["x-modelyard-version"]
                    self.versions.add(version)
                    if not is_answer(answer.json()["predictions"][0], row, int(version[1:])):
                        self.wrong.append(answer.text)

    def wait_for(self, answers: int) -> None:
        wanted = self.statuses.get(200, 0) + answers
        wait_until(lambda: self.statuses.get(200, 0) >= wanted, 30)

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


@contextmanager
def load_on(gateway: GatewayProcess, clients: int = 8) -> Iterator[Load]:
    load = Load(gateway, clients)
    try:
        load.wait_for(50)
        yield load
        load.wait_for(50)
    finally:
        load.end()


def test_tables_swapped_under_load_lose_no_request(stage: Any) -> None:
    versions = {number: publish(stage.settings, number) for number in (1, 2)}
    replicas = {number: stage.replica(f"r{number}", version) for number, version in versions.items()}
    stage.api.publish(table(1, route(versions[1], replicas[1])))
    gateway = stage.gateway()
    with load_on(gateway) as load:
        for number in range(2, 22):
            which = 1 + number % 2
            stage.api.publish(table(number, route(versions[which], replicas[which])))
            gateway.has_table(number)
    assert (load.wrong, set(load.statuses)) == ([], {200})
    assert load.versions == {"v1", "v2"}
    assert max(stage.api.polls) == 21  # the question names the table that is in place


def test_a_replica_that_is_drained_before_the_table_says_so_loses_no_request(stage: Any) -> None:
    versions = {number: publish(stage.settings, number) for number in (1, 2)}
    old = stage.replica("old", versions[1])
    stage.api.publish(table(1, route(versions[1], old)))
    gateway = stage.gateway()
    with load_on(gateway) as load:
        new = stage.replica("new", versions[2])
        old.send(signal.SIGTERM)
        assert old.process.wait(20) == 0
        stage.api.publish(table(2, route(versions[2], new)))
    assert (load.wrong, set(load.statuses)) == ([], {200})


def test_a_replica_killed_under_load_costs_no_request_where_there_is_another(stage: Any) -> None:
    version = publish(stage.settings, 1)
    replicas = [stage.replica(f"r{number}", version) for number in range(3)]
    stage.api.publish(table(1, route(version, *replicas)))
    gateway = stage.gateway()
    with load_on(gateway) as load:
        replicas[0].stop(signal.SIGKILL)
        load.wait_for(100)
        replicas[1].stop(signal.SIGKILL)
    assert (load.wrong, set(load.statuses)) == ([], {200})


def test_a_request_on_a_killed_replica_is_tried_once_more_and_then_503(stage: Any) -> None:
    version = publish(stage.settings, 1)
    replicas = [stage.replica(f"r{number}", version) for number in range(2)]
    stage.api.publish(table(1, route(version, *replicas)))
    stage.gateway()
    for replica in replicas:
        replica.send(signal.SIGSTOP)
    wires = [stage.wire().send(request(BODY)) for _ in range(6)]
    time.sleep(0.2)
    replicas[0].stop(signal.SIGKILL)
    time.sleep(0.2)
    replicas[1].stop(signal.SIGKILL)
    for wire in wires:
        answer = wire.answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_a_restarted_replica_is_found_again(stage: Any) -> None:
    version = publish(stage.settings, 1)
    replica = stage.replica("r", version)
    stage.api.publish(table(1, route(version, replica)))
    gateway = stage.gateway()
    replica.stop(signal.SIGKILL)
    wait_until(lambda: gateway.post("/models/sales/churn/", ROW).status_code == 503)
    stage.replica("r", version)
    wait_until(lambda: gateway.post("/models/sales/churn/", ROW).status_code == 200)


def test_more_than_the_bound_in_flight_is_503_at_once(stage: Any) -> None:
    version = publish(stage.settings, 1)
    replica = stage.replica("r", version)
    stage.api.publish(table(1, route(version, replica)))
    stage.gateway(msgspec.structs.replace(stage.settings, replicas=Replicas(in_flight=4)))
    replica.send(signal.SIGSTOP)
    try:
        waiting = [stage.wire().send(request(BODY)) for _ in range(4)]
        began = time.monotonic()
        refused = stage.wire().send(request(BODY)).answer()
        assert time.monotonic() - began < 1
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    finally:
        replica.send(signal.SIGCONT)
    assert [wire.answer().status for wire in waiting] == [200] * 4


def test_sigterm_answers_what_is_in_flight_and_exits_with_0(stage: Any) -> None:
    version = publish(stage.settings, 1)
    replica = stage.replica("r", version)
    stage.api.publish(table(1, route(version, replica)))
    gateway = stage.gateway()
    replica.send(signal.SIGSTOP)
    try:
        in_flight = [stage.wire().send(request(BODY) + request(BODY)) for _ in range(5)]
        half_sent, page, idle = stage.wire().send(request(BODY)[:-3]), stage.wire(), stage.wire()
        page.send(request(method="GET", path="/slow"))
        idle.send(request(method="GET", path="/healthz")).answer()
        time.sleep(0.1)
        gateway.process.send_signal(signal.SIGTERM)
        assert idle.is_closed()
        half_sent.send(request(BODY)[-3:])
        time.sleep(0.1)
    finally:
        replica.send(signal.SIGCONT)
    for wire in in_flight:
        assert is_answer(wire.answer().json()["predictions"][0], ROW, 1)
        last = wire.answer()
        assert is_answer(last.json()["predictions"][0], ROW, 1)
        assert last.headers["connection"] == "close"
    assert half_sent.answer().status == 200
    assert page.answer().body == b"slow"
    assert gateway.process.wait(20) == 0


def test_it_starts_and_serves_without_an_api_from_the_table_on_disk(stage: Any) -> None:
    version = publish(stage.settings, 1)
    replica = stage.replica("r", version)
    stage.api.publish(table(5, route(version, replica)))
    first = stage.gateway()
    kept = stage.settings.data / "routing.json"
    wait_until(kept.exists)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    first.stop(signal.SIGKILL)
    stage.api.stop()
    second = GatewayProcess(stage.settings)
    stage.gateways.append(second)
    assert second.health() == {"status": "ok", "routing": 5, "api": False}
    wait_until(lambda: second.post("/models/sales/churn/", ROW).status_code == 200)
    stage.api.publish(table(6, route(version, replica, stage="production")))
    stage.api.start()
    second.has_table(6)
    assert second.health()["api"] is True
    assert second.post("/models/sales/churn/production", ROW).status_code == 200


def test_a_damaged_table_on_disk_is_left_aside(stage: Any) -> None:
    stage.settings.data.mkdir(parents=True)
    (stage.settings.data / "routing.json").write_bytes(b'{"number": 3, "mod')
    stage.api.publish(table(4))
    assert stage.gateway().health()["routing"] == 4


def test_several_gateways_share_one_port(stage: Any, free_port: int) -> None:
    version = publish(stage.settings, 1)
    stage.api.publish(table(1, route(version, stage.replica("r", version))))
    server = msgspec.structs.replace(stage.settings.server, port=free_port)
    settings = msgspec.structs.replace(stage.settings, server=server)
    gateways = [stage.gateway(settings), stage.gateway(settings)]
    for _ in range(20):
        assert gateways[0].post("/models/sales/churn/", ROW).status_code == 200
    gateways[0].stop(signal.SIGKILL)
    wait_until(lambda: gateways[1].post("/models/sales/churn/", ROW).status_code == 200)


def test_a_replica_that_hangs_is_answered_for_with_504(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the parts themselves, since the real bound is half a minute."""
    version = publish(stage.settings, 1)
    replica = stage.replica("r", version)
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.3)

    async def scene() -> tuple[int, bytes]:
        predictions = Gateway(stage.settings, b"0" * 64, dice=random.Random(0)).predictions
        await predictions.swap(table(1, route(version, replica)))
        answered: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

        class Client:
            def answer(self, exchange: Exchange, status: int, content: int, headers: bytes, body: bytes) -> None:
                answered.set_result((status, body))

        replica.send(signal.SIGSTOP)
        headers = {b"x-api-key": KEY.encode()}
        predictions.handle(Exchange(Client(), b"/models/sales/churn", headers, BODY, request_id=b"r", keep_alive=True))
        while not answered.done():
            await asyncio.sleep(0.05)
            predictions.sweep(asyncio.get_running_loop().time())
        predictions.close()
        return answered.result()

    status, body = asyncio.run(scene())
    assert status == 504
    assert json.loads(body)["error"]["code"] == "timed_out"
