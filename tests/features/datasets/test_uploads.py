"""Files that arrive in pieces: announced, sent, imported by a real worker, against a real api."""

import hashlib
import io
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from modelyard.core.settings import child_environment
from modelyard.features.datasets import uploads
from modelyard.features.datasets.tables import UploadRow
from modelyard.features.jobs import operations as jobs
from modelyard.protocol.jobs import Checkpoint, Event, EventBatch, Failure, Finish, JobSpec
from modelyard.web.platform import Platform
from modelyard.worker.context import JobContext
from modelyard.worker.failures import JobFailed
from modelyard.worker.recipes.intake import Intake

CSV = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n % 3) for n in range(60))
SHA = hashlib.sha256(CSV).hexdigest()


class Context(JobContext):
    """What a worker gives a recipe; the importer runs as a plain process."""

    def __init__(self, platform: Platform, spec: JobSpec, scratch: Path) -> None:
        self.spec, self.scratch, self.objects, self.settings = spec, scratch, platform.objects, platform.settings
        self.events: list[Event] = []
        scratch.mkdir(parents=True)

    def report(self, event: Event) -> None:
        self.events.append(event)

    def run_shut_in(self, argv: Sequence[str], *, work: Path, span: tuple[float, float]) -> None:
        here = [sys.executable, *(str(work) if part == "/job" else part for part in argv[1:])]
        ran = subprocess.run(here, env=child_environment(self.settings), cwd=work, capture_output=True, check=False)
        if ran.returncode:
            assert (work / "failure.json").is_file(), ran.stderr
            raise JobFailed(msgspec.json.decode((work / "failure.json").read_bytes(), type=Failure))


@pytest.fixture
def platform(platform_parts: Platform) -> Platform:
    return platform_parts


@pytest.fixture
def claimed(platform: Platform, tmp_path: Path) -> Callable[[], Context]:
    """The next job as a worker gets it."""

    def claim() -> Context:
        with platform.database.session() as session:
            start = jobs.start_next(session, platform.settings.jobs)
            assert start is not None
            spec = jobs.claim(session, start.job, start.token, platform.settings.jobs)
        return Context(platform, spec, tmp_path / f"scratch-{spec.token}-{spec.id}")

    return claim


@pytest.fixture
def work(platform: Platform, claimed: Callable[[], Context]) -> Callable[..., None]:
    """Does the next job and says the last word."""

    def run(context: Context | None = None) -> None:
        context = context or claimed()
        try:
            finish = Finish(token=context.spec.token, outcome="succeeded", result=Intake().run(context))
        except JobFailed as error:
            finish = Finish(token=context.spec.token, outcome="failed", failure=error.failure)
        with platform.database.session() as session:
            jobs.finish(session, context.spec.id, finish, platform.settings.jobs)

    return run


class Uploading:
    """A client's way of doing it."""

    def __init__(self, http: httpx.Client, dataset: str) -> None:
        self.http, self.path, self.dataset = http, f"/api/v1/datasets/{dataset}/uploads", dataset

    def announce(self, content: bytes, filename: str = "t.csv", **more: Any) -> dict[str, Any]:
        made = self.http.post(self.path, json={"filename": filename, "size": len(content), **more})
        assert made.status_code == 201, made.text
        return made.json()

    def send(self, upload: dict[str, Any], offset: int, piece: bytes) -> httpx.Response:
        return self.http.patch(f"{self.path}/{upload['id']}", params={"offset": offset}, content=piece)

    def complete(self, upload: dict[str, Any], **body: Any) -> httpx.Response:
        return self.http.post(f"{self.path}/{upload['id']}/complete", json=body or None)

    def show(self, upload: dict[str, Any]) -> dict[str, Any]:
        return self.http.get(f"{self.path}/{upload['id']}").json()

    def arrived(self, content: bytes, filename: str = "t.csv", **more: Any) -> dict[str, Any]:
        """All of it, up to the job."""
        upload = self.announce(content, filename, **more)
        assert self.send(upload, 0, content).status_code == 200
        assert self.complete(upload).status_code == 202
        return upload

    def samples(self) -> list[dict[str, Any]]:
        return self.http.get(f"/api/v1/datasets/{self.dataset}/samples").json()["items"]


