"""The recipe for batch predictions: real versions, tables and objects, and the real process for code and files."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pytest

from fixtures.replicas import Written
from fixtures.serving import answer_of, make_version
from modelyard.formats import python
from modelyard.formats.folder import write, write_checksums
from modelyard.protocol.artifact import DESCRIPTION, Artifact
from modelyard.protocol.batch import Left, PredictSpec
from modelyard.protocol.jobs import Checkpoint, JobSpec, Progress
from modelyard.protocol.processes import HeldVersion
from modelyard.protocol.signature import Field, Signature
from modelyard.worker.context import Stopped
from modelyard.worker.failures import JobFailed
from modelyard.worker.predicting.tables import Span, Tables
from modelyard.worker.recipes import predict
from modelyard.worker.recipes.predict import Predict

ROWS = """
    SELECT 'id-' || i AS id, (i % 400 - 200) / 8.0 AS x, (i % 7 - 3)::BIGINT AS n, i % 2 = 0 AS flag,
           CASE i % 3 WHEN 0 THEN 'pro' WHEN 1 THEN 'basic' END AS plan
    FROM range({count}) t(i) ORDER BY i
"""

TOGETHER = """
import numpy as np, msgspec
from modelyard.core.errors import Invalid
from modelyard.formats.base import RequestPredictor

class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    plus: float = 0.0

class Model(RequestPredictor):
    Options = Options
    def predict(self, batch):
        return batch.numbers[:, :1]
    def answer(self, batch, options):
        if (batch.numbers == 13).any():
            raise Invalid("13 is no number that anybody asks for.")
        total = float(np.nansum(batch.numbers)) + options.plus
        return [{"share": value / total, "of": [value, total]} for value in batch.numbers[:, 0].tolist()]
"""
CODE = """
import numpy as np
from modelyard.formats.base import Predictor

class Model(Predictor):
    def predict(self, batch):
        return (2 * batch.numbers[:, :1]).astype(np.float32)
