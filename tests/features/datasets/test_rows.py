"""The rows of a dataset: looked at in pages, found, sorted, edited, taken out, added."""

import pytest
from sqlalchemy import select

from modelyard.core.errors import NotFound
from modelyard.features.datasets import editing, filters
from modelyard.features.datasets.errors import BadFilter, BadValue
from modelyard.features.datasets.schemas import RowsUpdate, Where
from modelyard.features.datasets.tables import ChangeRow, SampleRow


def change(shelf, of="people", **wanted):
    return editing.update(shelf.platform, shelf.principal, of, RowsUpdate(**wanted))


def ids_of(page):
    return [row.values["id"] for row in page.items]


def test_a_page_shows_the_rows_in_the_order_of_the_file(shelf, people):
    sample = people(rows=100)
    page = shelf.rows(limit=3)
    assert (page.total, page.offset) == (100, 0)
    assert page.columns == {
        "id": "BIGINT", "age": "BIGINT", "city": "VARCHAR", "income": "DOUBLE", "left": "BOOLEAN", "seen": "TIMESTAMP",
    }  # fmt: skip
    first = page.items[0]
    assert (first.id, first.purpose, first.edited) == (f"{sample.id}:0", "training", False)
    assert first.values == {
        "id": 0, "age": 0, "city": "city 0", "income": 0.0, "left": True, "seen": "2024-01-01T00:00:00",
    }  # fmt: skip
    assert ids_of(page) == [0, 1, 2]


FILTERS = [
    (["age:>=:88"], [88, 89, 178, 179]),
    (["age:<:2", "id:>:50"], [90, 91, 180, 181]),
    (["id:<=:1.5"], [0, 1]),
    (["city:=:city 3", "id:<:20"], [3, 10, 17]),
    (["city:!=:city 3", "id:<:4"], [0, 1, 2]),
    (["city:contains:TY 6", "id:<:15"], [6, 13]),
    (["left:=:true", "id:<:7"], [0, 3, 6]),
    (["income:=:0.5"], [4]),
    (["seen:<:2024-01-01T02:00:00"], [0, 1]),
    (["seen:=:2024-01-01T05:00:00+02:00"], [3]),
    (["city:missing"], []),
    (["city:present", "id:=:199"], [199]),
]


def test_filters_find_the_rows_that_fit_all_of_them(shelf, people):
    people(rows=200)
    for given, expected in FILTERS:
        page = shelf.rows(*given)
        assert (ids_of(page), page.total) == (expected, len(expected)), given


def test_what_a_person_writes_never_becomes_sql(shelf):
    shelf.dataset()
    evil = 'x"; DROP TABLE "y\' --'
    quoted = evil.replace('"', '""')
    shelf.sample(f"SELECT range AS file_row_number, 'it''s' AS \"{quoted}\", 'a:b' AS \"k:=\" FROM range(3)")
    assert shelf.rows(f"{evil}:=:it's").total == 3
    assert shelf.rows(f"{evil}:=:' OR 1=1 --").total == 0
    assert shelf.rows("k:=:=:a:b").total == 3
    assert [row.values["file_row_number"] for row in shelf.rows(sort="file_row_number:desc").items] == [2, 1, 0]
    assert shelf.rows(search="' OR true --").total == 0
    assert shelf.rows(search="IT'S").total == 3


NONSENSE = [
    ("agee:=:3", "nearest are age"),
    ("age", "no column 'age'"),
    ("age:like:3", "is no filter"),
    ("age:=", "is no filter"),
    ("age:=:old", "whole number"),
    ("left:=:perhaps", "true or false"),
    ("seen:>:yesterday", "a time such as"),
    ("age:=:", "age:missing"),
    ("income:>:nan", "a number"),
]


def test_a_filter_that_makes_no_sense_is_refused_with_a_hint(shelf, people):
    people()
    for given, said in NONSENSE:
        with pytest.raises(BadFilter, match=said):
            shelf.rows(given)


