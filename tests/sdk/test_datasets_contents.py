"""Rows, splits, releases and their history through the client; a release with edits on a whole platform."""

import zipfile

import pytest

from modelyard.core.errors import Invalid, NotFound
from modelyard.features.datasets.errors import BadFilter, BadSplit, BadValue, WrongState
from modelyard.sdk.client import Client

TABLE = b"id,age,plan,churn\n" + b"".join(
    b"%d,%d,%s,%s\n" % (n, n % 50, b"ab"[n % 2 :][:1], b"yn"[n % 3 > 0 :][:1]) for n in range(60)
)


@pytest.fixture
def churn(client):
    dataset = client.datasets.create("churn", target="churn")
    dataset.upload(TABLE, filename="churn.csv")
    return client.datasets


def test_rows_are_listed_found_sorted_and_become_a_frame(churn):
    found = churn.rows("churn", filters=["plan:=:a", "age:>=:40"], sort="age:desc", limit=3)
    assert ([row.values["age"] for row in found], found.total) == ([48, 46, 44], 5)
    assert found.columns == {"id": "BIGINT", "age": "BIGINT", "plan": "VARCHAR", "churn": "VARCHAR"}
    frame = found.to_pandas()
    assert list(frame.columns) == ["row", "purpose", "id", "age", "plan", "churn"]
    assert [row.values["id"] for row in churn.rows("churn", offset=58)] == [58, 59]
    assert churn.rows("churn", search="Y").total == 20
    with pytest.raises(BadFilter, match="nearest are age"):
        churn.rows("churn", filters=["agee:=:3"])


def test_rows_are_labelled_edited_added_and_taken_out(churn):
    first, second, *_ = churn.rows("churn", limit=3)
    assert churn.label("churn", [first.id, second.id], "maybe").changed == 2
    assert churn.rows("churn", filters=["churn:=:maybe"]).total == 2
    assert churn.edit_rows("churn", where={"filter": ["age:<:3"]}, values={"plan": "c"}).changed == 6
    with pytest.raises(BadValue, match="whole number"):
        churn.edit_rows("churn", [first.id], values={"age": "old"})
    assert churn.edit_rows("churn", [first.id], deleted=True).counts["training"] == 59
    assert churn.edit_rows("churn", where={"filter": ["age:>=:45"]}, purpose="test").counts["test"] == 5
    made = churn.add_rows("churn", [{"id": 60, "age": 1, "plan": "a", "churn": None}], purpose="validation")
    assert (made.rows, churn.get("churn").counts) == (1, {"training": 54, "validation": 1, "test": 5})
    assert [sample.id for sample in churn.samples("churn", purpose="validation")] == [made.id]
    assert [change.action for change in churn.changes("churn", limit=5)] == [
        "sample added", "purpose set", "rows deleted", "rows edited", "rows edited",
    ]  # fmt: skip
    with pytest.raises(Invalid, match="not by both"):
        churn.edit_rows("churn", [first.id], where={}, deleted=True)


def test_a_dataset_is_divided_and_described(churn):
    done = churn.split("churn", seed=3)
    assert (done.method, done.counts) == ("stratified", {"training": 42, "validation": 9, "test": 9})
    found = churn.profile("churn")
    assert (found.counts, sum(each.rows for each in found.balance["test"])) == (done.counts, 9)
    assert churn.sample("churn", churn.samples("churn")[0].id).mixed
    with pytest.raises(BadSplit, match="not said which column is the group"):
        churn.split("churn", method="group")
    assert churn.split("churn", rules=[{"filter": ["id:<:10"], "purpose": "test"}]).method == "rules"
    with pytest.raises(Invalid, match="must be for training"):
        churn.split("churn", training=0)


def test_releases_are_put_away_compared_and_deleted(churn):
    first = churn.release("churn", "first")
    assert (first.state, first.target, first.counts["training"]) == ("published", "churn", 60)
    churn.upload("churn", TABLE, filename="more.csv", purpose="test")
    second = churn.release("churn")
    found = first.compare(second.number)
    assert (found.files.added, found.rows["test"]) == (["test/more.csv"], (0, 60))
    assert churn.release_profile("churn", 2).rows == 120
    with pytest.raises(WrongState, match="Archive it first"):
        first.delete()
    assert first.archive().state == "archived"
    assert first.restore().state == "published"
    first.archive().delete()
    with pytest.raises(NotFound):
        churn.get_release("churn", 1)
    assert churn.get("churn").latest_release == 2
    with pytest.raises(WrongState, match="only one that failed"):
        churn.retry_release("churn", 2)


def test_roles_are_told_and_checked(client):
    dataset = client.datasets.create("sales", scenario="time-series-prediction", roles={"time": "day"})
    dataset.upload(b"day,amount\n" + b"".join(b"2024-01-%02d,%d\n" % (n, n) for n in range(1, 29)), filename="s.csv")
    found = client.datasets.get("sales")
    assert (found.target, found.roles) == ("amount", {"time": "day"})
    with pytest.raises(Invalid, match="no column 'hour'"):
        client.datasets.update("sales", roles={"time": "hour"})
    with pytest.raises(Invalid):
        client.datasets.update("sales", roles={"colour": "day"})


@pytest.fixture
def datasets(platform):
    with Client(platform.url, platform.key) as opened:
        yield opened.datasets


def test_a_release_with_purposes_and_edits_is_made_by_its_job(datasets, fresh, tmp_path):
    name = fresh("churn")
    datasets.create(name, target="churn").upload(TABLE, filename="churn.csv")
    datasets.split(name)
    row = datasets.rows(name, purpose="test", limit=1)[0]
    datasets.edit_rows(name, [row.id], values={"plan": "gold, old"})
    begun = datasets.release(name, wait=False)
    assert (begun.state, begun.files, begun.job is not None) == ("preparing", [], True)
    release = begun.wait(timeout=120)
    assert (release.state, release.counts) == ("published", {"training": 42, "validation": 9, "test": 9})
    again = datasets.release(name)
    assert (again.number, again.state, again.checksum) == (2, "published", release.checksum)
    with zipfile.ZipFile(release.download(tmp_path)) as archive:
        assert sorted(archive.namelist()) == [
            "dataset.json", "test/churn.csv", "training/churn.csv", "validation/churn.csv",
        ]  # fmt: skip
        assert b'"gold, old"' in archive.read("test/churn.csv")
