"""The bucket store: what a server that is away, refuses or is given nonsense is told as."""

import asyncio
import http.client
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from fixtures.s3 import S3
from modelyard.core.errors import Broken, Invalid, Unavailable
from modelyard.storage.objects.opened import open_store

pytestmark = pytest.mark.s3
MIB = 1 << 20


def test_a_server_that_is_away_is_named(free_port: int) -> None:
    endpoint = f"http://127.0.0.1:{free_port}"
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    store = open_store("s3://bucket", {"AWS_ENDPOINT_URL": endpoint, **keys})
    started = time.monotonic()
    for attempt in (
        lambda: store.get("key"),
        lambda: store.put("key", b"1"),
        lambda: store.put("key", iter([b"1" * 20 * MIB])),
        lambda: store.info("key"),
        lambda: store.list("a"),
        lambda: store.delete("key"),
        lambda: store.copy("a", "b"),
    ):
        with pytest.raises(Unavailable, match=endpoint) as caught:
            attempt()
        assert caught.value.retry_after is not None
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("wrong", [{"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ACCESS_KEY_ID": "unknown"}])
def test_a_wrong_secret_and_an_unknown_key_are_refused(s3: S3, wrong: dict[str, str]) -> None:
    store = open_store(s3.url, {**s3.options, **wrong})
    for attempt in (lambda: store.get("key"), lambda: store.put("key", b"1"), lambda: store.list("a")):
        with pytest.raises(Broken, match=r"refuses access\. Check AWS_ACCESS_KEY_ID") as caught:
            attempt()
        assert "wrong" not in caught.value.message


def test_a_key_that_may_only_read_reads(s3: S3) -> None:
    open_store(s3.url, s3.options).put("key", b"1")
    reader = open_store(s3.url, s3.reader)
    assert reader.get("key") == b"1"
    with pytest.raises(Broken, match="refuses access"):
        reader.put("other", b"1")
    with pytest.raises(Broken, match="refuses access"):
        reader.delete("key")
    assert reader.get("key") == b"1"


def test_missing_keys_are_told(free_port: int) -> None:
    nowhere = f"http://127.0.0.1:{free_port}"
    store = open_store("s3://bucket", {"AWS_ENDPOINT_URL": nowhere, "AWS_METADATA_ENDPOINT": nowhere})
    with pytest.raises(Broken, match="AWS_ACCESS_KEY_ID"):
        store.get("key")


def test_a_missing_bucket_is_told(s3: S3) -> None:
    store = open_store("s3://no-such-bucket-here", s3.options)
    with pytest.raises(Broken, match=r"no-such-bucket-here .* does not exist\. Create it"):
        store.get("key")


def test_stores_below_different_paths_do_not_see_each_other(s3: S3) -> None:
    one, two = open_store(f"{s3.url}/one", s3.options), open_store(f"{s3.url}/two/deep", s3.options)
    one.put("key", b"1")
    assert list(two.list("")) == []
    two.put("key", b"2")
    assert one.delete_all("key") == 0
    assert [found.key for found in open_store(s3.url, s3.options).list("")] == ["one/key", "two/deep/key"]


def test_an_upload_that_fails_leaves_no_parts(s3: S3, s3_server: dict[str, Any]) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 20 * MIB
        raise KeyError("broken")

    async def stalled(reached: asyncio.Event) -> AsyncIterator[bytes]:
        yield b"x" * 20 * MIB
        reached.set()
        await asyncio.sleep(3600)

    async def cancelled() -> None:
        reached = asyncio.Event()
        upload = asyncio.create_task(store.put_stream("key", stalled(reached)))
        await reached.wait()
        upload.cancel()
        await asyncio.wait({upload})

    store = open_store(s3.url, s3.options)
    with pytest.raises(KeyError):
        store.put("key", broken())
    asyncio.run(cancelled())
    assert _parts(s3_server["filer"], s3.bucket) == []


@pytest.mark.parametrize("url", ["s3://", "s3:///path", "s3://bucket?region=x", "gs://bucket", "https://host/bucket"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(Invalid, match="s3://bucket"):
        open_store(url)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(Invalid, match="cannot be opened"):
        open_store("s3://bucket", {"AWS_NO_SUCH_THING": "1"})


def _parts(filer: str, bucket: str) -> list[str]:
    """What the server keeps of unfinished uploads."""
    connection = http.client.HTTPConnection(filer, timeout=10)
    connection.request("GET", f"/buckets/{bucket}/.uploads/", headers={"Accept": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status == 200, content
    return [entry["FullPath"] for entry in json.loads(content)["Entries"] or []]