def test_rows_are_sorted_by_a_column_missing_values_last(shelf):
    shelf.dataset()
    shelf.sample("SELECT unnest([3, NULL, 1, 3]) AS x, unnest(['a', 'b', 'c', 'd']) AS y")
    for sort, expected in (("x", "cadb"), ("x:desc", "adcb"), ("y:desc", "dcba")):
        assert "".join(row.values["y"] for row in shelf.rows(sort=sort).items) == expected
    with pytest.raises(BadFilter, match="no column 'z'"):
        shelf.rows(sort="z:desc")


def test_several_files_are_looked_at_together_or_one_by_one(shelf, people):
    first = people(rows=5)
    second = shelf.sample("SELECT 1000 AS id, 'x' AS city, 5 AS income", purpose="test")
    page = shelf.rows()
    assert (page.total, page.columns["income"]) == (6, "DOUBLE")
    assert page.items[-1].values == {
        "id": 1000, "age": None, "city": "x", "income": 5.0, "left": None, "seen": None,
    }  # fmt: skip
    assert [shelf.rows(sample=sample.id).total for sample in (first, second)] == [5, 1]
    assert ids_of(shelf.rows(purpose="test")) == [1000]
    with pytest.raises(NotFound):
        shelf.rows(sample="smp_other")


def test_an_empty_dataset_has_an_empty_page(shelf):
    shelf.dataset()
    assert shelf.rows().total == 0


def test_edited_values_are_shown_found_and_told_from_others(shelf, people):
    sample = people(rows=10)
    done = change(shelf, rows=[f"{sample.id}:2", f"{sample.id}:7"], values={"city": "Ulm", "income": 7, "left": None})
    assert (done.changed, done.revision) == (2, 2)
    found = shelf.rows("city:=:Ulm")
    assert ids_of(found) == [2, 7]
    assert all(row.edited and row.values["income"] == 7 and row.values["left"] is None for row in found.items)
    assert ids_of(shelf.rows("left:missing")) == [2, 7]
    assert [row.edited for row in shelf.all()] == [number in {2, 7} for number in range(10)]
    change(shelf, rows=[f"{sample.id}:2"], values={"city": "Bonn"})
    assert shelf.rows("id:=:2").items[0].values["income"] == 7
    change(shelf, where=Where(filter=["city:=:Ulm"]), values={"city": ""})
    assert ids_of(shelf.rows("city:missing")) == [7]


MISFITS = [
    ({"age": "old"}, "holds a whole number"),
    ({"age": 1.5}, "whole number"),
    ({"age": True}, "whole number"),
    ({"age": 1 << 70}, "whole number"),
    ({"left": "yes"}, "true or false"),
    ({"seen": "soon"}, "a time such as"),
    ({"city": 3}, "a text"),
    ({"city": "a\0b"}, "a text"),
    ({"none": 3}, "no column 'none'"),
]


def test_a_value_that_does_not_fit_its_column_is_refused(shelf, people):
    sample = people(rows=3)
    for values, said in MISFITS:
        with pytest.raises(BadValue, match=said):
            change(shelf, rows=[f"{sample.id}:0"], values=values)
    assert not any(row.edited for row in shelf.all())


def test_deleted_rows_are_gone_and_can_be_had_back(shelf, people):
    sample = people(rows=10)
    assert change(shelf, where=Where(filter=["age:>:6"]), deleted=True).counts["training"] == 7
    page = shelf.rows()
    assert (page.total, ids_of(page)) == (7, list(range(7)))
    with pytest.raises(BadValue, match="no row"):
        change(shelf, rows=[f"{sample.id}:9"], values={"city": "x"})
    assert change(shelf, rows=[f"{sample.id}:9"], deleted=False).counts["training"] == 8
    assert ids_of(shelf.rows()) == [*range(7), 9]


def test_rows_that_are_not_there_are_named(shelf, people):
    sample = people(rows=3)
    for row in (f"{sample.id}:3", "smp_other:0"):
        with pytest.raises(BadValue, match=row):
            change(shelf, rows=[row], deleted=True)


