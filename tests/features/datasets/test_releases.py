"""Releases: taken, prepared by their job, archived, deleted, compared; what is refused, and who is named."""

import csv
import io
import zipfile

import pytest

from modelyard.core.errors import InUse, NotFound
from modelyard.features.datasets import archive, compare, editing, history, operations, releases, splitting
from modelyard.features.datasets.errors import ColumnsDiffer, EmptyDataset, WrongState
from modelyard.features.datasets.schemas import DatasetUpdate, RowsUpdate, Split, Where
from modelyard.features.jobs import operations as jobs
from modelyard.features.models import operations as models
from modelyard.features.models.tables import VersionRow
from modelyard.storage.db.paging import Paging


def change(shelf, of="people", **wanted):
    return editing.update(shelf.platform, shelf.principal, of, RowsUpdate(**wanted))


def edit(shelf, row, **values):
    return change(shelf, rows=[row], values=values)


def act(shelf, what, number, of="people"):
    with shelf.platform.database.session() as session:
        return what(session, shelf.principal, of, number, shelf.platform.clock.now())


def delete(shelf, number, of="people"):
    releases.delete(shelf.platform, shelf.principal, of, number)


def delete_sample(shelf, sample, of="people"):
    with shelf.platform.database.session() as session:
        now = shelf.platform.clock.now()
        prefixes = operations.delete_sample(session, shelf.principal, of, sample.id, now)
    for prefix in prefixes:
        shelf.platform.objects.delete_all(prefix)
    return prefixes


def test_untouched_files_are_published_at_once_as_they_are(shelf, people):
    sample = people(rows=50, target="left")
    shelf.sample("SELECT 50 + range AS id, range AS age, 'city 9' AS city, 1.5 AS income, true AS left, "
                 "TIMESTAMP '2025-01-01' AS seen FROM range(10)", purpose="test", name="later.csv")  # fmt: skip
    row = shelf.release(note="first")
    assert (row.number, row.state, row.job, row.rows, row.note) == (1, "published", None, 60, "first")
    assert [(entry["filename"], entry["purpose"], entry["rows"]) for entry in row.manifest] == [
        (sample.filename, "training", 50), ("later.csv", "test", 10),
    ]  # fmt: skip
    assert row.manifest[0]["table"] == sample.table
    assert operations.roles_of(row) == {"target": "left"}
    assert len(shelf.table(row, "test")) == 10
    profile = {column["name"]: column for column in row.profile["columns"]}
    assert (row.profile["rows"], profile["id"]["distinct"], profile["id"]["maximum"]) == (60, 60, 59)
    assert (profile["left"]["top"], profile["city"]["distinct"]) == ([[False, 33], [True, 27]], 8)
    assert profile["seen"]["maximum"] == "2025-01-01T00:00:00"


def test_a_second_release_of_the_same_is_the_first_again(shelf, people):
    people()
    splitting.split(shelf.platform, shelf.principal, "people", Split())
    first = shelf.release()
    again = releases.take(shelf.platform, shelf.principal, "people", "again")
    assert (again.number, again.state, again.job) == (2, "published", None)
    assert (again.manifest, again.checksum, again.profile) == (first.manifest, first.checksum, first.profile)
    edit(shelf, f"{first.manifest[0]['sample']}:0", city="x")
    assert releases.take(shelf.platform, shelf.principal, "people", "").state == "preparing"


def test_purposes_and_edits_of_rows_become_tables_of_the_release(shelf, people):
    sample = people(rows=20)
    shelf.sample("SELECT 100 AS id, 1 AS age, 'x' AS city, 2.5 AS income, true AS left, NULL::TIMESTAMP AS seen")
    change(shelf, where=Where(filter=["id:>=:15", "id:<:20"]), purpose="test")
    edit(shelf, f"{sample.id}:3", city='it\'s "Ulm"', age=None)
    change(shelf, rows=[f"{sample.id}:0", f"{sample.id}:19"], deleted=True)
    row = releases.take(shelf.platform, shelf.principal, "people", "")
    assert (row.state, row.manifest, row.rows) == ("preparing", [], 0)
    shelf.work(row)
    row = shelf.shown(row)
    assert (row.state, row.rows) == ("published", 19)
    assert shelf.job(row).result == {"release": "people@1"}
    training, test = shelf.table(row, "training"), shelf.table(row, "test")
    assert [line[0] for line in training] == [*range(1, 15), 100]
    assert (training[2][1], training[2][2]) == (None, 'it\'s "Ulm"')
    assert [line[0] for line in test] == [15, 16, 17, 18]
    assert row.manifest[-1]["original"].endswith("/original")
    assert all("/blobs/" in entry["table"] and entry["filename"] == "file-1.csv" for entry in row.manifest[:2])
    profile = {column["name"]: column for column in row.profile["columns"]}
    assert (row.profile["rows"], profile["age"]["missing"], profile["id"]["minimum"]) == (19, 1, 1)


