"""What machines share of their limits, by a real Redis; and what holds while that is lost."""

import asyncio
import logging
import shutil
import subprocess
import sys
import textwrap

import pytest

from fixtures.limiters import CALLER, eventually, is_shared, running, told
from fixtures.network import choose_port
from fixtures.redis import PASSWORD, RedisServer
from fixtures.shared_server import missing
from modelyard.core.errors import Invalid, Unavailable
from modelyard.gateway.limits import Limiter
from modelyard.gateway.limits.redis import RedisLedger

pytestmark = pytest.mark.anyio


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path).start()
    yield server
    server.kill()


async def test_machines_share_by_redis(machine, redis):
    one, other = (machine(name, redis_url=redis.url) for name in ("one", "two"))
    async with running(one, other) as limiters:
        assert await is_shared(*limiters)


@pytest.fixture
def certificate(tmp_path):
    """Of 127.0.0.1 and signed by itself; its private key lies beside it."""
    certificate, private = tmp_path / "certificate.pem", tmp_path / "key.pem"
    program = shutil.which("openssl") or missing("openssl is missing: install the system package openssl")
    command = [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", private]
    subprocess.run(command, check=True, capture_output=True)
    return certificate


async def test_redis_may_be_reached_by_tls(tmp_path, certificate):
    port = choose_port()
    options = (
        "--tls-port",
        str(port),
        "--tls-cert-file",
        str(certificate),
        "--tls-key-file",
        str(certificate.with_name("key.pem")),
    )
    server = RedisServer(tmp_path, *options, "--tls-auth-clients", "no").start()
    try:
        url = server.url.replace("redis://", "rediss://").replace(str(server.port), str(port))
        trusting, wary = (
            RedisLedger(f"{url}{query}", namespace="a", name="gateway-1")
            for query in (f"?ssl_ca_certs={certificate}", "")
        )
        assert await trusting.exchange([("b", 2.0)]) == [2.0]
        with pytest.raises(Unavailable, match="certificate"):
            await wary.exchange([("b", 2.0)])
        await trusting.close()
        await wary.close()
    finally:
        server.kill()


async def test_platforms_that_use_the_same_redis_do_not_share(machine, redis):
    one = machine(secret="1" * 64, redis_url=redis.url)
    other = machine("two", secret="2" * 64, redis_url=redis.url)
    async with running(one, other) as limiters:
        assert not await is_shared(*limiters)


async def test_redis_adds_up_by_its_own_clock_and_forgets_what_is_full(redis):
    ledger = RedisLedger(redis.url, namespace="a", name="gateway-1")
    assert await ledger.exchange([("b", 2.0), ("c", 0.05)]) == [2.0, 0.05]
    (level,) = await ledger.exchange([("b", 1e6)])
    assert 1e6 < level <= 1e6 + 2
    assert (await ledger.exchange([("c", 1e15)]))[0] >= 1e15
    assert await ledger.exchange([]) == []
    await ledger.exchange([("gone", 0.02)])
    with redis.client() as client:
        assert all(0 < client.pttl(key) <= 1e12 for key in client.scan_iter())
        await eventually(lambda: len(client.keys()) == 2)
        assert [found["name"] for found in client.client_list() if found["name"]] == ["gateway-1"]
    await ledger.close()


async def test_while_redis_is_lost_the_machine_shares_and_afterwards_all_do_again(machine, redis, caplog):
    caplog.set_level(logging.INFO)
    here, there = (machine(name, redis_url=redis.url) for name in ("one", "two"))
    async with running(here, here, there) as limiters:
        one, near, far = limiters
        assert await is_shared(near, far)
        redis.kill()
        for limiter in limiters:
            limiter.charge(CALLER, "sales", 1)
            await eventually(lambda limiter=limiter: limiter._ledger._search)
        one.charge(CALLER, "sales", 10_000)
        await told(one)
        near.charge(CALLER, "sales", 1)
        far.charge(CALLER, "sales", 1)
        await eventually(lambda: near.admit(CALLER, "sales") > 10_000)
        await told(far)
        assert far.admit(CALLER, "sales") < 2000
        redis.start()
        await eventually(lambda: all(limiter._ledger._search.done() for limiter in limiters))
        far.charge(CALLER, "sales", 100_000)
        await told(far)
        one.charge(CALLER, "sales", 1)
        await eventually(lambda: one.admit(CALLER, "sales") > 100_000)
    lines = [record.getMessage() for record in caplog.records if record.name == "modelyard.gateway"]
    assert sum("until it is back" in line for line in lines) == 3
    assert sum("again" in line for line in lines) == 3
    assert PASSWORD not in caplog.text


async def test_a_gateway_that_finds_no_redis_at_its_start_has_its_machine_s_limits(machine, free_port, caplog):
    settings = machine(redis_url=f"redis://:secret@127.0.0.1:{free_port}")
    async with running(settings, settings) as limiters:
        assert await is_shared(*limiters)
    assert f"127.0.0.1:{free_port}" in caplog.text
    assert ":secret" not in caplog.text


@pytest.mark.parametrize("user", ["", "default", "nobody"])
async def test_a_wrong_password_is_told_but_not_repeated(machine, redis, caplog, user):
    url = f"redis://{user}:wrong-one@127.0.0.1:{redis.port}"
    async with running(machine(redis_url=url)) as (limiter,):
        await eventually(lambda: caplog.records)
        limiter.charge(CALLER, "sales", 2)
        assert 0 < limiter.admit(CALLER, "sales") < 3
    assert "password" in caplog.text
    assert "wrong-one" not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "http://:secret@127.0.0.1",
        "redis://:secret@127.0.0.1:none",
        "secret",
        "redis://:secret@h:1?nonsense=1",
        "redis://[secret",
    ],
)
def test_a_url_that_is_none_is_refused_without_being_repeated(machine, url):
    with pytest.raises(Invalid, match="MODELYARD_REDIS_URL") as refused:
        Limiter(machine(redis_url=url), name="gateway-1")
    assert "secret" not in refused.value.message


async def test_a_server_that_is_no_redis_is_as_one_that_is_lost(tmp_path):
    async def babble(_reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ledger = RedisLedger(url, namespace="a", name="gateway-1")
        with pytest.raises(Unavailable):
            await ledger.exchange([("b", 1.0)])
        await ledger.close()


async def test_a_server_that_says_nothing_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("modelyard.gateway.limits.redis.ANSWER_SECONDS", 0.05)
    asked, gone = [], asyncio.Event()

    async def listen(reader, writer):
        asked.append(await reader.read())
        writer.close()
        await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ledger = RedisLedger(url, namespace="a", name="gateway-1")
        with pytest.raises(Unavailable):
            await ledger.exchange([("b", 1.0)])
        await ledger.close()
        await asyncio.wait_for(gone.wait(), 10)
    assert asked


def test_a_gateway_loads_the_client_of_redis_only_where_one_is_named(tmp_path):
    code = """
        import sys
        from pathlib import Path
        import modelyard.gateway.main
        from modelyard.core.settings import Settings
        from modelyard.gateway.limits import Limiter
        Limiter(Settings(data=Path(sys.argv[1]), redis_url=sys.argv[2]), name="gateway-1")
        print("redis" in sys.modules)
    """
    for url, loaded in (("", "False"), ("redis://127.0.0.1:1", "True")):
        command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), url]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == loaded
