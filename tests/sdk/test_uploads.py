"""Large files, folders and archives go up in pieces, over connections that break."""

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.platform import RunningPlatform
from modelyard.core.errors import Invalid, NotFound
from modelyard.features.datasets.importers.errors import RaggedRows
from modelyard.sdk import uploads as sending
from modelyard.sdk.bodies import body_of
from modelyard.sdk.client import AsyncClient, Client
from modelyard.sdk.errors import JobFailed
from modelyard.sdk.uploads import Slice, Uploads

CSV = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n % 3) for n in range(3000))
Fresh = Callable[[str], str]


@pytest.fixture
def near(platform: RunningPlatform) -> Iterator[Client]:
    """A client of the platform that all tests share: its workers import."""
    with Client(platform.url, platform.key) as client:
        yield client


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "DIRECT", 1000)
    monkeypatch.setattr(sending, "SENT", 5000)


def uploads_of(client: Client) -> Any:
    return Uploads(client.datasets._connection)


def test_a_slice_is_a_part_of_its_body_and_tells_where_it_is(tmp_path: Path) -> None:
    path, seen = tmp_path / "t.csv", []
    path.write_bytes(CSV)
    with path.open("rb") as opened:
        for body in (body_of(path), body_of(CSV), body_of(opened)):
            part = Slice(body, 100, 50, lambda sent, size: seen.append((sent, size)))
            assert b"".join(part.pieces()) == CSV[100:150]
            assert b"".join(part.pieces()) == CSV[100:150]
    assert set(seen) == {(150, len(CSV))}


def test_a_small_file_goes_in_one_request(client: Client) -> None:
    client.datasets.create("d")
    (sample,) = uploads_of(client).send("d", CSV, filename="t.csv")
    assert (sample.filename, sample.rows, sample.purpose) == ("t.csv", 3000, "training")
    assert uploads_of(client).list("d") == []


@pytest.mark.usefixtures("small_pieces")
def test_a_large_file_arrives_in_pieces_over_a_bad_connection(over: Client, way: Any, client: Client) -> None:
    client.datasets.create("d")
    # Announced and sent, an answer lost; nobody works here, so the import is left waiting.
    way.faults = ["", "", "lose", "refuse", "busy", "cut", ""]
    seen: list[tuple[int, int | None]] = []
    connection = over.datasets._connection
    body = body_of(CSV, "t.csv")
    upload = client_announce(client, body)
    connection.run(sending._send_rest(Uploads(connection), "d", body, upload, lambda *told: seen.append(told)))
    found = uploads_of(client).get("d", upload.id)
    assert found.received == len(CSV)
    assert seen[-1] == (len(CSV), len(CSV))


def client_announce(client: Client, body: Any) -> Any:
    from modelyard.features.datasets import upload_schemas
    from modelyard.sdk.calls import fetch, post

    announced = {"filename": body.name, "size": body.size, "sha256": body.sha256()}
    connection = client.datasets._connection
    request = post("datasets", "d", "uploads", body=announced)
    return connection.run(fetch(Uploads(connection), request, upload_schemas.Upload))


@pytest.mark.usefixtures("small_pieces")
def test_a_broken_upload_is_gone_on_with_where_it_ended(near: Client, fresh: Fresh, tmp_path: Path) -> None:
    name, path, sent = fresh("resume"), tmp_path / "t.csv", []
    near.datasets.create(name)
    path.write_bytes(CSV)

    def breaks(done: int, _size: int | None) -> None:
        if done > 12_000:
            raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        uploads_of(near).send(name, path, progress=breaks)
    (begun,) = uploads_of(near).list(name)
    assert begun.received == 10_000
    (sample,) = uploads_of(near).send(name, path, resume=True, progress=lambda done, _size: sent.append(done))
    assert min(sent) > 10_000
    assert sample.sha256 == hashlib.sha256(CSV).hexdigest()
    assert uploads_of(near).list(name) == []


def test_a_folder_of_purposes_becomes_a_dataset(near: Client, fresh: Fresh, tmp_path: Path) -> None:
    name, states = fresh("folder"), []
    near.datasets.create(name)
    for purpose in ("training", "test"):
        (tmp_path / "data" / purpose).mkdir(parents=True)
        (tmp_path / "data" / purpose / "t.csv").write_bytes(CSV)
    (tmp_path / "data" / ".hidden").write_text("secret")
    samples = uploads_of(near).send(name, tmp_path / "data", on_job=lambda job: states.append(job.state))
    assert {(sample.purpose, sample.filename, sample.rows) for sample in samples} == {
        ("training", "t.csv", 3000), ("test", "t.csv", 3000),
    }  # fmt: skip
    assert states[-1] == "succeeded"


