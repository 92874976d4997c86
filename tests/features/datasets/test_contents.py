"""What a dataset holds as a whole: its profile, its roles, rows that arrive one by one; and merged profiles."""

import duckdb
import msgspec
import pytest
from anyio import CapacityLimiter, run

from modelyard.core.errors import Invalid
from modelyard.features.datasets import adding, editing, operations, profiling, reading
from modelyard.features.datasets.errors import BadValue
from modelyard.features.datasets.merging import mass_below, merged
from modelyard.features.datasets.profile import describe
from modelyard.features.datasets.schemas import DatasetUpdate, RowsUpdate, Where


def profile(shelf, of="people"):
    return profiling.profile(shelf.platform, shelf.principal, of)


def change(shelf, of="people", **wanted):
    return editing.update(shelf.platform, shelf.principal, of, RowsUpdate(**wanted))


def add(shelf, rows, of="people", purpose="training"):
    return run(adding.add, shelf.platform, shelf.principal, of, rows, purpose, CapacityLimiter(1))


def test_the_profile_tells_of_the_rows_as_they_are_now(shelf, people):
    sample = people(rows=100, target="left")
    before = profile(shelf)
    assert (before.rows, before.counts, before.revision) == (100, {"training": 100, "validation": 0, "test": 0}, 1)
    assert before.columns == sample.profile["columns"]
    counted = {purpose: [(each.value, each.rows) for each in found] for purpose, found in before.balance.items()}
    assert counted == {"training": [(False, 66), (True, 34)], "validation": [], "test": []}
    change(shelf, rows=[f"{sample.id}:0"], values={"age": 500})
    change(shelf, where=Where(filter=["left:=:true", "id:>:50"]), purpose="test")
    change(shelf, where=Where(filter=["id:>=:90"]), deleted=True)
    now = profile(shelf)
    columns = {column["name"]: column for column in now.columns}
    assert (now.rows, now.counts["test"], now.revision) == (90, 13, 4)
    assert (columns["age"]["maximum"], columns["id"]["maximum"], columns["id"]["distinct"]) == (500, 89, 90)
    assert [(each.value, each.rows) for each in now.balance["test"]] == [(True, 13)]
    assert profile(shelf) == now
    assert len(list((shelf.platform.settings.data / "cache" / "profiles").iterdir())) == 1


def test_series_are_counted_with_their_span(shelf):
    shelf.dataset("sales", scenario="time-series-prediction")
    shelf.sample(
        "SELECT DATE '2024-01-01' + (range % 20)::INT AS date, 'shop ' || range // 20 AS shop, range AS sales "
        "FROM range(50)",
        to="sales",
    )
    assert profile(shelf, "sales").series == {
        "time": "date", "series": "shop", "count": 3, "shortest": 10, "longest": 20, "from": "2024-01-01",
        "to": "2024-01-20",
    }  # fmt: skip


def test_an_empty_dataset_has_an_empty_profile(shelf):
    shelf.dataset()
    assert profile(shelf).model_dump(include={"rows", "columns", "balance"}) == {
        "rows": 0, "columns": [], "balance": None,
    }  # fmt: skip


def test_the_roles_of_the_columns_are_told_by_the_first_file_where_nobody_says_them(shelf):
    shelf.dataset("sales", scenario="time-series-prediction", roles={"series": "region"})
    query = "SELECT DATE '2024-01-01' AS day, 'a' AS region, 'b' AS shop, 5 AS value FROM range(3)"
    shelf.sample(query, to="sales")
    with shelf.platform.database.session() as session:
        found = operations.get(session, shelf.principal, "sales")
        assert (found.target, found.roles) == ("value", {"time": "day", "series": "region"})
        now = shelf.platform.clock.now()
        changed = operations.update(session, shelf.principal, "sales", DatasetUpdate(roles={"time": "day"}), now)
        assert (changed.roles, changed.revision) == ({"time": "day"}, 2)
        operations.update(session, shelf.principal, "sales", DatasetUpdate(description="by day"), now)
        assert changed.revision == 2
        with pytest.raises(Invalid, match="no column 'hour'"):
            operations.update(session, shelf.principal, "sales", DatasetUpdate(roles={"time": "hour"}), now)