def test_the_download_holds_what_was_made(shelf, people):
    sample = people(rows=10)
    edit(shelf, f"{sample.id}:1", city="a, b")
    change(shelf, rows=[f"{sample.id}:9"], purpose="validation")
    row = shelf.release()
    content = b"".join(archive.stream(shelf.platform.objects, {"number": row.number}, row.manifest))
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        assert sorted(opened.namelist()) == ["dataset.json", "training/file-1.csv", "validation/file-1.csv"]
        lines = list(csv.DictReader(io.StringIO(opened.read("training/file-1.csv").decode())))
        sizes = {info.filename: info.file_size for info in opened.infolist()}
    assert [entry["size"] for entry in row.manifest] == [sizes["training/file-1.csv"], sizes["validation/file-1.csv"]]
    assert (len(lines), lines[1]["city"], lines[3]["left"]) == (9, "a, b", "true")


def test_logs_are_downloaded_as_lines(shelf):
    shelf.dataset("logs", scenario="log-clustering")
    shelf.sample("SELECT 'error \"' || range || '\", code 5' AS line FROM range(6)", to="logs", name="app.log")
    change(shelf, "logs", where=Where(filter=['line:contains:"2"']), deleted=True)
    (entry,) = shelf.release("logs").manifest
    assert entry["filename"] == "app.txt"
    text = shelf.platform.objects.get(entry["original"]).decode()
    assert text.splitlines() == [f'error "{number}", code 5' for number in (0, 1, 3, 4, 5)]


def test_what_is_made_alike_is_kept_once(shelf, people):
    sample = people(rows=10)
    change(shelf, rows=[f"{sample.id}:9"], purpose="test")
    shelf.release()
    before = shelf.objects()
    change(shelf, rows=[f"{sample.id}:9"], purpose="validation")
    change(shelf, rows=[f"{sample.id}:9"], purpose="test")
    second = shelf.release()
    assert (second.number, second.state) == (2, "published")
    blobs = [key for key in shelf.objects() if "/blobs/" in key]
    assert blobs == [key for key in before if "/blobs/" in key]