"""


def store(context: Any, folder: Path, checksum: str) -> HeldVersion:
    place = f"models/sales/{folder.name}"
    for path in folder.rglob("*"):
        if path.is_file():
            context.objects.put(f"{place}/{path.relative_to(folder)}", path)
    return HeldVersion(slot=0, prefix="sales", model="churn", number=1, folder=place, checksum=checksum)


@pytest.fixture
def version(context: Any, tmp_path: Path) -> HeldVersion:
    """The logistic model whose answers are known."""
    folder = tmp_path / "made"
    return store(context, folder, make_version(folder, 1))


@pytest.fixture
def code(context: Any, tmp_path: Path) -> Any:
    """Makes a version that holds code."""

    def make(source: str, **changes: Any) -> HeldVersion:
        folder = tmp_path / "code"
        usual = {"scenario": "tabular-regression", "classes": (), "example": {}, "example_answer": {}}
        make_version(folder, 1, **{**usual, "inputs": (Field(name="x", kind="number"),), **changes})
        (folder / "model.onnx").unlink()
        python.save(Written(source), folder)
        write(folder / DESCRIPTION, Artifact(format="python", scenario="-", algorithm="a/b", isolated=True))
        return store(context, folder, write_checksums(folder))

    return make


def run(context: Any, version: HeldVersion, *tables: Any, checkpoint: Any = None, **settings: Any) -> dict[str, Any]:
    spec = PredictSpec(
        version=version, place="predictions/bp_1", tables=tuple(table.key for table in tables), **settings
    )  # fmt: skip
    payload = msgspec.to_builtins(spec)
    context.spec = JobSpec(
        id="job_1", kind="predict", token=1, lease_seconds=10, payload=payload, checkpoint=checkpoint
    )
    return Predict().run(context)


def another(context: Any, name: str) -> Any:
    """Another worker on the same objects."""
    folder = context.scratch.parent / name
    folder.mkdir()
    found = type(context)(folder)
    found.objects = context.objects
    return found


def upload(context: Any, content: str, filename: str) -> dict[str, str]:
    context.objects.put("prediction-files/pf_1", content.encode())
    return {"file": "prediction-files/pf_1", "filename": filename}


def rows_of(context: Any, result: dict[str, Any]) -> list[dict[str, Any]]:
    content = context.objects.get(result["key"])
    assert len(content) == result["size"]
    if result["key"].endswith(".csv"):
        return list(csv.DictReader(io.StringIO(content.decode())))
    if result["key"].endswith(".jsonl"):
        return [json.loads(line) for line in content.splitlines()]
    path = context.scratch / "read.parquet"
    path.write_bytes(content)
    found = duckdb.sql(f"SELECT * FROM '{path}'")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


@pytest.mark.parametrize("output", ["csv", "jsonl", "parquet"])
def test_every_row_is_answered_beside_all_its_columns(context: Any, version: HeldVersion, output: str) -> None:
    result = run(context, version, context.table(ROWS.format(count=40)), output=output)
    found = rows_of(context, result)
    assert (result["rows"], result["unfit"], len(found)) == (40, 0, 40)
    for number, row in enumerate(found):
        asked = {
            "x": (number % 400 - 200) / 8, "n": number % 7 - 3, "flag": number % 2 == 0,
            "plan": {0: "pro", 1: "basic"}.get(number % 3),
        }  # fmt: skip
        assert row["id"] == f"id-{number}"
        assert float(row["probability_Yes"]) == pytest.approx(answer_of(asked, 1)["probabilities"]["Yes"], abs=1e-6)
        assert row["prediction"] == answer_of(asked, 1)["prediction"]


def test_tables_follow_each_other_and_pieces_too(
    context: Any, version: HeldVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "PIECE_ROWS", 70)
    first, second = (context.table(ROWS.format(count=count)) for count in (200, 30))
    found = rows_of(context, run(context, version, first, second, output="jsonl"))
    assert [row["id"] for row in found] == [f"id-{number}" for number in (*range(200), *range(30))]
    monkeypatch.undo()
    whole = rows_of(context, run(another(context, "other"), version, first, second, output="jsonl"))
    assert [row["probability_Yes"] for row in found] == [row["probability_Yes"] for row in whole]
    fractions = [event.fraction for event in context.events if isinstance(event, Progress)]
    assert len(set(fractions)) > 5
    assert any("rows/s" in event.phase for event in context.events if isinstance(event, Progress))


def test_a_worker_that_takes_over_goes_on_behind_the_last_piece(
    context: Any, version: HeldVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "PIECE_ROWS", 10)
    table = context.table(ROWS.format(count=35))
    report = context.report

    def die_after_two(event: Any) -> None:
        report(event)
        if isinstance(event, Checkpoint) and len(event.data["pieces"]) == 2:
            raise Stopped

    context.report = die_after_two
    with pytest.raises(Stopped):
        run(context, version, table)
    left = [event.data for event in context.events if isinstance(event, Checkpoint)][-1]
    assert sum(piece.read for piece in msgspec.convert(left, Left).pieces) == 20
    successor = another(context, "successor")
    result = run(successor, version, table, checkpoint=left)
    assert [row["id"] for row in rows_of(successor, result)] == [f"id-{number}" for number in range(35)]
    pieces = [event.data["pieces"] for event in successor.events if isinstance(event, Checkpoint)]
    assert [len(found) for found in pieces] == [3, 4]
    assert [info.key for info in context.objects.list("predictions/bp_1")] == [result["key"]]


def test_a_missing_column_is_named_with_the_nearest(context: Any, version: HeldVersion) -> None:
    table = context.table("SELECT 1.0 AS x, 1 AS n, true AS \"Flag \", 'pro' AS plan")
    with pytest.raises(JobFailed, match=r"lacks 'flag'.*Did you mean 'Flag '") as caught:
        run(context, version, table)
    assert caught.value.failure.code == "columns_missing"


WRONG = """
    SELECT * FROM (VALUES ('1.5', '2', 'true', 'pro'), ('many', '2.5', 'no', 'pro'), ('', NULL, '', NULL),
                          ('1e39', '1', 'maybe', 'pro'), ('2', '3', '0', 'basic')) t(x, n, flag, plan)