def test_rows_that_are_added_become_a_file_of_the_same_columns(shelf, people):
    people(rows=10)
    made = add(shelf, [{"id": 10, "city": "Ulm", "seen": "2025-01-01T00:00:00+01:00"}, {"income": 3}], purpose="test")
    assert (made.filename, made.rows, made.purpose) == ("rows-1.jsonl", 2, "test")
    assert {column["name"]: column["type"] for column in made.profile["columns"]}["left"] == "BOOLEAN"
    rows = shelf.rows(purpose="test").items
    assert rows[0].values == {
        "id": 10, "age": None, "city": "Ulm", "income": None, "left": None, "seen": "2024-12-31T23:00:00",
    }  # fmt: skip
    assert rows[1].values["income"] == 3.0
    assert add(shelf, [{"id": 11}]).filename == "rows-2.jsonl"
    assert shelf.release().rows == 13
    for wrong, said in (({"town": 1}, "Row 2 has 'town'"), ({"id": "x"}, "Row 2: 'x' does not fit"), ({}, "Row 2 is")):
        with pytest.raises(BadValue, match=said):
            add(shelf, [{"id": 1}, wrong])


def test_the_first_rows_of_all_say_which_columns_there_are(shelf):
    shelf.dataset("mails", scenario="text-classification")
    rows = [{"text": f"hello number {n}", "label": "ham" if n % 2 else "spam"} for n in range(20)]
    assert add(shelf, rows, of="mails").rows == 20
    with shelf.platform.database.session() as session:
        assert operations.get(session, shelf.principal, "mails").target == "label"


def test_tables_are_fetched_once_and_the_least_used_make_room(shelf, people, monkeypatch):
    first = people(rows=10)
    second = shelf.sample("SELECT 1 AS id FROM range(5)", purpose="test")
    shelf.rows(sample=first.id)
    folder = shelf.platform.settings.data / "cache" / "tables"
    (kept,) = folder.iterdir()
    modified = kept.stat().st_ino
    shelf.rows(sample=first.id)
    assert kept.stat().st_ino == modified
    monkeypatch.setattr(reading, "LARGEST_CACHE", 1)
    shelf.rows(sample=second.id)
    assert [path != kept for path in folder.iterdir()] == [True]
    assert shelf.rows().total == 15


def described(query):
    with duckdb.connect() as connection:
        return msgspec.json.decode(msgspec.json.encode(describe(connection, f"({query})")))


@pytest.mark.parametrize("cut", [1, 250, 900])
def test_merged_profiles_say_what_one_of_all_rows_says(cut):
    every = (
        "SELECT range AS id, hash(range) % 1000 / 10 AS x, range % 3 = 0 AS y, 'city ' || range % 5 AS city, "
        "CASE WHEN range % 7 > 0 THEN range % 4 END AS k FROM range(1000)"
    )
    parts = [described(f"SELECT * FROM ({every}) WHERE id {way} {cut}") for way in ("<", ">=")]
    found, whole = merged(parts), described(f"SELECT * FROM ({every})")
    assert found["rows"] == 1000
    for one, other in zip(found["columns"], whole["columns"], strict=True):
        exact = ("name", "type", "missing", "minimum", "maximum", "identifier")
        assert {name: one[name] for name in exact} == {name: other[name] for name in exact}
        if other["mean"] is not None:
            assert one["mean"] == pytest.approx(other["mean"], rel=1e-9)
            assert one["deviation"] == pytest.approx(other["deviation"], rel=1e-6)
            assert one["quantiles"]["p50"] == pytest.approx(other["quantiles"]["p50"], abs=other["maximum"] * 0.1)
            assert sum(one["histogram"]["counts"]) == sum(other["histogram"]["counts"])
        if other["distinct"] <= 20:
            assert (one["distinct"], one["top"]) == (other["distinct"], other["top"])


def test_the_mass_of_a_histogram_is_spread_over_its_bins():
    histogram = {"edges": [0.0, 1.0, 3.0], "counts": [4, 6]}
    assert [mass_below(histogram, value) for value in (-1, 0, 0.5, 1, 2, 3, 9)] == [0, 0, 2, 4, 7, 10, 10]
    flat = {"edges": [5.0, 5.0], "counts": [3]}
    assert [mass_below(flat, value) for value in (4, 5, 6)] == [0, 0, 3]
