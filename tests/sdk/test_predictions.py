"""Rows become requests: whole where they are few, in parts where they are many."""

import csv
import datetime as dt
import io
import json

import pytest

from modelyard.core.errors import Invalid, Malformed
from modelyard.sdk import predictions
from modelyard.sdk.predictions import bodies_of, model_path


def rows_in(bodies):
    return [row for content, _, _ in bodies for row in csv.DictReader(io.StringIO(content.decode()))]


def test_one_row_and_several_are_json():
    (one,) = bodies_of({"a": 1})
    assert json.loads(one[0]) == {"instances": [{"a": 1}]}
    (several,) = bodies_of(iter([{"a": 1}, {"a": None}]))
    assert (json.loads(several[0]), several[2]) == ({"instances": [{"a": 1}, {"a": None}]}, 2)


def test_missing_values_and_dates_have_a_json_form():
    (body,) = bodies_of([{"a": float("nan"), "b": dt.date(2024, 2, 29), "c": dt.datetime(2024, 1, 1, 8)}])  # noqa: DTZ001
    assert json.loads(body[0])["instances"] == [{"a": None, "b": "2024-02-29", "c": "2024-01-01T08:00:00"}]


def test_what_has_no_json_form_is_refused():
    with pytest.raises(Invalid, match="object"):
        list(bodies_of([{"a": object()}]))


def test_a_csv_file_goes_as_it_is(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('\ufeffname,note\n"Doe, Jane","two\nlines"\n\nx,\n')
    (body,) = bodies_of(path)
    assert rows_in([body]) == [{"name": "Doe, Jane", "note": "two\nlines"}, {"name": "x", "note": ""}]
    assert body[1].startswith("text/csv")


def test_a_large_csv_goes_in_parts_each_with_the_header(tmp_path, monkeypatch):
    monkeypatch.setattr(predictions, "CSV_AT_ONCE", 200)
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "".join(f"{number},x\n" for number in range(100)))
    bodies = list(bodies_of(path))
    assert len(bodies) > 2
    assert [row["a"] for row in rows_in(bodies)] == [str(number) for number in range(100)]
    assert bodies[-1][2] == 100


def test_many_rows_go_in_parts(monkeypatch):
    monkeypatch.setattr(predictions, "ROWS_AT_ONCE", 3)
    bodies = list(bodies_of([{"a": number} for number in range(7)]))
    assert [len(json.loads(content)["instances"]) for content, _, _ in bodies] == [3, 3, 1]
    assert [until for _, _, until in bodies] == [3, 6, 7]


@pytest.mark.parametrize("data", [[], [1, 2], 5, [{"a": 1}, "b"]])
def test_what_holds_no_rows_is_refused(data):
    with pytest.raises(Invalid):
        list(bodies_of(data))


def test_an_unreadable_csv_is_refused(tmp_path):
    with pytest.raises(Invalid, match="cannot be read"):
        list(bodies_of(tmp_path / "none.csv"))
    (tmp_path / "latin.csv").write_bytes("a\nß\n".encode("latin-1"))
    with pytest.raises(Malformed, match="UTF-8"):
        list(bodies_of(tmp_path / "latin.csv"))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(Invalid, match="empty"):
        list(bodies_of(tmp_path / "empty.csv"))


def test_a_model_s_path():
    assert model_path("sales/churn") == "/models/sales/churn/"
    assert model_path("sales/europe/churn/v2") == "/models/sales/europe/churn/v2/"
    with pytest.raises(Invalid):
        model_path("churn")


def test_what_a_request_chooses_goes_with_every_part():
    parts = list(bodies_of([{"a": 1}] * (predictions.ROWS_AT_ONCE + 1), {"top_k": 2}))
    assert [json.loads(content)["parameters"] for content, _, _ in parts] == [{"top_k": 2}] * 2
    assert [json.loads(content) for content, _, _ in bodies_of(None, {"steps": 3})] == [{"parameters": {"steps": 3}}]
    assert [json.loads(content) for content, _, _ in bodies_of(None)] == [{}]
    assert json.loads(next(bodies_of(["one text", "another"]))[0]) == {"instances": ["one text", "another"]}
