"""The same platform where a team outgrows one file and one folder: PostgreSQL and S3."""

import subprocess

import pytest

from fixtures.platform import RunningPlatform
from fixtures.user import User


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