def test_purposes_are_set_one_by_one_and_by_filter(shelf, people):
    sample = people(rows=10)
    assert change(shelf, rows=[f"{sample.id}:1"], purpose="test").counts == {"training": 9, "validation": 0, "test": 1}
    assert change(shelf, where=Where(filter=["id:>=:8"]), purpose="validation").changed == 2
    assert [row.purpose for row in shelf.all()] == ["training", "test", *["training"] * 6, *["validation"] * 2]
    assert ids_of(shelf.rows(purpose="validation")) == [8, 9]
    assert len([key for key in shelf.objects() if key.endswith(".npy")]) == 1
    assert change(shelf, where=Where(), purpose="test").counts == {"training": 0, "validation": 0, "test": 10}
    with shelf.platform.database.session(read_only=True) as session:
        row = session.get(SampleRow, sample.id)
        assert (row.purpose, row.purposes) == ("test", None)
    assert [key for key in shelf.objects() if key.endswith(".npy")] == []


def test_a_change_that_changes_nothing_is_no_change(shelf, people):
    people(rows=3)
    assert change(shelf, where=Where(), purpose="training").revision == 1
    assert change(shelf, where=Where(filter=["id:>:99"]), deleted=True).changed == 0


def test_of_texts_only_the_text_and_its_label_may_be_edited(shelf):
    shelf.dataset("mails", scenario="text-classification")
    sample = shelf.sample("SELECT 'hello ' || range AS text, 'ham' AS label, range AS id FROM range(4)", to="mails")
    row = f"{sample.id}:1"
    change(shelf, "mails", rows=[row], values={"label": "spam", "text": "buy"})
    assert shelf.rows("label:=:spam", of="mails").items[0].values == {"text": "buy", "label": "spam", "id": 1}
    with pytest.raises(BadValue, match="Only text and label can be"):
        change(shelf, "mails", rows=[row], values={"id": 3})
    with pytest.raises(BadValue, match="may not be empty"):
        change(shelf, "mails", rows=[row], values={"text": " "})


def test_of_measurements_only_the_judgement_may_be_edited(shelf):
    shelf.dataset("sensor", scenario="anomaly-detection")
    query = "SELECT TIMESTAMP '2024-01-01' + to_hours(range::INT) AS time, range AS value, 0 AS label FROM range(5)"
    sample = shelf.sample(query, to="sensor")
    change(shelf, "sensor", rows=[f"{sample.id}:4"], values={"label": 1})
    assert [row.values["label"] for row in shelf.all("sensor")] == [0, 0, 0, 0, 1]
    with pytest.raises(BadValue, match="Only label can be"):
        change(shelf, "sensor", rows=[f"{sample.id}:4"], values={"value": 1})


def test_every_change_is_in_the_history(shelf, people):
    sample = people(rows=5)
    change(shelf, rows=[f"{sample.id}:1"], values={"city": "x"})
    change(shelf, rows=[f"{sample.id}:1"], deleted=True)
    change(shelf, where=Where(), purpose="test")
    with shelf.platform.database.session(read_only=True) as session:
        found = session.scalars(select(ChangeRow).order_by(ChangeRow.id)).all()
    assert [(row.action, row.detail.get("rows"), row.detail["revision"]) for row in found] == [
        ("dataset created", None, 0), ("sample added", 5, 1), ("rows edited", 1, 2), ("rows deleted", 1, 3),
        ("purpose set", 4, 4),
    ]  # fmt: skip
    assert {row.created_by for row in found} == {shelf.principal.user}
    assert found[2].detail["columns"] == ["city"]


def test_a_change_by_two_at_once_is_worked_out_again(shelf, people):
    sample = people(rows=4)
    seen = []

    def slow(found):
        seen.append(found.dataset.revision)
        if len(seen) == 1:
            change(shelf, rows=[f"{sample.id}:0"], purpose="test")
        return editing._purposes(shelf.platform, found, editing._named(found, wanted), "validation")

    wanted = RowsUpdate(rows=[f"{sample.id}:3"], purpose="validation")
    editing.apply(shelf.platform, shelf.principal, "people", slow)
    assert seen == [1, 2]
    assert [row.purpose for row in shelf.all()] == ["test", "training", "training", "validation"]
    assert len([key for key in shelf.objects() if key.endswith(".npy")]) == 1


def test_operators_are_listed_as_they_are_understood():
    assert filters.OPERATORS == ("=", "!=", "<", "<=", ">", ">=", "contains", "missing", "present")