@pytest.fixture
def up(client: httpx.Client) -> Uploading:
    assert client.post("/api/v1/datasets", json={"name": "d"}).status_code == 201
    return Uploading(client, "d")


def objects(platform: Platform, prefix: str = "") -> list[str]:
    return [info.key for info in platform.objects.list(prefix)]


def test_pieces_become_a_sample(up: Uploading, work: Callable[..., None], platform: Platform) -> None:
    upload = up.announce(CSV, sha256=SHA, purpose="test")
    assert (upload["received"], upload["state"], upload["purpose"]) == (0, "receiving", "test")
    assert up.send(upload, 0, CSV[:100]).json()["received"] == 100
    assert up.send(upload, 100, CSV[100:]).json()["received"] == len(CSV)
    job = up.complete(upload).json()
    assert (job["kind"], job["state"]) == ("intake", "queued")
    assert up.complete(upload).json()["id"] == job["id"]
    work()
    shown = up.show(upload)
    (sample,) = up.samples()
    assert (shown["state"], shown["samples"]) == ("done", [sample["id"]])
    assert (sample["rows"], sample["size"], sample["sha256"], sample["purpose"]) == (60, len(CSV), SHA, "test")
    assert platform.objects.get(f"datasets/{sample['dataset']}/{sample['id']}/original") == CSV
    result = up.http.get(f"/api/v1/jobs/{job['id']}").json()["result"]
    assert result == {"samples": [sample["id"]], "left_out": [], "upload": upload["id"]}
    history = up.http.get("/api/v1/datasets/d/changes").json()["items"]
    assert "sample added" in [change["action"] for change in history]


def test_a_wrong_offset_is_told_the_right_one(up: Uploading) -> None:
    upload = up.announce(CSV)
    up.send(upload, 0, CSV[:100])
    for offset in (0, 50, 200):
        refused = up.send(upload, offset, CSV[offset : offset + 10])
        assert (refused.status_code, refused.json()["error"]["detail"]) == (409, {"offset": 100})
    early = up.complete(upload)
    assert (early.status_code, early.json()["error"]["detail"]) == (409, {"offset": 100})


def test_a_piece_that_breaks_off_leaves_nothing(up: Uploading, platform: Platform, eventually: Any) -> None:
    content = b"a,b\n" + b"1234567,7654321\n" * 1_000_000
    upload = up.announce(content)
    parts = urlsplit(str(up.http.base_url))
    folder = platform.settings.data / "objects" / "uploads"
    with socket.create_connection((parts.hostname, parts.port)) as raw:
        head = f"PATCH {up.path}/{upload['id']}?offset=0 HTTP/1.1\r\nhost: x\r\ncontent-length: {len(content)}\r\n"
        key = f"x-api-key: {up.http.headers['x-api-key']}\r\n\r\n"
        raw.sendall(head.encode() + key.encode() + content[: 13 << 20])
        eventually(lambda: any(path.is_file() for path in folder.rglob("*")))
    eventually(lambda: not any(path.is_file() for path in folder.rglob("*")))
    assert up.show(upload)["received"] == 0
    assert up.send(upload, 0, content[:1000]).json()["received"] == 1000


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"filename": "a.csv", "size": 0}, "size"),
        ({"filename": "", "size": 1}, "filename"),
        ({"filename": "..", "size": 1}, "filename"),
        ({"filename": "a.csv", "size": 1, "purpose": "fun"}, "purpose"),
        ({"filename": "a.csv", "size": 1, "sha256": "abc"}, "sha256"),
        ({"filename": "a.csv", "size": 1, "on_error": "ignore"}, "on_error"),
    ],
)
def test_what_is_announced_wrongly_is_refused(up: Uploading, body: dict[str, Any], field: str) -> None:
    refused = up.http.post(up.path, json=body)
    assert refused.status_code == 422
    assert field in str(refused.json()["error"]["fields"])


def test_too_much_is_refused(up: Uploading, platform: Platform) -> None:
    most = platform.settings.limits.upload
    assert up.http.post(up.path, json={"filename": "a.csv", "size": most + 1}).status_code == 413
    upload = up.announce(CSV)
    assert up.send(upload, 0, CSV + b"more").status_code == 422
    assert up.send(upload, 0, b"").status_code == 422
    assert objects(platform, "uploads") == []