def test_there_must_be_something_to_learn_from(shelf, people):
    shelf.dataset("bare")
    with pytest.raises(EmptyDataset, match="no training rows"):
        shelf.release("bare")
    people(rows=5)
    change(shelf, where=Where(), purpose="test")
    with pytest.raises(EmptyDataset):
        shelf.release()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT 1 AS id, 'x' AS town", "lacks age, city, income, left, seen and has town besides"),
        ("SELECT 1 AS id, true AS age, 'x' AS city, 1.5 AS income, true AS left, NULL::TIMESTAMP AS seen",
         "'age' holds true or false in file-2.csv and numbers in file-1.csv"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_together_are_refused_with_the_difference(shelf, people, query, said):
    people(rows=5)
    shelf.sample(query)
    with pytest.raises(ColumnsDiffer, match=said):
        shelf.release()


def test_a_column_without_values_and_one_of_text_fit_any(shelf, people):
    people(rows=5)
    shelf.sample(
        "SELECT 1 AS id, 'unknown' AS age, NULL::VARCHAR AS city, NULL::VARCHAR AS income, "
        "NULL::VARCHAR AS left, NULL::TIMESTAMP AS seen"
    )
    row = shelf.release()
    types = {column["name"]: column["type"] for column in row.profile["columns"]}
    assert (types["age"], types["income"], types["left"]) == ("VARCHAR", "DOUBLE", "BOOLEAN")


def test_a_release_that_failed_says_why_and_can_be_tried_again(shelf, people):
    sample = people(rows=10)
    edit(shelf, f"{sample.id}:1", city="x")
    row = releases.take(shelf.platform, shelf.principal, "people", "")
    shelf.work(row, "failed")
    failed = shelf.shown(row)
    assert (failed.state, failed.failure["code"], failed.manifest) == ("failed", "out_of_space", [])
    with shelf.platform.database.session() as session, pytest.raises(WrongState, match="could not be made"):
        operations.get_release(session, shelf.principal, "people", 1)
    again = releases.retry(shelf.platform, shelf.principal, "people", 1)
    assert (again.id, again.number, again.state, again.failure) == (row.id, 1, "preparing", None)
    shelf.work(again)
    assert shelf.shown(again).state == "published"
    assert {key.split("/")[3] for key in shelf.objects() if "/releases/" in key} == {row.id}
    with pytest.raises(WrongState, match="only one that failed"):
        releases.retry(shelf.platform, shelf.principal, "people", 1)


def test_a_job_that_is_stopped_fails_its_release(shelf, people):
    sample = people(rows=10)
    edit(shelf, f"{sample.id}:1", city="x")
    row = releases.take(shelf.platform, shelf.principal, "people", "")
    with shelf.platform.database.session() as session:
        jobs.stop(session, shelf.principal, row.job)
    assert (shelf.shown(row).state, shelf.shown(row).failure["code"]) == ("failed", "job_stopped")


def test_a_release_under_way_keeps_its_files(shelf, people):
    sample = people(rows=10)
    change(shelf, rows=[f"{sample.id}:1"], purpose="test")
    row = releases.take(shelf.platform, shelf.principal, "people", "")
    with pytest.raises(InUse, match="Release 1 of people is being prepared"):
        delete_sample(shelf, sample)
    change(shelf, rows=[f"{sample.id}:2"], purpose="test")
    shelf.work(row)
    assert [line[0] for line in shelf.table(shelf.shown(row), "test")] == [1]
    assert delete_sample(shelf, sample) == []


def test_an_archived_release_is_offered_no_more_until_it_is_restored(shelf, people):
    people(rows=10)
    shelf.release()
    assert act(shelf, releases.archive, 1).state == "archived"
    with shelf.platform.database.session() as session:
        with pytest.raises(WrongState, match="dataset restore people@1"):
            operations.get_release(session, shelf.principal, "people", 1)
        with pytest.raises(NotFound, match="no release yet"):
            operations.get_release(session, shelf.principal, "people")
    with pytest.raises(WrongState, match="is archived"):
        act(shelf, releases.archive, 1)
    assert act(shelf, releases.restore, 1).state == "published"
    with pytest.raises(WrongState):
        act(shelf, releases.restore, 1)


def test_a_deleted_release_takes_with_it_what_nothing_else_needs(shelf, people):
    sample = people(rows=10)
    change(shelf, rows=[f"{sample.id}:1"], purpose="test")
    shelf.release()
    change(shelf, rows=[f"{sample.id}:2"], purpose="test")
    second = shelf.release()
    delete_sample(shelf, sample)
    with pytest.raises(WrongState, match="Archive it first"):
        delete(shelf, 1)
    act(shelf, releases.archive, 1)
    delete(shelf, 1)
    assert [line[0] for line in shelf.table(second, "test")] == [1, 2]
    kept = {entry[name] for entry in second.manifest for name in ("table", "original")}
    assert {key for key in shelf.objects() if "/blobs/" in key} == kept
    act(shelf, releases.archive, 2)
    delete(shelf, 2)
    assert shelf.objects() == []
    assert shelf.release_numbers() == []


def test_whoever_uses_a_release_is_named_and_keeps_it(shelf, people):
    people(rows=10)
    release = shelf.release()
    act(shelf, releases.archive, 1)
    with shelf.platform.database.session() as session:
        now = shelf.platform.clock.now()
        model = models.ensure_model(session, shelf.principal, models.parse("sales/churn"), now)
        result = {"folder": "runs/1", "checksum": "", "files": [], "signature": {}, "artifact": {}, "evaluation": {}}
        models.add_version(
            session, model, job="job_1", created_by=shelf.principal.user, result=result,
            lineage={"release_id": release.id}, now=now,
        )  # fmt: skip
    with pytest.raises(InUse, match="in use by version sales/churn/v1"):
        delete(shelf, 1)
    with shelf.platform.database.session() as session:
        session.delete(session.query(VersionRow).one())
    delete(shelf, 1)


def test_a_dataset_goes_when_its_releases_are_gone(shelf, people):
    people(rows=10)
    shelf.release()
    with shelf.platform.database.session() as session, pytest.raises(InUse, match=r"release 1 \(published\)"):
        operations.delete(session, shelf.principal, "people")
    act(shelf, releases.archive, 1)
    delete(shelf, 1)
    with shelf.platform.database.session() as session:
        prefixes = operations.delete(session, shelf.principal, "people")
    assert all(any(key.startswith(f"{prefix}/") for prefix in prefixes) for key in shelf.objects())


def test_a_release_remembers_the_roles_of_its_time(shelf, people):
    people(rows=10)
    shelf.release()
    with shelf.platform.database.session() as session:
        wanted = DatasetUpdate(target="left", roles={"group": "city"})
        operations.update(session, shelf.principal, "people", wanted, shelf.platform.clock.now())
    second = shelf.release()
    assert (second.number, operations.roles_of(second)) == (2, {"target": "left", "group": "city"})
    with shelf.platform.database.session() as session:
        assert operations.roles_of(operations.get_release(session, shelf.principal, "people", 1)) == {}


def test_two_releases_are_compared_from_what_is_stored(shelf, people):
    people(rows=200, target="left")
    first = shelf.release()
    shelf.sample(
        "SELECT 1000 + range AS id, 200 + range % 10 AS age, 'city ' || range % 7 AS city, NULL::DOUBLE AS income, "
        "true AS left, TIMESTAMP '2024-01-01' AS seen FROM range(200)",
        name="new.csv",
    )
    second = shelf.release()
    found = compare.compared(*(compare.Side.of(row, row.profile) for row in (first, second)))
    assert (found.before, found.after, found.same) == (1, 2, False)
    assert (found.files.added, found.files.removed, found.files.changed) == (["training/new.csv"], [], [])
    assert found.rows["training"] == (200, 400)
    shifts = {shift.name: shift for shift in found.shifts}
    assert (shifts["age"].shifted, shifts["income"].shifted, shifts["city"].shifted) == (True, True, False)
    assert shifts["age"].ks == pytest.approx(0.5, abs=0.05)
    assert shifts["income"].missing == (0.0, 0.5)
    assert {each.value: (each.before, each.after) for each in found.balance}[True] == (0.335, 0.6675)
    same = compare.compared(*(compare.Side.of(row, row.profile) for row in (first, first)))
    assert same.same
    assert all(shift.psi == shift.divergence == 0 for shift in same.shifts if shift.psi is not None)


def test_old_releases_keep_working(shelf, people):
    sample = people(rows=5)
    row = shelf.release()
    with shelf.platform.database.session() as session:
        old = operations.release_by_id(session, shelf.principal, row.id)
        folder = operations.sample_folder(sample)
        entry = {name: value for name, value in row.manifest[0].items() if name not in {"table", "original"}}
        old.manifest, old.profile, old.roles = [entry | {"folder": folder}], {}, {}
        session.flush()
        assert operations.profile_of(session, old) == sample.profile
    assert len(shelf.table(old, "training")) == 5
    content = b"".join(archive.stream(shelf.platform.objects, {}, old.manifest))
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        assert len(opened.read("training/file-1.csv")) == sample.size


def test_the_history_tells_of_releases(shelf, people):
    sample = people(rows=10)
    edit(shelf, f"{sample.id}:1", city="x")
    shelf.release()
    act(shelf, releases.archive, 1)
    with shelf.platform.database.session() as session:
        dataset = operations.get(session, shelf.principal, "people")
        page = history.changes(session, dataset, Paging(4))
        assert (page.total, dataset.revision) == (6, 2)
        assert [row.action for row in page.rows] == [
            "release archived", "release published", "release begun", "rows edited",
        ]  # fmt: skip
        assert page.rows[0].detail == {"number": 1, "note": "", "revision": 2}