"""


def test_rows_that_do_not_fit_end_a_strict_job_and_are_named(context: Any, version: HeldVersion) -> None:
    with pytest.raises(JobFailed) as caught:
        run(context, version, context.table(WRONG))
    failure = caught.value.failure
    assert failure.code == "rows_do_not_fit"
    assert failure.message.startswith('2 of 5 rows do not fit. Row 2, column "x": expected a number, got "many".')
    assert [(problem["row"], problem["column"]) for problem in failure.detail["problems"]] == [
        (2, "x"), (2, "n"), (4, "x"), (4, "flag")
    ]  # fmt: skip


def test_a_tolerant_job_leaves_them_without_a_prediction(context: Any, version: HeldVersion) -> None:
    result = run(context, version, context.table(WRONG), on_error="tolerant", output="jsonl")
    found = rows_of(context, result)
    assert [row["x"] for row in found] == ["1.5", "many", "", "1e39", "2"]
    assert [row["prediction"] is None for row in found] == [False, True, False, True, False]
    assert (result["unfit"], result["rows"], result["problems"][0]["row"]) == (2, 5, 2)
    assert any("2 rows do not fit" in line for line in context.lines())


def test_nothing_but_rows_that_do_not_fit_is_answered_with_nothing(context: Any, version: HeldVersion) -> None:
    table = context.table("SELECT 'a' AS x, 1 AS n, true AS flag, 'pro' AS plan FROM range(3)")
    result = run(context, version, table, on_error="tolerant", output="jsonl")
    assert (result["rows"], result["unfit"]) == (3, 3)
    assert [row["x"] for row in rows_of(context, result)] == ["a"] * 3


def test_options_and_columns_with_the_name_of_an_answer(context: Any, version: HeldVersion) -> None:
    table = context.table("SELECT 1.5 AS x, 2 AS n, true AS flag, 'pro' AS plan, 'Yes' AS \"Prediction\"")
    result = run(context, version, table, parameters={"top_k": 1}, output="jsonl")
    (row,) = rows_of(context, result)
    answer = answer_of({"x": 1.5, "n": 2, "flag": True, "plan": "pro"}, 1)
    assert (row["input_Prediction"], row["prediction"]) == ("Yes", answer["prediction"])
    assert list(json.loads(row["probabilities"])) == [answer["prediction"]]
    assert any("Prediction is called input_Prediction" in line for line in context.lines())


def test_a_file_is_imported_and_answered(context: Any, version: HeldVersion) -> None:
    given = upload(context, "x;n;flag;plan\n1,5;2;true;pro\n;;;\n2,25;-1;false;basic\n", "new customers.csv")
    found = rows_of(context, run(context, version, **given))
    rows = [{"x": 1.5, "n": 2, "flag": True, "plan": "pro"}, {"x": 2.25, "n": -1, "flag": False, "plan": "basic"}]
    for row, place in zip(rows, (0, -1), strict=True):
        wanted = answer_of(row, 1)["probabilities"]["Yes"]
        assert float(found[place]["probability_Yes"]) == pytest.approx(wanted, abs=1e-6)
    with pytest.raises(JobFailed, match="PDF"):
        run(another(context, "second"), version, **upload(context, "%PDF-1.7\n", "report.pdf"))


def test_a_version_that_holds_code_is_asked_in_a_process_of_its_own(context: Any, code: Any) -> None:
    table = context.table("SELECT i AS x, i AS id FROM range(5) t(i)")
    result = run(context, code(CODE), table, output="jsonl")
    assert [row["prediction"] for row in rows_of(context, result)] == [0, 2, 4, 6, 8]
    assert len(context.runs) == 1


def test_rows_that_belong_together_are_asked_together(context: Any, code: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "PIECE_ROWS", 2)
    made = code(TOGETHER, example_request={"instances": [{"x": 1}]}, example_answer={"predictions": [{"share": 1.0}]})
    table = context.table("SELECT i AS x, 'r' || i AS id FROM range(1, 5) t(i)")
    found = rows_of(context, run(context, made, table, parameters={"plus": 10}, output="jsonl"))
    assert [row["share"] for row in found] == pytest.approx([0.05, 0.1, 0.15, 0.2])
    assert [row["id"] for row in found] == ["r1", "r2", "r3", "r4"]
    assert json.loads(found[1]["of"]) == [2, 20]
    with pytest.raises(JobFailed, match="13 is no number"):
        run(another(context, "second"), made, context.table("SELECT 13 AS x"))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("1700000000", "2023-11-14T22:13:20"),
        ("1700000000.5", "2023-11-14T22:13:20.500000"),
        ("'2024-05-31'", "2024-05-31"),
        ("'2024-05-31T12:00:00+02:00'", "2024-05-31T10:00:00"),
        ("TIMESTAMP '2024-05-31 12:00:00'", "2024-05-31T12:00:00"),
        ("DATE '2024-05-31'", "2024-05-31"),
        ("NULL", ""),
        ("'soon'", None),
        ("1e18", None),
    ],
)
def test_times_are_read_from_texts_times_and_seconds(tmp_path: Path, value: str, wanted: str | None) -> None:
    signature = Signature(scenario="tabular-regression", target="y", inputs=(Field(name="at", kind="date"),))
    path = tmp_path / "times.parquet"
    duckdb.sql(f"SELECT {value} AS at").write_parquet(str(path))
    tables = Tables([path], signature)
    read = tables.read(Span(0, 0, 1))
    assert read.unfit.tolist() == [wanted is None]
    assert read.batch.strings[0, 0] == (wanted or "")
    assert tables.problems()[0] == (wanted is None)


def test_categories_are_what_training_called_them(tmp_path: Path) -> None:
    field = Field(name="floor", kind="category", categories=("1", "2"))
    path = tmp_path / "floors.parquet"
    duckdb.sql("SELECT unnest([1.0, 2.0, NULL, 3.5]) AS floor").write_parquet(str(path))
    tables = Tables([path], Signature(scenario="tabular-regression", target="y", inputs=(field,)))
    assert tables.read(Span(0, 0, 4)).batch.strings[:, 0].tolist() == ["1", "2", "", "3.5"]


def test_many_rows_keep_their_order(context: Any, version: HeldVersion) -> None:
    result = run(context, version, context.table(ROWS.format(count=120_000)), output="parquet")
    path = context.scratch / "result.parquet"
    context.objects.download(result["key"], path)
    found = duckdb.sql(f"SELECT id, x, n, flag, plan, \"probability_Yes\" AS yes FROM '{path}'").fetchnumpy()
    assert found["id"].tolist() == [f"id-{number}" for number in range(120_000)]
    plans = np.ma.filled(found["plan"], "")
    z = 0.5 * found["x"] - found["n"] + found["flag"] + 2.0 * (plans == "pro") + 0.25
    np.testing.assert_allclose(found["yes"], 1 / (1 + np.exp(-np.asarray(z, np.float64))), rtol=1e-4, atol=1e-6)
