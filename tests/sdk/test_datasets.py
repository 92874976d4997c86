"""Files go up, releases come down, against a real api with its importers in the sandbox."""

import io
import os
import zipfile

import pytest

from modelyard.core.errors import Conflict, InUse, Invalid, NotFound
from modelyard.features.datasets.importers.errors import EmptyFile, NotATable
from modelyard.sdk.client import Client
from modelyard.sdk.errors import ConnectionLost

TABLE = b"age,plan,churn\n" + b"".join(
    b"%d,%s,%s\n" % (n, b"ab"[n % 2 :][:1], b"yn"[n % 3 > 0 :][:1]) for n in range(60)
)
OTHER = TABLE.replace(b"age", b"years")


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "churn.csv"
    file.write_bytes(TABLE)
    return file


def test_a_file_becomes_a_sample_with_a_profile_then_a_release_then_a_zip(client, path, tmp_path):
    dataset = client.datasets.create("churn")
    seen = []
    sample = dataset.upload(path, progress=lambda sent, size: seen.append((sent, size)))
    assert (sample.filename, sample.rows, sample.size) == ("churn.csv", 60, len(TABLE))
    assert [column["name"] for column in sample.profile["columns"]] == ["age", "plan", "churn"]
    assert seen[-1] == (len(TABLE), len(TABLE))
    client.datasets.upload("churn", TABLE, purpose="test", filename="held-out.csv")
    release = dataset.release("first")
    assert (release.reference, release.rows, len(release.files)) == ("churn@1", 120, 2)
    with pytest.raises(InUse):
        dataset.delete()
    written = release.download(tmp_path)
    assert written == tmp_path / "churn-1.zip"
    with zipfile.ZipFile(written) as archive:
        assert archive.read("training/churn.csv") == TABLE
        assert archive.read("test/held-out.csv") == TABLE
    assert client.datasets.download("churn", tmp_path / "named.zip") == tmp_path / "named.zip"


def test_an_upload_is_sent_again_whole_and_arrives_once(over, way, client, path):
    client.datasets.create("churn")
    way.faults = ["refuse", "lose", "busy"]
    over.datasets.upload("churn", path)
    assert len(way.requests) == 4
    assert [sample.rows for sample in client.datasets.samples("churn")] == [60]


def test_what_cannot_be_read_twice_is_sent_once(over, way, client):
    client.datasets.create("churn")
    way.faults = ["cut"]
    reader, writer = os.pipe()
    os.write(writer, TABLE)
    os.close(writer)
    with os.fdopen(reader, "rb") as file, pytest.raises(ConnectionLost):
        # A pipe has no length, and the way takes none without: what counts is that there is no second try.
        over.datasets.upload("churn", file, filename="piped.csv")
    assert len(way.requests) == 1


def test_a_pipe_arrives_too(client):
    client.datasets.create("churn")
    reader, writer = os.pipe()
    os.write(writer, TABLE)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert client.datasets.upload("churn", file, filename="piped.csv").rows == 60


def test_a_bad_file_raises_why(client):
    client.datasets.create("churn")
    with pytest.raises(EmptyFile):
        client.datasets.upload("churn", b"", filename="empty.csv")
    with pytest.raises(NotATable):
        client.datasets.upload("churn", b"%PDF-1.7 ...", filename="paper.pdf")
    with pytest.raises(NotFound):
        client.datasets.upload("nowhere", TABLE)
    assert client.datasets.samples("churn") == []


def test_the_same_content_is_neither_sent_nor_released_twice(over, way, path):
    first = over.datasets.ensure_release("sales-churn", path)
    uploads = [request for request in way.requests if b"POST" in request.split(b"\r\n")[0] and b"/samples" in request]
    assert (first.number, len(uploads)) == (1, 1)
    way.requests.clear()
    again = over.datasets.ensure_release("sales-churn", io.BytesIO(TABLE))
    assert again.id == first.id
    assert all(request.startswith(b"GET") for request in way.requests)


def test_new_content_makes_a_release_of_its_own_and_the_old_one_keeps_its_file(client, path):
    client.datasets.ensure_release("sales-churn", path)
    second = client.datasets.ensure_release("sales-churn", OTHER)
    assert (second.number, [file.sha256 for file in second.files]) == (
        2, [sample.sha256 for sample in client.datasets.samples("sales-churn")],
    )  # fmt: skip
    first = client.datasets.releases("sales-churn")[1]
    assert [file.filename for file in first.files] == ["churn.csv"]
    assert client.datasets.ensure_release("sales-churn", path).id == first.id


def test_a_file_left_by_a_broken_attempt_is_used(client, path):
    client.datasets.create("sales-churn")
    sample = client.datasets.upload("sales-churn", path)
    assert [file.sample for file in client.datasets.ensure_release("sales-churn", path).files] == [sample.id]


def test_unreleased_files_of_somebody_are_never_dropped(client, path):
    client.datasets.create("sales-churn")
    client.datasets.upload("sales-churn", OTHER, filename="precious.csv")
    with pytest.raises(Conflict, match=r"precious\.csv"):
        client.datasets.ensure_release("sales-churn", path)
    assert [sample.filename for sample in client.datasets.samples("sales-churn")] == ["precious.csv"]


def test_samples_can_be_changed_and_taken_out(client):
    client.datasets.create("churn")
    sample = client.datasets.upload("churn", TABLE)
    assert client.datasets.set_purpose("churn", sample.id, "validation").purpose == "validation"
    assert client.datasets.sample("churn", sample.id).purpose == "validation"
    client.datasets.delete_sample("churn", sample.id)
    assert client.datasets.samples("churn") == []


def test_a_download_that_breaks_is_begun_again(client, way, login, path, tmp_path):
    release = client.datasets.ensure_release("churn", path)
    with Client(way.url, login["api_key"]) as over:
        way.faults = ["", "cut", "lose"]
        written = over.datasets.download("churn", tmp_path / "out.zip", release.number)
    with zipfile.ZipFile(written) as archive:
        assert archive.testzip() is None
    assert list(tmp_path.glob("*.part")) == []


def test_a_place_that_cannot_be_written_is_refused(client, path, tmp_path):
    client.datasets.ensure_release("churn", path)
    with pytest.raises(Invalid, match="cannot be written"):
        client.datasets.download("churn", tmp_path / "no" / "such" / "folder.zip")


def test_a_release_is_needed_for_a_download(client, tmp_path):
    client.datasets.create("churn")
    with pytest.raises(NotFound, match="no release yet"):
        client.datasets.download("churn", tmp_path)


def test_the_catalogue(client):
    assert "tabular-classification" in [scenario.name for scenario in client.scenarios.list()]
    names = [algorithm.name for algorithm in client.algorithms.list("tabular-regression")]
    assert names
    assert client.algorithms.get(names[0]).parameters["type"] == "object"
