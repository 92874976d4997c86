"""The same platform where a team outgrows one file and one folder: PostgreSQL and S3."""

import subprocess

import pytest

from fixtures.platform import RunningPlatform
from fixtures.user import User
from modelyard import Client
from modelyard.core.errors import Conflict


@pytest.mark.postgres
@pytest.mark.s3
def test_the_whole_way_on_postgresql_and_s3(new_platform, postgres_database, s3, titanic, passenger):
    platform: RunningPlatform = new_platform(
        MODELYARD_DATABASE_URL=postgres_database, MODELYARD_OBJECTS_URL=f"{s3.url}/models", **s3.options
    )
    with platform.http() as http:
        user = User(http)
        user.dataset("titanic", titanic, target="survived")
        assert user.build("titanic", "predict who survived", "museum/titanic")["state"] == "succeeded"
        path = user.published("museum/titanic")
        assert user.predict(path, passenger).json()["version"] == "v1"
        platform.stop()
        assert not (platform.data / "modelyard.db").exists()
        assert not (platform.data / "objects").exists()
    platform.start()
    with platform.http() as http:
        assert http.get("/api/v1/models").json()["items"][0]["path"] == "museum/titanic"


@pytest.mark.postgres
@pytest.mark.s3
def test_texts_are_divided_corrected_released_searched_and_predicted_on_postgresql_and_s3(
    new_platform, postgres_database, s3
):
    platform: RunningPlatform = new_platform(
        MODELYARD_DATABASE_URL=postgres_database, MODELYARD_OBJECTS_URL=f"{s3.url}/models", **s3.options
    )
    texts = [f"the parcel {n} is late,delivery" if n % 2 else f"invoice {n} was paid twice,billing" for n in range(120)]
    with Client(platform.url, platform.key) as client:
        client.datasets.create("mail", scenario="text-classification")
        client.datasets.upload("mail", "\n".join(["text,topic", *texts]).encode(), filename="mail.csv")
        (first, *_) = client.datasets.rows("mail", search="parcel 1 is")
        client.datasets.label("mail", [first.id], "billing")
        done = client.datasets.split("mail")
        assert sum(done.counts.values()) == 120
        release = client.datasets.release("mail")
        assert (release.state, release.rows) == ("published", 120)
        run = client.train("mail", "text-classification/nbsvm", "desk/mail", search={"trials": 2})
        version = run.wait().version
        assert [trial.kind for trial in client.runs.list(parent=run.id)] == ["trial", "trial"]
        client.deployments.publish(version)
        batch = client.batch_predictions.create("desk/mail/v1", "mail@1").wait()
        assert len(batch.to_pandas()) == 120
        with pytest.raises(Conflict, match="cannot be destroyed"):
            client.datasets.delete("mail")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 3 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode != 0:
        pytest.skip("no small disk: only root may mount one")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_said_to_be_and_leaves_nothing_half_written(new_platform, small_disk):
    platform = new_platform(MODELYARD_OBJECTS_URL=str(small_disk), MODELYARD_LIMITS_FREE_DISK="0")
    rows = b"size,colour,bought\n" + b"".join(b"%d,colour number %d,yes\n" % (n, n) for n in range(400_000))
    with platform.http() as http:
        user = User(http)
        user.post("/datasets", {"name": "full"})
        refused = user.upload("full", rows)
        assert refused.status_code == 507, refused.text
        assert refused.json()["error"]["code"] == "out_of_space"
        assert "Free some space" in refused.json()["error"]["message"]
        assert user.get("/datasets/full/samples").json()["items"] == []
        assert [path for path in small_disk.rglob("*") if path.is_file()] == []
        assert user.upload("full", rows[:1000].rpartition(b"\n")[0]).status_code == 201


def test_an_upload_that_would_fill_the_disk_is_refused_before_it_begins(new_platform):
    platform = new_platform(MODELYARD_LIMITS_FREE_DISK=str(1 << 60))
    with platform.http() as http:
        user = User(http)
        user.post("/datasets", {"name": "full"})
        refused = user.upload("full", b"a,b\n1,2\n")
        assert (refused.status_code, refused.json()["error"]["code"]) == (507, "out_of_space")
        assert int(refused.headers["retry-after"]) > 0