def test_texts_of_a_folder_get_their_labels(near: Client, fresh: Fresh, tmp_path: Path) -> None:
    name = fresh("texts")
    near.datasets.create(name, scenario="text-classification")
    for label in ("good", "bad"):
        (tmp_path / "reviews" / label).mkdir(parents=True)
        for number in range(12):
            (tmp_path / "reviews" / label / f"{number}.txt").write_text(f"a {label} one, number {number}")
    (sample,) = uploads_of(near).send(name, tmp_path / "reviews")
    assert [column["name"] for column in sample.profile["columns"]] == ["text", "label"]
    assert sample.rows == 24
    assert near.datasets.get(name).data.target == "label"


def test_a_release_that_was_downloaded_goes_up_again(near: Client, fresh: Fresh, tmp_path: Path) -> None:
    first, second = fresh("first"), fresh("second")
    near.datasets.create(first)
    near.datasets.create(second)
    for purpose in ("training", "test"):
        uploads_of(near).send(first, CSV, filename="t.csv", purpose=purpose)
    near.datasets.release(first)
    archive = near.datasets.download(first, tmp_path)
    samples = uploads_of(near).send(second, archive)
    assert {(sample.purpose, sample.filename, sample.rows) for sample in samples} == {
        ("training", "t.csv", 3000), ("test", "t.csv", 3000),
    }  # fmt: skip


def test_an_archive_that_is_refused_raises_why(near: Client, fresh: Fresh, tmp_path: Path) -> None:
    name = fresh("bad")
    near.datasets.create(name)
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../up.csv", CSV)
    with pytest.raises((JobFailed, Invalid), match="leads outside"):
        uploads_of(near).send(name, tmp_path / "bad.zip")
    (left,) = uploads_of(near).list(name)
    assert left.failure["code"] == "bad_archive"
    uploads_of(near).delete(name, left.id)
    assert uploads_of(near).list(name) == []


@pytest.mark.usefixtures("small_pieces")
def test_what_failed_strictly_is_completed_tolerantly_without_sending_again(near: Client, fresh: Fresh) -> None:
    name = fresh("tolerant")
    near.datasets.create(name)
    with pytest.raises(RaggedRows):
        uploads_of(near).send(name, CSV + b"1,2,3\n", filename="t.csv")
    (left,) = uploads_of(near).list(name)
    job = uploads_of(near).complete(name, left.id, on_error="tolerant").wait()
    (sample,) = near.datasets.samples(name)
    assert job.data.result["samples"] == [sample.id]
    assert "broken_rows" in [problem.code for problem in sample.problems]


def test_a_sample_is_replaced(near: Client, fresh: Fresh) -> None:
    name = fresh("replace")
    near.datasets.create(name)
    (old,) = uploads_of(near).send(name, CSV, filename="t.csv", purpose="test")
    (new,) = uploads_of(near).send(name, CSV[:1000].rpartition(b"\n")[0], filename="t.csv", replace=old.id)
    assert [(sample.id, sample.purpose) for sample in near.datasets.samples(name)] == [(new.id, "test")]


def test_several_files_are_sent_one_by_one(client: Client, tmp_path: Path) -> None:
    client.datasets.create("d")
    paths = [tmp_path / "x.csv", tmp_path / "y.csv"]
    for path in paths:
        path.write_bytes(CSV)
    assert [sample.filename for sample in uploads_of(client).send("d", paths)] == ["x.csv", "y.csv"]
    with pytest.raises(Invalid, match="replaced by one file"):
        uploads_of(client).send("d", paths, replace="smp_x")


def test_a_folder_without_files_is_refused(client: Client, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="holds no files"):
        uploads_of(client).send("d", tmp_path / "home")


async def sent_by(url: str, key: str, name: str) -> Any:
    async with AsyncClient(url, key) as client:
        return await Uploads(client.datasets._connection).send(name, CSV, filename="t.csv.zip")


def test_what_calls_itself_an_archive_and_is_none_arrives_as_what_it_is(
    platform: RunningPlatform, near: Client, fresh: Fresh
) -> None:
    import asyncio

    name = fresh("async")
    near.datasets.create(name)
    (sample,) = asyncio.run(sent_by(platform.url, platform.key, name))
    assert sample.rows == 3000


def test_an_upload_that_is_gone_is_told(client: Client) -> None:
    client.datasets.create("d")
    upload, body = client_announce(client, body_of(CSV, "t.csv")), body_of(CSV, "t.csv")
    uploads_of(client).delete("d", upload.id)
    connection = client.datasets._connection
    with pytest.raises(NotFound, match="no upload"):
        connection.run(sending._send_rest(Uploads(connection), "d", body, upload, None))
