"""A release made by its recipe, what runs shut in as a process of its own."""

import io

import duckdb
import msgspec
import numpy as np
import pytest

from modelyard.protocol.jobs import JobSpec, Progress
from modelyard.protocol.releases import ReleasePart, ReleaseSpec
from modelyard.worker.failures import JobFailed
from modelyard.worker.recipes.release import Release

ROWS = "SELECT range AS id, 'text ' || range AS text FROM range({rows})"


@pytest.fixture
def part(context):
    """A sample's objects from SQL."""

    def make(query, **more) -> ReleasePart:
        table = context.table(query)
        key = table.key.replace("table.parquet", "original")
        context.objects.put(key, b"id,text\n")
        usual = {"sample": f"smp_{context.number}", "filename": "given.csv", "purpose": "training", "sha256": "0" * 64}
        return ReleasePart(**{**usual, "size": 8, "rows": table.rows, "table": table.key, "original": key, **more})

    return make


def take(context, *parts, edits=None, lines=False):
    if edits is not None:
        context.objects.put("edits.json", msgspec.json.encode(edits))
    spec = ReleaseSpec(
        release="rel_1", blobs="blobs", parts=parts, edits=None if edits is None else "edits.json", lines=lines
    )
    context.spec = JobSpec(
        id="job_1", kind="release", token=1, lease_seconds=10, payload=msgspec.json.decode(msgspec.json.encode(spec))
    )
    return Release().run(context)


def purposes(context, *codes) -> str:
    content = io.BytesIO()
    np.save(content, np.array(codes, np.uint8))
    context.objects.put("purposes.npy", content.getvalue())
    return "purposes.npy"


def rows(context, entry, tmp_path):
    path = tmp_path / "fetched.parquet"
    context.objects.download(entry["table"], path)
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT * FROM '{path}'").fetchall()


def test_rows_go_where_they_belong_and_untouched_files_stay(context, part, tmp_path):
    mixed = part(ROWS.format(rows=6), purposes=purposes(context, 0, 2, 0, 1, 2, 0))
    edited = part(ROWS.format(rows=3), edited=True, purpose="test")
    whole = part(ROWS.format(rows=2))
    edits = {edited.sample: [[0, None, True], [2, {"text": 'new, "text"'}, False]]}
    result = take(context, mixed, edited, whole, edits=edits)
    entries = result["entries"]
    assert [(entry["sample"], entry["purpose"], entry["rows"]) for entry in entries] == [
        (mixed.sample, "training", 3), (mixed.sample, "validation", 1), (mixed.sample, "test", 2),
        (edited.sample, "test", 2), (whole.sample, "training", 2),
    ]  # fmt: skip
    assert [row[0] for row in rows(context, entries[0], tmp_path)] == [0, 2, 5]
    assert rows(context, entries[3], tmp_path) == [(1, "text 1"), (2, 'new, "text"')]
    assert context.objects.get(entries[3]["original"]) == b'id,text\n1,text 1\n2,"new, ""text"""\n'
    assert (entries[4]["table"], entries[4]["sha256"]) == (whole.table, whole.sha256)
    assert (result["profile"]["rows"], len(result["profile"]["columns"])) == (8, 2)
    assert msgspec.json.decode(msgspec.json.encode(result)) == result
    fractions = [event.fraction for event in context.events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_a_worker_that_takes_over_makes_the_same_objects_again(context, part):
    mixed = part(ROWS.format(rows=50), purposes=purposes(context, *([0, 1] * 25)))
    first = take(context, mixed)
    before = {info.key: context.objects.get(info.key) for info in context.objects.list("blobs")}
    import shutil

    shutil.rmtree(context.scratch / "release")
    assert take(context, mixed) == first
    assert {info.key: context.objects.get(info.key) for info in context.objects.list("blobs")} == before
    assert len(before) == 4


def test_lines_of_a_log_stay_lines(context, part):
    query = "SELECT unnest(['say \"hi\", you', 'a' || chr(31) || 'b', NULL, ' x ']) AS line"
    log = part(query, filename="app.log", purposes=purposes(context, 0, 0, 0, 1))
    entries = take(context, log, lines=True)["entries"]
    assert [entry["filename"] for entry in entries] == ["app.txt", "app.txt"]
    assert context.objects.get(entries[0]["original"]).decode().splitlines() == ['say "hi", you', "a b", ""]


def test_a_table_that_is_damaged_fails_with_a_reason(context, part):
    broken = part(ROWS.format(rows=6), edited=True)
    context.objects.put(broken.table, b"PAR1 no table PAR1")
    with pytest.raises(JobFailed) as told:
        take(context, broken, edits={broken.sample: [[0, None, True]]})
    assert told.value.failure.code == "release_failed"
    assert list(context.objects.list("blobs")) == []


def test_the_profile_of_a_very_wide_table_is_shortened(context, part, monkeypatch):
    from modelyard.worker.recipes import release

    monkeypatch.setattr(release, "LARGEST_PROFILE", 5000)
    columns = ", ".join(f"repeat(chr(97 + (range % 15)::INT), 150) AS c{number}" for number in range(3))
    wide = part(f"SELECT {columns} FROM range(300)", purposes=purposes(context, *([0, 1] * 150)))
    profile = take(context, wide)["profile"]
    assert len(msgspec.json.encode(profile)) < 5000
    assert [len(column["top"]) for column in profile["columns"]] == [1, 1, 1]


def test_a_release_of_nothing_but_deleted_rows_is_empty(context, part):
    gone = part(ROWS.format(rows=1), edited=True)
    assert take(context, gone, edits={gone.sample: [[0, None, True]]}) == {"entries": [], "profile": None}