def test_others_uploads_are_not_there(up: Uploading) -> None:
    upload = up.announce(CSV)
    up.http.post("/api/v1/datasets", json={"name": "other"})
    other = Uploading(up.http, "other")
    assert other.send(upload, 0, CSV).status_code == 404
    assert other.complete(upload).status_code == 404
    assert other.http.get(other.path).json()["total"] == 0
    assert up.http.get(up.path).json()["total"] == 1


def test_a_wrong_checksum_is_noticed(up: Uploading, work: Callable[..., None], platform: Platform) -> None:
    upload = up.arrived(CSV, sha256="0" * 64)
    work()
    shown = up.show(upload)
    assert (shown["state"], shown["failure"]["code"]) == ("failed", "wrong_checksum")
    assert (up.samples(), objects(platform, "datasets")) == ([], [])


def test_two_uploads_at_once_do_not_mix(up: Uploading, work: Callable[..., None]) -> None:
    contents = {f"{letter}.csv": b"a,b\n" + b"%d,1\n" % n * 50_000 for n, letter in enumerate("xy", 1)}
    pairs = [(up.announce(content, name), content) for name, content in contents.items()]

    def send(upload: dict[str, Any], content: bytes) -> None:
        for offset in range(0, len(content), 30_000):
            assert up.send(upload, offset, content[offset : offset + 30_000]).status_code == 200
        assert up.complete(upload).status_code == 202

    threads = [threading.Thread(target=send, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work()
    work()
    found = {sample["filename"]: sample["sha256"] for sample in up.samples()}
    assert found == {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def test_broken_rows_may_be_left_out_in_a_second_try(up: Uploading, work: Callable[..., None]) -> None:
    content = CSV + b"1,2,3\n"
    upload = up.arrived(content)
    work()
    assert up.show(upload)["failure"]["code"] == "ragged_rows"
    assert up.complete(upload, on_error="tolerant").status_code == 202
    work()
    (sample,) = up.samples()
    assert (sample["rows"], sample["problems"][0]["code"], sample["problems"][0]["rows"]) == (60, "broken_rows", [61])
    again = up.complete(upload)
    assert again.status_code == 409


def test_an_archive_becomes_several_samples(up: Uploading, work: Callable[..., None], platform: Platform) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("training/a.csv", CSV)
        archive.writestr("test/a.csv", CSV[:200].rpartition(b"\n")[0])
        archive.writestr("README.md", "about")
    up.arrived(content.getvalue(), "data.zip", purpose="validation")
    work()
    samples = {sample["purpose"]: sample for sample in up.samples()}
    assert sorted(samples) == ["test", "training"]
    assert samples["training"]["sha256"] == SHA
    stored = platform.objects.get(f"datasets/{samples['training']['dataset']}/{samples['training']['id']}/original")
    assert stored == CSV


def test_a_bad_archive_leaves_nothing(up: Uploading, work: Callable[..., None], platform: Platform) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.csv", CSV)
        archive.writestr("../b.csv", CSV)
    upload = up.arrived(content.getvalue(), "data.zip")
    work()
    assert up.show(upload)["failure"]["code"] == "bad_archive"
    assert (up.samples(), objects(platform, "datasets")) == ([], [])


def test_a_file_replaces_another(up: Uploading, work: Callable[..., None], platform: Platform) -> None:
    up.arrived(CSV, purpose="test")
    work()
    (old,) = up.samples()
    other = CSV.replace(b"59,2", b"59,1")
    upload = up.arrived(other, "new.csv", replace=old["id"])
    assert upload["purpose"] == "test"
    work()
    assert [sample["filename"] for sample in up.samples()] == ["new.csv"]
    uploads.tidy(platform)
    assert [key for key in objects(platform) if old["id"] in key or key.startswith("uploads")] == []
    missing = up.http.post(up.path, json={"filename": "a.csv", "size": 1, "replace": "smp_none"})
    assert missing.status_code == 404


def test_pieces_go_when_they_are_done_and_after_a_week(
    up: Uploading, work: Callable[..., None], platform: Platform
) -> None:
    done, begun, old = up.arrived(CSV), up.announce(CSV), up.announce(CSV)
    work()
    for upload in (begun, old):
        up.send(upload, 0, CSV[:50])
    with platform.database.session() as session:
        row = session.get(UploadRow, old["id"])
        assert row is not None
        row.touched_at -= timedelta(days=8)
    assert uploads.tidy(platform) == 2
    assert [item["id"] for item in up.http.get(up.path).json()["items"]] == [begun["id"]]
    assert {key.split("/")[1] for key in objects(platform, "uploads")} == {begun["id"]}
    assert len(up.samples()) == 1
    assert up.show(done)["error"]["code"] == "not_found"


def test_an_upload_can_be_given_up(up: Uploading, platform: Platform) -> None:
    upload = up.announce(CSV)
    up.send(upload, 0, CSV[:50])
    assert up.http.delete(f"{up.path}/{upload['id']}").status_code == 204
    assert objects(platform, "uploads") == []
    importing = up.arrived(CSV)
    refused = up.http.delete(f"{up.path}/{importing['id']}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "in_use")


def test_an_import_that_is_stopped_can_be_done_again(up: Uploading, work: Callable[..., None]) -> None:
    upload = up.arrived(CSV)
    up.http.post(f"/api/v1/jobs/{up.show(upload)['job']}/stop")
    assert (up.show(upload)["state"], up.show(upload)["failure"]["code"]) == ("failed", "stopped")
    assert up.complete(upload).status_code == 202
    work()
    assert len(up.samples()) == 1


class Deleting(Context):
    """Somebody deletes the dataset while the importer runs."""

    delete: Callable[[], Any]

    def run_shut_in(self, argv: Sequence[str], *, work: Path, span: tuple[float, float]) -> None:
        super().run_shut_in(argv, work=work, span=span)
        self.delete()


@pytest.mark.parametrize("late", [False, True])
def test_a_dataset_may_be_deleted_during_the_import(
    up: Uploading, work: Callable[..., None], claimed: Callable[[], Context], platform: Platform, late: bool
) -> None:
    upload = up.arrived(CSV)
    job, context = up.show(upload)["job"], claimed()

    def delete() -> None:
        assert up.http.delete("/api/v1/datasets/d").status_code == 204

    if late:
        context.__class__, context.delete = Deleting, delete
    else:
        delete()
    work(context)
    ended = up.http.get(f"/api/v1/jobs/{job}").json()
    assert (ended["state"], ended["error"]["code"]) == ("failed", "upload_gone")
    assert objects(platform) == []


def test_a_worker_that_takes_over_removes_what_the_one_before_stored(
    up: Uploading, work: Callable[..., None], claimed: Callable[[], Context], platform: Platform
) -> None:
    up.arrived(CSV)
    lost = claimed()
    Intake().run(lost)  # stored, and killed before its last word
    (checkpoint,) = [event for event in lost.events if isinstance(event, Checkpoint)]
    (orphan,) = checkpoint.data["samples"]
    with platform.database.session() as session:
        batch = EventBatch(token=lost.spec.token, sequence=0, events=tuple(lost.events))
        jobs.take_events(session, lost.spec.id, batch)
        jobs.expire(session, lost.spec.id, lost.spec.token)
        jobs.take_back_lapsed(session, platform.settings.jobs)
    assert any(orphan in key for key in objects(platform))
    work()
    (sample,) = up.samples()
    assert sample["id"] != orphan
    assert {key.split("/")[2] for key in objects(platform, "datasets")} == {sample["id"]}


def test_a_single_file_tells_its_problems_too(up: Uploading) -> None:
    made = up.http.post("/api/v1/datasets/d/samples", params={"filename": "t.csv"}, content=CSV[:20])
    assert made.status_code == 201, made.text
    assert "too_few_rows" in [problem["code"] for problem in made.json()["problems"]]


def test_an_archive_of_several_tables_in_one_request_is_refused_with_a_hint(up: Uploading) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.csv", CSV)
        archive.writestr("b.csv", CSV)
    refused = up.http.post("/api/v1/datasets/d/samples", params={"filename": "d.zip"}, content=content.getvalue())
    assert refused.status_code == 422
    assert "modelyard dataset upload" in refused.json()["error"]["message"]
    assert up.samples() == []
